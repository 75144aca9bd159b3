"""Arithmetic with a constant per channel becomes `Affine`, where a neighbour can then absorb it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.dims import known
from hornbeam.graph.operations import (
    Affine,
    Binary,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
)
from hornbeam.graph.types import is_float, numpy_dtype

__all__ = ["channelwise_to_affine"]

Array = npt.NDArray[Any]

_ABSORBERS = (Affine, Conv, ConvTranspose, Dense, DepthwiseConv)


def channelwise_to_affine(graph: Graph) -> bool:
    """Rewrite ``x (+ - * /) constant`` behind a weighted operation or an `Affine`."""
    near = Neighbours(graph)
    changed = False
    for node in graph.nodes:
        if not isinstance(node.operation, Binary) or not is_float(node.output.dtype):
            continue
        found = _split(node)
        if found is None:
            continue
        x, constant, swapped = found
        if near.sole_producer(x, *_ABSORBERS) is None:
            continue
        pair = _scale_and_offset(node.operation.function, constant.array, swapped)
        if pair is None:
            continue
        channels = known(x.shape[-1], "the number of channels")
        vectors = [
            graph.constant(
                f"{node.path}/{name}",
                np.ascontiguousarray(np.broadcast_to(v, (channels,)), numpy_dtype(x.dtype)),
                x.dtype,
            )
            for name, v in zip(("scale", "offset"), pair, strict=True)
        ]
        near.become(node, Affine(), [x, *vectors], node.path)
        changed = True
    return changed


def _split(node: Node) -> tuple[Value, Value, bool] | None:
    """The varying and the constant operand, if the constant is one number per channel or one."""
    a, b = node.inputs
    x, constant, swapped = (b, a, True) if a.is_constant else (a, b, False)
    if x.is_constant or not constant.is_constant or x.rank < 2 or constant.rank > x.rank:
        return None
    channels = x.shape[-1]
    if not isinstance(channels, int):
        return None
    shape = constant.shape
    if any(size != 1 for size in shape[:-1]) or (shape and shape[-1] not in (1, channels)):
        return None
    return x, constant, swapped


def _scale_and_offset(function: str, constant: Array, swapped: bool) -> tuple[Array, Array] | None:
    c = constant.reshape(-1).astype(np.float64)
    one, zero = np.ones(1), np.zeros(1)
    match function:
        case "add":
            return one, c
        case "multiply":
            return c, zero
        case "subtract":
            return (-one, c) if swapped else (one, -c)
        case "divide" if not swapped and c.all():
            return 1.0 / c, zero
    return None
