"""``keras.ops`` on single numbers that neither format has: each is a formula over those it has.

The formulas keep their digits where the obvious ones lose them: near zero, and where an
intermediate result would overflow. Sources: Higham, Accuracy and Stability of Numerical
Algorithms, section 1.14.1; Abramowitz and Stegun, Handbook of Mathematical Functions.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.compose import as_float, composes, is_float

__all__ = ["expm1", "log1p"]


@composes("Log1p")
def _log1p(_: Any, x: Any) -> Any:
    return log1p(x)


def log1p(x: Any) -> Any:
    """``log(1 + x)``: near zero by the series of ``2 atanh(x / (2 + x))``.

    (Kernels of log lose relative accuracy near 1, so the usual correction of ``log(1 + x)`` will
    not do.)
    """
    x = as_float(x)
    s = x / (x + 2.0)
    near = 2.0 * s * _polynomial((1.0, 1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0), ops.square(s))
    return ops.where(ops.abs(x) < 0.2, near, ops.log(x + 1.0))


@composes("Expm1")
def _expm1(_: Any, x: Any) -> Any:
    return expm1(x)


def expm1(x: Any) -> Any:
    """``exp(x) - 1``: by the half-angle formula of tanh where the subtraction would cancel."""
    x = as_float(x)
    half = ops.tanh(x * 0.5)
    near = 2.0 * half / (1.0 - half)
    return ops.where(ops.abs(x) < 1.0, near, ops.exp(x) - 1.0)


@composes("Exp2")
def _exp2(_: Any, x: Any) -> Any:
    x = as_float(x)
    return ops.power(ops.cast(2.0, x.dtype), x)


@composes("Log2", "Log10")
def _logarithm(operation: Any, x: Any) -> Any:
    base = 2.0 if type(operation).__name__ == "Log2" else 10.0
    return ops.log(as_float(x)) * float(1.0 / np.log(base))


@composes("Erfc")
def _erfc(_: Any, x: Any) -> Any:
    """Beyond 1 by the continued fraction's rational form (Abramowitz and Stegun 7.1.26)."""
    x = as_float(x)
    size = ops.abs(x)
    t = 1.0 / (1.0 + 0.5 * size)
    # Numerical Recipes' Chebyshev fit of log(erfc(z) / t) + z², fractional error below 1.2e-7.
    terms = (
        -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398,
        1.48851587, -0.82215223, 0.17087277,
    )  # fmt: skip
    tail = t * ops.exp(_polynomial(terms, t) - ops.square(size))
    far = ops.where(x < 0.0, 2.0 - tail, tail)
    return ops.where(size < 0.5, 1.0 - ops.erf(x), far)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    """By Horner's rule, the constant first."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result = result * x + coefficient
    return result


@composes("Erfinv")
def _erfinv(_: Any, x: Any) -> Any:
    """Giles, Approximating the erfinv function, GPU Computing Gems 2, 2011: the float32 fit."""
    x = as_float(x)
    w = -log1p(-x * x)
    middle = (
        1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-06,
        -3.5233877e-06, 3.43273939e-07, 2.81022636e-08,
    )  # fmt: skip
    outer = (
        2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844,
        0.00134934322, 0.000100950558, -0.000200214257,
    )  # fmt: skip
    inside = _polynomial(middle, ops.minimum(w, 5.0) - 2.5)
    outside = _polynomial(outer, ops.sqrt(ops.minimum(ops.maximum(w, 5.0), 1e3)) - 3.0)
    found = ops.where(w < 5.0, inside, outside) * x
    at_end = ops.equal(ops.abs(x), 1.0)
    return ops.where(at_end, ops.sign(x) * math.inf, found)


@composes("Angle")
def _angle(_: Any, x: Any) -> Any:
    x = as_float(x)
    return ops.where(x < 0.0, ops.full_like(x, math.pi), x * 0.0)


@composes("Cbrt")
def _cbrt(_: Any, x: Any) -> Any:
    x = as_float(x)
    return ops.sign(x) * ops.power(ops.abs(x), 1.0 / 3.0)


@composes("Deg2rad", "Rad2deg")
def _degrees(operation: Any, x: Any) -> Any:
    to_radians = type(operation).__name__ == "Deg2rad"
    return as_float(x) * (math.pi / 180.0 if to_radians else 180.0 / math.pi)


@composes("Fmax", "Fmin")
def _ignoring_nan(operation: Any, x1: Any, x2: Any) -> Any:
    choose = ops.maximum if type(operation).__name__ == "Fmax" else ops.minimum
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2))
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    if "float" not in dtype:
        return choose(x1, x2)
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, choose(x1, x2)))


def _dtype(x: Any) -> Any:
    return x.dtype if hasattr(x, "dtype") else type(x) if np.ndim(x) == 0 else np.asarray(x).dtype


@composes("Fmod")
def _fmod(_: Any, x1: Any, x2: Any) -> Any:
    """The remainder with the sign of the dividend."""
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2))
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    if dtype.startswith("uint"):
        return ops.mod(x1, x2)
    rest = ops.mod(ops.abs(x1), ops.abs(x2))
    return ops.where(ops.less(x1, 0), -rest, rest)


@composes("Heaviside")
def _heaviside(_: Any, x1: Any, x2: Any) -> Any:
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2), float)
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    step = ops.cast(x1 > 0.0, dtype)
    return ops.where(ops.equal(x1, 0.0), x2, ops.where(ops.isnan(x1), x1, step))


@composes("Hypot")
def _hypot(_: Any, x1: Any, x2: Any) -> Any:
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2), float)
    x1, x2 = ops.abs(ops.cast(x1, dtype)), ops.abs(ops.cast(x2, dtype))
    large, small = ops.maximum(x1, x2), ops.minimum(x1, x2)
    same = ops.equal(large, small)
    ratio = ops.where(same, ops.ones_like(large), small / ops.where(same, 1.0, large))
    return large * ops.sqrt(1.0 + ops.square(ratio))


@composes("I0")
def _i0(_: Any, x: Any) -> Any:
    """Abramowitz and Stegun 9.8.1 and 9.8.2."""
    size = ops.abs(as_float(x))
    inner = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
    outer = (
        0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537,
        -0.01647633, 0.00392377,
    )  # fmt: skip
    near = _polynomial(inner, ops.square(ops.minimum(size, 3.75) / 3.75))
    large = ops.maximum(size, 3.75)
    far = ops.exp(large) * ops.rsqrt(large) * _polynomial(outer, 3.75 / large)
    return ops.where(size < 3.75, near, far)


@composes("Isclose")
def _isclose(operation: Any, x1: Any, x2: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Any:
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2), float)
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    near = ops.abs(x1 - x2) <= atol + rtol * ops.abs(x2)
    finite = ops.logical_and(ops.isfinite(x1), ops.isfinite(x2))
    close = ops.logical_or(ops.logical_and(near, finite), ops.equal(x1, x2))
    if operation.equal_nan:
        close = ops.logical_or(close, ops.logical_and(ops.isnan(x1), ops.isnan(x2)))
    return close


@composes("AllClose")
def _allclose(operation: Any, x1: Any, x2: Any) -> Any:
    given = [operation.rtol, operation.atol]
    return ops.all(ops.isclose(x1, x2, *given, equal_nan=operation.equal_nan))


@composes("Isneginf", "Isposinf")
def _is_infinite(operation: Any, x: Any) -> Any:
    x = as_float(x)
    return ops.equal(x, -math.inf if type(operation).__name__ == "Isneginf" else math.inf)


@composes("Isreal")
def _isreal(_: Any, x: Any) -> Any:
    return ops.ones_like(x, dtype="bool")


@composes("Real", "Conjugate")
def _real(_: Any, x: Any) -> Any:
    return ops.convert_to_tensor(x)


@composes("Imag")
def _imag(_: Any, x: Any) -> Any:
    return ops.zeros_like(x)


@composes("Ldexp")
def _ldexp(_: Any, x1: Any, x2: Any) -> Any:
    """In two halves, neither of which is too large for a float before the product is."""
    dtype = keras.backend.result_type(_dtype(x1), float)
    exponent = ops.convert_to_tensor(x2)
    first = ops.floor_divide(exponent, 2)
    two = ops.cast(2.0, dtype)
    once, twice = (ops.power(two, ops.cast(e, dtype)) for e in (first, exponent - first))
    return ops.cast(x1, dtype) * once * twice


@composes("Logaddexp", "Logaddexp2")
def _log_add_exp(operation: Any, x1: Any, x2: Any) -> Any:
    base = 2.0 if type(operation).__name__ == "Logaddexp2" else math.e
    dtype = keras.backend.result_type(_dtype(x1), _dtype(x2), float)
    x1, x2 = ops.cast(x1, dtype), ops.cast(x2, dtype)
    # Two equal infinities have no difference.
    same = ops.equal(x1, x2)
    distance = ops.where(same, ops.zeros_like(x1), -ops.abs(x1 - x2))
    factor = math.log(base)
    return ops.maximum(x1, x2) + log1p(ops.exp(distance * factor)) / factor


@composes("NanToNum")
def _nan_to_num(operation: Any, x: Any) -> Any:
    if not is_float(x):
        return ops.convert_to_tensor(x)
    limit = float(np.finfo("float32" if x.dtype == "bfloat16" else str(x.dtype)).max)
    high = limit if operation.posinf is None else operation.posinf
    low = -limit if operation.neginf is None else operation.neginf
    y = ops.where(ops.isnan(x), operation.nan, x)
    y = ops.where(ops.equal(y, math.inf), high, y)
    return ops.where(ops.equal(y, -math.inf), low, y)


@composes("Signbit")
def _signbit(_: Any, x: Any) -> Any:
    """Minus zero has a sign, too: that of its reciprocal."""
    if not is_float(x):
        return ops.less(ops.cast(x, "int32") if x.dtype == "bool" else x, 0)
    return ops.where(ops.equal(x, 0.0), ops.reciprocal(x) < 0.0, x < 0.0)


@composes("Sinc")
def _sinc(_: Any, x: Any) -> Any:
    y = as_float(x) * math.pi
    zero = ops.equal(y, 0.0)
    safe = ops.where(zero, ops.ones_like(y), y)
    return ops.where(zero, ops.ones_like(y), ops.sin(safe) / safe)


@composes("Trunc")
def _trunc(_: Any, x: Any) -> Any:
    return ops.sign(x) * ops.floor(ops.abs(x)) if is_float(x) else ops.convert_to_tensor(x)
