"""Contents of constants behind the flatbuffer's tables, straight from the arrays they are in.

A flatbuffer is built in one piece of memory, back to front, so weights inside it are held twice.
But a table points to its vector by an unsigned offset forward (flatbuffers.dev, "Internals"), and
nothing says that the vector must be among the others: so the tables are built with a stand-in for
each large constant, its offset is then turned to a place behind the end, and the contents are
written there one after the other: four bytes of length, then the bytes, aligned to 16 as TFLite's
kernels ask.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.tensors import Data

__all__ = ["ALIGNMENT", "Streamed", "in_order", "little_endian", "streamed"]

ALIGNMENT = 16
_LENGTH = struct.Struct("<I")
#: The side of a square of numbers that two of fit into a processor's first cache.
_SIDE = 128
#: The vtable slot of ``Buffer.data`` in schema.fbs: the first field of a table.
_DATA_FIELD = 4


@dataclass(frozen=True)
class Streamed:
    """A file in pieces: the tables, then each large constant with the zeros before it."""

    tables: bytearray
    constants: tuple[tuple[int, Data], ...]

    def __iter__(self) -> Iterator[bytes | bytearray | memoryview]:
        yield self.tables
        for padding, data in self.constants:
            yield b"\0" * padding + _LENGTH.pack(data.nbytes)
            yield little_endian(data)


def streamed(tables: bytearray, constants: Mapping[int, Data]) -> Streamed:
    """``tables`` with the buffers of these indices pointing to ``constants`` behind the end."""
    model = schema.Model.GetRootAs(tables, 0)
    end = len(tables)
    pieces = []
    for index, data in constants.items():
        padding = -(end + _LENGTH.size) % ALIGNMENT
        table = model.Buffers(index)._tab
        field = table.Pos + table.Offset(_DATA_FIELD)
        _LENGTH.pack_into(tables, field, end + padding - field)
        pieces.append((padding, data))
        end += padding + _LENGTH.size + data.nbytes
    return Streamed(tables, tuple(pieces))


def little_endian(data: Data) -> memoryview:
    """The bytes of a constant as the file holds them."""
    stored = np.dtype(data.dtype).newbyteorder("<")
    array = data.array().astype(stored, copy=False)
    plain = in_order(np.broadcast_to(array, data.shape))
    return plain.reshape(-1).view(np.uint8).data


def in_order(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``array`` with its elements one after the other in memory.

    Most weights come with their last axis moved to the front. numpy copies such a view element by
    element across all of memory; square by square takes an eighth of the time.
    """
    origin = np.moveaxis(array, 0, -1) if array.ndim else array
    if array.flags.c_contiguous or not origin.flags.c_contiguous:
        return np.ascontiguousarray(array)
    matrix = origin.reshape(-1, array.shape[0])
    result = np.empty(matrix.shape[::-1], array.dtype)
    for top in range(0, matrix.shape[0], _SIDE):
        rows = slice(top, top + _SIDE)
        for left in range(0, matrix.shape[1], _SIDE):
            columns = slice(left, left + _SIDE)
            result[columns, rows] = matrix[rows, columns].T
    return result.reshape(array.shape)
