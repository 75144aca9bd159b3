"""Hornbeam carries a trained Keras model onto a device: convert, prove, run, measure.

The names below are imported when they are first used, so that a program which only
runs models never pays for the converter.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hornbeam.pipeline.convert import ConversionReport as ConversionReport
    from hornbeam.pipeline.convert import convert as convert
    from hornbeam.runtime.session import Session as Session
    from hornbeam.runtime.session import load as load

__version__ = "0.1.0"

_HOMES = {
    "ConversionReport": "hornbeam.pipeline.convert",
    "HornbeamError": "hornbeam.errors",
    "Session": "hornbeam.runtime.session",
    "convert": "hornbeam.pipeline.convert",
    "load": "hornbeam.runtime.session",
}

__all__ = ["ConversionReport", "HornbeamError", "Session", "__version__", "convert", "load"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hornbeam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
