"""The shortest way to prove one layer: a model of it, random inputs, both formats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from proof import assert_carries, quick_initializers, randomize

__all__ = ["floats", "prove", "prove_model"]

Array = npt.NDArray[Any]


def floats(*shape: int, seed: int = 0) -> Array:
    """Normal numbers, in float32."""
    return np.random.default_rng(seed).normal(0.0, 1.5, shape).astype("float32")


def prove(
    layer: Callable[..., Any], *inputs: Array, free: Sequence[int] = (), **options: Any
) -> None:
    """Carry a model of one layer; ``free`` are the axes (besides the batch) of unknown size.

    ``layer`` is called with one symbolic tensor for each array, whose axis 0 is the batch.
    """

    def model() -> Any:
        tensors = [
            keras.Input(
                [None if axis in free else size for axis, size in enumerate(x.shape)][1:],
                dtype=str(x.dtype),
                name=f"input_{index}",
            )
            for index, x in enumerate(inputs)
        ]
        return keras.Model(tensors, layer(*tensors))

    prove_model(model, inputs[0] if len(inputs) == 1 else list(inputs), **options)


def prove_model(model: Callable[[], Any], inputs: Any, **options: Any) -> None:
    """Carry a model, built with weights that show when they are lost."""
    with quick_initializers():
        built = randomize(model())
    with tempfile.TemporaryDirectory() as folder:
        assert_carries(built, inputs, Path(folder), eager=True, **options)
