"""Categories: numbers put into bins, and ids as one-hot vectors, as sets and as counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.errors import UnsupportedLayerError
from hornbeam.graph import Value
from hornbeam.graph.types import is_float

__all__ = ["encode"]


@lowers("layers.Discretization")
def discretization(b: Builder, layer: Any, x: Value) -> Value:
    """The number of boundaries that are not above each element; NaN lies above all."""
    boundaries = layer.bin_boundaries
    if boundaries is None:
        raise UnsupportedLayerError(
            f"Cannot convert '{b.path}'",
            "It has no boundaries: it was neither given them nor adapted to data",
            "Call adapt(data), or give it bin_boundaries",
        )
    bins = _bins(b, b.cast(x, "float32") if not is_float(x.dtype) else x, boundaries)
    return encode(b, layer, bins, len(boundaries) + 1, str(layer.output_dtype))


def _bins(b: Builder, x: Value, boundaries: Any) -> Value:
    if len(boundaries) == 0:
        return b.cast(b.binary("multiply", x, 0.0), "int32")
    wide = b.reshape(x, (*x.shape, 1))
    # "not below" instead of "at least", which a NaN is not.
    below = b.compare("less", wide, b.constant(np.asarray(boundaries), x.dtype))
    counted = b.reduce("sum", b.cast(below, "float32"), -1, keepdims=False)
    return b.cast(b.binary("subtract", b.scalar(float(len(boundaries)), counted), counted), "int32")


@lowers("layers.CategoryEncoding")
def category_encoding(
    b: Builder, layer: Any, inputs: Value, count_weights: Value | None = None
) -> Value:
    """Ids as vectors of ``num_tokens``; ids outside get nothing."""
    ids = b.cast(inputs, "int32")
    weights = None if count_weights is None else b.cast(count_weights, str(layer.compute_dtype))
    return encode(b, layer, ids, layer.num_tokens, str(layer.dtype), weights)


def encode(
    b: Builder, layer: Any, ids: Value, depth: int, dtype: str, weights: Value | None = None
) -> Value:  # fmt: skip
    """Ids (int32) in the way of a layer's ``output_mode``, by Keras's rules of which axis folds."""
    mode = layer.output_mode
    if mode == "int":
        return b.cast(ids, dtype)
    if ids.rank == 0:
        ids = b.reshape(ids, (1,))
    if mode == "one_hot":
        if ids.rank > 1 and ids.shape[-1] == 1:
            ids = b.reshape(ids, ids.shape[:-1])
        return _one_hot(b, ids, depth, dtype)
    axis = 1 if ids.rank > 1 else 0
    vectors = _one_hot(b, ids, depth, dtype if weights is None else weights.dtype)
    if mode == "multi_hot":
        return b.reduce("max", vectors, axis, keepdims=False)
    if weights is not None:
        vectors = b.binary("multiply", vectors, b.reshape(weights, (*weights.shape, 1)))
    return b.reduce("sum", vectors, axis, keepdims=False)


def _one_hot(b: Builder, ids: Value, depth: int, dtype: str) -> Value:
    """1 where the id is the position. By comparison, so that ids outside are nowhere."""
    positions = b.constant(np.arange(depth), "int32")
    return b.cast(b.compare("equal", b.reshape(ids, (*ids.shape, 1)), positions), dtype)
