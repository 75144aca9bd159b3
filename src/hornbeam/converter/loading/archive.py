"""Read a .keras archive: a zip of ``config.json``, ``metadata.json`` and the weights."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbeam.converter.loading import keras_internals
from hornbeam.converter.loading.ledger import Config, Ledger
from hornbeam.converter.loading.messages import refusal

__all__ = ["Archive", "open_archive"]

_CONFIG, _METADATA = "config.json", "metadata.json"
_WEIGHTS = ("model.weights.h5", "model.weights.npz")
_SAVE = "Save the model again with model.save('model.keras')"

# Keras stores its members uncompressed, and deflate gains at most a factor of about a thousand:
# a large member that grows a hundredfold is there to fill the memory.
_LARGE, _GROWTH = 1 << 28, 100


@dataclass(frozen=True)
class Archive:
    """An open archive: the model's config, the version that wrote it, and its weights."""

    config: Config
    keras_version: str
    _zip: zipfile.ZipFile
    _weights: str

    def load_weights(self, model: Any, ledger: Ledger) -> None:
        """Assign the archive's weights to the model built from its config."""
        with keras_internals.class_names(model, ledger.old_classes):
            keras_internals.load_archive_weights(model, self._zip, self._weights)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the archive at ``path`` while its model loads.

    Raises ``ModelLoadError`` where it is no archive that Keras wrote. A damaged member raises
    ``zipfile.BadZipFile`` or ``zlib.error`` when it is read.
    """
    asked = f"{path} was to be loaded as a .keras archive"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        _refuse_bombs(archive, asked)
        if _CONFIG not in names:
            pickled = any(name.endswith("data.pkl") for name in names)
            found = "it is a PyTorch file" if pickled else f"it holds no {_CONFIG}"
            raise refusal(asked, found, _SAVE)
        weights = next((name for name in _WEIGHTS if name in names), None)
        if weights is None:
            raise refusal(asked, f"it holds no {_WEIGHTS[0]}", _SAVE)
        config = _json(archive, _CONFIG, asked)
        if not isinstance(config.get("class_name"), str) or "config" not in config:
            raise refusal(asked, f"its {_CONFIG} describes no model", _SAVE)
        metadata = _json(archive, _METADATA, asked) if _METADATA in names else {}
        yield Archive(config, str(metadata.get("keras_version", "3")), archive, weights)


def _json(archive: zipfile.ZipFile, name: str, asked: str) -> Config:
    try:
        value = json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise refusal(asked, f"its {name} is not JSON", _SAVE) from error
    if not isinstance(value, dict):
        raise refusal(asked, f"its {name} holds no object", _SAVE)
    return value


def _refuse_bombs(archive: zipfile.ZipFile, asked: str) -> None:
    for info in archive.infolist():
        if info.file_size > _LARGE and info.file_size > _GROWTH * info.compress_size:
            raise refusal(
                asked,
                f"its member {info.filename} would grow from {info.compress_size} bytes"
                f" to {info.file_size}",
                "Do not open this file; it was made to exhaust the memory",
            )
