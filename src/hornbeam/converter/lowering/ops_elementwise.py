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
from hornbeam.graph.types import is_float, numpy_dtype

__all__: list[str] = []

#: Operations of one argument in its own dtype.
_SAME: dict[str, op.UnaryFunction] = {
    "Abs": "abs", "Absolute": "abs", "Fabs": "abs", "Negative": "negative", "Sign": "sign",
    "Square": "square", "Floor": "floor", "Ceil": "ceil",
}  # fmt: skip

#: Questions about a float; a whole number answers each of them the same way.
_PREDICATES: dict[str, op.UnaryFunction] = {
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
        if to_float:
            x = b.cast(x, float_result(x.dtype))
        if x.dtype == "bool":
            return b.cast(x, "int32") if function in ("square", "floor", "ceil") else x
        return b.unary(function, x)


for _name, _unary in _SAME.items():
    _register_unary(_name, _unary, to_float=False)
for _name, _unary in _FLOAT.items():
    _register_unary(_name, _unary, to_float=True)


def _register_predicate(name: str, function: op.UnaryFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x: Value) -> Value:
        if is_float(x.dtype):
            return b.unary(function, x)
        always = np.full((1,) * x.rank, function == "isfinite")
        return b.broadcast(b.constant(always, "bool"), x.shape)


for _name, _predicate in _PREDICATES.items():
    _register_predicate(_name, _predicate)


@lowers("ops.LogicalNot")
def logical_not(b: Builder, _: Any, x: Value) -> Value:
    """True where ``x`` is false, or zero."""
    return b.unary("logical_not", b.cast(x, "bool"))


def _register_binary(name: str, function: op.BinaryFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        x, y = promoted(b, x1, x2)
        if x.dtype == "bool":
            if function in ("floor_divide", "mod", "power"):
                return b.binary(function, b.cast(x, "int32"), b.cast(y, "int32"))
            logical: dict[str, op.BinaryFunction] = {"multiply": "logical_and", "add": "logical_or"}
            return b.binary(logical.get(function, function), x, y)
        return b.binary(function, x, y)


for _name, _function in _BINARY.items():
    _register_binary(_name, _function)


@lowers(*(f"ops.{name}" for name in sorted(_DIVISION)))
def divide(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """True division: integers become floats first."""
    dtype = b.keras.result_type(dtype_of(x1), dtype_of(x2), float)
    return b.binary("divide", b.value(x1, dtype), b.value(x2, dtype))


@lowers("ops.DivideNoNan")
def divide_no_nan(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """Division where anything by zero is zero."""
    dtype = b.keras.result_type(dtype_of(x1), dtype_of(x2), float)
    x, y = b.value(x1, dtype), b.value(x2, dtype)
    zero = b.compare("equal", y, 0.0)
    safe = b.select(zero, b.constant(1.0, dtype), y)
    return b.select(zero, b.constant(0.0, dtype), b.binary("divide", x, safe))


def _register_logical(name: str, function: op.BinaryFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        return b.binary(function, b.value(x1, "bool"), b.value(x2, "bool"))


for _name, _function in _LOGICAL.items():
    _register_logical(_name, _function)


def _register_compare(name: str, function: op.CompareFunction) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
        return b.compare(function, *promoted(b, x1, x2))


for _name, _compare in _COMPARE.items():
    _register_compare(_name, _compare)


@lowers("ops.SaturateCast")
def saturate_cast(b: Builder, operation: Any, x: Value) -> Value:
    """Another dtype; what does not fit becomes the nearest number that does."""
    dtype = str(operation.dtype)
    if x.dtype == "bool" or dtype == x.dtype:
        return b.cast(x, dtype)
    low, high = (max(_limits(x.dtype)[0], _limits(dtype)[0]),
                 min(_limits(x.dtype)[1], _limits(dtype)[1]))  # fmt: skip
    if is_float(x.dtype):
        # The bounds as the dtype of x rounds them, towards zero.
        kind = np.dtype(numpy_dtype(x.dtype)).type
        bounds = [kind(low), kind(high)]
        bounds = [np.nextafter(v, kind(0)) if abs(float(v)) > abs(n) else v
                  for v, n in zip(bounds, (low, high), strict=True)]  # fmt: skip
        low, high = map(float, bounds)
    return b.cast(b.emit(op.Clip(low, high), x), dtype)


def _limits(dtype: str) -> tuple[Any, Any]:
    if dtype == "bool":
        return 0, 1
    if is_float(dtype):
        largest = float(np.finfo("float32" if dtype == "bfloat16" else dtype).max)
        return -largest, largest
    info = np.iinfo(numpy_dtype(dtype))
    return int(info.min), int(info.max)


@lowers("ops.Cast", "ops.ConvertToTensor")
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
    y = b.cast(x, float_result(x.dtype))
    factor = 10.0 ** abs(operation.decimals)
    there: op.BinaryFunction = "multiply" if operation.decimals > 0 else "divide"
    back: op.BinaryFunction = "divide" if operation.decimals > 0 else "multiply"
    y = b.binary(back, b.unary("round", b.binary(there, y, factor)), factor)
    return b.cast(y, x.dtype if x.dtype != "bool" else "int32")


@lowers("ops.Arctan2")
def arctan2(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """The angle of the point ``(x2, x1)``."""
    dtype = b.keras.result_type(dtype_of(x1), dtype_of(x2), float)
    return b.binary("arctan2", b.value(x1, dtype), b.value(x2, dtype))
