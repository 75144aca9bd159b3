"""Layers that do nothing at inference."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers

__all__: list[str] = []


@lowers(
    "layers.ActivityRegularization",
    "layers.AlphaDropout",
    "layers.Dropout",
    "layers.GaussianDropout",
    "layers.GaussianNoise",
    "layers.Identity",
    "layers.SpatialDropout1D",
    "layers.SpatialDropout2D",
    "layers.SpatialDropout3D",
    "ops.Copy",
    "ops.StopGradient",
)
def identity(_: Builder, __: Any, x: Any) -> Any:
    """The input as it is."""
    return x
