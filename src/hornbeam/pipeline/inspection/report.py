"""What an inspection finds, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Inspection",
    "Port",
    "Row",
    "Size",
    "counted_as_one",
    "free_names",
]

#: A fixed size, the name or formula of a free one, or None for one that has no name.
Size = int | str | None


@dataclass(frozen=True)
class Port:
    """An input or output of the model; ``shape`` is None where the file does not say it."""

    name: str
    shape: tuple[Size, ...] | None
    dtype: str


@dataclass(frozen=True)
class Row:
    """A layer (of a Keras file) or an operation (of the others), and what it holds and costs.

    ``shape`` is that of its first result, None where unknown. ``parameters`` and ``bytes`` are
    those of its weights; a weight that several rows share belongs to the first of them.
    ``multiply_adds`` is for one sample, None where the sizes it depends on are unknown.
    """

    name: str
    operation: str
    shape: tuple[Size, ...] | None
    parameters: int
    bytes: int
    multiply_adds: int | None


@dataclass(frozen=True)
class Inspection:
    """The inside of a model file.

    ``bytes`` is the size of the file, and of the files of weights beside it, on disk. ``notes``
    are sentences on what was repaired, and on what the figures leave out.
    """

    path: Path
    format: str
    version: str
    bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    rows: tuple[Row, ...]
    metadata: dict[str, str]
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(row.parameters for row in self.rows)

    @property
    def weight_bytes(self) -> int:
        """What the weights take, in bytes."""
        return sum(row.bytes for row in self.rows)

    @property
    def multiply_adds(self) -> int | None:
        """The multiply-adds for one sample; None where those of no product are known."""
        known = [row.multiply_adds for row in self.rows if row.multiply_adds is not None]
        return sum(known) if any(known) or len(known) == len(self.rows) else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": str(self.path),
            "format": self.format,
            "version": self.version,
            "bytes": self.bytes,
            "parameters": self.parameters,
            "weight_bytes": self.weight_bytes,
            "multiply_adds": self.multiply_adds,
            "inputs": [_listed(vars(port)) for port in self.inputs],
            "outputs": [_listed(vars(port)) for port in self.outputs],
            "rows": [_listed(vars(row)) for row in self.rows],
            "metadata": self.metadata,
            "notes": list(self.notes),
        }


def counted_as_one(names: Iterable[str]) -> tuple[str, ...]:
    """The note, if one is due, on free sizes besides the batch behind the multiply-adds."""
    known = sorted(set(names))
    return (f"Multiply-adds are for sizes of 1 where the size is free: {', '.join(known)}",) * bool(
        known
    )


def free_names(inputs: Iterable[Port]) -> list[str]:
    """The free sizes of the inputs besides the batch, each by its name or by its place."""
    return [
        size or f"dimension {axis} of {port.name}"
        for port in inputs
        for axis, size in enumerate(port.shape or ())
        if axis and not isinstance(size, int)
    ]


def _listed(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: list(x) if isinstance(x, tuple) else x for key, x in fields.items()}
