"""The outermost layer of an ONNX file, read without onnx.

An ONNX file is one protobuf message, ``ModelProto``: a chain of fields, each with a key
(number and wire type) and, for nested messages, a length (encoding:
protobuf.dev/programming-guides/encoding; field numbers: onnx.proto). Stepping from key
to key takes microseconds whatever the size of the weights, and a file that was cut off
shows, because a length then points behind its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

__all__ = ["MalformedOnnxError", "read_onnx"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_GRAPH, _OPSETS, _METADATA = 7, 8, 14

# The wire types of the fields of ModelProto: another one means that this is no model.
_WIRE_TYPES = {
    1: _VARINT,  # ir_version
    2: _BYTES,  # producer_name
    3: _BYTES,  # producer_version
    4: _BYTES,  # domain
    5: _VARINT,  # model_version
    6: _BYTES,  # doc_string
    _GRAPH: _BYTES,
    _OPSETS: _BYTES,
    _METADATA: _BYTES,
    20: _BYTES,  # training_info
    25: _BYTES,  # functions
    26: _BYTES,  # configuration
}

# Far above what any model has; bounds the walk over a file that is something else.
_MOST_FIELDS = 100_000


class MalformedOnnxError(ValueError):
    """The bytes are no whole ONNX model; the text says where that shows."""


class _Field(NamedTuple):
    number: int
    wire_type: int
    start: int
    end: int


def read_onnx(data: mmap | bytes) -> dict[str, str]:
    """Walk a ``ModelProto`` and return its metadata.

    A key written by Hornbeam has the prefix ``hornbeam.`` in the file and none in here.
    Raises ``MalformedOnnxError``.
    """
    seen = set()
    foreign: dict[str, str] = {}
    own: dict[str, str] = {}
    for count, field in enumerate(_fields(data, 0, len(data))):
        if _WIRE_TYPES.get(field.number, field.wire_type) != field.wire_type:
            raise MalformedOnnxError(f"field {field.number} of the model is of the wrong kind")
        if count == _MOST_FIELDS:
            raise MalformedOnnxError(f"it has more than {_MOST_FIELDS} fields")
        seen.add(field.number)
        if field.number == _METADATA:
            key, value = _entry(data, field)
            prefix, dot, rest = key.partition(".")
            if prefix == "hornbeam" and dot:
                own[rest] = value
            else:
                foreign[key] = value
    for number, title in ((_GRAPH, "graph"), (_OPSETS, "operator set")):
        if number not in seen:
            raise MalformedOnnxError(f"it has no {title}")
    return {**foreign, **own}


def _entry(data: mmap | bytes, entry: _Field) -> tuple[str, str]:
    """Read a ``StringStringEntryProto``: field 1 is the key, field 2 the value."""
    texts = {1: "", 2: ""}
    for field in _fields(data, entry.start, entry.end):
        if field.number in texts and field.wire_type == _BYTES:
            try:
                texts[field.number] = data[field.start : field.end].decode()
            except UnicodeDecodeError as error:
                raise MalformedOnnxError("its metadata is no UTF-8 text") from error
    return texts[1], texts[2]


def _fields(data: mmap | bytes, start: int, end: int) -> Iterator[_Field]:
    """Step through the fields of the message in ``data[start:end]``."""
    position = start
    while position < end:
        key, after = _varint(data, position, end)
        number, wire_type = key >> 3, key & 7
        if number == 0 or wire_type not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            raise MalformedOnnxError(f"there is no field at byte {position}")
        if wire_type == _VARINT:
            first = after
            _, after = _varint(data, first, end)
        elif wire_type == _BYTES:
            length, first = _varint(data, after, end)
            after = first + length
        else:
            first = after
            after = first + (8 if wire_type == _FIXED64 else 4)
        if after > end:
            raise MalformedOnnxError(f"it ends {after - end} bytes early, inside field {number}")
        yield _Field(number, wire_type, first, after)
        position = after


def _varint(data: mmap | bytes, position: int, end: int) -> tuple[int, int]:
    """Read an integer of 7 bits a byte, least first; return it and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise MalformedOnnxError("it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise MalformedOnnxError(f"the number before byte {position} has no end")
