"""The operations of an ONNX file, with shapes from ONNX's own inference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from hornbeam.errors import ModelFileError
from hornbeam.pipeline.inspection.products import Call, onnx_products
from hornbeam.pipeline.inspection.report import (
    Inspection,
    Port,
    Row,
    Size,
    counted_as_one,
    free_names,
)
from hornbeam.runtime.files import ModelFile

__all__ = ["inspect_onnx"]

Shapes = dict[str, tuple[Size, ...]]

#: Constants of up to so many elements keep their values: shapes are inferred from them.
_SHAPE_ELEMENTS = 1024
_DATA_FIELDS = (
    "raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data",
)  # fmt: skip
#: Bits of an element; strings are counted by their lengths.
_BITS = {
    TensorProto.DOUBLE: 64, TensorProto.INT64: 64, TensorProto.UINT64: 64,
    TensorProto.FLOAT: 32, TensorProto.INT32: 32, TensorProto.UINT32: 32,
    TensorProto.FLOAT16: 16, TensorProto.BFLOAT16: 16, TensorProto.INT16: 16,
    TensorProto.UINT16: 16, TensorProto.COMPLEX64: 64, TensorProto.COMPLEX128: 128,
    TensorProto.INT4: 4, TensorProto.UINT4: 4,
}  # fmt: skip
#: A file whose outer structure is whole can still hold nonsense.
_COMPLAINTS = (
    AttributeError, DecodeError, IndexError, KeyError, OSError, TypeError, ValueError,
)  # fmt: skip
#: Whole numbers of this width say shapes, axes and indices; they are no parameters.
_SHAPE_TYPES = (TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING)
#: Of these only the first input is a weight; the others say how it is stored.
_STORED = ("DequantizeLinear", "QuantizeLinear")


def inspect_onnx(file: ModelFile) -> Inspection:
    """Inspect an .onnx file, whoever wrote it; see `hornbeam.pipeline.inspect.inspect`."""
    try:
        return _inspect(file, onnx.load_model(str(file.path), load_external_data=False))
    except _COMPLAINTS as error:
        lines = str(error).splitlines()
        raise ModelFileError(
            f"Inspecting {file.path} failed",
            f"It is a broken ONNX model ({lines[0] if lines else type(error).__name__})",
            "Copy or convert the model again",
        ) from error


def _inspect(file: ModelFile, model: ModelProto) -> Inspection:
    weights = {tensor.name: tensor for tensor in _initializers(model.graph)}
    external = {_location(tensor) for tensor in weights.values()} - {""}
    sidecars = [path for name in external if (path := file.path.parent / name).is_file()]
    size = sum(path.stat().st_size for path in (file.path, *sidecars))
    _lighten(model)
    named = _inferred(model)
    rows = tuple(_Rows(named, _with_ones(model, named), weights).of(model.graph, ""))
    inputs = tuple(_port(info) for info in model.graph.input if info.name not in weights)
    return Inspection(
        path=file.path,
        format="onnx",
        version=f"opset {_opset(model)}",
        bytes=size,
        inputs=inputs,
        outputs=tuple(_port(info) for info in model.graph.output),
        rows=rows,
        metadata=dict(file.metadata),
        notes=tuple(_notes(rows, inputs)),
    )


def _text(value: str | bytes) -> str:
    """A text of the file; protobuf gives what is no UTF-8 as bytes."""
    if isinstance(value, bytes):
        raise ValueError("a name in it is no UTF-8 text")
    return value


def _opset(model: ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def _notes(rows: tuple[Row, ...], inputs: tuple[Port, ...]) -> Iterator[str]:
    if any(row.multiply_adds for row in rows):
        yield from counted_as_one(free_names(inputs))
    unknown = sum(row.multiply_adds is None for row in rows)
    if unknown:
        yield f"The multiply-adds of {unknown} operations are unknown"
    if any(row.operation in ("Loop", "Scan") for row in rows):
        yield "The body of a loop is counted once"


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant of a graph and its subgraphs: initializers, and results of Constant."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    tensor = TensorProto()
                    tensor.CopyFrom(attribute.t)
                    tensor.name = node.output[0] if node.output else ""
                    yield tensor
        for inner in _subgraphs(node):
            yield from _initializers(inner)


def _location(tensor: TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _lighten(model: ModelProto) -> None:
    """Drop the values of large constants: inference copies the model, and needs their shapes."""
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > _SHAPE_ELEMENTS:
            for name in _DATA_FIELDS:
                tensor.ClearField(name)


def _inferred(model: ModelProto) -> Shapes:
    """Every shape that can be had, by value; free sizes have names where the file has them."""
    shapes: Shapes = {}
    # Where inference fails, what the file itself says is still of use.
    with suppress(onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    _collect(model.graph, shapes)
    return shapes


def _collect(graph: GraphProto, shapes: Shapes) -> None:
    for tensor in _initializers(graph):
        shapes[tensor.name] = tuple(tensor.dims)
    for info in (*graph.input, *graph.value_info, *graph.output):
        shape = _shape(info)
        if shape is not None:
            shapes[info.name] = shape
    for node in graph.node:
        for inner in _subgraphs(node):
            _collect(inner, shapes)


def _with_ones(model: ModelProto, named: Shapes) -> dict[str, tuple[int, ...] | None]:
    """The same shapes with 1 for every free size, worked out anew from the inputs."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for info in copy.graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value") or dim.dim_value < 0:
                dim.dim_value = 1
    for info in copy.graph.output:
        info.type.tensor_type.ClearField("shape")
    found = _inferred(copy)
    return {name: _known(found.get(name), shape) for name, shape in (named | found).items()}


