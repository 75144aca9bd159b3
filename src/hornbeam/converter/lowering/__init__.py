"""From Keras's layers and operations to the graph's: one file a family, one function a layer."""

from __future__ import annotations

import importlib
import pkgutil

__all__ = ["load_all"]

_TOOLS = {"builder", "registry", "arguments"}


def load_all() -> None:
    """Import every family, so that its lowerings register themselves."""
    for module in pkgutil.iter_modules(__path__):
        if module.name not in _TOOLS:
            importlib.import_module(f"{__name__}.{module.name}")
