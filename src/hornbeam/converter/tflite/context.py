"""What a node writer works with: it reads values, makes constants and emits operators.

Operators are kept as they are emitted, in running order; what nobody reads in the end is dropped.
A result is an unnamed `Tensor` until the writer's caller binds it to a graph value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.tensors import (
    Data,
    Tensor,
    boundary_dtype,
    storage_dtype,
    type_code,
)
from hornbeam.graph import Dim, Graph, Node, Quantization, TensorType, Value
from hornbeam.graph.dims import broadcast
from hornbeam.graph.types import numpy_dtype

__all__ = ["Context", "Operator", "Subgraph", "Tensor"]

#: Constants up to this many bytes are shared by content, larger ones by identity.
_SHARED_BYTES = 4096


@dataclass(eq=False)
class Operator:
    """One builtin operator of the file; an input of None is an optional one left out."""

    code: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    options: Any
    path: str
    #: The subgraphs that the operator runs, and where their numbers go in its options.
    subgraphs: dict[str, Subgraph] = field(default_factory=dict)


@dataclass(eq=False)
class Subgraph:
    """A subgraph of the file beside the main one."""

    name: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    operators: list[Operator]


@dataclass
class Context:
    """The file as it grows."""

    graph: Graph
    operators: list[Operator] = field(default_factory=list)
    #: The tensor that holds each graph value.
    tensors: dict[Value, Tensor] = field(default_factory=dict)
    #: The tensor of each model input.
    inputs: dict[Value, Tensor] = field(default_factory=dict)
    #: What a tensor was reshaped or widened from: lets the way back be elided.
    origins: dict[Tensor, Tensor] = field(default_factory=dict)
    #: The operator that makes each tensor.
    makers: dict[Tensor, Operator] = field(default_factory=dict)
    #: The row that a sequence came from: see `rows`.
    rows: dict[Tensor, Tensor] = field(default_factory=dict)
    #: The activation that the node being written may take along.
    activation: int = schema.ActivationFunctionType.NONE
    #: In the body of a loop: the free sizes that it has to be given, by name.
    captures: dict[str, Tensor] | None = None
    _node: Node | None = None
    _constants: dict[Any, Tensor] = field(default_factory=dict)
    _memory: dict[Any, Tensor] = field(default_factory=dict)

    # The walk

    def start(self, node: Node, activation: int) -> None:
        """``node`` is written next, with an activation behind it that it may take along."""
        self._node, self.activation = node, activation

    def bind(self, value: Value, tensor: Tensor) -> None:
        """``tensor`` is the graph's ``value`` from here on."""
        self.tensors[value] = tensor
        if tensor.data is None and tensor.name.startswith("?"):
            tensor.name = value.name
            tensor.quantization = value.quantization

    def add_input(self, value: Value) -> None:
        """An input of the model, cast from its own dtype to the one that carries it."""
        tensor = Tensor(value.name, TensorType(value.shape, boundary_dtype(value.dtype)))
        if value.quantization is not None:
            tensor = Tensor(value.name, TensorType(value.shape, value.quantization.dtype))
            tensor.quantization = value.quantization
            self.inputs[value] = self.tensors[value] = tensor
            return
        self.inputs[value] = tensor
        self.tensors[value] = self.cast(tensor, storage_dtype(value.dtype))

    def take_activation(self) -> int:
        """The activation that the operator being emitted applies to its result."""
        taken, self.activation = self.activation, schema.ActivationFunctionType.NONE
        return taken

    # Reading

    def read(self, value: Value) -> Tensor:
        """The tensor that holds ``value``."""
        if value.is_constant and value not in self.tensors:
            self.tensors[value] = self.weight(value)
        return self.tensors[value]

    def reads(self, node: Node) -> list[Tensor]:
        """The tensors of all inputs of ``node``."""
        return [self.read(value) for value in node.inputs]

    # Constants

    def constant(self, data: Any, dtype: str | None = None) -> Tensor:
        """A small constant (shapes, axes, factors), shared where it is equal."""
        array = np.asarray(data, dtype=dtype)
        key = (array.shape, array.dtype.str, array.tobytes())
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = self._hold(name, array.shape, str(array.dtype), lambda: array)
        return self._constants[key]

    def weight(
        self,
        value: Value,
        axes: Sequence[int] | None = None,
        shape: Sequence[int] | None = None,
    ) -> Tensor:
        """A constant of the model: its axes permuted, then reshaped."""
        key = (value, tuple(axes or ()), tuple(shape or ()))
        if key in self._constants:
            return self._constants[key]
        order = tuple(axes) if axes is not None else tuple(range(value.rank))
        final = tuple(shape) if shape is not None else tuple(value.array.shape[i] for i in order)
        dtype = storage_dtype(value.dtype)
        if value.quantization is not None:
            dtype = value.quantization.dtype

        def array() -> npt.NDArray[Any]:
            stored = _stored(value)
            moved: npt.NDArray[Any] = stored.transpose(order).astype(dtype, copy=False)
            return moved.reshape(final)

        if value.array.nbytes <= _SHARED_BYTES and value.quantization is None and axes is None:
            tensor = self.constant(array())
        else:
            tensor = self._hold(value.name, final, dtype, array)
            tensor.quantization = _moved(value, order, final)
        self._constants[key] = tensor
        return tensor

    def derived(
        self,
        value: Value,
        shape: tuple[int, ...],
        function: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
        quantization: Quantization | None = None,
    ) -> Tensor:
        """A constant computed from one of the model's when the file is packed.

        ``quantization``, if any, is that of the result; its axis is one of ``shape``.
        """
        dtype = storage_dtype(value.dtype) if quantization is None else quantization.dtype
        tensor = self._hold(
            value.name, shape, dtype, lambda: function(_stored(value)).astype(dtype, copy=False)
        )
        tensor.quantization = quantization
        return tensor

    def _hold(self, name: str, shape: tuple[int, ...], dtype: str, array: Any) -> Tensor:
        return Tensor(name, TensorType(shape, dtype), Data(shape, dtype, array))

    # Emitting

    def emit(
        self,
        code: str,
        inputs: Iterable[Tensor | None],
        types: TensorType | Sequence[TensorType],
        options: Any = None,
    ) -> Tensor:
        """Append an operator and return its first result."""
        return self.emit_all(code, inputs, types, options)[0]

    def emit_all(
        self,
        code: str,
        inputs: Iterable[Tensor | None],
        types: TensorType | Sequence[TensorType],
        options: Any = None,
    ) -> list[Tensor]:
        """Append an operator and return all its results."""
        stem = self._node.outputs[0].name if self._node else "graph"
        path = self._node.path if self._node else ""
        kinds = [types] if isinstance(types, TensorType) else list(types)
        outputs = [Tensor(f"?{stem}/{code.lower()}", kind) for kind in kinds]
        operator = Operator(code, list(inputs), outputs, options, path)
        self.operators.append(operator)
        self.makers.update(dict.fromkeys(outputs, operator))
        return outputs

    def unary(self, code: str, x: Tensor, options: Any = None) -> Tensor:
        """An operator that keeps shape and dtype."""
        return self.emit(code, [x], x.type, options)

    def binary(self, code: str, a: Tensor, b: Tensor | float, options: Any = None) -> Tensor:
        """An arithmetic operator with broadcasting; a number becomes a constant like ``a``."""
        other = b if isinstance(b, Tensor) else self.constant(b, a.dtype)
        shape = broadcast(a.shape, other.shape)
        if options is None and code in _ARITHMETIC:
            options = _ARITHMETIC[code]()
        return self.emit(code, [a, other], TensorType(shape, a.dtype), options)

    def compare(self, code: str, a: Tensor, b: Tensor | float) -> Tensor:
        """A comparison with broadcasting."""
        other = b if isinstance(b, Tensor) else self.constant(b, a.dtype)
        shape = broadcast(a.shape, other.shape)
        return self.emit(code, [a, other], TensorType(shape, "bool"))

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """``x`` in another stored dtype, from where it was last narrower if it was."""
        if x.dtype == dtype:
            return x
        source = self.origins.get(x)
        if source is not None and source.shape == x.shape and source.dtype != x.dtype:
            x = source
        if x.dtype == dtype:
            return x
        result = self.emit("CAST", [x], TensorType(x.shape, dtype), _cast_options(x.dtype, dtype))
        if np.can_cast(x.dtype, dtype):
            self.origins[result] = x
        return result

    # Loops

    def inside(self) -> Context:
        """A context for a subgraph of a loop; constants are shared with it."""
        inner = Context(self.graph, captures={})
        inner._constants, inner._node = self._constants, self._node
        return inner

    def size(self, name: str) -> Tensor | None:
        """In the body of a loop, the tensor that will hold the free size ``name``."""
        if self.captures is None:
            return None
        return self.captures.setdefault(name, Tensor(name, TensorType((), "int32")))

    # Memory

    def once(self, key: Any) -> Tensor | None:
        """What `remember` was given under ``key``."""
        return self._memory.get(key)

    def remember(self, key: Any, tensor: Tensor) -> Tensor:
        """Keep ``tensor`` for the next who asks for ``key``."""
        self._memory[key] = tensor
        return tensor

    def known(self, shape: Iterable[Dim]) -> bool:
        """Whether every size is a number."""
        return all(isinstance(dim, int) for dim in shape)


