"""The small models that are committed in both formats, and what they compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"

# What data/make.py wrote into the models called affine.
WEIGHTS = (np.arange(12, dtype=np.float32).reshape(4, 3) - 5) / 4
BIAS = np.array([1, 0, -1], np.float32)


def affine_of(x: np.ndarray) -> np.ndarray:
    """Compute in numpy what the models called affine compute: (batch, 4) to (batch, 3)."""
    return np.maximum(x @ WEIGHTS + BIAS, 0)


def sample(batch: int, seed: int = 0) -> np.ndarray:
    """Make an input for affine, float32 of shape (batch, 4)."""
    return np.random.default_rng(seed).standard_normal((batch, 4)).astype(np.float32)
