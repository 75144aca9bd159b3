"""``keras.ops`` that compute element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.converter.lowering.arguments import float_result
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.float8 import to_float8
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []

#: Operations of one argument in its own dtype.
_SAME: dict[str, op.UnaryFunction] = {
    "Abs": "abs", "Absolute": "abs", "Fabs": "abs", "Negative": "negative", "Sign": "sign",
    "Square": "square", "Floor": "floor", "Ceil": "ceil", "LogicalNot": "logical_not",
    "Isnan": "isnan", "Isinf": "isinf", "Isfinite": "isfinite",
}  # fmt: skip

#: Operations of one argument whose result is a float.
_FLOAT: dict[str, op.UnaryFunction] = {
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Log": "log", "Erf": "erf", "Reciprocal": "reciprocal",
    "Sin": "sin", "Cos": "cos", "Tan": "tan", "Arcsin": "arcsin", "Arccos": "arccos",
    "Arctan": "arctan", "Sinh": "sinh", "Cosh": "cosh", "Arcsinh": "arcsinh",
    "Arccosh": "arccosh", "Arctanh": "arctanh",
}  # fmt: skip

_BINARY: dict[str, op.BinaryFunction] = {
    "Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum",
    "Minimum": "minimum", "Power": "power", "Mod": "mod", "FloorDivide": "floor_divide",
}  # fmt: skip

_DIVISION = {"Divide", "TrueDivide"}

_LOGICAL: dict[str, op.BinaryFunction] = {
    "LogicalAnd": "logical_and", "LogicalOr": "logical_or", "LogicalXor": "logical_xor",
}  # fmt: skip

_COMPARE: dict[str, op.CompareFunction] = {
    "Equal": "equal", "NotEqual": "not_equal", "Less": "less", "LessEqual": "less_equal",
    "Greater": "greater", "GreaterEqual": "greater_equal",
}  # fmt: skip


def dtype_of(thing: Any) -> Any:
    """What Keras's promotion rule looks at: the dtype of a tensor, the type of a number."""
    if isinstance(thing, (bool, int, float)):
        return type(thing)
    return thing.dtype if isinstance(thing, Value) else str(np.asarray(thing).dtype)


def promoted(b: Builder, x: Any, y: Any) -> tuple[Value, Value]:
    """Both arguments in the dtype that Keras promotes them to."""
    dtype = b.keras.result_type(dtype_of(x), dtype_of(y))
    return b.value(x, dtype), b.value(y, dtype)


def _register_unary(name: str, function: op.UnaryFunction, *, to_float: bool) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x: Value) -> Value:
        return b.unary(function, b.cast(x, float_result(x.dtype)) if to_float else x)


for _name, _unary in _SAME.items():
    _register_unary(_name, _unary, to_float=False)
for _name, _unary in _FLOAT.items():
    _register_unary(_name, _unary, to_float=True)


