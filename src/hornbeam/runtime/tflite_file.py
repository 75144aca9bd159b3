"""A TFLite file, checked and read without an engine.

A TFLite file is a flatbuffer: tables that point at each other by offsets. The
interpreter follows them unchecked, so one that leads out of the file, as in any
truncated download, ends the process. The walk here visits every table and vector that
the interpreter will, and refuses the first that does not lie inside the file. (Encoding:
flatbuffers.dev/internals; field numbers: schema.fbs of TensorFlow Lite, version 3.)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from mmap import mmap
from struct import unpack_from
from typing import Union

__all__ = ["MalformedTFLiteError", "TFLiteFile", "read_tflite"]

# What a field points at: an int stands for a vector of scalars of so many bytes, a name
# for a table, a one-name tuple for a vector of such tables.
_Kind = Union[int, str, "tuple[str]"]

# For each table the fields that point at something, by number. Strings are byte vectors.
_SCHEMA: dict[str, dict[int, _Kind]] = {
    "Model": {
        1: ("OperatorCode",),
        2: ("SubGraph",),
        3: 1,
        4: ("Buffer",),
        5: 4,
        6: ("Metadata",),
        7: ("SignatureDef",),
    },
    "OperatorCode": {1: 1},
    "SubGraph": {0: ("Tensor",), 1: 4, 2: 4, 3: ("Operator",), 4: 1},
    "Tensor": {
        0: 4,
        3: 1,
        4: "QuantizationParameters",
        6: "SparsityParameters",
        7: 4,
        9: ("VariantSubType",),
    },
    "QuantizationParameters": {0: 4, 1: 4, 2: 4, 3: 8, 5: "Union"},
    "SparsityParameters": {0: 4, 1: 4, 2: ("DimensionMetadata",)},
    "DimensionMetadata": {3: "Union", 5: "Union"},
    "VariantSubType": {0: 4},
    "Operator": {1: 4, 2: 4, 4: "Union", 5: 1, 7: 1, 8: 4, 12: "Union"},
    "Buffer": {0: 1},
    "Metadata": {0: 1},
    "SignatureDef": {0: ("TensorMap",), 1: ("TensorMap",), 2: 1},
    "TensorMap": {0: 1},
    # A table of a type that another field tells. Nearly all hold scalars alone.
    "Union": {},
    "ReshapeOptions": {0: 4},
    "SqueezeOptions": {0: 4},
    "VarHandleOptions": {0: 1, 1: 1},
}

_OPTIONS_THAT_POINT = {17: "ReshapeOptions", 30: "SqueezeOptions", 111: "VarHandleOptions"}


class MalformedTFLiteError(ValueError):
    """The bytes are no whole TFLite model; the text says where that shows."""


@dataclass(frozen=True)
class TFLiteFile:
    """What Hornbeam wants to know of a TFLite file before an interpreter opens it."""

    metadata: dict[str, str]
    input_names: tuple[str, ...] | None
    output_names: tuple[str, ...] | None


def read_tflite(data: mmap | bytes) -> TFLiteFile:
    """Check every offset in the file, then read its metadata and signature.

    The names are those of the signature, in the order of the main subgraph's inputs and
    outputs, or ``None`` without a signature. Raises ``MalformedTFLiteError``.
    """
    tables = _Tables(data)
    model = tables.target(0)
    tables.check(model, "Model")
    return _Reader(tables, model).read()


class _Tables:
    """Flatbuffer access in which no position is trusted before it is checked."""

    def __init__(self, data: mmap | bytes) -> None:
        self.data = data
        self.size = len(data)
        self._checked: set[tuple[int, str]] = set()

    def check(self, table: int, name: str) -> None:
        """Check a table and, once each, everything that it leads to."""
        if (table, name) in self._checked:
            return
        self._checked.add((table, name))
        self._check_header(table, name)
        for field, kind in _SCHEMA[name].items():
            place = self.place(table, field)
            if place:
                self._check_target(self.target(place), kind, name)
        if name == "Operator":
            self._check_options(table)

    def _check_header(self, table: int, name: str) -> None:
        self._inside(table, 4, name)
        fields = table - unpack_from("<i", self.data, table)[0]
        self._inside(fields, 4, name)
        fields_size, table_size = unpack_from("<HH", self.data, fields)
        self._inside(fields, fields_size, name)
        self._inside(table, table_size, name)
        if fields_size < 4 or fields_size % 2 or table_size < 4:
            raise MalformedTFLiteError(f"the {name} at byte {table} is damaged")
        for offset in unpack_from(f"<{fields_size // 2 - 2}H", self.data, fields + 4):
            if offset >= table_size:
                raise MalformedTFLiteError(f"the {name} at byte {table} is damaged")

    def _check_target(self, target: int, kind: _Kind, name: str) -> None:
        if isinstance(kind, str):
            self.check(target, kind)
            return
        self._inside(target, 4, name)
        (length,) = unpack_from("<I", self.data, target)
        self._inside(target + 4, length * (kind if isinstance(kind, int) else 4), name)
        if isinstance(kind, tuple):
            for place in range(target + 4, target + 4 + 4 * length, 4):
                self.check(self.target(place), kind[0])

    def _check_options(self, operator: int) -> None:
        kind = self.scalar(operator, 3, "B")
        options = self.place(operator, 4)
        if options and kind in _OPTIONS_THAT_POINT:
            self.check(self.target(options), _OPTIONS_THAT_POINT[kind])

    def _inside(self, start: int, length: int, name: str) -> None:
        if start < 0 or start + length > self.size:
            raise MalformedTFLiteError(
                f"a part of its {name} lies outside the file, which has {self.size} bytes"
            )

    def target(self, place: int) -> int:
        """Follow the offset at ``place``, which lies inside the file."""
        self._inside(place, 4, "root")
        return place + int(unpack_from("<I", self.data, place)[0])

    def place(self, table: int, field: int) -> int:
        """Say where a field of a checked table is stored; 0 if it has none."""
        fields = table - unpack_from("<i", self.data, table)[0]
        entry = 4 + 2 * field
        if entry >= unpack_from("<H", self.data, fields)[0]:
            return 0
        offset = int(unpack_from("<H", self.data, fields + entry)[0])
        return table + offset if offset else 0

    def scalar(self, table: int, field: int, code: str) -> int:
        """Read a scalar field by its struct code; 0, the default, if it is not stored."""
        place = self.place(table, field)
        return int(unpack_from("<" + code, self.data, place)[0]) if place else 0

    def span(self, table: int, field: int) -> tuple[int, int]:
        """Return where a vector's items begin, and how many there are."""
        place = self.place(table, field)
        if not place:
            return 0, 0
        vector = self.target(place)
        return vector + 4, int(unpack_from("<I", self.data, vector)[0])

    def children(self, table: int, field: int) -> list[int]:
        """Return the tables in a vector of tables."""
        start, length = self.span(table, field)
        return [self.target(place) for place in range(start, start + 4 * length, 4)]

    def ints(self, table: int, field: int) -> tuple[int, ...]:
        """Read a vector of int32."""
        start, length = self.span(table, field)
        return unpack_from(f"<{length}i", self.data, start)

    def bytes(self, table: int, field: int) -> bytes:
        """Read a vector of bytes, as strings are."""
        start, length = self.span(table, field)
        return self.data[start : start + length]


