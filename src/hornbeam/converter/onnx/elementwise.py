"""Arithmetic, comparisons and activations, one element at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Node
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
from hornbeam.graph.types import is_float

__all__ = ["operands"]


def operands(node: Node, emit: Emitter, op_type: str) -> tuple[list[str], str]:
    """The inputs, ready to broadcast, in a dtype that ``op_type`` has a kernel for; and it."""
    kind = kernel_dtype(op_type, node.inputs[0].dtype)
    names = [
        emit.cast(emit.operand(index), value.dtype, kind) for index, value in enumerate(node.inputs)
    ]
    return names, kind


# Unary functions: those with an ONNX operator, and those that are made of several.

_UNARY_OPERATORS = {
    "abs": "Abs", "negative": "Neg", "reciprocal": "Reciprocal", "sqrt": "Sqrt", "exp": "Exp",
    "log": "Log", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "round": "Round",
    "erf": "Erf", "sin": "Sin", "cos": "Cos", "tan": "Tan", "arcsin": "Asin", "arccos": "Acos",
    "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh", "arcsinh": "Asinh",
    "arccosh": "Acosh", "arctanh": "Atanh", "relu": "Relu", "sigmoid": "Sigmoid",
    "softplus": "Softplus", "softsign": "Softsign", "selu": "Selu", "logical_not": "Not",
    "isnan": "IsNaN", "isinf": "IsInf",
}  # fmt: skip

#: (emit, x, dtype) -> the name of the result.
_Composed = Callable[[Emitter, str, str], str]


def _scalar(emit: Emitter, number: float, dtype: str) -> str:
    return emit.constant(np.asarray(number, "float64" if is_float(dtype) else dtype), dtype)


def _relu6(emit: Emitter, x: str, dtype: str) -> str:
    return emit("Clip", x, _scalar(emit, 0, dtype), _scalar(emit, 6, dtype))


def _hard_sigmoid(emit: Emitter, x: str, _dtype: str) -> str:
    return emit("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def _hard_silu(emit: Emitter, x: str, dtype: str) -> str:
    if emit.opset >= 14:
        return emit("HardSwish", x)
    return emit("Mul", x, _hard_sigmoid(emit, x, dtype))


def _gelu(emit: Emitter, x: str, dtype: str) -> str:
    if emit.opset >= 20:
        return emit("Gelu", x)
    # In the order that onnxruntime recognizes and fuses.
    erf = emit("Erf", emit("Div", x, _scalar(emit, 2**0.5, dtype)))
    product = emit("Mul", x, emit("Add", erf, _scalar(emit, 1, dtype)))
    return emit("Mul", product, _scalar(emit, 0.5, dtype))


def _gelu_tanh(emit: Emitter, x: str, dtype: str) -> str:
    if emit.opset >= 20:
        return emit("Gelu", x, approximate="tanh")
    cube = emit("Pow", x, _scalar(emit, 3, dtype))
    inner = emit("Add", x, emit("Mul", cube, _scalar(emit, 0.044715, dtype)))
    tanh = emit("Tanh", emit("Mul", inner, _scalar(emit, (2 / np.pi) ** 0.5, dtype)))
    half = emit("Mul", x, _scalar(emit, 0.5, dtype))
    return emit("Mul", half, emit("Add", tanh, _scalar(emit, 1, dtype)))


def _mish(emit: Emitter, x: str, _dtype: str) -> str:
    if emit.opset >= 18:
        return emit("Mish", x)
    return emit("Mul", x, emit("Tanh", emit("Softplus", x)))


def _isfinite(emit: Emitter, x: str, dtype: str) -> str:
    return emit("Less", emit("Abs", x), _scalar(emit, np.inf, dtype))


#: The function, and the operator whose kernels decide the dtype.
_COMPOSED: dict[str, tuple[_Composed, str]] = {
    "square": (lambda emit, x, _: emit("Mul", x, x), "Mul"),
    "rsqrt": (lambda emit, x, _: emit("Reciprocal", emit("Sqrt", x)), "Sqrt"),
    "relu6": (_relu6, "Clip"),
    "silu": (lambda emit, x, _: emit("Mul", x, emit("Sigmoid", x)), "Sigmoid"),
    "hard_sigmoid": (_hard_sigmoid, "HardSigmoid"),
    "hard_silu": (_hard_silu, "HardSwish"),
    "gelu": (_gelu, "Gelu"),
    "gelu_tanh": (_gelu_tanh, "Gelu"),
    "mish": (_mish, "Mish"),
    "isfinite": (_isfinite, "IsInf"),
}


@writes(Unary)
def unary(node: Node, emit: Emitter) -> str:
    """One operator where ONNX has it, else a few."""
    operation, dtype = node.operation, node.inputs[0].dtype
    assert isinstance(operation, Unary)
    function = operation.function
    if function in ("floor", "ceil", "round") and not is_float(dtype):
        return emit.input()
    if function in _COMPOSED:
        compose, op_type = _COMPOSED[function]
        (x,), kind = operands(node, emit, op_type)
        result = compose(emit, x, kind)
    else:
        op_type = _UNARY_OPERATORS[function]
        (x,), kind = operands(node, emit, op_type)
        result = emit(op_type, x)
    if node.output.dtype == "bool" and dtype != "bool":
        return result
    return emit.cast(result, kind, node.output.dtype)


@writes(LeakyRelu, Elu)
def with_parameter(node: Node, emit: Emitter) -> str:
    """LeakyRelu and Elu: one number each."""
    operation = node.operation
    assert isinstance(operation, LeakyRelu | Elu)
    op_type = type(operation).__name__
    alpha = operation.alpha if isinstance(operation, Elu) else operation.negative_slope
    (x,), kind = operands(node, emit, op_type)
    return emit.cast(emit(op_type, x, alpha=float(alpha)), kind, node.output.dtype)


@writes(Prelu)
def prelu(node: Node, emit: Emitter) -> str:
    """PRelu; its slope broadcasts to ``x``."""
    (x, slope), kind = operands(node, emit, "PRelu")
    return emit.cast(emit("PRelu", x, slope), kind, node.output.dtype)


@writes(Clip)
def clip(node: Node, emit: Emitter) -> str:
    """Clip, Relu where only zero binds, nothing where nothing does."""
    operation = node.operation
    assert isinstance(operation, Clip)
    low, high = operation.minimum, operation.maximum
    if low is None and high is None:
        return emit.input()
    if low == 0 and high is None and is_float(node.output.dtype):
        (x,), kind = operands(node, emit, "Relu")
        return emit.cast(emit("Relu", x), kind, node.output.dtype)
    (x,), kind = operands(node, emit, "Clip")
    bounds = ["" if bound is None else _scalar(emit, bound, kind) for bound in (low, high)]
    return emit.cast(emit("Clip", x, *bounds), kind, node.output.dtype)


@writes(Softmax, LogSoftmax)
def softmax(node: Node, emit: Emitter) -> str:
    """Softmax and its logarithm along one axis."""
    operation = node.operation
    assert isinstance(operation, Softmax | LogSoftmax)
    op_type = type(operation).__name__
    (x,), kind = operands(node, emit, op_type)
    result = emit(op_type, x, axis=emit.axis(operation.axis))
    return emit.cast(result, kind, node.output.dtype)


@writes(Affine)
def affine(node: Node, emit: Emitter) -> str:
    """One BatchNormalization where channels come second, else Mul and Add as far as needed."""
    x, scale, offset = node.inputs
    scales = not np.all(scale.array == 1)
    shifts = bool(np.any(offset.array != 0))
    channels_second = x.rank == 2 or (emit.layout is Layout.FIRST and 3 <= x.rank <= 5)
    if scales and shifts and channels_second:
        kind = kernel_dtype("BatchNormalization", x.dtype)
        names = [emit.cast(emit.input(i), x.dtype, kind) for i in range(3)]
        channels = len(scale.array)
        zero, one = (emit.constant(np.full(channels, n), kind) for n in (0.0, 1.0))
        result = emit("BatchNormalization", *names, zero, one, epsilon=0.0)
        return emit.cast(result, kind, x.dtype)
    (result, factor, term), kind = operands(node, emit, "Mul")
    if scales:
        result = emit("Mul", result, factor)
    if shifts:
        result = emit("Add", result, term)
    return emit.cast(result, kind, x.dtype)


@writes(Cast)
def cast(node: Node, emit: Emitter) -> str:
    """Cast; floats are truncated on the way to integers, as in Keras."""
    return emit.cast(emit.input(), node.inputs[0].dtype, node.output.dtype)


# Binary functions and comparisons

_BINARY_OPERATORS = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow",
    "maximum": "Max", "minimum": "Min", "logical_and": "And", "logical_or": "Or",
    "logical_xor": "Xor",
}  # fmt: skip


def _floor_divide(emit: Emitter, a: str, b: str, dtype: str) -> str:
    quotient = emit("Div", a, b)
    if is_float(dtype):
        return emit("Floor", quotient)
    if dtype.startswith("uint"):
        return quotient
    # Div truncates: one less where there is a remainder whose sign is not the divisor's.
    remainder = emit("Sub", a, emit("Mul", quotient, b))
    return emit("Sub", quotient, emit.cast(_wrong_sign(emit, remainder, b, dtype), "bool", dtype))


def _mod(emit: Emitter, a: str, b: str, dtype: str) -> str:
    if not is_float(dtype):
        return emit("Mod", a, b)
    # C's remainder has the sign of the dividend; Keras's, as Python's, that of the divisor.
    remainder = emit("Mod", a, b, fmod=1)
    wrong = _wrong_sign(emit, remainder, b, dtype)
    return emit("Where", wrong, emit("Add", remainder, b), remainder)


def _wrong_sign(emit: Emitter, remainder: str, divisor: str, dtype: str) -> str:
    zero = _scalar(emit, 0, dtype)
    differs = emit("Xor", emit("Less", remainder, zero), emit("Less", divisor, zero))
    return emit("And", differs, emit("Not", emit("Equal", remainder, zero)))


def _arctan2(emit: Emitter, y: str, x: str, dtype: str) -> str:
    zero, pi = _scalar(emit, 0, dtype), _scalar(emit, np.pi, dtype)
    half_pi = _scalar(emit, np.pi / 2, dtype)
    below = emit("Less", y, zero)
    # Half a turn is added or taken away left of the y axis; on it, the angle is a right one or 0.
    turn = emit("Where", below, emit("Neg", pi), pi)
    left = emit("Less", x, zero)
    on_axis = emit("Equal", x, zero)
    divisor = emit("Where", on_axis, _scalar(emit, 1, dtype), x)
    angle = emit("Atan", emit("Div", y, divisor))
    angle = emit("Where", left, emit("Add", angle, turn), angle)
    return emit("Where", on_axis, emit("Mul", emit("Sign", y), half_pi), angle)


_COMPOSED_BINARY: dict[str, tuple[Callable[[Emitter, str, str, str], str], str]] = {
    "floor_divide": (_floor_divide, "Div"),
    "mod": (_mod, "Add"),
    "arctan2": (_arctan2, "Atan"),
}


@writes(Binary)
def binary(node: Node, emit: Emitter) -> str:
    """One operator where ONNX has it, else a few."""
    operation = node.operation
    assert isinstance(operation, Binary)
    if operation.function in _COMPOSED_BINARY:
        compose, op_type = _COMPOSED_BINARY[operation.function]
        (a, b), kind = operands(node, emit, op_type)
        result = compose(emit, a, b, kind)
    else:
        op_type = _BINARY_OPERATORS[operation.function]
        (a, b), kind = operands(node, emit, op_type)
        result = emit(op_type, a, b)
    return emit.cast(result, kind, node.output.dtype)


_COMPARISONS = {
    "equal": "Equal", "not_equal": "Equal", "less": "Less", "less_equal": "LessOrEqual",
    "greater": "Greater", "greater_equal": "GreaterOrEqual",
}  # fmt: skip


@writes(Compare)
def compare(node: Node, emit: Emitter) -> str:
    """One operator, and Not for "not equal"."""
    operation = node.operation
    assert isinstance(operation, Compare)
    op_type = _COMPARISONS[operation.function]
    (a, b), _ = operands(node, emit, op_type)
    result = emit(op_type, a, b)
    return emit("Not", result) if operation.function == "not_equal" else result


@writes(Select)
def select(node: Node, emit: Emitter) -> str:
    """Where."""
    _, a, b = node.inputs
    kind = kernel_dtype("Where", a.dtype)
    chosen = [emit.cast(emit.operand(i), v.dtype, kind) for i, v in ((1, a), (2, b))]
    return emit.cast(emit("Where", emit.operand(0), *chosen), kind, a.dtype)
