"""The table of cases: each operation in its variants, beside numpy (or jax) doing the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
from onnx_cases_movement import movement, reshapes, sizes
from onnx_harness import BATCH, IMAGE, ROWS, SEQUENCE, VOLUME, Arg, Array, Case, literals, weight
from onnx_references import conv, conv_transpose, depthwise, pool

from hornbeam.graph import Shape
from hornbeam.graph import operations as op


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


_erf = np.vectorize(math.erf, otypes=["float64"])

_UNARY: dict[str, tuple[Any, float, float]] = {
    "abs": (np.abs, -3, 3),
    "negative": (np.negative, -3, 3),
    "reciprocal": (np.reciprocal, 0.5, 3),
    "square": (np.square, -3, 3),
    "sqrt": (np.sqrt, 0, 3),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.1, 3),
    "exp": (np.exp, -3, 3),
    "log": (np.log, 0.1, 3),
    "sign": (np.sign, -3, 3),
    "floor": (np.floor, -3, 3),
    "ceil": (np.ceil, -3, 3),
    "round": (np.round, -3, 3),
    "erf": (_erf, -3, 3),
    "sin": (np.sin, -3, 3),
    "cos": (np.cos, -3, 3),
    "tan": (np.tan, -1, 1),
    "arcsin": (np.arcsin, -0.9, 0.9),
    "arccos": (np.arccos, -0.9, 0.9),
    "arctan": (np.arctan, -3, 3),
    "sinh": (np.sinh, -3, 3),
    "cosh": (np.cosh, -3, 3),
    "tanh": (np.tanh, -3, 3),
    "arcsinh": (np.arcsinh, -3, 3),
    "arccosh": (np.arccosh, 1.1, 3),
    "arctanh": (np.arctanh, -0.9, 0.9),
    "relu": (lambda x: np.maximum(x, 0), -3, 3),
    "relu6": (lambda x: np.clip(x, 0, 6), -9, 9),
    "sigmoid": (_sigmoid, -5, 5),
    "softplus": (lambda x: np.log1p(np.exp(x)), -5, 5),
    "softsign": (lambda x: x / (1 + np.abs(x)), -5, 5),
    "silu": (lambda x: x * _sigmoid(x), -5, 5),
    "hard_sigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, -5, 5),
    "hard_silu": (lambda x: x * np.clip(x + 3, 0, 6) / 6, -5, 5),
    "gelu": (lambda x: x * (1 + _erf(x / np.sqrt(2))) / 2, -4, 4),
    "gelu_tanh": (
        lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2, -4, 4,
    ),
    "selu": (
        lambda x: 1.05070098735548 * np.where(x > 0, x, 1.67326324235438 * np.expm1(x)), -3, 3,
    ),
    "mish": (lambda x: x * np.tanh(np.log1p(np.exp(x))), -4, 4),
    "logical_not": (np.logical_not, 0, 1),
    "isnan": (np.isnan, -3, 3),
    "isinf": (np.isinf, -3, 3),
    "isfinite": (np.isfinite, -3, 3),
}  # fmt: skip

_BINARY: dict[str, Any] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "mod": np.mod,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "arctan2": np.arctan2,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}

_COMPARE: dict[str, Any] = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
}

_REDUCE: dict[str, Any] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "any": np.any,
    "all": np.all,
}


def unary() -> Iterator[Case]:
    for function in get_args(op.UnaryFunction):
        reference, low, high = _UNARY[function]
        kind = "bool" if function == "logical_not" else "float32"
        shown = Arg(IMAGE, kind, low, high)
        yield Case(f"unary-{function}", op.Unary(function), (shown,), reference)
    special = np.array([[1, np.nan, np.inf, -np.inf]], "float32")
    for function in ("isnan", "isinf", "isfinite"):
        reference = _UNARY[function][0]
        yield Case(f"unary-{function}-special", op.Unary(function), (special,), reference)
    for function in ("abs", "negative", "square", "sign", "relu", "floor", "relu6"):
        for kind in ("int32", "int8", "int64"):
            reference = _UNARY[function][0]
            shown = Arg(IMAGE, kind, -9, 9)
            if function == "floor":
                reference = np.copy
            yield Case(f"unary-{function}-{kind}", op.Unary(function), (shown,), reference)
    yield Case("leaky", op.LeakyRelu(0.2), (Arg(IMAGE),), lambda x: np.where(x > 0, x, 0.2 * x))
    yield Case("elu", op.Elu(0.7), (Arg(IMAGE),), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)))
    for name, shape in {"image": (5, 6, 4), "channels": (1, 1, 4), "vector": (4,)}.items():
        slope = weight(*shape)
        yield Case(
            f"prelu-{name}", op.Prelu(), (Arg(IMAGE), slope), lambda x, a: np.where(x > 0, x, a * x)
        )
    for low, high in ((None, None), (0.0, None), (None, 1.0), (-1.0, 1.5)):
        for kind in ("float32", "int32", "int16"):
            yield Case(
                f"clip-{low}-{high}-{kind}",
                op.Clip(low, high),
                (Arg(IMAGE, kind),),
                lambda x, low=low, high=high: (
                    x
                    if low is None and high is None
                    else np.clip(x, low, high).astype(x.dtype)
                    if x.dtype == "float32"
                    else np.clip(
                        x, None if low is None else int(low), None if high is None else int(high)
                    )
                ),
            )


def softmax_and_affine() -> Iterator[Case]:
    def softmax(x: Array, axis: int) -> Array:
        shifted = np.exp(x - x.max(axis, keepdims=True))
        return shifted / shifted.sum(axis, keepdims=True)

    for shape in (ROWS, SEQUENCE, IMAGE):
        for axis in range(1, len(shape)):
            yield Case(
                f"softmax-{len(shape)}-{axis}", op.Softmax(axis), (Arg(shape),),
                lambda x, axis=axis: softmax(x, axis),
            )  # fmt: skip
    yield Case("log-softmax", op.LogSoftmax(3), (Arg(IMAGE),), lambda x: np.log(softmax(x, 3)))
    for shape in (ROWS, SEQUENCE, IMAGE, VOLUME):
        channels = shape[-1]
        assert isinstance(channels, int)
        scale, offset = weight(channels), weight(channels)
        ones, zeros = np.ones_like(scale), np.zeros_like(scale)
        for name, a, b in (
            ("both", scale, offset), ("scale", scale, zeros), ("offset", ones, offset),
            ("neither", ones, zeros),
        ):  # fmt: skip
            yield Case(
                f"affine-{name}-{len(shape)}", op.Affine(), (Arg(shape), a, b),
                lambda x, a, b: x * a + b,
            )  # fmt: skip


def casts() -> Iterator[Case]:
    kinds = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")
    for before in kinds:
        for after in kinds:
            low = 0 if "uint8" in (before, after) else -9
            yield Case(
                f"cast-{before}-{after}", op.Cast(after), (Arg(IMAGE, before, low, 9),),
                lambda x, after=after: x.astype(after),
            )  # fmt: skip


def binary() -> Iterator[Case]:
    for function in get_args(op.BinaryFunction):
        logical = function.startswith("logical")
        positive = function in ("power", "divide")
        for kind in ("bool",) if logical else ("float32", "int32", "float64", "int8", "uint8"):
            if kind != "float32" and function in ("divide", "arctan2"):
                continue
            if function == "power" and kind not in ("float32", "int32"):
                continue
            low = 1 if positive or kind == "uint8" else -3
            a, b = Arg(IMAGE, kind, low, 3), Arg(IMAGE, kind, low, 3)
            if function in ("floor_divide", "mod", "arctan2"):
                a = Arg(IMAGE, kind, -9 if kind != "uint8" else 1, 9)
                divisor = np.array([-3, -2, 2, 3] if kind != "uint8" else [1, 2, 3, 4], kind)
                yield Case(
                    f"{function}-{kind}", op.Binary(function), (a, divisor), _BINARY[function]
                )
                continue
            yield Case(f"{function}-{kind}", op.Binary(function), (a, b), _BINARY[function])
    yield Case(
        "arctan2-all-around", op.Binary("arctan2"),
        (np.array([0, 1, 1, 1, 0, -1, -1, -1, 0.0], "float32"),
         np.array([1, 1, 0, -1, -1, -1, 0, 1, 0.0], "float32")), np.arctan2,
    )  # fmt: skip
    yield Case(
        "mod-exact", op.Binary("mod"),
        (np.array([4, -4, 4, -4, 0.0], "float32"), np.array([2, 2, -2, -2, 2.0], "float32")),
        np.mod,
    )  # fmt: skip


def broadcasting() -> Iterator[Case]:
    operands: dict[str, Shape] = {
        "same": IMAGE, "gate": (BATCH, 1, 1, 4), "map": (BATCH, 5, 6, 1), "row": (1, 1, 6, 4),
        "channels": (4,), "columns": (6, 4), "plane": (5, 6, 1), "batchless": (5, 6, 4),
        "scalar": (), "one": (1,), "only-batch": (BATCH, 1, 1, 1),
    }  # fmt: skip
    for name, shape in operands.items():
        yield Case(f"subtract-{name}", op.Binary("subtract"), (Arg(IMAGE), Arg(shape)), np.subtract)
        if BATCH not in shape:
            constant = np.asarray(weight(*(d for d in shape if isinstance(d, int))), "float32")
            yield Case(
                f"subtract-constant-{name}", op.Binary("subtract"), (constant, Arg(IMAGE)),
                np.subtract,
            )  # fmt: skip
    yield Case("outer", op.Binary("add"), (Arg((BATCH, 5, 1, 4)), Arg((1, 6, 1))), np.add)
    for function in get_args(op.CompareFunction):
        for kind in ("float32", "int32", "uint8"):
            yield Case(
                f"{function}-{kind}", op.Compare(function),
                (Arg(IMAGE, kind, 0, 3), Arg((6, 4), kind, 0, 3)), _COMPARE[function],
            )  # fmt: skip
    for function in ("equal", "not_equal", "less"):
        args = (Arg(IMAGE, "bool"), Arg(IMAGE, "bool"))
        yield Case(f"{function}-bool", op.Compare(function), args, _COMPARE[function])
    for kind in ("float32", "int8", "bool", "float64"):
        yield Case(
            f"select-{kind}", op.Select(),
            (Arg((BATCH, 5, 1, 1), "bool"), Arg(IMAGE, kind), Arg((4,), kind)), np.where,
        )  # fmt: skip
    yield Case(
        "select-constant", op.Select(),
        (Arg(IMAGE, "bool"), Arg(IMAGE), np.asarray(-1e4, "float32")), np.where,
    )  # fmt: skip


def linear() -> Iterator[Case]:
    for shape in ((8,), ROWS, (BATCH, 7, 8), (BATCH, 2, 3, 8)):
        yield Case(f"dense-{len(shape)}", op.Dense(), (Arg(shape), weight(8, 5)), np.matmul)
        yield Case(
            f"dense-{len(shape)}-bias", op.Dense(), (Arg(shape), weight(8, 5), weight(5)),
            lambda x, k, b: x @ k + b,
        )  # fmt: skip

    def product(a: Array, b: Array, left: bool, right: bool) -> Array:
        return (np.swapaxes(a, -1, -2) if left else a) @ (np.swapaxes(b, -1, -2) if right else b)

    for left in (False, True):
        for right in (False, True):
            a: Shape = (BATCH, 2, 4, 3) if left else (BATCH, 2, 3, 4)
            b: Shape = (BATCH, 2, 5, 4) if right else (BATCH, 2, 4, 5)
            fixed = weight(5, 4) if right else weight(4, 5)
            for name, other in (("value", Arg(b)), ("constant", fixed)):
                yield Case(
                    f"matmul-{left}-{right}-{name}", op.MatMul(left, right), (Arg(a), other),
                    lambda a, b, left=left, right=right: product(a, b, left, right),
                )  # fmt: skip
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        channels = shape[-1]
        assert isinstance(channels, int)
        ones, window = (1,) * rank, (3, 2, 2)[:rank]
        for padding in ("same", "valid", ((1, 0), (0, 2), (1, 1))[:rank]):
            for strides in (ones, (2,) * rank):
                kernel, bias = weight(*window, channels, 6), weight(6)
                operation = op.Conv(strides, padding, ones)
                inputs = (Arg(shape), kernel, bias)
                yield Case(f"conv{rank}-{padding}-{strides}", operation, inputs, conv(operation))
                deep = op.DepthwiseConv(strides, padding, ones)
                inputs = (Arg(shape), weight(*window, channels, 2), weight(2 * channels))
                yield Case(f"depthwise{rank}-{padding}-{strides}", deep, inputs, depthwise(deep))
        operation = op.Conv(ones, "same", (2,) * rank, 2)
        inputs = (Arg(shape), weight(*window, channels // 2, 4))
        yield Case(f"conv{rank}-groups-dilated", operation, inputs, conv(operation))
        yield from transposed(rank, shape, channels)


def transposed(rank: int, shape: Shape, channels: int) -> Iterator[Case]:
    window, ones = (3, 2, 2)[:rank], (1,) * rank
    for name, strides, cropping in (
        ("full", (2,) * rank, ((0, 0),) * rank),
        ("cropped", (2,) * rank, ((1, 0), (0, 1), (1, 1))[:rank]),
        ("added", (4,) * rank, ((0, -1), (0, -2), (0, -2))[:rank]),
        ("around", (3,) * rank, ((-1, -3), (0, -1), (-1, 0))[:rank]),
    ):
        operation = op.ConvTranspose(strides, cropping, ones)
        inputs = (Arg(shape), weight(*window, 5, channels), weight(5))
        yield Case(f"transposed{rank}-{name}", operation, inputs, conv_transpose(operation))


def pooling() -> Iterator[Case]:
    for rank, shape in ((1, SEQUENCE), (2, IMAGE), (3, VOLUME)):
        for function in ("max", "average"):
            for padding in ("same", "valid"):
                for strides in ((1,) * rank, (2,) * rank):
                    operation = op.Pool(function, (3, 2, 2)[:rank], strides, padding)  # type: ignore[arg-type]
                    name = f"pool{rank}-{function}-{padding}-{strides}"
                    yield Case(name, operation, (Arg(shape),), pool(operation))
    operation = op.Pool("average", (3, 3), (2, 2), ((1, 0), (0, 1)))
    yield Case("pool-explicit", operation, (Arg(IMAGE),), pool(operation))

    def norm(x: Array, scale: Array, offset: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3) * scale + offset

    for shape in (ROWS, SEQUENCE, IMAGE):
        channels = shape[-1]
        assert isinstance(channels, int)
        inputs = (Arg(shape), weight(channels), weight(channels))
        yield Case(f"layer-norm-{len(shape)}", op.LayerNorm(1e-3), inputs, norm)


def reductions() -> Iterator[Case]:
    for function in literals(op.Reduce, "function"):
        kind = "bool" if function in ("any", "all") else "float32"
        for axes in ((1, 2), (3,), (2,), (1, 2, 3), (1, 3), (0,), ()):
            for keepdims in (False, True):
                yield Case(
                    f"{function}-{axes}-{keepdims}", op.Reduce(function, axes, keepdims),
                    (Arg(IMAGE, kind, 0.5, 2),),
                    lambda x, f=_REDUCE[function], a=axes, k=keepdims: f(x, axis=a, keepdims=k)
                    if a else x,
                )  # fmt: skip
    for function in ("sum", "max", "prod"):
        for kind in ("int32", "int8", "float64", "uint8"):
            yield Case(
                f"{function}-{kind}", op.Reduce(function, (1, 2), False),
                (Arg((BATCH, 2, 2, 3), kind, 1, 2),),
                lambda x, f=_REDUCE[function]: f(x, axis=(1, 2)).astype(x.dtype),
            )  # fmt: skip
    for function, reference in (("max", np.argmax), ("min", np.argmin)):
        for axis in range(4):
            for keepdims in (False, True):
                yield Case(
                    f"arg{function}-{axis}-{keepdims}", op.ArgReduce(function, axis, keepdims),
                    (Arg(IMAGE, "int32", 0, 3),),
                    lambda x, f=reference, a=axis, k=keepdims: f(x, axis=a, keepdims=k),
                )  # fmt: skip
    for axis in (1, 3):
        yield Case(
            f"cumulate-{axis}", op.Cumulate(axis), (Arg(IMAGE),), lambda x, a=axis: x.cumsum(a)
        )
    yield Case(
        "cumulate-back", op.Cumulate(1, reverse=True, exclusive=True), (Arg(SEQUENCE, "int32"),),
        lambda x: x[:, ::-1].cumsum(1)[:, ::-1] - x,
    )  # fmt: skip

    def top(x: Array) -> tuple[Array, Array]:
        order = np.argsort(-x.astype("float64"), axis=-1, kind="stable")[..., :3]
        return np.take_along_axis(x, order, -1), order

    for kind in ("float32", "int32", "uint8"):
        yield Case(f"top-k-{kind}", op.TopK(3), (Arg(IMAGE, kind, 0, 9),), top)


def all_cases() -> list[Case]:
    """Every case."""
    families = (
        unary, softmax_and_affine, casts, binary, broadcasting, linear, pooling, reductions,
        reshapes, movement, sizes,
    )  # fmt: skip
    return [case for family in families for case in family()]
