"""Convolutions, dense layers, matrix products and pools in LiteRT against JAX."""

from __future__ import annotations

from typing import Any, cast

import litert_references as ref
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from litert_harness import BATCH, ENGINES, HEIGHT, TIME, Arg, Case, check, constant

from hornbeam.graph.operations import Conv, ConvTranspose, Dense, DepthwiseConv, MatMul, Pool

IMAGE = Arg((BATCH, 9, 8, 4))
FREE_IMAGE = Arg((BATCH, HEIGHT, 8, 4))
SERIES = Arg((BATCH, 12, 4))
FREE_SERIES = Arg((BATCH, TIME, 4))
VOLUME = Arg((BATCH, 5, 6, 7, 4))


def _conv(
    name: str,
    arg: Arg,
    operation: Conv | DepthwiseConv,
    *weights: Any,
    operators: tuple[str, ...] | None = None,
) -> Case:
    inputs = (arg, *weights)
    return Case(name, operation, inputs, ref.conv(operation), operators=operators)


def _transpose(name: str, arg: Arg, operation: ConvTranspose, *weights: Any) -> Case:
    return Case(name, operation, (arg, *weights), ref.conv_transpose(operation))


K3, K1, B6 = constant(3, 3, 4, 6), constant(3, 4, 6), constant(6)
SAME = Conv((1, 1), "same", (1, 1))

CONVOLUTIONS = [
    _conv("same", IMAGE, SAME, K3, B6, operators=("CONV_2D",)),
    _conv("no bias", IMAGE, SAME, K3),
    _conv("strided same", IMAGE, Conv((2, 2), "same", (1, 1)), K3, B6),
    _conv("strided valid", IMAGE, Conv((2, 3), "valid", (1, 1)), K3, B6),
    _conv("dilated", IMAGE, Conv((1, 1), "same", (2, 3)), K3, B6),
    _conv("explicit, as same", Arg((BATCH, 9, 7, 4)), Conv((2, 2), ((1, 1), (1, 1)), (1, 1)),
          K3, B6, operators=("CONV_2D",)),
    _conv("explicit, unlike same", Arg((BATCH, 8, 8, 4)), Conv((2, 2), ((1, 1), (1, 1)), (1, 1)),
          K3, B6, operators=("PAD", "CONV_2D")),
    _conv("explicit stride 1 of free size", FREE_IMAGE, Conv((1, 1), ((1, 1), (1, 1)), (1, 1)),
          K3, B6, operators=("CONV_2D",)),
    _conv("explicit stride 2 of free size", FREE_IMAGE, Conv((2, 2), ((0, 1), (0, 1)), (1, 1)),
          K3, B6),
    _conv("same of free size", FREE_IMAGE, Conv((2, 2), "same", (1, 1)), K3, B6),
    _conv("grouped", IMAGE, Conv((1, 1), "same", (1, 1), 2), constant(3, 3, 2, 6), B6),
    _conv("grouped, dilated", IMAGE, Conv((1, 1), "same", (2, 2), 2), constant(3, 3, 2, 6), B6),
    _conv("one group per channel", IMAGE, Conv((2, 2), "same", (1, 1), 4), constant(3, 3, 1, 8),
          constant(8), operators=("DEPTHWISE_CONV_2D",)),
    _conv("1-D", SERIES, Conv((1,), "same", (1,)), K1, B6,
          operators=("RESHAPE", "CONV_2D", "RESHAPE")),
    _conv("1-D strided", SERIES, Conv((3,), "valid", (1,)), K1, B6),
    _conv("1-D dilated, causal", SERIES, Conv((1,), ((4, 0),), (2,)), K1, B6),
    _conv("1-D of free length", FREE_SERIES, Conv((2,), "same", (1,)), K1, B6),
    _conv("1-D grouped", SERIES, Conv((1,), "same", (1,), 2), constant(3, 2, 6)),
    _conv("3-D", VOLUME, Conv((1, 2, 1), "same", (1, 1, 1)), constant(3, 2, 3, 4, 5), constant(5)),
    _conv("3-D explicit", VOLUME, Conv((1, 1, 1), ((1, 0), (1, 1), (0, 2)), (1, 1, 1)),
          constant(3, 2, 3, 4, 5)),
    _conv("kernel computed", IMAGE, SAME, Arg((3, 3, 4, 6)), B6),
    _conv("depthwise", IMAGE, DepthwiseConv((1, 1), "same", (1, 1)), constant(3, 3, 4, 1)),
    _conv("depthwise multiplied", IMAGE, DepthwiseConv((2, 2), "same", (1, 1)),
          constant(3, 3, 4, 3), constant(12)),
    _conv("depthwise dilated", IMAGE, DepthwiseConv((1, 1), "valid", (2, 2)),
          constant(3, 3, 4, 2), constant(8)),
    _conv("depthwise explicit", IMAGE, DepthwiseConv((2, 2), ((0, 1), (2, 1)), (1, 1)),
          constant(3, 3, 4, 1), constant(4)),
    _conv("depthwise 1-D", FREE_SERIES, DepthwiseConv((2,), "same", (1,)), constant(3, 4, 2)),
]  # fmt: skip


