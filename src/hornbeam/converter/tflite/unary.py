"""Functions of one number: those that TFLite has, and those that are given to it in pieces.

The pieces are chosen so that they stay finite wherever the function does, and so that XNNPACK runs
them. Formulas: Abramowitz and Stegun, Handbook of Mathematical Functions, chapters 4 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor

__all__ = ["INTEGER", "UNARY"]

_Function: TypeAlias = Callable[[Context, Tensor], Tensor]

#: Keras's constants for selu (Klambauer et al., Self-Normalizing Neural Networks, 2017).
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_ALPHA = 1.6732632423543772848170429916717


def _native(code: str) -> _Function:
    return lambda ctx, x: ctx.unary(code, x)


def _gelu(approximate: bool) -> _Function:
    def gelu(ctx: Context, x: Tensor) -> Tensor:
        options = schema.GeluOptionsT()
        options.approximate = approximate
        return ctx.unary("GELU", x, options)

    return gelu


def _erf(ctx: Context, x: Tensor) -> Tensor:
    # gelu(z) = z (1 + erf(z / sqrt 2)) / 2, solved for erf; the bounds keep inf / inf away, the
    # small summand, which no other z feels, 0 / 0.
    z = ctx.binary("MUL", x, math.sqrt(2))
    z = ctx.binary("MINIMUM", ctx.binary("MAXIMUM", z, -12.0), 12.0)
    z = ctx.binary("ADD", z, 1e-20)
    ratio = ctx.binary("DIV", _gelu(approximate=False)(ctx, z), z)
    return ctx.binary("SUB", ctx.binary("MUL", ratio, 2.0), 1.0)


def _reciprocal(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("DIV", ctx.constant(1, x.dtype), x)


def _ones(ctx: Context, x: Tensor) -> Tensor:
    """1 everywhere, in the shape of ``x`` (ATAN2 does not broadcast), for infinite ``x`` too."""
    return ctx.binary("MINIMUM", ctx.binary("MAXIMUM", x, 1.0), 1.0)


def _tan(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("DIV", ctx.unary("SIN", x), ctx.unary("COS", x))


def _cosine_of_arcsin(ctx: Context, x: Tensor) -> Tensor:
    """The square root of 1 - x², without cancellation."""
    left = ctx.binary("SUB", ctx.constant(1, x.dtype), x)
    return ctx.unary("SQRT", ctx.binary("MUL", left, ctx.binary("ADD", x, 1.0)))


def _arcsin(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("ATAN2", x, _cosine_of_arcsin(ctx, x))


def _arccos(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("ATAN2", _cosine_of_arcsin(ctx, x), x)


def _arctan(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("ATAN2", x, _ones(ctx, x))


def _halves(ctx: Context, x: Tensor) -> tuple[Tensor, Tensor]:
    """Half of e^x and half of e^-x; halved in the exponent, where it cannot overflow."""
    up = ctx.unary("EXP", ctx.binary("SUB", x, math.log(2)))
    down = ctx.unary("EXP", ctx.binary("SUB", ctx.unary("NEG", x), math.log(2)))
    return up, down


def _sinh(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("SUB", *_halves(ctx, x))


def _cosh(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("ADD", *_halves(ctx, x))


def _arcsinh(ctx: Context, x: Tensor) -> Tensor:
    # sign(x) log(|x| + sqrt(x² + 1)), the root taken of numbers between 0 and 2.
    size = ctx.unary("ABS", x)
    larger = ctx.binary("MAXIMUM", size, 1.0)
    ratio = ctx.unary("SQUARE", ctx.binary("DIV", size, larger))
    rest = ctx.unary("SQUARE", _reciprocal(ctx, larger))
    root = ctx.binary("MUL", ctx.unary("SQRT", ctx.binary("ADD", ratio, rest)), larger)
    value = ctx.unary("LOG", ctx.binary("ADD", size, root))
    return ctx.binary("MUL", ctx.unary("SIGN", x), value)


def _arccosh(ctx: Context, x: Tensor) -> Tensor:
    below = ctx.unary("SQRT", ctx.binary("SUB", x, 1.0))
    root = ctx.binary("MUL", below, ctx.unary("SQRT", ctx.binary("ADD", x, 1.0)))
    return ctx.unary("LOG", ctx.binary("ADD", x, root))


def _arctanh(ctx: Context, x: Tensor) -> Tensor:
    up = ctx.unary("LOG", ctx.binary("ADD", x, 1.0))
    down = ctx.unary("LOG", ctx.binary("SUB", ctx.constant(1, x.dtype), x))
    return ctx.binary("MUL", ctx.binary("SUB", up, down), 0.5)


def _softplus(ctx: Context, x: Tensor) -> Tensor:
    # max(x, 0) + log(1 + exp(-|x|)): the exponent is never positive.
    tail = ctx.unary("EXP", ctx.unary("NEG", ctx.unary("ABS", x)))
    return ctx.binary("ADD", ctx.unary("RELU", x), ctx.unary("LOG", ctx.binary("ADD", tail, 1.0)))


def _softsign(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("DIV", x, ctx.binary("ADD", ctx.unary("ABS", x), 1.0))


def _silu(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("MUL", x, ctx.unary("LOGISTIC", x))


def _mish(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("MUL", x, ctx.unary("TANH", _softplus(ctx, x)))


def _hard_sigmoid(ctx: Context, x: Tensor) -> Tensor:
    options = schema.AddOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    return ctx.binary("MUL", ctx.binary("ADD", x, 3.0, options), 1 / 6)


def _selu(ctx: Context, x: Tensor) -> Tensor:
    negative = ctx.unary("ELU", ctx.binary("MINIMUM", x, 0.0))
    negative = ctx.binary("MUL", negative, _SELU_SCALE * _SELU_ALPHA)
    return ctx.binary("ADD", ctx.binary("MUL", ctx.unary("RELU", x), _SELU_SCALE), negative)


def _isnan(ctx: Context, x: Tensor) -> Tensor:
    return ctx.compare("NOT_EQUAL", x, x)


def _isinf(ctx: Context, x: Tensor) -> Tensor:
    return ctx.compare("EQUAL", ctx.unary("ABS", x), math.inf)


def _isfinite(ctx: Context, x: Tensor) -> Tensor:
    return ctx.compare("LESS", ctx.unary("ABS", x), math.inf)


#: Each function of `Unary`, for floats (and bool, where it is one of bool).
UNARY: dict[str, _Function] = {
    "abs": _native("ABS"),
    "negative": _native("NEG"),
    "reciprocal": _reciprocal,
    "square": _native("SQUARE"),
    "sqrt": _native("SQRT"),
    "rsqrt": _native("RSQRT"),
    "exp": _native("EXP"),
    "log": _native("LOG"),
    "sign": _native("SIGN"),
    "floor": _native("FLOOR"),
    "ceil": _native("CEIL"),
    "round": _native("ROUND"),
    "erf": _erf,
    "sin": _native("SIN"),
    "cos": _native("COS"),
    "tan": _tan,
    "arcsin": _arcsin,
    "arccos": _arccos,
    "arctan": _arctan,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _native("TANH"),
    "arcsinh": _arcsinh,
    "arccosh": _arccosh,
    "arctanh": _arctanh,
    "relu": _native("RELU"),
    "relu6": _native("RELU6"),
    "sigmoid": _native("LOGISTIC"),
    "softplus": _softplus,
    "softsign": _softsign,
    "silu": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _native("HARD_SWISH"),
    "gelu": _gelu(approximate=False),
    "gelu_tanh": _gelu(approximate=True),
    "selu": _selu,
    "mish": _mish,
    "logical_not": _native("LOGICAL_NOT"),
    "isnan": _isnan,
    "isinf": _isinf,
    "isfinite": _isfinite,
}


def _clamped(ctx: Context, x: Tensor, low: int, high: int | None) -> Tensor:
    x = ctx.binary("MAXIMUM", x, low)
    return x if high is None else ctx.binary("MINIMUM", x, high)


def _itself(_: Context, x: Tensor) -> Tensor:
    return x


def _never(ctx: Context, x: Tensor) -> Tensor:
    return ctx.compare("NOT_EQUAL", x, x)


#: The functions that integers have too, without the kernels that know floats only.
INTEGER: dict[str, _Function] = {
    "abs": lambda ctx, x: ctx.binary("MAXIMUM", x, ctx.unary("NEG", x)),
    "negative": _native("NEG"),
    "square": lambda ctx, x: ctx.binary("MUL", x, x),
    "sign": lambda ctx, x: _clamped(ctx, x, -1, 1),
    "relu": lambda ctx, x: _clamped(ctx, x, 0, None),
    "relu6": lambda ctx, x: _clamped(ctx, x, 0, 6),
    "floor": _itself,
    "ceil": _itself,
    "round": _itself,
    "isnan": _never,
    "isinf": _never,
    "isfinite": lambda ctx, x: ctx.compare("EQUAL", x, x),
}
