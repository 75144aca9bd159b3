"""Which Keras backend to load with: the user's choice, or one that is installed.

A Keras model means the same under JAX, TensorFlow and torch, so any of them serves. JAX comes
first because it is the lightest to import. Keras reads its backend once, on its first import:
everything in the converter that imports Keras calls :func:`ensure_backend` before.
"""

from __future__ import annotations

import importlib.util
import os
import sys

from hornbeam.converter.loading.messages import refusal

__all__ = ["ensure_backend"]

PREFERRED = ("jax", "tensorflow", "torch")
"""Backends that are looked for, in this order, when nobody chose one."""

_ASKED = "Loading a Keras model needs Keras and one of its backends"
_ADVICE = "Install both with: pip install 'hornbeam[convert]'"


def ensure_backend() -> str:
    """Return the name of the Keras backend in use, choosing one if that is still open.

    Sets ``KERAS_BACKEND`` only where it is unset and Keras is not imported yet; nothing that
    the user set in the environment is overridden. Where JAX is chosen here, it is kept on the
    CPU: loading and tracing do no arithmetic worth an accelerator, and JAX would otherwise
    reserve most of its memory, or warn that it cannot. Raises ``ModelLoadError`` when Keras or
    every backend is missing.
    """
    if "keras" in sys.modules:
        import keras

        return str(keras.backend.backend())
    if not _installed("keras"):
        raise refusal(_ASKED, "Keras is not installed", _ADVICE)
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        if not _installed(chosen):
            raise refusal(
                _ASKED,
                f"KERAS_BACKEND is set to {chosen!r}, which is not installed",
                f"Install it with: pip install {chosen}, or unset KERAS_BACKEND",
            )
        return chosen
    for name in PREFERRED:
        if _installed(name):
            os.environ["KERAS_BACKEND"] = name
            _keep_quiet(name)
            return name
    raise refusal(_ASKED, f"none of {', '.join(PREFERRED)} is installed", _ADVICE)


def _installed(name: str) -> bool:
    # find_spec looks the module up without running it; a name blocked by a None in
    # sys.modules, or with a broken spec, raises ValueError.
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _keep_quiet(name: str) -> None:
    if name in sys.modules:
        return  # already configured by whoever imported it
    if name == "jax":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    elif name == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
