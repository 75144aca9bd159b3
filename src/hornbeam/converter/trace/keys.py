"""Names for Keras objects: under which key of the registry a layer, operation or function falls."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras

__all__ = ["key_of", "layer_key"]

#: What a subclass may define and still compute what its Keras parent computes.
_HARMLESS = {
    "__init__", "build", "build_from_config", "compute_mask", "compute_output_shape",
    "compute_output_spec", "from_config", "get_build_config", "get_config", "load_own_variables",
    "save_own_variables", "__module__", "__qualname__", "__doc__", "__firstlineno__",
    "__static_attributes__", "__annotations__", "__classcell__",
}  # fmt: skip


def layer_key(layer: Any) -> str:
    """``layers.Dense`` for a Dense layer or a subclass that leaves its computation alone."""
    for cls in type(layer).__mro__:
        if _is_keras(cls):
            return f"layers.{cls.__name__}"
        if not _HARMLESS.issuperset(vars(cls)):
            break
    return f"custom.{type(layer).__name__}"


def key_of(thing: Any) -> str:
    """The registry's key of an operation (by class) or of an activation (by identity)."""
    if isinstance(thing, keras.Layer):
        return layer_key(thing)
    if isinstance(thing, keras.Operation):
        kind = "ops" if _is_keras(type(thing)) else "custom"
        return f"{kind}.{type(thing).__name__}"
    return _activations().get(id(thing), f"custom.{getattr(thing, '__name__', repr(thing))}")


def _is_keras(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "keras"


@cache
def _activations() -> dict[int, str]:
    functions = {
        name: getattr(keras.activations, name)
        for name in sorted(dir(keras.activations))
        if name not in ("get", "serialize", "deserialize")
    }
    return {
        id(function): f"activations.{function.__name__}"
        for function in functions.values()
        if callable(function)
    }
