"""Layers that no format can hold: they are refused by name, with the reason."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.coverage import REFUSED
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.errors import UnsupportedLayerError

__all__: list[str] = []


def _register(name: str, reason: str) -> None:
    @lowers(f"layers.{name}")
    def refuse(b: Builder, *_: Any, **__: Any) -> Any:
        raise UnsupportedLayerError(
            f"Cannot convert '{b.path}' (keras.layers.{name})",
            reason[0].upper() + reason[1:],
            "Take it out of the model and do its work before, or write it with keras.ops",
        )


for _name, _reason in REFUSED.items():
    _register(_name, _reason)
