"""Arithmetic, comparisons, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import transposed, unsupported
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.rows import pointwise
from hornbeam.converter.tflite.sizes import MOST_AXES, around, broadcast_to, reshape
from hornbeam.converter.tflite.tensors import storage_dtype
from hornbeam.converter.tflite.unary import INTEGER, UNARY
from hornbeam.graph import Node, TensorType
from hornbeam.graph.dims import broadcast
from hornbeam.graph.operations import (
    Affine,
    Binary,
    Cast,
    Clip,
    Compare,
    Elu,
    LeakyRelu,
    LogSoftmax,
    Prelu,
    Select,
    Softmax,
    Unary,
)

#: Each function of `Binary`.
BINARY = {
    "add": "ADD",
    "subtract": "SUB",
    "multiply": "MUL",
    "divide": "DIV",
    "floor_divide": "FLOOR_DIV",
    "mod": "FLOOR_MOD",
    "power": "POW",
    "maximum": "MAXIMUM",
    "minimum": "MINIMUM",
    "arctan2": "ATAN2",
    "logical_and": "LOGICAL_AND",
    "logical_or": "LOGICAL_OR",
    "logical_xor": "NOT_EQUAL",
}
#: What arithmetic means for bool, which has no kernels.
_BINARY_BOOL = {
    "add": "LOGICAL_OR",
    "maximum": "LOGICAL_OR",
    "multiply": "LOGICAL_AND",
    "minimum": "LOGICAL_AND",
}
#: Operators without a kernel for int64; the numbers are taken to fit int32.
_NOT_INT64 = ("DIV", "FLOOR_DIV", "POW")

_OPTIONS = {
    "ADD": schema.AddOptionsT,
    "SUB": schema.SubOptionsT,
    "MUL": schema.MulOptionsT,
    "DIV": schema.DivOptionsT,
}


@writes(Unary)
@pointwise
def unary(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """One of `UNARY`, or of `INTEGER`."""
    function = cast(Unary, node.operation).function
    (x,) = inputs
    if x.dtype in ("float32", "bool"):
        return UNARY[function](ctx, x)
    if function not in INTEGER:
        raise unsupported(
            node, f"{function} of integers.", "Cast the integers to float32 before it."
        )
    return INTEGER[function](ctx, x)


@writes(Binary)
@pointwise
def binary(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """ADD, MUL, MAXIMUM and so on."""
    function = cast(Binary, node.operation).function
    a, b = inputs
    code = BINARY[function]
    if a.dtype == "bool":
        code = _BINARY_BOOL.get(function, code)
    if code == "ATAN2":
        shape = broadcast(a.shape, b.shape)
        return ctx.binary(code, broadcast_to(ctx, a, shape), broadcast_to(ctx, b, shape))
    if a.dtype == "int64" and code in _NOT_INT64:
        a, b = ctx.cast(a, "int32"), ctx.cast(b, "int32")
        return ctx.cast(ctx.binary(code, a, b), "int64")
    return ctx.binary(code, a, b, _fusing(ctx, code))


def _fusing(ctx: Context, code: str) -> Any:
    """Options that take the waiting activation along."""
    if code not in _OPTIONS:
        return None
    options = _OPTIONS[code]()
    options.fusedActivationFunction = ctx.take_activation()
    return options


@writes(Affine)
@pointwise
def affine(ctx: Context, _: Node, inputs: Sequence[Tensor]) -> Tensor:
    """MUL and ADD; the graph's passes leave this only where no weights are near."""
    x, scale, offset = inputs
    return ctx.binary("ADD", ctx.binary("MUL", x, scale), offset, _fusing(ctx, "ADD"))


@writes(Compare)
@pointwise
def compare(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """EQUAL, LESS and so on."""
    code = cast(Compare, node.operation).function.upper()
    a, b = inputs
    if a.dtype == "bool" and code not in ("EQUAL", "NOT_EQUAL"):
        a, b = ctx.cast(a, "int32"), ctx.cast(b, "int32")
    return ctx.compare(code, a, b)


@writes(Select)
@pointwise
def select(ctx: Context, _: Node, inputs: Sequence[Tensor]) -> Tensor:
    """SELECT_V2."""
    condition, a, b = inputs
    type_ = TensorType(broadcast(condition.shape, a.shape, b.shape), a.dtype)
    return ctx.emit("SELECT_V2", [condition, a, b], type_, schema.SelectV2OptionsT())


@writes(Cast)
@pointwise
def cast_to(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """CAST; a small integer is made small first, so that it wraps around as it should."""
    dtype = cast(Cast, node.operation).dtype
    (x,) = inputs
    if dtype in ("int8", "int16", "uint8", "uint16", "uint32") and x.dtype != "bool":
        x = ctx.cast(x, dtype)
    return ctx.cast(x, storage_dtype(dtype))


@writes(Clip)
@pointwise
def clip(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """RELU where the bounds are its own, else MAXIMUM and MINIMUM."""
    operation = cast(Clip, node.operation)
    (x,) = inputs
    codes = {(0, None): "RELU", (0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1"}
    code = codes.get((operation.minimum, operation.maximum))  # type: ignore[arg-type]
    if code is not None and x.dtype == "float32":
        return ctx.unary(code, x)
    if operation.minimum is not None:
        x = ctx.binary("MAXIMUM", x, operation.minimum)
    if operation.maximum is not None:
        x = ctx.binary("MINIMUM", x, operation.maximum)
    return x


@writes(LeakyRelu)
@pointwise
def leaky_relu(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """LEAKY_RELU."""
    options = schema.LeakyReluOptionsT()
    options.alpha = cast(LeakyRelu, node.operation).negative_slope
    return ctx.unary("LEAKY_RELU", inputs[0], options)


@writes(Elu)
@pointwise
def elu(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """ELU, whose alpha is 1; for others, its negative side is scaled."""
    alpha = cast(Elu, node.operation).alpha
    (x,) = inputs
    if alpha == 1:
        return ctx.unary("ELU", x)
    negative = ctx.binary("MUL", ctx.unary("ELU", ctx.binary("MINIMUM", x, 0.0)), alpha)
    return ctx.binary("ADD", ctx.unary("RELU", x), negative)


@writes(Prelu)
@pointwise
def prelu(ctx: Context, _: Node, inputs: Sequence[Tensor]) -> Tensor:
    """PRELU."""
    x, slope = inputs
    return ctx.emit("PRELU", [x, slope], x.type)


@writes(Softmax)
def softmax(ctx: Context, node: Node) -> Tensor:
    """SOFTMAX along the last axis."""
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    axis = cast(Softmax, node.operation).axis
    return _along(ctx, "SOFTMAX", ctx.read(node.inputs[0]), axis, options)


@writes(LogSoftmax)
def log_softmax(ctx: Context, node: Node) -> Tensor:
    """LOG_SOFTMAX along the last axis."""
    axis = cast(LogSoftmax, node.operation).axis
    options = schema.LogSoftmaxOptionsT()
    return _along(ctx, "LOG_SOFTMAX", ctx.read(node.inputs[0]), axis, options)


def _along(ctx: Context, code: str, x: Tensor, axis: int, options: Any) -> Tensor:
    """An operator that works along the last axis, along any."""
    if x.rank > MOST_AXES:
        return reshape(ctx, _along(ctx, code, around(ctx, x, axis), 1, options), x.shape)
    order = list(range(x.rank))
    order[axis], order[-1] = order[-1], order[axis]
    swapped = tuple(order)
    return transposed(ctx, ctx.unary(code, transposed(ctx, x, swapped), options), swapped)