def _enlarge(*cropping: tuple[int, int], stride: int = 2, dilation: int = 1) -> ConvTranspose:
    rank = len(cropping)
    return ConvTranspose((stride,) * rank, cropping, (dilation,) * rank)


TRANSPOSED = [
    _transpose("no overlap", IMAGE, _enlarge((0, 0), (0, 0)), constant(2, 2, 5, 4), constant(5)),
    _transpose("same 3", IMAGE, _enlarge((0, 1), (0, 1)), constant(3, 3, 5, 4), constant(5)),
    _transpose("same 4", IMAGE, _enlarge((1, 1), (1, 1)), constant(4, 4, 5, 4)),
    _transpose("same 5", IMAGE, _enlarge((1, 2), (1, 2)), constant(5, 5, 5, 4), constant(5)),
    _transpose("free size", FREE_IMAGE, _enlarge((1, 2), (1, 2)), constant(5, 5, 5, 4)),
    _transpose("kernel less than stride", IMAGE, _enlarge((0, -2), (0, -2), stride=3),
               constant(1, 1, 5, 4), constant(5)),
    _transpose("output padding", IMAGE, _enlarge((1, 0), (1, -1)), constant(3, 3, 5, 4),
               constant(5)),
    _transpose("stride 1", IMAGE, _enlarge((1, 1), (1, 1), stride=1), constant(3, 3, 5, 4)),
    _transpose("stride 1 dilated", IMAGE, _enlarge((2, 2), (1, 3), stride=1, dilation=2),
               constant(3, 3, 5, 4)),
    _transpose("much cropped", IMAGE, _enlarge((5, 6), (7, 4)), constant(3, 3, 5, 4)),
    _transpose("unequal strides", IMAGE, ConvTranspose((2, 3), ((0, 1), (0, 0)), (1, 1)),
               constant(3, 3, 5, 4), constant(5)),
    _transpose("unequal strides, padded", IMAGE, ConvTranspose((2, 1), ((-1, -2), (1, 1)), (1, 1)),
               constant(3, 3, 5, 4), constant(5)),
    _transpose("fixed batch", Arg((3, 4, 5, 4)), _enlarge((0, 1), (1, 0)), constant(3, 3, 5, 4),
               constant(5)),
    _transpose("1-D", SERIES, _enlarge((0, 1)), constant(3, 5, 4), constant(5)),
    _transpose("1-D free", FREE_SERIES, _enlarge((1, 1)), constant(4, 5, 4), constant(5)),
    _transpose("3-D", VOLUME, ConvTranspose((2, 2, 2), ((0, 1), (1, 1), (0, 0)), (1, 1, 1)),
               constant(3, 3, 2, 5, 4), constant(5)),
]  # fmt: skip

TOKENS = Arg((BATCH, TIME, 4))
PRODUCTS = [
    Case("dense", Dense(), (Arg((BATCH, 4)), constant(4, 5), constant(5)),
         lambda x, k, b: x @ k + b, operators=("FULLY_CONNECTED",)),
    Case("dense of tokens", Dense(), (TOKENS, constant(4, 5), constant(5)),
         lambda x, k, b: x @ k + b, operators=("FULLY_CONNECTED",)),
    Case("dense of images", Dense(), (IMAGE, constant(4, 5)), np.matmul),
    Case("dense of a vector", Dense(), (Arg((4,)), constant(4, 5), constant(5)),
         lambda x, k, b: x @ k + b),
    Case("dense with a computed kernel", Dense(), (TOKENS, Arg((4, 5))), np.matmul),
    Case("product", MatMul(), (Arg((BATCH, 3, 4)), Arg((BATCH, 4, 5))), np.matmul),
    Case("right transposed", MatMul(transpose_b=True), (TOKENS, TOKENS),
         lambda a, b: a @ b.swapaxes(-1, -2), operators=("BATCH_MATMUL",)),
    Case("left transposed", MatMul(transpose_a=True), (TOKENS, TOKENS),
         lambda a, b: a.swapaxes(-1, -2) @ b),
    Case("broadcast heads", MatMul(), (Arg((BATCH, 2, 3, 4)), Arg((2, 4, 5))), np.matmul),
    Case("constant matrix", MatMul(), (TOKENS, constant(4, 5)), np.matmul,
         operators=("FULLY_CONNECTED",)),
    Case("constant matrix transposed", MatMul(transpose_b=True), (TOKENS, constant(5, 4)),
         lambda a, b: a @ b.T, operators=("FULLY_CONNECTED",)),
    Case("constant left", MatMul(), (constant(5, 7), Arg((BATCH, 7, 4))), np.matmul),
    Case("six axes", MatMul(), (Arg((BATCH, 2, 1, 2, 3, 4)), Arg((2, 2, 2, 4, 5))), np.matmul),
    Case("integers", MatMul(), (Arg((BATCH, 3, 4), "int32", -9, 9), Arg((4, 5), "int32", -9, 9)),
         np.matmul),
]  # fmt: skip