def _register_binary(name: str, function: op.BinaryFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        x, y = promoted(b, x1, x2)
        if x.dtype == "bool":
            logical: dict[str, op.BinaryFunction] = {"multiply": "logical_and", "add": "logical_or"}
            return b.binary(logical.get(function, function), x, y)
        return b.binary(function, x, y)


for _name, _function in _BINARY.items():
    _register_binary(_name, _function)


@lowers(*(f"ops.{name}" for name in sorted(_DIVISION)))
def divide(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """True division: integers become floats first."""
    x, y = promoted(b, x1, x2)
    dtype = float_result(x.dtype)
    return b.binary("divide", b.cast(x, dtype), b.cast(y, dtype))


@lowers("ops.DivideNoNan")
def divide_no_nan(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """Division where anything by zero is zero."""
    x, y = promoted(b, x1, x2)
    dtype = float_result(x.dtype)
    x, y = b.cast(x, dtype), b.cast(y, dtype)
    zero = b.compare("equal", y, 0.0)
    safe = b.select(zero, b.constant(1.0, dtype), y)
    return b.select(zero, b.constant(0.0, dtype), b.binary("divide", x, safe))


def _register_logical(name: str, function: op.BinaryFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        return b.binary(function, b.value(x1, "bool"), b.value(x2, "bool"))


for _name, _function in _LOGICAL.items():
    _register_logical(_name, _function)


@lowers("ops.BitwiseAnd", "ops.BitwiseOr", "ops.BitwiseXor")
def bitwise(b: Builder, operation: Any, x: Any, y: Any) -> Value:
    """Bitwise operations on booleans (masks are joined by ``&``)."""
    a, c = promoted(b, x, y)
    if a.dtype != "bool":
        raise ValueError(f"{type(operation).__name__} of {a.dtype} has no lowering")
    names: dict[str, op.BinaryFunction] = {"And": "logical_and", "Or": "logical_or"}
    return b.binary(names.get(type(operation).__name__[7:], "logical_xor"), a, c)


@lowers("ops.BitwiseInvert", "ops.BitwiseNot")
def bitwise_not(b: Builder, operation: Any, x: Value) -> Value:
    """``~mask``."""
    if x.dtype != "bool":
        raise ValueError(f"{type(operation).__name__} of {x.dtype} has no lowering")
    return b.unary("logical_not", x)


def _register_compare(name: str, function: op.CompareFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        return b.compare(function, *promoted(b, x1, x2))


for _name, _compare in _COMPARE.items():
    _register_compare(_name, _compare)


@lowers("ops.Cast", "ops.SaturateCast", "ops.ConvertToTensor")
def cast(b: Builder, operation: Any, x: Value) -> Value:
    """Another dtype."""
    if str(operation.dtype).startswith("float8"):
        return to_float8(b, x, str(operation.dtype))
    return x if operation.dtype is None else b.cast(x, str(operation.dtype))


@lowers("ops.Where")
def where(b: Builder, _: Any, condition: Any, x1: Any = None, x2: Any = None) -> Value:
    """``x1`` where the condition holds, ``x2`` elsewhere."""
    if x1 is None or x2 is None:
        raise ValueError("where(condition) alone has a result of unknown shape")
    a, c = promoted(b, x1, x2)
    return b.select(b.value(condition, "bool"), a, c)


@lowers("ops.Clip")
def clip(b: Builder, operation: Any, x: Value) -> Value:
    """Between two bounds, which are numbers or tensors."""
    low, high = operation.x_min, operation.x_max
    if all(bound is None or (np.ndim(bound) == 0 and not isinstance(bound, Value))
           for bound in (low, high)):  # fmt: skip
        bounds = (None if v is None else float(v) for v in (low, high))
        return b.emit(op.Clip(*bounds), x)
    return b.binary("minimum", b.binary("maximum", x, b.value(low, x.dtype)),
                    b.value(high, x.dtype))  # fmt: skip


@lowers("ops.Round")
def round_to(b: Builder, operation: Any, x: Value) -> Value:
    """To a number of decimals, halves to even."""
    if not operation.decimals:
        return b.unary("round", x)
    factor = 10.0**operation.decimals
    return b.binary("divide", b.unary("round", b.binary("multiply", x, factor)), factor)


@lowers("ops.Log1p", "ops.Expm1", "ops.Log2", "ops.Log10", "ops.Exp2", "ops.Erfc")
def composed(b: Builder, operation: Any, x: Value) -> Value:
    """Functions that are another one after a little arithmetic."""
    x = b.cast(x, float_result(x.dtype))
    name = type(operation).__name__
    if name == "Log1p":
        return b.unary("log", b.binary("add", x, 1.0))
    if name == "Expm1":
        return b.binary("subtract", b.unary("exp", x), 1.0)
    if name == "Exp2":
        return b.unary("exp", b.binary("multiply", x, float(np.log(2.0))))
    if name == "Erfc":
        return b.binary("subtract", b.constant(1.0, x.dtype), b.unary("erf", x))
    base = 2.0 if name == "Log2" else 10.0
    return b.binary("multiply", b.unary("log", x), float(1.0 / np.log(base)))


@lowers("ops.LogSigmoid", "ops.Squareplus", "ops.TanhShrink", "ops.HardTanh")
def activations(b: Builder, operation: Any, x: Value) -> Value:
    """Activations that exist only as a composition."""
    name = type(operation).__name__
    if name == "LogSigmoid":
        return b.unary("negative", b.unary("softplus", b.unary("negative", x)))
    if name == "TanhShrink":
        return b.binary("subtract", x, b.unary("tanh", x))
    if name == "HardTanh":
        return b.emit(op.Clip(-1.0, 1.0), x)
    root = b.unary("sqrt", b.binary("add", b.unary("square", x), float(operation.b)))
    return b.binary("multiply", b.binary("add", x, root), 0.5)