class _Reader:
    """Reads what Hornbeam needs from a model whose every table has been checked."""

    def __init__(self, tables: _Tables, model: int) -> None:
        self._tables = tables
        self._model = model
        self._subgraphs = tables.children(model, 2)
        self._buffers = tables.children(model, 4)

    def read(self) -> TFLiteFile:
        version = self._tables.scalar(self._model, 0, "I")
        if version != 3:
            raise MalformedTFLiteError(f"its schema has version {version}, and only 3 is known")
        if not self._subgraphs:
            raise MalformedTFLiteError("it has no graph")
        for buffer in self._buffers:
            self._content(buffer)
        for subgraph in self._subgraphs:
            self._check_indices(subgraph)
        inputs, outputs = self._signature()
        return TFLiteFile(self._metadata(), inputs, outputs)

    def _content(self, buffer: int) -> tuple[int, int]:
        """Return start and end of a buffer, stored in the flatbuffer or behind it."""
        tables = self._tables
        start, length = tables.span(buffer, 0)
        if not length and tables.scalar(buffer, 1, "Q") > 1:
            start, length = tables.scalar(buffer, 1, "Q"), tables.scalar(buffer, 2, "Q")
        if start + length > tables.size:
            raise MalformedTFLiteError(
                f"it ends {start + length - tables.size} bytes early, inside its weights"
            )
        return start, start + length

    def _check_indices(self, subgraph: int) -> None:
        """Check that tensors, buffers and operators are named by numbers that exist."""
        tables = self._tables
        tensors = tables.children(subgraph, 0)
        codes = len(tables.children(self._model, 1))
        for tensor in tensors:
            _check_index(tables.scalar(tensor, 2, "I"), len(self._buffers), "buffer")
        used = [*tables.ints(subgraph, 1), *tables.ints(subgraph, 2)]
        for operator in tables.children(subgraph, 3):
            _check_index(tables.scalar(operator, 0, "I"), codes, "operator code")
            used += [*tables.ints(operator, 1), *tables.ints(operator, 2)]
        for index in used:
            if index != -1:  # an optional input that is left out
                _check_index(index, len(tensors), "tensor")

    def _metadata(self) -> dict[str, str]:
        """Read the JSON object that Hornbeam's writer stores under its name."""
        tables = self._tables
        for entry in tables.children(self._model, 6):
            if tables.bytes(entry, 0) != b"hornbeam":
                continue
            index = tables.scalar(entry, 1, "I")
            _check_index(index, len(self._buffers), "buffer")
            start, end = self._content(self._buffers[index])
            try:
                items = json.loads(tables.data[start:end].decode())
            except ValueError as error:  # not UTF-8, or not JSON
                raise MalformedTFLiteError("its metadata is no JSON") from error
            if not isinstance(items, dict):
                raise MalformedTFLiteError("its metadata is no JSON object")
            return {
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in items.items()
            }
        return {}

    def _signature(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Read the names of the main subgraph's signature: serving_default, or the first."""
        tables = self._tables
        signatures = [
            signature
            for signature in tables.children(self._model, 7)
            if tables.scalar(signature, 4, "I") == 0
        ]
        if not signatures:
            return None, None
        signature = min(signatures, key=lambda s: tables.bytes(s, 2) != b"serving_default")
        main = self._subgraphs[0]
        return (
            self._names(tables.children(signature, 0), tables.ints(main, 1)),
            self._names(tables.children(signature, 1), tables.ints(main, 2)),
        )

    def _names(self, entries: Sequence[int], tensors: Sequence[int]) -> tuple[str, ...] | None:
        """Put a signature's names in the order of the graph; ``None`` if they do not match."""
        tables = self._tables
        # One tensor may be two outputs, under two names.
        names: dict[int, list[str]] = defaultdict(list)
        for entry in entries:
            text = tables.bytes(entry, 0).decode(errors="replace")
            names[tables.scalar(entry, 1, "I")].append(text)
        if sorted(tensors) != sorted(index for index in names for _ in names[index]):
            return None
        return tuple(names[index].pop(0) for index in tensors)


def _check_index(index: int, count: int, title: str) -> None:
    if not 0 <= index < count:
        raise MalformedTFLiteError(f"it refers to {title} {index} of {count}")
