"""Packs tensors and operators into a TFLite flatbuffer.

The schema's own object API does the tables; contents of constants are copied straight into the
builder's memory, aligned to 16 bytes as the schema asks of readers' kernels, so that a model needs
room for its weights once beside the originals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Operator
from hornbeam.converter.tflite.tensors import Data, Tensor, build_tensor
from hornbeam.converter.tflite.versions import operator_version
from hornbeam.errors import UnsupportedFormatError

__all__ = ["FlatFile", "pack"]

#: Offsets in a flatbuffer are signed 32-bit numbers.
_LIMIT = 2**31 - 1
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16


@dataclass
class FlatFile:
    """What goes into the file."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    operators: list[Operator]
    #: A size for each free symbol, to stand in the shapes.
    sizes: Mapping[str, int]
    metadata: Mapping[str, bytes] = field(default_factory=dict)


def pack(file: FlatFile) -> memoryview:
    """The bytes of the file; `UnsupportedFormatError` where they pass two gigabytes."""
    tensors = _used(file)
    constants = [tensor.data for tensor in tensors if tensor.data is not None]
    room = sum(data.nbytes + 2 * _ALIGNMENT for data in constants)
    room += sum(map(len, file.metadata.values()))
    if room > _LIMIT:
        raise UnsupportedFormatError(
            "A TFLite file was asked for.",
            f"The model has {room / 2**30:.1f} GiB of constants; a TFLite file holds 2 GiB.",
            "Write ONNX, which keeps weights beside the model file, or quantize the model.",
        )
    # A builder that runs out of room doubles, which would copy everything.
    builder = flatbuffers.Builder(room + 1024 * (len(tensors) + len(file.operators) + 16))
    builder.Finish(_model(file, tensors).Pack(builder), file_identifier=_IDENTIFIER)
    return memoryview(builder.Bytes)[builder.Head() :]


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer that is filled in place."""

    def __init__(self, contents: Data | bytes | None = None) -> None:
        super().__init__()
        self.contents = contents

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        start = None if self.contents is None else _copy(builder, self.contents)
        schema.BufferStart(builder)
        if start is not None:
            schema.BufferAddData(builder, start)
        return int(schema.BufferEnd(builder))


def _copy(builder: flatbuffers.Builder, contents: Data | bytes) -> int:
    size = len(contents) if isinstance(contents, bytes) else contents.nbytes
    builder.StartVector(1, size, _ALIGNMENT)
    builder.head = builder.Head() - size
    start = builder.Head()
    if isinstance(contents, bytes):
        builder.Bytes[start : start + size] = contents
    else:
        stored = np.dtype(contents.dtype).newbyteorder("<")
        target = np.frombuffer(builder.Bytes, stored, size // stored.itemsize, start)
        np.copyto(target.reshape(contents.shape), contents.array(), casting="unsafe")
        del target
    return int(builder.EndVector())


def _used(file: FlatFile) -> list[Tensor]:
    """All tensors, in the order of first appearance."""
    everything: list[Tensor | None] = list(file.inputs.values())
    for operator in file.operators:
        everything += [*operator.inputs, *operator.outputs]
    everything += file.outputs.values()
    return list(dict.fromkeys(tensor for tensor in everything if tensor is not None))


def _model(file: FlatFile, tensors: list[Tensor]) -> Any:
    # Buffer 0 is empty, for all tensors without contents.
    buffers = [_Buffer()]
    built = []
    for tensor in tensors:
        if tensor.data is not None:
            buffers.append(_Buffer(tensor.data))
        index = len(buffers) - 1 if tensor.data is not None else 0
        built.append(build_tensor(tensor, index, file.sizes))
    numbers = {tensor: i for i, tensor in enumerate(tensors)}
    model = schema.ModelT()
    model.version = 3
    model.description = "Hornbeam"
    model.operatorCodes = _codes(file.operators)
    model.subgraphs = [_subgraph(file, built, numbers)]
    model.signatureDefs = [_signature(file, numbers)]
    model.metadata = []
    for name, contents in sorted(file.metadata.items()):
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(buffers)
        buffers.append(_Buffer(contents))
        model.metadata.append(entry)
    model.buffers = buffers
    return model


def _kinds(operators: Iterable[Operator]) -> list[tuple[str, int]]:
    return list(
        dict.fromkeys((operator.code, operator_version(operator)) for operator in operators)
    )


def _codes(operators: list[Operator]) -> list[Any]:
    codes = []
    for name, version in _kinds(operators):
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        # Runtimes before 2.4 read the old field, a byte, and newer ones the larger of the two.
        code.deprecatedBuiltinCode = min(number, 127)
        code.builtinCode = number
        code.version = version
        codes.append(code)
    return codes


def _subgraph(file: FlatFile, built: list[Any], numbers: dict[Tensor, int]) -> Any:
    kinds = {kind: i for i, kind in enumerate(_kinds(file.operators))}
    subgraph = schema.SubGraphT()
    subgraph.name = file.name
    subgraph.tensors = built
    subgraph.inputs = _indices(file.inputs.values(), numbers)
    subgraph.outputs = _indices(file.outputs.values(), numbers)
    subgraph.operators = []
    for operator in file.operators:
        entry = schema.OperatorT()
        entry.opcodeIndex = kinds[operator.code, operator_version(operator)]
        entry.inputs = _indices(operator.inputs, numbers)
        entry.outputs = _indices(operator.outputs, numbers)
        if operator.options is not None:
            name = type(operator.options).__name__[:-1]
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            entry.builtinOptions = operator.options
        subgraph.operators.append(entry)
    return subgraph


def _indices(tensors: Iterable[Tensor | None], numbers: dict[Tensor, int]) -> Any:
    return np.array([-1 if tensor is None else numbers[tensor] for tensor in tensors], np.int32)


def _signature(file: FlatFile, numbers: dict[Tensor, int]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = "serving_default"
    signature.inputs = [_named(name, numbers[tensor]) for name, tensor in file.inputs.items()]
    signature.outputs = [_named(name, numbers[tensor]) for name, tensor in file.outputs.items()]
    return signature


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry
