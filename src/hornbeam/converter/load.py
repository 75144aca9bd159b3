"""From a file, or a model object, to a Keras model that can be traced.

Files of Keras 1, 2 and 3 are read: what older versions wrote differently is repaired in the
config, before Keras sees it, and every repair is reported. Nothing in a file runs as code unless
the caller says that it may. Weights are read once, into arrays; no initializer runs.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbeam.converter.loading import keras_internals, repairs, unsupported
from hornbeam.converter.loading import trust as trust_room
from hornbeam.converter.loading.archive import Archive, open_archive
from hornbeam.converter.loading.backend import ensure_backend
from hornbeam.converter.loading.files import FileKind, identify
from hornbeam.converter.loading.functions import legacy_objects
from hornbeam.converter.loading.legacy import LegacyFile, open_legacy
from hornbeam.converter.loading.messages import refusal, summary

__all__ = ["LoadedModel", "ensure_backend", "load"]

_log = logging.getLogger("hornbeam")

# What zipfile, h5py, json and Keras raise for files that are damaged or that they do not
# understand. Keras checks little: a wrong config surfaces as any of the built-in errors.
_COMPLAINTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class LoadedModel:
    """A built Keras model, what was repaired to load it, and where it came from.

    ``repairs`` has one sentence for each kind of repair; ``source`` is the file's name, or the
    class of a model object, for use in messages.
    """

    model: Any
    repairs: tuple[str, ...]
    source: str


def load(
    source: str | os.PathLike[str] | Any,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> LoadedModel:
    """Load a Keras model from ``source``, a path or a model object.

    A path leads to a .keras, .h5 or .hdf5 file of Keras 1, 2 or 3. A model or layer object is
    returned as it is. ``custom_objects`` holds the caller's classes and functions by name;
    ``trust`` allows code in the file to run. Raises ``ModelLoadError`` for a file that cannot
    be loaded, ``UntrustedCodeError`` for one that would run code without leave. Keras's own
    state is the same afterwards, whatever happens.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _from_object(source)
    path = Path(source)
    kind, mislabelled = identify(path)
    ensure_backend()
    opened: AbstractContextManager[Archive | LegacyFile] = (
        open_archive(path) if kind is FileKind.ARCHIVE else open_legacy(path)
    )
    try:
        with opened as file:
            model, done = _build(file, path.name, custom_objects or {}, trust=trust)
    except RecursionError as error:
        raise refusal(
            f"{path} was to be loaded", "its config is nested without end", _AGAIN
        ) from error
    except _COMPLAINTS as error:
        raise refusal(
            f"{path} was to be loaded as {kind.value}", _complaint(error), _AGAIN
        ) from error
    repaired = (*([mislabelled] if mislabelled else []), *done)
    for repair in repaired:
        _log.info("repaired: %s", repair)
    return LoadedModel(model, repaired, path.name)


_AGAIN = (
    "Check that the file is whole and that the installed Keras is at least as new as the one "
    "that wrote it; else save the model again with model.save('model.keras')"
)


def _build(
    file: Archive | LegacyFile, source: str, custom_objects: Mapping[str, Any], *, trust: bool
) -> tuple[Any, tuple[str, ...]]:
    config = file.config
    _forget_training(config)
    ledger = repairs.repair(config, source, file.keras_version)
    unsupported.refuse(config, source)
    known = {**legacy_objects(), **custom_objects}
    if not trust:
        trust_room.check(config, source, known)
    known = trust_room.with_registered_names(config, known)
    with keras_internals.light_variables() as record:
        model = keras_internals.model_from_config(config, known, trust=trust)
        if not hasattr(model, "weights") or not hasattr(model, "layers"):
            raise refusal(
                f"{source} was to be loaded",
                f"it holds a {type(model).__name__}, not a model",
                "Save a keras.Model",
            )
        file.load_weights(model, ledger)
        missing = record.settle(model)
    if missing:
        raise refusal(
            f"{source} was to be loaded",
            f"it holds no values for {len(missing)} of the model's weights, such as {missing[0]}",
            "Save the model again with the Keras that is installed",
        )
    return model, ledger.sentences()


def _forget_training(value: Any) -> None:
    """Drop how the model was trained: old losses and optimizers are what fails to load most."""
    if isinstance(value, dict):
        value.pop("compile_config", None)
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _forget_training(item)


def _complaint(error: BaseException) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return f"the archive is damaged ({summary(error)})"
    if isinstance(error, OSError):
        return f"the file is damaged or incomplete ({summary(error)})"
    return f"Keras could not read it: {summary(error)}"


def _from_object(source: Any) -> LoadedModel:
    if "keras" in sys.modules:
        import keras

        if isinstance(source, (keras.Model, keras.layers.Layer)):
            return LoadedModel(source, (), type(source).__name__)
    kind = f"{type(source).__module__}.{type(source).__qualname__}"
    raise refusal(
        "A Keras model, or the path of one, was to be loaded",
        f"the argument is a {kind}",
        "Give the path of a .keras or .h5 file, or a keras.Model of Keras 3",
    )
