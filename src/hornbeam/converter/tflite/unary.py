"""Functions of one number: those that TFLite has, and those that it must be given in pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor

__all__ = ["UNARY"]

_Function: TypeAlias = Callable[[Context, Tensor], Tensor]


def _native(code: str) -> _Function:
    return lambda ctx, x: ctx.unary(code, x)


def _gelu(approximate: bool) -> _Function:
    def gelu(ctx: Context, x: Tensor) -> Tensor:
        options = schema.GeluOptionsT()
        options.approximate = approximate
        return ctx.unary("GELU", x, options)

    return gelu


def _silu(ctx: Context, x: Tensor) -> Tensor:
    return ctx.binary("MUL", x, ctx.unary("LOGISTIC", x))


def _hard_sigmoid(ctx: Context, x: Tensor) -> Tensor:
    options = schema.AddOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    return ctx.binary("MUL", ctx.binary("ADD", x, 3.0, options), 1 / 6)


#: Each function of `Unary`.
UNARY: dict[str, _Function] = {
    "abs": _native("ABS"),
    "negative": _native("NEG"),
    "square": _native("SQUARE"),
    "sqrt": _native("SQRT"),
    "rsqrt": _native("RSQRT"),
    "exp": _native("EXP"),
    "log": _native("LOG"),
    "sign": _native("SIGN"),
    "floor": _native("FLOOR"),
    "ceil": _native("CEIL"),
    "round": _native("ROUND"),
    "sin": _native("SIN"),
    "cos": _native("COS"),
    "tanh": _native("TANH"),
    "relu": _native("RELU"),
    "relu6": _native("RELU6"),
    "sigmoid": _native("LOGISTIC"),
    "silu": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _native("HARD_SWISH"),
    "gelu": _gelu(approximate=False),
    "gelu_tanh": _gelu(approximate=True),
    "logical_not": _native("LOGICAL_NOT"),
}
