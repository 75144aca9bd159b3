"""Functions of ``keras.ops`` that compute number by number."""

from __future__ import annotations

import numpy as np
from keras import ops
from ops_harness import Table, bools, floats, ints, unit

CASES = case = Table()

_SHAPE = (3, 4)
_EDGES = np.array([[0.0, -0.0, 1.0], [-1.0, np.inf, -np.inf], [np.nan, 1e-20, 3e5]], np.float32)
_SMALL = np.array([[1e-7, -3e-6, 2e-4], [-1e-2, 0.3, 4.0], [20.0, 60.0, -30.0]], np.float32)

# One argument, floats and whole numbers
for name in (
    "abs", "absolute", "fabs", "negative", "sign", "square", "floor", "ceil", "round", "sqrt",
    "rsqrt", "exp", "exp2", "sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "arcsinh",
    "isnan", "isinf", "isfinite", "isneginf", "isposinf", "isreal", "logical_not", "signbit",
    "trunc", "sinc", "cbrt", "deg2rad", "rad2deg", "angle", "conj", "conjugate", "real", "imag",
    "expm1", "reciprocal", "nan_to_num", "i0",
):  # fmt: skip
    function = getattr(ops, name)
    positive = name in ("sqrt", "rsqrt")
    case(name, function, np.abs(floats(*_SHAPE)) + 0.1 if positive else floats(*_SHAPE))
    if name not in ("conj", "conjugate", "real", "imag", "reciprocal", "rsqrt"):
        low = 1 if positive else -4
        case(f"{name}/int", function, ints(*_SHAPE, low=low, high=5))
for name in ("log", "log2", "log10", "log1p"):
    case(name, getattr(ops, name), np.abs(floats(*_SHAPE)) + 0.01)
    case(f"{name}/int", getattr(ops, name), ints(*_SHAPE, low=1, high=90))
for name in ("arcsin", "arccos", "arctanh", "erfinv"):
    case(name, getattr(ops, name), unit(*_SHAPE) * 2.0 - 1.0)
case("arccosh", ops.arccosh, np.abs(floats(*_SHAPE)) + 1.0)
case("erf", ops.erf, floats(*_SHAPE))
case("erfc", ops.erfc, floats(*_SHAPE))
for name in ("isnan", "isinf", "isfinite", "isneginf", "isposinf", "signbit", "nan_to_num", "log1p",
             "trunc", "sinc"):  # fmt: skip
    case(f"{name}/edges", getattr(ops, name), _EDGES)
for name in ("square", "abs", "exp", "isfinite", "logical_not", "nan_to_num", "trunc", "signbit"):
    case(f"{name}/bool", getattr(ops, name), bools(*_SHAPE))
for name in ("abs", "square", "negative", "sign", "exp", "sqrt"):
    case(f"{name}/uint8", getattr(ops, name), ints(*_SHAPE, low=0, high=9, dtype="uint8"))
case("abs/int8", ops.abs, ints(*_SHAPE, dtype="int8"))
case("round/decimals", lambda x: ops.round(x, 2), floats(*_SHAPE))
case("round/tens", lambda x: ops.round(x, -1), ints(*_SHAPE, low=-90, high=90))
case("nan_to_num/given", lambda x: ops.nan_to_num(x, 5.0, 6.0, -7.0), _EDGES)
# Near zero the digits count, not the size: each is looked at over its argument.
case("log1p/small", lambda x: ops.log1p(ops.maximum(x, -0.9)) / x, _SMALL, tolerance=1e-6)
case("expm1/small", lambda x: ops.expm1(ops.minimum(x, 3.0)) / x, _SMALL, tolerance=1e-6)
case("erfc/far", lambda x: ops.log(ops.erfc(ops.abs(x))), floats(*_SHAPE, scale=3.0))
case("softplus/hundreds", lambda x: ops.softplus(x * 100.0), _SMALL)

# Two arguments
for name in ("add", "subtract", "multiply", "divide", "true_divide", "maximum", "minimum", "mod",
             "floor_divide", "divide_no_nan", "arctan2", "hypot", "logaddexp", "logaddexp2",
             "heaviside", "fmod", "fmax", "fmin", "isclose"):  # fmt: skip
    function = getattr(ops, name)
    case(name, function, floats(*_SHAPE), floats(*_SHAPE))
    case(
        f"{name}/int",
        function,
        ints(*_SHAPE),
        ints(*_SHAPE, low=1) * (2 * ints(*_SHAPE, low=0, high=2) - 1),
    )
    case(f"{name}/mixed", function, ints(*_SHAPE), floats(3, 1))
_INFINITE = np.nan_to_num(_EDGES, posinf=np.inf, neginf=-np.inf)
for name in ("logaddexp", "logaddexp2", "hypot"):
    f = getattr(ops, name)
    case(f"{name}/edges", getattr(ops, name), _INFINITE, _INFINITE[::-1].copy())
    case(f"{name}/same", lambda x, f=f: f(x, x), _INFINITE)
for name in ("fmax", "fmin", "isclose", "heaviside"):
    f = getattr(ops, name)
    case(f"{name}/edges", getattr(ops, name), _EDGES, _EDGES[::-1].copy())
    case(f"{name}/same", lambda x, f=f: f(x, x), _EDGES)
for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
    case(name, getattr(ops, name), ints(*_SHAPE, high=0), ints(*_SHAPE, high=0))
    case(f"{name}/mixed", getattr(ops, name), ints(*_SHAPE), floats(*_SHAPE))
    case(f"{name}/bool", getattr(ops, name), bools(*_SHAPE), bools(*_SHAPE))