_ARITHMETIC: dict[str, Any] = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
    "DIV": schema.DivOptionsT,
}


def _cast_options(source: str, target: str) -> Any:
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = type_code(source), type_code(target)
    return options


def _stored(value: Value) -> npt.NDArray[Any]:
    """The data as it is stored: integers where the value is quantized."""
    quantization, data = value.quantization, value.array
    if quantization is None or data.dtype.kind != "f":
        return data
    bounds = np.iinfo(numpy_dtype(quantization.dtype))
    shape = [1] * data.ndim
    if quantization.axis is not None:
        shape[quantization.axis] = -1
    scale = np.reshape(np.array(quantization.scale, np.float64), shape)
    zero_point = np.reshape(np.array(quantization.zero_point, np.int64), shape)
    levels = np.rint(data / scale) + zero_point
    return np.clip(levels, bounds.min, bounds.max).astype(quantization.dtype)


def _moved(value: Value, order: tuple[int, ...], final: tuple[int, ...]) -> Quantization | None:
    """The quantization of ``value`` once its axes are permuted and reshaped."""
    quantization = value.quantization
    if quantization is None or quantization.axis is None:
        return quantization
    if len(final) == len(order):
        return replace(quantization, axis=order.index(quantization.axis))
    # Reshaped weights are those of depthwise convolutions: channels come last.
    return replace(quantization, axis=len(final) - 1)
