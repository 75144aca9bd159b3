"""Names and initializers of an ONNX model, shared by a graph and the bodies of its loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.graph import Value

__all__ = ["Names", "Tensor", "Weights"]

Array = npt.NDArray[Any]


class Names:
    """Names that are taken."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """``name``, or ``name_1``, ``name_2``… where it is taken; it is from now on."""
        candidate = name
        while candidate in self._taken:
            count = self._counts.get(name, 0) + 1
            self._counts[name] = count
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate

    def release(self, name: str) -> None:
        """Let others take ``name``."""
        self._taken.discard(name)


@dataclass(frozen=True)
class Tensor:
    """One ONNX initializer: ``array``, which may be a view, written in C order as ``shape``."""

    name: str
    array: Array
    dtype: str
    shape: tuple[int, ...]


class Weights:
    """The initializers of a model, each written once."""

    def __init__(self, names: Names) -> None:
        self.tensors: list[Tensor] = []
        self._names = names
        self._known: dict[Any, str] = {}

    def constant(self, data: npt.ArrayLike, dtype: str) -> str:
        """A small constant of a Keras dtype; equal ones are one."""
        array = np.asarray(data)
        key = (dtype, array.shape, array.tobytes())
        if key not in self._known:
            text = "x".join(map(str, array.flat)) if array.size <= 4 else f"{array.size}"
            self._known[key] = self._add(f"const/{dtype}/{text}", array, dtype, array.shape)
        return self._known[key]

    def variant(
        self, value: Value, array: Array, key: Any, shape: tuple[int, ...] | None = None
    ) -> str:
        """An initializer with the data of a constant rearranged; ``key`` says how."""
        place = (value, key)
        if place not in self._known:
            sizes = array.shape if shape is None else shape
            self._known[place] = self._add(value.name, array, value.dtype, sizes)
        return self._known[place]

    def _add(self, name: str, array: Array, dtype: str, shape: tuple[int, ...]) -> str:
        self.tensors.append(Tensor(self._names.unique(name), array, dtype, shape))
        return self.tensors[-1].name