def _known(shape: tuple[Size, ...] | None, named: tuple[Size, ...]) -> tuple[int, ...] | None:
    """The sizes as numbers: those found with ones, else those of the file with 1 for names."""
    if shape is not None and all(isinstance(d, int) for d in shape):
        return tuple(d for d in shape if isinstance(d, int))
    known = [1 if isinstance(d, str) or (d is None and i == 0) else d for i, d in enumerate(named)]
    return None if None in known else tuple(d for d in known if d is not None)


def _shape(info: ValueInfoProto) -> tuple[Size, ...] | None:
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return tuple(_size(dim) for dim in kind.shape.dim)


def _size(dim: Any) -> Size:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    name = _text(dim.dim_param)
    # Inference gives names of this kind to sizes that it knows nothing of.
    return None if not name or name.startswith("unk__") else name


def _port(info: ValueInfoProto) -> Port:
    kind = info.type.tensor_type.elem_type if info.type.HasField("tensor_type") else 0
    return Port(_text(info.name), _shape(info), _dtype(kind))


def _dtype(kind: int) -> str:
    if kind not in TensorProto.DataType.values() or not kind:
        return "unknown"
    name = str(TensorProto.DataType.Name(kind)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


class _Rows:
    """Makes the rows of a graph; each constant is counted where it is used first."""

    def __init__(
        self,
        named: Shapes,
        ones: Mapping[str, tuple[int, ...] | None],
        weights: Mapping[str, TensorProto],
    ) -> None:
        self._named, self._ones, self._weights = named, ones, weights
        self._seen: set[str] = set()

    def of(self, graph: GraphProto, prefix: str) -> Iterator[Row]:
        """The rows of a graph, and of the graphs inside its operations."""
        for node in graph.node:
            if node.op_type == "Constant":
                continue
            name = prefix + _text(node.name or next(iter(node.output), "") or node.op_type)
            yield self._row(node, name)
            for inner in _subgraphs(node):
                yield from self.of(inner, f"{name}/")

    def _row(self, node: NodeProto, name: str) -> Row:
        parameters = size = 0
        for index, value in enumerate(node.input):
            tensor = self._weights.get(value)
            if tensor is None or value in self._seen:
                continue
            self._seen.add(value)
            size += _bytes(tensor)
            if tensor.data_type not in _SHAPE_TYPES and not (index and node.op_type in _STORED):
                parameters += math.prod(tensor.dims)
        call = Call(
            node.op_type,
            [self._ones.get(value) for value in node.input],
            [self._ones.get(value) for value in node.output],
            {a.name: a.s.decode(errors="replace") if a.s else a.i for a in node.attribute},
        )
        shape = self._named.get(node.output[0]) if node.output else None
        title = _text(node.op_type)
        if node.domain in ("", "ai.onnx"):
            return Row(name, title, shape, parameters, size, onnx_products(call))
        # What an operation of others means is not known here.
        return Row(name, f"{_text(node.domain)}.{title}", shape, parameters, size, None)


def _bytes(tensor: TensorProto) -> int:
    if tensor.data_type == TensorProto.STRING:
        return sum(map(len, tensor.string_data))
    bits = math.prod(tensor.dims) * _BITS.get(tensor.data_type, 8)
    return int(bits + 7) // 8