for name in ("logical_and", "logical_or", "logical_xor"):
    case(name, getattr(ops, name), bools(*_SHAPE), bools(*_SHAPE))
    case(f"{name}/int", getattr(ops, name), ints(*_SHAPE, low=0, high=2), bools(*_SHAPE))
for name in ("add", "multiply", "maximum", "minimum", "mod"):
    second = np.ones(_SHAPE, bool) if name == "mod" else bools(*_SHAPE)
    case(f"{name}/bool", getattr(ops, name), bools(*_SHAPE), second)
case("power", ops.power, np.abs(floats(*_SHAPE)), floats(*_SHAPE))
case("power/negative", lambda x: ops.power(x, 3.0), floats(*_SHAPE))
case("power/int", ops.power, ints(*_SHAPE), ints(*_SHAPE, low=0, high=5))
case("power/mixed", ops.power, np.abs(floats(*_SHAPE)), ints(*_SHAPE))
case("maximum/uint8", ops.maximum, ints(*_SHAPE, low=0, dtype="uint8"), ints(*_SHAPE, dtype="int8"))
case("add/number", lambda x: 1.5 + x, ints(*_SHAPE))
case("subtract/number", lambda x: 3 - x, floats(*_SHAPE))
case(
    "floor_divide/large",
    lambda x: ops.floor_divide(x, 3),
    ints(*_SHAPE, low=-(2**31), high=2**31 - 1),
)
case("mod/large", lambda x: ops.mod(x, -1000), ints(*_SHAPE, low=-(2**31), high=2**31 - 1))
case("multiply/large", lambda x: x * 65537, ints(*_SHAPE, low=-(2**31), high=2**31 - 1))
case("ldexp", ops.ldexp, floats(*_SHAPE), ints(*_SHAPE))
case(
    "allclose", lambda x: ops.reshape(ops.allclose(x, x + 1e-9), (1,)), floats(*_SHAPE), fixed=True
)
case("isclose/nan", lambda x: ops.isclose(x, x, equal_nan=True), _EDGES)

# Bits and divisors
_WIDE = {"low": -(2**31), "high": 2**31 - 1}
for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    f = getattr(ops, name)
    case(name, getattr(ops, name), ints(*_SHAPE, **_WIDE), ints(*_SHAPE, **_WIDE))
    case(f"{name}/bool", getattr(ops, name), bools(*_SHAPE), bools(*_SHAPE))
    case(f"{name}/uint8", getattr(ops, name), ints(*_SHAPE, low=0, high=256, dtype="uint8"),
         ints(3, 1, low=0, high=256, dtype="uint8"))  # fmt: skip
    case(f"{name}/number", lambda x, f=f: f(x, np.int32(12)), ints(*_SHAPE))
for name in ("bitwise_not", "bitwise_invert"):
    case(name, getattr(ops, name), ints(*_SHAPE, **_WIDE))
    case(f"{name}/uint8", getattr(ops, name), ints(*_SHAPE, low=0, high=256, dtype="uint8"))
    case(f"{name}/bool", getattr(ops, name), bools(*_SHAPE))
for name in ("left_shift", "bitwise_left_shift", "right_shift", "bitwise_right_shift"):
    f = getattr(ops, name)
    case(name, getattr(ops, name), ints(*_SHAPE, **_WIDE), ints(*_SHAPE, low=0, high=32))
    case(f"{name}/number", lambda x, f=f: f(x, 3), ints(*_SHAPE, **_WIDE))
    case(f"{name}/all", lambda x, f=f: f(x, 31), ints(*_SHAPE, **_WIDE))
for name in ("gcd", "lcm"):
    case(name, getattr(ops, name), ints(*_SHAPE, low=-60, high=60), ints(*_SHAPE, low=-60, high=60))

# Choices and dtypes
case("where", lambda c, x: ops.where(c, x, 2.0), bools(*_SHAPE), floats(*_SHAPE))
case("where/mixed", lambda x, y: ops.where(x > 0, x, y), ints(*_SHAPE), floats(*_SHAPE))
case("select", lambda x: ops.select([x < -1.0, x > 1.0], [x * 0.5, x * 2.0], 7.0), floats(*_SHAPE))
case("clip", lambda x: ops.clip(x, -1.0, 0.5), floats(*_SHAPE))
case("clip/int", lambda x: ops.clip(x, -3, 4), ints(*_SHAPE))
case("cast", lambda x: ops.cast(x, "int32"), floats(*_SHAPE))
case("cast/uint8", lambda x: ops.cast(x, "uint8"), ints(*_SHAPE, low=0, high=1000))
case("cast/bool", lambda x: ops.cast(x, "bool"), ints(*_SHAPE, low=-1, high=2))
case("saturate_cast", lambda x: ops.saturate_cast(x * 100.0, "uint8"), floats(*_SHAPE))
case("saturate_cast/int", lambda x: ops.saturate_cast(x, "int8"), ints(*_SHAPE, low=-300, high=300))
case("convert_to_tensor", lambda x: ops.convert_to_tensor(x, "float32"), ints(*_SHAPE))
case("array", lambda x: ops.array(x, "float32"), ints(*_SHAPE))
case("copy", ops.copy, floats(*_SHAPE))
case("stop_gradient", ops.stop_gradient, floats(*_SHAPE))
case("view", lambda x: ops.view(x, "uint8"), ints(*_SHAPE, dtype="int8"))