def _pool(name: str, arg: Arg, function: Any, *arguments: Any) -> Case:
    operation = Pool(function, *arguments)
    return Case(f"{function} {name}", operation, (arg,), ref.pool(operation))


POOLS = [
    _pool(name, arg, function, *arguments)
    for function in ("max", "average")
    for name, arg, *arguments in [
        ("valid", IMAGE, (2, 2), (2, 2), "valid"),
        ("same", IMAGE, (3, 3), (2, 2), "same"),
        ("explicit", IMAGE, (3, 3), (2, 2), ((1, 1), (0, 2))),
        ("explicit free", FREE_IMAGE, (3, 3), (2, 2), ((1, 1), (0, 2))),
        ("single elements", IMAGE, (1, 1), (2, 2), "valid"),
        ("1-D", SERIES, (3,), (2,), "same"),
        ("1-D free", FREE_SERIES, (3,), (2,), "same"),
        ("3-D", VOLUME, (2, 2, 2), (2, 2, 2), "valid"),
        ("3-D same", VOLUME, (3, 2, 3), (2, 2, 1), "same"),
        ("3-D explicit", VOLUME, (3, 2, 3), (2, 2, 1), ((1, 1), (1, 0), (0, 1))),
    ]
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CONVOLUTIONS + TRANSPOSED + PRODUCTS + POOLS, ids=str)
def test_as_jax_computes_it(case: Case, engine: str) -> None:
    check(case, engine)


sizes = st.integers(1, 9)


@st.composite
def _convolutions(draw: Any) -> Case:
    """Any convolution that leaves something over."""
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    window, strides, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(2)) for most in (4, 3, 3)
    )
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = draw(st.sampled_from(["same", "valid"]) | st.tuples(pads, pads))
    shape = (BATCH, draw(sizes), draw(sizes), 4)
    if draw(st.booleans()):
        operation: Conv | DepthwiseConv = DepthwiseConv(strides, padding, dilation)
        kernel = constant(*window, 4, draw(st.integers(1, 2)))
    else:
        operation = Conv(strides, padding, dilation, groups)
        kernel = constant(*window, 4 // groups, 4)
    case = Case("any", operation, (Arg(shape), kernel), ref.conv(operation))
    (result,) = operation.infer(*(_type(item) for item in case.inputs))
    assume(all(isinstance(dim, int) and dim > 0 for dim in result.shape[1:-1]))
    return case


@st.composite
def _transposed(draw: Any) -> Case:
    """Any transposed convolution that leaves something over."""
    stride = draw(st.integers(1, 4))
    strides = (stride, draw(st.sampled_from([stride, 2])))
    window = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    crops = st.tuples(st.integers(-3, 4), st.integers(-3, 4))
    operation = ConvTranspose(strides, (draw(crops), draw(crops)), (1, 1))
    inputs = (Arg((BATCH, draw(sizes), draw(sizes), 2)), constant(*window, 3, 2), constant(3))
    (result,) = operation.infer(*(_type(item) for item in inputs))
    assume(all(cast(int, dim) > 0 for dim in result.shape[1:-1]))
    return Case("any", operation, inputs, ref.conv_transpose(operation))


@st.composite
def _pools(draw: Any) -> Case:
    """Any pool whose windows all see something."""
    window = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    strides = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    pads = st.tuples(*(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in window))
    padding = draw(st.sampled_from(["same", "valid"]) | pads)
    operation = Pool(draw(st.sampled_from(["max", "average"])), window, strides, padding)
    inputs = (Arg((BATCH, draw(sizes), draw(sizes), 2)),)
    (result,) = operation.infer(*(_type(item) for item in inputs))
    assume(all(cast(int, dim) > 0 for dim in result.shape[1:-1]))
    return Case("any", operation, inputs, ref.pool(operation))


def _type(item: Any) -> Any:
    from hornbeam.graph import TensorType

    return TensorType(tuple(item.shape), str(item.dtype))


@given(st.one_of(_convolutions(), _transposed(), _pools()))
@settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
def test_any_window(case: Case) -> None:
    for engine in ENGINES:
        check(case, engine, batches=(3,))
