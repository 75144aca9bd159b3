"""Preprocessing that is arithmetic: scaling and standardizing."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hornbeam.converter.lowering.arguments import float_result
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.norm import affine
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value

__all__: list[str] = []


@lowers("layers.Rescaling")
def rescaling(b: Builder, layer: Any, x: Value) -> Value:
    """``x * scale + offset``, per channel where lists are given."""
    x = b.cast(x, float_result(str(layer.compute_dtype)))
    scale, offset = (np.asarray(v, "float64") for v in (layer.scale, layer.offset))
    if isinstance(x.shape[-1], int) and scale.ndim <= 1 and offset.ndim <= 1 and x.rank > 1:
        first = keras.config.image_data_format() == "channels_first"
        return affine(b, x, scale, offset, 1 if first and scale.ndim else -1)
    scaled = b.binary("multiply", x, b.constant(scale, x.dtype))
    return b.binary("add", scaled, b.constant(offset, x.dtype))


@lowers("layers.Normalization")
def normalization(b: Builder, layer: Any, x: Value) -> Value:
    """``(x - mean) / max(sqrt(variance), epsilon)``, or the inverse."""
    x = b.cast(x, float_result(str(layer.compute_dtype)))
    mean = np.float64(keras.ops.convert_to_numpy(layer.mean))
    deviation = np.sqrt(np.float64(keras.ops.convert_to_numpy(layer.variance)))
    deviation = np.maximum(deviation, keras.config.epsilon())
    if layer.invert:
        scale, offset = deviation, mean
    else:
        scale, offset = 1.0 / deviation, -mean / deviation
    shape = scale.shape
    if len(shape) == x.rank and all(n == 1 for n in shape[:-1]) and shape[-1] == x.shape[-1]:
        return affine(b, x, scale.reshape(-1), offset.reshape(-1), -1)
    scaled = b.binary("multiply", x, b.constant(scale, x.dtype))
    return b.binary("add", scaled, b.constant(offset, x.dtype))
