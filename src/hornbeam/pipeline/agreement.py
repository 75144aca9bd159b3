"""How well two arrays agree: the worst difference as a share of the scale of what was expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Agreement", "compare", "compare_logarithms", "saturated"]

Array = npt.NDArray[Any]

#: Below this, differences are noise whatever their share.
_SMALLEST_SCALE = 1e-3
#: Probabilities below this have no logarithm worth comparing.
_SMALLEST_PROBABILITY = 1e-30


@dataclass(frozen=True)
class Agreement:
    """How well one output agrees: the worst error, as a share of ``scale``.

    ``scale`` is the largest magnitude that was expected. An error that is infinite stands for
    another shape, or for infinities and NaNs in other places.
    """

    output: str
    error: float
    scale: float

    def worse(self, other: Agreement) -> Agreement:
        """The one with the larger error; NaN is the largest."""
        if not self.scale and other.scale:
            return other
        return self if other.error <= self.error else other


def compare(name: str, expected: Array, found: Array) -> Agreement:
    """The agreement of an output called ``name``."""
    if expected.shape != found.shape:
        return Agreement(name, float("inf"), 0.0)
    if expected.dtype == object:
        same = np.array_equal(expected.astype(str), found.astype(str))
        return Agreement(name, 0.0 if same else float("inf"), 1.0)
    wanted, got = (np.asarray(x, np.float64) for x in (expected, found))
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], got[~finite], equal_nan=True):
        return Agreement(name, float("inf"), 0.0)
    wanted, got = wanted[finite], got[finite]
    scale = max(float(np.abs(wanted).max(initial=0.0)), _SMALLEST_SCALE)
    return Agreement(name, float(np.abs(wanted - got).max(initial=0.0)) / scale, scale)


def compare_logarithms(name: str, expected: Array, found: Array) -> Agreement:
    """The agreement of probabilities as logarithms: what went into a softmax, up to a constant."""
    wanted, got = (np.asarray(x, np.float64) for x in (expected, found))
    usable = (wanted > _SMALLEST_PROBABILITY) & (got > 0)
    if not usable.any():
        return Agreement(name, 0.0, 0.0)
    logs = np.log(wanted[usable])
    scale = max(float(np.abs(logs).max()), 1.0)
    return Agreement(name, float(np.abs(logs - np.log(got[usable])).max()) / scale, scale)


def saturated(probabilities: Array) -> bool:
    """Whether many probabilities are so near 0 or 1 that they say little of what made them."""
    x = np.asarray(probabilities, np.float64)
    return bool(x.size) and float(np.mean((x < 1e-6) | (x > 1 - 1e-6))) > 0.5
