"""What was repaired, counted by kind, so that twelve equal repairs make one sentence."""

from __future__ import annotations

from typing import Any

__all__ = ["Config", "Ledger"]

Config = dict[str, Any]
"""A config as JSON gives it; everything in it is data, and none of it is trusted."""


class Ledger:
    """The repairs made on one model, and what they renamed.

    ``old_names`` maps a layer's new name to the one that the file's weights still use,
    ``old_classes`` a layer's name to the class that it had in the file.
    """

    def __init__(self) -> None:
        self._layers: dict[tuple[str, str], list[str]] = {}
        self.old_names: dict[str, str] = {}
        self.old_classes: dict[str, str] = {}

    def note(self, class_name: str, layer: str, done: str) -> None:
        """Record that ``done`` was done to the layer of that class and name."""
        self._layers.setdefault((class_name, done), []).append(layer)

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each kind of repair, in the order of their first use."""
        return tuple(
            f"{class_name} {layers[0]!r}{_more(len(layers) - 1)}: {done}"
            for (class_name, done), layers in self._layers.items()
        )


def _more(count: int) -> str:
    return f" (and {count} more)" if count else ""
