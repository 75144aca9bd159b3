"""Packs tensors and operators into a TFLite flatbuffer.

The schema's own object API does the tables; the contents of large constants follow behind them,
straight from the arrays that they are in (`streaming`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Operator, Subgraph
from hornbeam.converter.tflite.streaming import ALIGNMENT, Streamed, little_endian, streamed
from hornbeam.converter.tflite.tensors import Data, Tensor, build_tensor
from hornbeam.converter.tflite.versions import operator_version
from hornbeam.errors import UnsupportedFormatError

__all__ = ["FlatFile", "pack"]

#: Offsets in a flatbuffer are signed 32-bit numbers.
_LIMIT = 2**31 - 1
_IDENTIFIER = b"TFL3"
#: Contents of this many bytes or more are not copied into the tables.
_OUTSIDE_FROM = 1024


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


def pack(file: FlatFile) -> Streamed:
    """The file in pieces; `UnsupportedFormatError` where they pass two gigabytes."""
    subgraphs = _subgraphs(file)
    tensors = {subgraph: _used(subgraph) for subgraph in subgraphs}
    everything = dict.fromkeys(tensor for used in tensors.values() for tensor in used)
    constants = [tensor.data for tensor in everything if tensor.data is not None]
    room = sum(data.nbytes + 2 * ALIGNMENT for data in constants)
    room += sum(map(len, file.metadata.values()))
    if room > _LIMIT:
        raise UnsupportedFormatError(
            "A TFLite file was asked for.",
            f"The model has {room / 2**30:.1f} GiB of constants; a TFLite file holds 2 GiB.",
            "Write ONNX, which keeps weights beside the model file, or quantize the model.",
        )
    builder = flatbuffers.Builder(1024)
    model = _model(file, tensors)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    outside = {i: buffer.contents for i, buffer in enumerate(model.buffers) if buffer.outside}
    return streamed(builder.Output(), outside)


class _Buffer(schema.BufferT):  # type: ignore[misc]
    """A buffer of the file; large ``contents`` follow behind the tables."""

    def __init__(self, contents: Data | bytes | None = None) -> None:
        super().__init__()
        self.contents = contents

    @property
    def outside(self) -> bool:
        """Whether the tables hold only a stand-in for the contents."""
        return isinstance(self.contents, Data) and self.contents.nbytes >= _OUTSIDE_FROM

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        start = None if self.contents is None else self._vector(builder)
        schema.BufferStart(builder)
        if start is not None:
            schema.BufferAddData(builder, start)
        return int(schema.BufferEnd(builder))

    def _vector(self, builder: flatbuffers.Builder) -> int:
        contents: bytes | memoryview
        if self.outside:
            contents = b""
        elif isinstance(self.contents, Data):
            contents = little_endian(self.contents)
        else:
            contents = self.contents or b""
        builder.StartVector(1, len(contents), ALIGNMENT)
        builder.head = builder.Head() - len(contents)
        builder.Bytes[builder.Head() : builder.Head() + len(contents)] = contents
        return int(builder.EndVector())


def _subgraphs(file: FlatFile) -> list[Subgraph]:
    """The main subgraph, and behind it those that operators run; their numbers are entered."""
    main = Subgraph(
        file.name, list(file.inputs.values()), list(file.outputs.values()), file.operators
    )
    found = [main]
    for subgraph in found:
        for operator in subgraph.operators:
            for option, inner in operator.subgraphs.items():
                setattr(operator.options, option, len(found))
                found.append(inner)
    return found


def _used(subgraph: Subgraph) -> list[Tensor]:
    """All tensors of a subgraph, in the order of first appearance."""
    everything: list[Tensor | None] = list(subgraph.inputs)
    for operator in subgraph.operators:
        everything += [*operator.inputs, *operator.outputs]
    everything += subgraph.outputs
    return list(dict.fromkeys(tensor for tensor in everything if tensor is not None))


def _model(file: FlatFile, tensors: dict[Subgraph, list[Tensor]]) -> Any:
    # Buffer 0 is empty, for all tensors without contents. Constants of a loop may be in several
    # subgraphs.
    buffers = [_Buffer()]
    places: dict[int, int] = {}
    kinds = {
        kind: i for i, kind in enumerate(_kinds(op for part in tensors for op in part.operators))
    }
    model = schema.ModelT()
    model.version = 3
    model.description = "Hornbeam"
    model.operatorCodes = _codes(list(kinds))
    model.subgraphs = []
    for subgraph, used in tensors.items():
        built = []
        for tensor in used:
            if tensor.data is not None and id(tensor.data) not in places:
                places[id(tensor.data)] = len(buffers)
                buffers.append(_Buffer(tensor.data))
            index = places[id(tensor.data)] if tensor.data is not None else 0
            built.append(build_tensor(tensor, index, file.sizes))
        model.subgraphs.append(_subgraph(subgraph, built, used, kinds))
    main = next(iter(tensors.values()))
    model.signatureDefs = [_signature(file, {tensor: i for i, tensor in enumerate(main)})]
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


def _codes(kinds: list[tuple[str, int]]) -> list[Any]:
    codes = []
    for name, version in kinds:
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, name)
        # Runtimes before 2.4 read the old field, a byte, and newer ones the larger of the two.
        code.deprecatedBuiltinCode = min(number, 127)
        code.builtinCode = number
        code.version = version
        codes.append(code)
    return codes


def _subgraph(
    part: Subgraph, built: list[Any], used: list[Tensor], kinds: Mapping[tuple[str, int], int]
) -> Any:
    numbers = {tensor: i for i, tensor in enumerate(used)}
    subgraph = schema.SubGraphT()
    subgraph.name = part.name
    subgraph.tensors = built
    subgraph.inputs = _indices(part.inputs, numbers)
    subgraph.outputs = _indices(part.outputs, numbers)
    subgraph.operators = []
    for operator in part.operators:
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
