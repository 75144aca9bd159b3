"""The models that every converter gets: built once, seeded, saved as .keras.

``python convert_models.py FOLDER NAME…`` writes ``FOLDER/NAME.keras``. The weights are random;
every batch-norm statistic is drawn too, because a converter that drops a mean of 0 or a
variance of 1 could not be told from one that folds it. Kernels are drawn by He's rule
(arXiv:1502.01852: variance 2 / fan-in), and each model's batch-norm scales from a range under
which its answer depends on the picture and its softmax does not saturate: a check on a model
that answers the same to everything would see no fault.

Run it under ``KERAS_BACKEND=numpy``: nothing is computed here but initial values, which JAX
would compile one by one.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The range of a model's batch-norm scales, and of a pixel of its picture."""

    scales: tuple[float, float]
    pixels: tuple[float, float]


RECIPES = {
    "MobileNetV2": Recipe(scales=(0.8, 1.2), pixels=(-1.0, 1.0)),
    # It divides its pixels by 255 itself.
    "EfficientNetB0": Recipe(scales=(0.9, 1.3), pixels=(0.0, 255.0)),
    "ResNet50": Recipe(scales=(0.5, 0.9), pixels=(-1.0, 1.0)),
}


def build(name: str, seed: int = 0) -> Any:
    """Return ``keras.applications.NAME`` with random weights, the same for the same seed."""
    import keras
    import numpy as np

    rng = np.random.default_rng(seed)
    model = getattr(keras.applications, name)(weights=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.moving_mean.shape
            layer.gamma.assign(rng.uniform(*RECIPES[name].scales, size))
            layer.beta.assign(rng.normal(0.0, 0.1, size))
            layer.moving_mean.assign(rng.normal(0.0, 0.1, size))
            layer.moving_variance.assign(rng.uniform(0.8, 1.2, size))
        elif hasattr(layer, "kernel"):
            shape = layer.kernel.shape
            # A depthwise kernel (height, width, channels, 1) sees one channel at a time.
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            fan_in = np.prod(shape[:2] if depthwise else shape[:-1])
            layer.kernel.assign(rng.normal(0.0, np.sqrt(2.0 / fan_in), shape))
    return model


def main(arguments: list[str]) -> None:
    folder, *names = arguments
    for name in names:
        build(name).save(Path(folder) / f"{name}.keras")


if __name__ == "__main__":
    main(sys.argv[1:])
