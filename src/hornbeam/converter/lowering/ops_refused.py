"""Operations that no format can carry: asked for, they say why."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.coverage_ops import REFUSED, REFUSED_IMAGES, Refusal
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.errors import UnsupportedLayerError

__all__: list[str] = []


def _refuse(name: str, refusal: Refusal) -> None:
    parts = refusal.reason.partition("; ")
    reason, advice = (part[:1].upper() + part[1:] for part in parts[::2])

    @lowers(f"ops.{refusal.operation}")
    def lower(b: Builder, _: Any, *__: Any, **___: Any) -> Any:
        raise UnsupportedLayerError(
            f"Cannot convert keras.ops.{name} in '{b.path or 'the model'}'", reason, advice
        )


for _name, _refusal in {**REFUSED, **{f"image.{n}": r for n, r in REFUSED_IMAGES.items()}}.items():
    _refuse(_name, _refusal)
