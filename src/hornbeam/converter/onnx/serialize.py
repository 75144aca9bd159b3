"""An ONNX model as bytes on disk, without a second copy of its weights in memory.

Protocol buffers would copy each weight into the message, then the message into one string, and
stop at 2 GB. So the small part is serialized by them, and the weights are streamed from the
arrays that they are in, framed as the fields that they are: a field is its number and wire type,
its length, and its bytes (protobuf.dev, "Encoding"); the order of fields is free.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

from hornbeam.converter.files import replacing
from hornbeam.converter.onnx.dtypes import onnx_dtype
from hornbeam.converter.onnx.weights import Tensor
from hornbeam.graph.types import numpy_dtype

__all__ = ["save", "tensor_proto"]

#: Weights from this many bytes on go to a file of their own: a message ends at 2 GB.
_EXTERNAL_FROM = 1_800_000_000
#: Of these, tensors smaller than this many bytes stay inside.
_INSIDE_BELOW = 1024

_LENGTH_DELIMITED = 2
_GRAPH = ModelProto.GRAPH_FIELD_NUMBER
_INITIALIZER = GraphProto.INITIALIZER_FIELD_NUMBER
_RAW_DATA = TensorProto.RAW_DATA_FIELD_NUMBER


def tensor_proto(tensor: Tensor) -> TensorProto:
    """An initializer with its data inside."""
    proto = _header(tensor)
    if _size(tensor):
        proto.raw_data = _bytes(tensor).tobytes()
    return proto


def save(model: ModelProto, tensors: list[Tensor], path: str | os.PathLike[str]) -> None:
    """Write ``model`` with the weights that it still lacks."""
    path = Path(os.path.realpath(path))
    if sum(map(_size, tensors)) < _EXTERNAL_FROM:
        with replacing(path) as temporary, temporary.open("wb") as file:
            _stream(model, tensors, file)
        return
    outside = [tensor for tensor in tensors if _size(tensor) >= _INSIDE_BELOW]
    inside = [tensor for tensor in tensors if _size(tensor) < _INSIDE_BELOW]
    # Named by its content, so that the data of a model that is replaced stays whole until the
    # new model is, and the same model has the same bytes.
    data = path.with_name(f"{path.name}.{_digest(outside)}.data")
    was_there = data.exists()
    with replacing(data) as temporary, temporary.open("wb") as file:
        for tensor in outside:
            file.write(_bytes(tensor))
    try:
        model.graph.initializer.extend(_references(outside, data.name))
        with replacing(path) as temporary, temporary.open("wb") as file:
            _stream(model, inside, file)
    except BaseException:
        if not was_there:
            data.unlink(missing_ok=True)
        raise


def _references(tensors: list[Tensor], location: str) -> Iterator[TensorProto]:
    """Initializers whose data lie one after the other in the file ``location``."""
    offset = 0
    for tensor in tensors:
        proto = _header(tensor)
        proto.data_location = TensorProto.EXTERNAL
        places = {"location": location, "offset": offset, "length": _size(tensor)}
        for key, item in places.items():
            proto.external_data.append(StringStringEntryProto(key=key, value=str(item)))
        offset += _size(tensor)
        yield proto


def _stream(model: ModelProto, tensors: list[Tensor], file: BinaryIO) -> None:
    """Write ``model``, and ``tensors`` as if they were among its initializers."""
    shell = ModelProto()
    shell.CopyFrom(model)
    shell.ClearField("graph")
    graph = model.graph.SerializeToString()
    heads = []
    total = len(graph)
    for tensor in tensors:
        header, size = _header(tensor).SerializeToString(), _size(tensor)
        if size:
            header += _frame(_RAW_DATA, size)
        head = _frame(_INITIALIZER, len(header) + size) + header
        heads.append(head)
        total += len(head) + size
    file.write(shell.SerializeToString())
    file.write(_frame(_GRAPH, total))
    file.write(graph)
    for head, tensor in zip(heads, tensors, strict=True):
        file.write(head)
        if _size(tensor):
            file.write(_bytes(tensor))


def _frame(field: int, length: int) -> bytes:
    """The bytes before a field of ``length`` bytes: its key and the length, seven bits a byte."""
    frame = bytearray()
    for number in (field << 3 | _LENGTH_DELIMITED, length):
        rest = number
        while rest > 127:
            frame.append(rest & 127 | 128)
            rest >>= 7
        frame.append(rest)
    return bytes(frame)


def _header(tensor: Tensor) -> TensorProto:
    """The initializer without its data (strings are short, and stay)."""
    proto = TensorProto(name=tensor.name, data_type=onnx_dtype(tensor.dtype), dims=tensor.shape)
    if tensor.dtype == "string":
        proto.string_data.extend(
            text if isinstance(text, bytes) else str(text).encode() for text in tensor.array.flat
        )
    return proto


def _size(tensor: Tensor) -> int:
    """The bytes of raw data."""
    if tensor.dtype == "string":
        return 0
    return tensor.array.size * numpy_dtype(tensor.dtype).itemsize


def _bytes(tensor: Tensor) -> memoryview:
    """The raw data, copied only where it is not in order."""
    array: npt.NDArray[Any] = tensor.array.astype(numpy_dtype(tensor.dtype), copy=False)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _digest(tensors: list[Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for tensor in tensors:
        digest.update(_bytes(tensor))
    return digest.hexdigest()
