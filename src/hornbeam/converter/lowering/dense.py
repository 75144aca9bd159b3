"""Dense, EinsumDense, Embedding: layers that multiply by, or look up in, a matrix of weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.einsum import einsum
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@lowers("layers.Dense")
def dense(b: Builder, layer: Any, x: Value) -> Value:
    """``activation(x @ kernel + bias)``."""
    y = b.emit(op.Dense(), x, b.value(layer.kernel, x.dtype), *b.weights(layer.bias))
    return b.activation(layer.activation, y)


@lowers("layers.EinsumDense")
def einsum_dense(b: Builder, layer: Any, x: Value) -> Value:
    """``activation(einsum(equation, x, kernel) + bias)``."""
    y = einsum(b, layer.equation, x, b.value(layer.kernel, x.dtype))
    if layer.bias is not None:
        y = b.binary("add", y, b.weight(layer.bias))
    return b.activation(layer.activation, y)


@lowers("layers.Embedding")
def embedding(b: Builder, layer: Any, x: Value) -> Value:
    """A row of the table for each id."""
    table = b.value(layer.embeddings, layer.compute_dtype)
    return b.emit(op.Gather(0), table, _indices(b, x))


@lowers("layers.Masking")
def masking(b: Builder, layer: Any, x: Value) -> Value:
    """Zeros where every feature of a time step equals ``mask_value``; the mask travels on."""
    differs = b.compare("not_equal", x, np.float32(layer.mask_value))
    keep = b.reduce("any", differs, -1, keepdims=True)
    return b.binary("multiply", x, b.cast(keep, x.dtype))


def _indices(b: Builder, x: Value) -> Value:
    return x if x.dtype in ("int32", "int64") else b.cast(x, "int32")
