"""Arithmetic, comparisons, activations and casts in LiteRT against numpy and JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import jax
import litert_references as ref
import numpy as np
import pytest
import scipy.special
from litert_harness import BATCH, ENGINES, TIME, Arg, Case, Model, build, check, close, constant

from hornbeam.converter.tflite import to_bytes
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Graph
from hornbeam.graph.operations import (
    Affine,
    Binary,
    BinaryFunction,
    Cast,
    Clip,
    Compare,
    CompareFunction,
    Elu,
    LayerNorm,
    LeakyRelu,
    LogSoftmax,
    Prelu,
    Select,
    Softmax,
    Unary,
    UnaryFunction,
)

TOKENS = Arg((BATCH, TIME, 4))

#: Each function of one number, and where it is tried.
UNARY: dict[str, tuple[Callable[..., Any], float, float]] = {
    "abs": (np.abs, -9, 9),
    "negative": (np.negative, -9, 9),
    "reciprocal": (np.reciprocal, -9, 9),
    "square": (np.square, -9, 9),
    "sqrt": (np.sqrt, 0, 99),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 0.01, 99),
    "exp": (np.exp, -9, 9),
    "log": (np.log, 0.001, 99),
    "sign": (np.sign, -9, 9),
    "floor": (np.floor, -9, 9),
    "ceil": (np.ceil, -9, 9),
    "round": (np.round, -9, 9),
    "erf": (scipy.special.erf, -5, 5),
    "sin": (np.sin, -9, 9),
    "cos": (np.cos, -9, 9),
    "tan": (np.tan, -1.5, 1.5),
    "arcsin": (np.arcsin, -1, 1),
    "arccos": (np.arccos, -1, 1),
    "arctan": (np.arctan, -99, 99),
    "sinh": (np.sinh, -9, 9),
    "cosh": (np.cosh, -9, 9),
    "tanh": (np.tanh, -9, 9),
    "arcsinh": (np.arcsinh, -99, 99),
    "arccosh": (np.arccosh, 1, 99),
    "arctanh": (np.arctanh, -0.99, 0.99),
    "relu": (jax.nn.relu, -9, 9),
    "relu6": (jax.nn.relu6, -9, 9),
    "sigmoid": (jax.nn.sigmoid, -99, 99),
    "softplus": (jax.nn.softplus, -99, 99),
    "softsign": (jax.nn.soft_sign, -99, 99),
    "silu": (jax.nn.silu, -99, 99),
    "hard_sigmoid": (jax.nn.hard_sigmoid, -9, 9),
    "hard_silu": (jax.nn.hard_silu, -9, 9),
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), -9, 9),
    "gelu_tanh": (lambda x: jax.nn.gelu(x, approximate=True), -9, 9),
    "selu": (jax.nn.selu, -9, 9),
    "mish": (jax.nn.mish, -99, 99),
    "logical_not": (np.logical_not, 0, 1),
    "isnan": (np.isnan, -9, 9),
    "isinf": (np.isinf, -9, 9),
    "isfinite": (np.isfinite, -9, 9),
}

#: Functions that must go to their limits far out.
LIMITS = [
    "erf", "arctan", "tanh", "arcsinh", "relu", "relu6", "sigmoid", "softplus", "softsign",
    "hard_sigmoid", "mish", "selu", "isnan", "isinf", "isfinite", "abs", "sign", "gelu",
]  # fmt: skip

INTEGER = {
    "abs": np.abs,
    "negative": np.negative,
    "square": np.square,
    "sign": np.sign,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "floor": np.copy,
    "round": np.copy,
    "isnan": np.isnan,
    "isfinite": np.isfinite,
}

BINARY: dict[str, Any] = {
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


def _unary() -> list[Case]:
    return [
        Case(
            name,
            Unary(name),  # type: ignore[arg-type]
            (Arg((BATCH, 50, 7), "bool" if name == "logical_not" else "float32", low, high),),
            function,
        )
        for name, (function, low, high) in UNARY.items()
    ]


def _binary() -> list[Case]:
    cases = []
    for name, function in BINARY.items():
        dtype = "bool" if name.startswith("logical") else "float32"
        low = 0.1 if name == "power" else -3.0
        left, right = Arg((BATCH, TIME, 4), dtype, low), Arg((TIME, 1), dtype, 0.5)
        operation = Binary(name)  # type: ignore[arg-type]
        cases.append(Case(name, operation, (left, right), function))
        if dtype == "float32":
            cases.append(Case(f"{name} constant", operation, (left, constant(4, low=1)), function))
    return cases


def _integers() -> list[Case]:
    cases = []
    for dtype in ("int32", "int64", "uint8", "int16"):
        arg = Arg((BATCH, 5), dtype, -9, 9)
        other = Arg((BATCH, 5), dtype, 1, 9)
        for name, function in INTEGER.items():
            if dtype[:3] == "int" or name == "relu6":
                cases.append(Case(f"{name} {dtype}", Unary(name), (arg,), function))  # type: ignore[arg-type]
        for name in ("add", "multiply", "maximum", "floor_divide", "mod"):
            function = BINARY[name]
            cases.append(Case(f"{name} {dtype}", Binary(name), (other, other), function))  # type: ignore[arg-type]
    truth = Arg((BATCH, 5), "bool")
    for name in ("add", "multiply", "maximum", "minimum"):
        cases.append(Case(f"{name} bool", Binary(name), (truth, truth), BINARY[name]))  # type: ignore[arg-type]
    return cases


def _compare() -> list[Case]:
    cases = []
    for name in get_args(CompareFunction):
        function = getattr(np, name)
        for dtype in ("float32", "int32", "bool"):
            pair = (Arg((BATCH, TIME, 2), dtype, 0, 3), Arg((2,), dtype, 0, 3))
            cases.append(Case(f"{name} {dtype}", Compare(name), pair, function))
    return cases


def _clip(low: float | None, high: float | None, dtype: str = "float32") -> Case:
    arg = Arg((BATCH, 5), dtype, -9, 9)
    return Case(f"clip {low} {high} {dtype}", Clip(low, high), (arg,), lambda x: x.clip(low, high))


def _cast(source: str, target: str) -> Case:
    arg = Arg((BATCH, 5), source, 0, 9)
    return Case(f"{source} to {target}", Cast(target), (arg,), lambda x: x.astype(target))


CASES = [
    *_unary(),
    *_binary(),
    *_integers(),
    *_compare(),
    *(_clip(*bounds) for bounds in [(0, None), (0, 6), (-1, 1), (None, 2), (-0.5, 0.7)]),
    _clip(-2, 3, "int32"),
    *(_cast(a, b) for a in ("float32", "int32", "int64", "uint8", "bool", "float16")
      for b in ("float32", "int32", "int64", "uint8", "bool", "int16", "float16")),
    Case("cast wraps around", Cast("uint8"), (Arg((BATCH, 5), "int32", 0, 999),),
         lambda x: x.astype("uint8")),
    Case("select", Select(), (Arg((BATCH, TIME, 1), "bool"), TOKENS, Arg((4,))), np.where),
    Case("select integers", Select(), (Arg((BATCH, 1), "bool"), Arg((4,), "int32", 0, 9),
                                      np.int32(7)), np.where),
    Case("leaky relu", LeakyRelu(0.2), (TOKENS,), lambda x: np.where(x > 0, x, x * 0.2)),
    Case("elu", Elu(), (TOKENS,), jax.nn.elu),
    Case("elu 0.7", Elu(0.7), (TOKENS,), lambda x: jax.nn.elu(x, 0.7)),
    Case("prelu", Prelu(), (TOKENS, constant(4)), lambda x, a: np.where(x > 0, x, x * a)),
    Case("prelu of rows", Prelu(), (Arg((BATCH, 5, 4)), constant(5, 1)),
         lambda x, a: np.where(x > 0, x, x * a)),
    *(Case(f"softmax {axis}", Softmax(axis), (Arg((BATCH, 3, TIME, 5), low=-99, high=99),),
           ref.softmax(axis)) for axis in (1, 2, 3)),
    *(Case(f"log softmax {axis}", LogSoftmax(axis), (Arg((BATCH, TIME, 5)),),
           lambda x, axis=axis: jax.nn.log_softmax(x, axis)) for axis in (1, 2)),
    Case("affine", Affine(), (TOKENS, constant(4), constant(4)), lambda x, a, b: x * a + b,
         operators=("MUL", "ADD")),
    Case("layer norm", LayerNorm(1e-3), (TOKENS, constant(4), constant(4)),
         ref.layer_norm(1e-3)),
    Case("layer norm of large numbers", LayerNorm(1e-3),
         (Arg((BATCH, 9, 16), low=990, high=1010), constant(16), constant(16)),
         ref.layer_norm(1e-3), tolerance=1e-4),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_numpy_computes_it(case: Case, engine: str) -> None:
    check(case, engine)


def test_every_function_is_tried() -> None:
    assert set(UNARY) == set(get_args(UnaryFunction))
    assert set(BINARY) == set(get_args(BinaryFunction))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", LIMITS)
def test_far_out(name: str, engine: str) -> None:
    """Zeros, the smallest and large numbers; infinities and NaN for the predicates.

    (LiteRT's own arithmetic makes infinity the largest float, so infinities prove nothing else.)
    """
    points = [0, -0.0, 1e-38, -1e-38, 1e-8, 1e4, -1e4, 1e8, -1e8]
    if name.startswith("is"):
        points += [np.nan, np.inf, -np.inf]
    x = np.array([points], np.float32)
    graph = build(Case(name, Unary(name), (Arg((BATCH, len(points))),), np.copy))  # type: ignore[arg-type]
    actual = Model(to_bytes(graph), engine).run({"x0": x})["y0"]
    close(actual, UNARY[name][0](x), 1e-5, name)


def test_float_functions_of_integers_are_refused() -> None:
    case = Case("exp", Unary("exp"), (Arg((BATCH, 4), "int32"),), np.exp)
    with pytest.raises(UnsupportedFormatError, match=r"layers/exp: exp of integers"):
        to_bytes(build(case))


def test_strings_are_refused() -> None:
    graph = Graph("strings")
    words = graph.add_input("words", (BATCH,), "string")
    graph.symbols["batch"] = (words, 0)
    graph.outputs["same"] = words
    with pytest.raises(UnsupportedFormatError, match="strings"):
        to_bytes(graph)
