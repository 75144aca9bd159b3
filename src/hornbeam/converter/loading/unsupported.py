"""Layers that this way cannot load at all, said before Keras stumbles over them."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.loading.messages import refusal

__all__ = ["UNSUPPORTED", "refuse"]

_GONE = "which Keras 3 no longer has"
_FEATURES = "which works on TensorFlow feature columns only"
_NEEDS_TENSORFLOW = "which cannot be loaded without TensorFlow yet"
_REBUILD = "Rebuild that part of the model with layers of Keras 3, and save it again"
_CUT = "Convert the model from behind that layer, and do its work before calling it"

UNSUPPORTED: dict[str, tuple[str, str]] = {
    "CuDNNGRU": (_GONE, _REBUILD),
    "CuDNNLSTM": (_GONE, _REBUILD),
    "DenseFeatures": (_FEATURES, _REBUILD),
    "HashedCrossing": (_NEEDS_TENSORFLOW, _CUT),
    "Hashing": (_NEEDS_TENSORFLOW, _CUT),
    "IntegerLookup": (_NEEDS_TENSORFLOW, _CUT),
    "LocallyConnected1D": (_GONE, _REBUILD),
    "LocallyConnected2D": (_GONE, _REBUILD),
    "RandomHeight": (_GONE, _REBUILD),
    "RandomWidth": (_GONE, _REBUILD),
    "SequenceFeatures": (_FEATURES, _REBUILD),
    "StringLookup": (_NEEDS_TENSORFLOW, _CUT),
    "TensorFlowOpLayer": ("a raw operation as TensorFlow 2.0 to 2.3 saved it", _REBUILD),
    "TextVectorization": (_NEEDS_TENSORFLOW, _CUT),
    "ThresholdedReLU": (_GONE, _REBUILD),
}
"""By class name: why, and what to do."""


def refuse(value: Any, source: str) -> None:
    """Raise ``ModelLoadError`` for the first such layer in a config, however deep it lies."""
    if isinstance(value, dict):
        class_name, config = value.get("class_name"), value.get("config")
        if isinstance(class_name, str) and class_name in UNSUPPORTED and isinstance(config, dict):
            name = value.get("name") or config.get("name") or class_name
            why, advice = UNSUPPORTED[class_name]
            raise refusal(
                f"{source} was to be loaded", f"layer {name!r} is a {class_name}, {why}", advice
            )
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            refuse(item, source)
