"""Read the HDF5 files of Keras 1, 2 and 3: the config is an attribute, the weights are groups.

Each layer has a group of arrays. Keras 3 pairs groups and layers by their order alone; here
they are paired by name where the names agree, so that a layer whose place in the order changed
between versions still gets its own weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.converter.loading import keras_internals
from hornbeam.converter.loading.ledger import Config, Ledger
from hornbeam.converter.loading.messages import refusal

__all__ = ["LegacyFile", "open_legacy"]

_SAVE = "Save the whole model with model.save('model.keras')"
_MATCH = "The file is damaged, or its weights are of another model; save it again"

# A declared array far larger than its bytes on the disk is there to fill the memory.
_LARGE, _GROWTH = 1 << 28, 1000


@dataclass(frozen=True)
class LegacyFile:
    """An open HDF5 file: the model's config, the version that wrote it, and its weights."""

    config: Config
    keras_version: str
    _weights: Any
    _asked: str

    def load_weights(self, model: Any, ledger: Ledger) -> None:
        """Assign the file's weights to the model built from its config."""
        saved = {
            name: self._group(name)
            for name in _strings(self._weights, "layer_names")
            if _strings(self._group(name), "weight_names")
        }
        layers = [layer for layer in model.layers if keras_internals.owned_weights(layer)]
        for layer, name in self._pairs(layers, list(saved), ledger.old_names):
            self._assign(layer, keras_internals.owned_weights(layer), saved[name])
        if "top_level_model_weights" in self._weights:
            own = keras_internals.top_level_weights(model)
            self._assign(model, own, self._group("top_level_model_weights"))
        keras_internals.finalize_layers(model)

    def _group(self, name: str) -> Any:
        import h5py

        group = self._weights.get(name)
        if not isinstance(group, h5py.Group):
            raise refusal(self._asked, f"the weights of layer {name!r} are missing", _MATCH)
        return group

    def _pairs(
        self, layers: list[Any], saved: list[str], old_names: Mapping[str, str]
    ) -> list[tuple[Any, str]]:
        names = [old_names.get(layer.name, layer.name) for layer in layers]
        if len(names) != len(saved):
            extra = sorted(set(names) ^ set(saved))
            raise refusal(
                self._asked,
                f"the model has {len(names)} layers with weights, the file {len(saved)}"
                f" (they differ in {', '.join(extra[:3])})",
                _MATCH,
            )
        if set(names) == set(saved):
            return list(zip(layers, names, strict=True))
        return list(zip(layers, saved, strict=True))

    def _assign(self, layer: Any, variables: list[Any], group: Any) -> None:
        names = _strings(group, "weight_names")
        if len(names) != len(variables):
            raise refusal(
                self._asked,
                f"{layer.name!r} has {len(variables)} weights, the file {len(names)}",
                _MATCH,
            )
        for variable, name in zip(_in_order(layer, variables, names), names, strict=True):
            value = self._array(group, name)
            if tuple(value.shape) != tuple(variable.shape):
                raise refusal(
                    self._asked,
                    f"{variable.path} has the shape {tuple(variable.shape)}, "
                    f"in the file {tuple(value.shape)}",
                    _MATCH,
                )
            variable.assign(value)

    def _array(self, group: Any, name: str) -> Any:
        import h5py

        dataset = group.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise refusal(self._asked, f"the array {name!r} is missing", _MATCH)
        declared = int(np.prod(dataset.shape, dtype=np.int64)) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        outside = dataset.external or dataset.is_virtual
        if outside or (declared > _LARGE and declared > _GROWTH * stored):
            raise refusal(
                self._asked,
                f"the array {name!r} is not stored in the file as it claims",
                "Do not open this file; it reads other files or exhausts the memory",
            )
        return np.asarray(dataset[()])


@contextmanager
def open_legacy(path: Path) -> Iterator[LegacyFile]:
    """Open the HDF5 file at ``path`` while its model loads.

    Raises ``ModelLoadError`` where it holds no whole Keras model, and ``OSError`` where it is
    damaged.
    """
    import h5py

    asked = f"{path} was to be loaded as an HDF5 file"
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise refusal(asked, *_no_model(file))
        config = _decode(text, asked)
        weights = file.get("model_weights")
        if not isinstance(weights, h5py.Group):
            raise refusal(asked, "it holds a model without weights", _SAVE)
        version = file.attrs.get("keras_version", weights.attrs.get("keras_version", "1"))
        yield LegacyFile(config, _text(version), weights, asked)


def _no_model(file: Any) -> tuple[str, str]:
    of_weights = {"layers", "vars", "model_weights", "_layer_checkpoint_dependencies"}
    if "layer_names" in file.attrs or not of_weights.isdisjoint(file):
        return (
            "it holds weights only, without the model that they belong to",
            "Save the whole model with model.save(...), or build it in Python, load the weights "
            "into it, and convert the model object",
        )
    return "it is HDF5, but holds no Keras model", _SAVE


def _decode(text: Any, asked: str) -> Config:
    # Keras's own decoder asks for TensorFlow, and makes objects of what it finds.
    try:
        config = json.loads(_text(text), object_hook=_plain)
    except (ValueError, RecursionError) as error:
        raise refusal(asked, "its model_config is not JSON", _SAVE) from error
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise refusal(asked, "its model_config describes no model", _SAVE)
    if "config" not in config:
        raise refusal(asked, "its model_config describes no model", _SAVE)
    return config


def _plain(item: Config) -> Any:
    """Decode what Keras 2 wrote for Python's tuples and TensorFlow's shapes."""
    if item.get("class_name") in ("__tuple__", "TensorShape") and "items" in item:
        return item["items"]
    return item


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _strings(group: Any, name: str) -> list[str]:
    """Return an attribute that lists strings; HDF5 splits a long one into numbered parts."""
    if name in group.attrs:
        return [_text(item) for item in group.attrs[name]]
    parts: list[str] = []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(f"{name}{len(parts)}")
    return [_text(item) for part in parts for item in group.attrs[part]]


def _in_order(layer: Any, variables: list[Any], names: list[str]) -> list[Any]:
    """Return a nested model's variables in the order of the file's weight names.

    The names end in ``layer/weight:0``. Where these identify every variable they decide;
    elsewhere (names that Keras has counted anew) the order of the file does.
    """
    if not getattr(layer, "layers", None):
        return variables
    wanted = [tuple(name.split(":")[0].split("/")[-2:]) for name in names]
    have = {tuple(variable.path.split("/")[-2:]): variable for variable in variables}
    if len(have) == len(variables) and set(wanted) == set(have) and len(set(wanted)) == len(wanted):
        return [have[key] for key in wanted]
    return variables
