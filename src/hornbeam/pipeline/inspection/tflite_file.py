"""The operations of a TFLite file, as its flatbuffer says them."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from hornbeam.errors import ModelFileError
from hornbeam.pipeline.inspection.products import Call, tflite_products
from hornbeam.pipeline.inspection.report import (
    Inspection,
    Port,
    Row,
    Size,
    counted_as_one,
    free_names,
)
from hornbeam.runtime.files import ModelFile

__all__ = ["inspect_tflite"]

_TYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if name[0] != "_"}
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
_CUSTOM = schema.BuiltinOperator.CUSTOM
#: Whole numbers of this width say shapes, axes and indices, unless they are a bias.
_SHAPE_TYPES = ("int32", "int64", "bool", "string")
#: A flatbuffer that passed the check of its offsets can still hold nonsense.
_COMPLAINTS = (
    AttributeError, IndexError, KeyError, TypeError, UnicodeDecodeError, ValueError, struct.error,
)  # fmt: skip


def inspect_tflite(file: ModelFile) -> Inspection:
    """Inspect a .tflite file, whoever wrote it; see `hornbeam.pipeline.inspect.inspect`."""
    data = file.path.read_bytes()
    try:
        model = schema.Model.GetRootAs(data, 0)
        graphs = [_Subgraph(model, i) for i in range(model.SubgraphsLength())]
        main = graphs[0]
        inputs = main.ports(main.inputs, file.input_names)
        outputs = main.ports(main.outputs, file.output_names)
        # Several signatures, and the two branches of an IF, may share their weights.
        seen: set[int] = set()
        rows = tuple(row for graph in graphs for row in graph.rows(seen))
    except _COMPLAINTS as error:
        raise ModelFileError(
            f"Inspecting {file.path} failed",
            f"It is a broken TFLite model ({type(error).__name__}: {error})",
            "Copy or convert the model again",
        ) from error
    return Inspection(
        path=file.path,
        format="tflite",
        version=f"schema {model.Version()}",
        bytes=len(data),
        inputs=inputs,
        outputs=outputs,
        rows=rows,
        metadata=dict(file.metadata),
        notes=tuple(_notes(rows, inputs, graphs)),
    )


def _notes(
    rows: tuple[Row, ...], inputs: tuple[Port, ...], graphs: Sequence[_Subgraph]
) -> Iterator[str]:
    if any(row.multiply_adds for row in rows):
        yield from counted_as_one(free_names(inputs))
    unknown = sum(row.multiply_adds is None for row in rows)
    if unknown:
        yield f"The multiply-adds of {unknown} operations are unknown"
    if len(graphs) > 1:
        yield f"It has {len(graphs)} subgraphs; the body of a loop is counted once"


class _Subgraph:
    """One subgraph: its tensors and operators, read as they are asked for."""

    def __init__(self, model: Any, index: int) -> None:
        self._model = model
        self._graph = model.Subgraphs(index)
        self._prefix = f"{_text(self._graph.Name()) or f'subgraph_{index}'}/" if index else ""
        count = self._graph.TensorsLength()
        self._tensors = [self._graph.Tensors(i) for i in range(count)]
        self.inputs = [self._graph.Inputs(i) for i in range(self._graph.InputsLength())]
        self.outputs = [self._graph.Outputs(i) for i in range(self._graph.OutputsLength())]

    def ports(self, indices: Sequence[int], names: Sequence[str] | None) -> tuple[Port, ...]:
        """Inputs or outputs, by the names of the signature where there is one."""
        tensors = [self._tensors[i] for i in indices]
        named = names or [_text(tensor.Name()) for tensor in tensors]
        return tuple(
            Port(name, _sizes(tensor), _TYPES[tensor.Type()])
            for name, tensor in zip(named, tensors, strict=True)
        )

    def rows(self, seen: set[int]) -> Iterator[Row]:
        """The operators in running order; buffers in ``seen`` are counted elsewhere."""
        for i in range(self._graph.OperatorsLength()):
            yield self._row(self._graph.Operators(i), seen)

    def _row(self, operator: Any, seen: set[int]) -> Row:
        title, custom = _title(self._model.OperatorCodes(operator.OpcodeIndex()))
        inputs = [operator.Inputs(i) for i in range(operator.InputsLength())]
        outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
        call = Call(title, self._shapes(inputs), self._shapes(outputs), _attributes(operator))
        products = None if custom else tflite_products(call)
        parameters = size = 0
        for position, index in enumerate(inputs):
            elements, length = self._weight(index, seen)
            size += length
            kind = _TYPES[self._tensors[index].Type()] if elements else ""
            if kind not in _SHAPE_TYPES or (products and kind == "int32" and position >= 2):
                parameters += elements
        first = self._tensors[outputs[0]] if outputs else None
        name = self._prefix + (_text(first.Name()) if first else title)
        return Row(name, title, _sizes(first) if first else None, parameters, size, products)

    def _shapes(self, indices: Sequence[int]) -> list[tuple[int, ...] | None]:
        return [None if i < 0 else _shape(self._tensors[i]) for i in indices]

    def _weight(self, index: int, seen: set[int]) -> tuple[int, int]:
        """The elements and the bytes of a constant that was not seen before, else zeros."""
        if index < 0:
            return 0, 0
        tensor = self._tensors[index]
        number = tensor.Buffer()
        if number == 0 or number in seen or number >= self._model.BuffersLength():
            return 0, 0
        buffer = self._model.Buffers(number)
        # Weights past 2 GB lie behind the flatbuffer, and the buffer says where.
        length = buffer.DataLength() or buffer.Size()
        if not length:
            return 0, 0
        seen.add(number)
        return math.prod(_shape(tensor)), int(length)


def _title(code: Any) -> tuple[str, bool]:
    """What the operation is called, and whether it is one that only its author knows."""
    # Files of before 2021 have the small field only; the large one extends it past 127.
    builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if builtin == _CUSTOM:
        return _text(code.CustomCode()) or "CUSTOM", True
    return _OPERATORS.get(builtin, f"operator {builtin}"), builtin not in _OPERATORS


def _attributes(operator: Any) -> dict[str, Any]:
    if operator.BuiltinOptionsType() != schema.BuiltinOptions.BatchMatMulOptions:
        return {}
    table = operator.BuiltinOptions()
    if table is None:
        return {}
    options = schema.BatchMatMulOptions()
    options.Init(table.Bytes, table.Pos)
    return {"adjX": options.AdjX()}


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))


def _sizes(tensor: Any) -> tuple[Size, ...]:
    """The shape with None for each free size, which the signature of the shape tells."""
    shape = _shape(tensor)
    if tensor.ShapeSignatureLength() != len(shape):
        return shape
    signature = (int(tensor.ShapeSignature(i)) for i in range(len(shape)))
    return tuple(None if size < 0 else size for size in signature)


def _text(raw: bytes | None) -> str:
    return raw.decode(errors="replace") if raw else ""
