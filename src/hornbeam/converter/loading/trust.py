"""Nothing in a model file runs as code, unless somebody said that it may.

:func:`check` reads the config before Keras does. It lets pass what is Keras's own and plain
data, and refuses Python functions stored as bytecode, Lambda layers, layers that run stored
programs, and every class or function from outside Keras, wherever it is nested. Keras's own
safe mode stays on behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hornbeam.converter.loading.ledger import Config
from hornbeam.errors import UntrustedCodeError

__all__ = ["check", "with_registered_names"]

_OWN_MODULES = (
    "activations",
    "applications",
    "constraints",
    "dtype_policies",
    "initializers",
    "layers",
    "mixed_precision",
    "models",
    "ops",
    "quantizers",
    "random",
    "regularizers",
    "src.constraints",
    "src.dtype_policies",
    "src.initializers",
    "src.layers",
    "src.models",
    "src.ops",
    "src.quantizers",
    "src.random",
    "src.regularizers",
)
"""Parts of Keras that hold what models are made of. Others write files or fetch from the net."""

_FUNCTIONS = ("activations", "constraints", "initializers", "ops", "regularizers", "src.ops")
"""Parts of Keras whose functions a config may name. ``keras.models.load_model`` is none."""

_RUNS_PROGRAMS = ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper")
"""Layers of Keras that run a program kept in the file or named in it."""

_DATA = (
    "__bytes__",
    "__ellipsis__",
    "__keras_tensor__",
    "__numpy__",
    "__slice__",
    "__tensor__",
    "__tuple__",
    "__typespec__",
    "CompositeTensor",
    "TensorShape",
    "TypeSpec",
)


def check(config: Config, source: str, custom_objects: Mapping[str, Any]) -> None:
    """Raise ``UntrustedCodeError`` if building the config would run code from outside Keras.

    Classes and functions in ``custom_objects`` are the caller's own, and pass. The error names
    the layer, what it would run, and how to allow it.
    """
    found = list(_suspects(config, "the model itself", custom_objects))
    if not found:
        return
    layer, what, name = found[0]
    others = len({where for where, _, _ in found} - {layer})
    more = f" (and {others} more)" if others else ""
    own = f", or pass custom_objects={{{name!r}: ...}} with your own code" if name else ""
    raise UntrustedCodeError(
        f"{source} was to be loaded without running code from it",
        f"{layer[:1].upper()}{layer[1:]}{more} {what}",
        f"If you trust the file, allow it with --trust (trust=True){own}",
    )


def with_registered_names(config: Any, custom_objects: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``custom_objects`` with the registered names added that the config uses.

    A class registered as ``package>Name`` is looked for under that name only; a caller who
    gave it as ``Name`` meant the same class.
    """
    found = dict(custom_objects)
    for item in _dicts(config):
        registered, name = item.get("registered_name"), item.get("class_name")
        if name == "function":
            name = item.get("config")
        if isinstance(registered, str) and isinstance(name, str) and registered not in found:
            short = registered.rsplit(">", maxsplit=1)[-1]
            for key in (name, short):
                if key in custom_objects:
                    found[registered] = custom_objects[key]
                    found.setdefault(name, custom_objects[key])
    return found


def _dicts(value: Any) -> Iterator[Config]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _dicts(item)


Suspect = tuple[str, str, str]
"""Where it is, what it would do, and the name under which custom_objects could hold it."""


def _suspects(value: Any, where: str, known: Mapping[str, Any]) -> Iterator[Suspect]:
    if isinstance(value, dict):
        where = _whereabouts(value, where)
        if isinstance(value.get("class_name"), str) and "config" in value:
            yield from _judge(value, where, known)
        for key, item in value.items():
            if key.endswith("activation") and isinstance(item, str) and not _builtin(item):
                if item not in known:
                    yield where, f"uses the custom function {item!r}", item
            else:
                yield from _suspects(item, where, known)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _suspects(item, where, known)


def _whereabouts(item: Config, where: str) -> str:
    """Name the layer that a dict describes, or keep the one that it is part of."""
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    class_name = item.get("class_name")
    if isinstance(name, str) and isinstance(class_name, str) and isinstance(config, dict):
        return f"layer {name!r} ({class_name})"
    return where


def _judge(item: Config, where: str, known: Mapping[str, Any]) -> Iterator[Suspect]:
    class_name = item["class_name"]
    if class_name == "__lambda__":
        yield where, "holds a Python function as bytecode", ""
    elif class_name == "function":
        yield from _judge_function(item, where, known)
    elif class_name in known or item.get("registered_name") in known or class_name in _DATA:
        return
    elif class_name == "Lambda":
        yield from _judge_lambda(item["config"], where, known)
    elif class_name in _RUNS_PROGRAMS:
        yield where, f"runs a stored program ({class_name})", ""
    elif not _own_class(item):
        module = item.get("module")
        origin = f" from {module}" if module else ""
        yield where, f"is of the custom class {class_name!r}{origin}", class_name


def _judge_function(item: Config, where: str, known: Mapping[str, Any]) -> Iterator[Suspect]:
    name, module = str(item.get("config")), item.get("module")
    if name in known or item.get("registered_name") in known:
        return
    if module in (None, "builtins"):
        if _builtin(name):
            return
    elif _own_module(str(module), _FUNCTIONS) and item.get("registered_name") in (None, name):
        return
    origin = f" from {module}" if module not in (None, "builtins") else ""
    yield where, f"uses the custom function {name!r}{origin}", name


def _judge_lambda(config: Any, where: str, known: Mapping[str, Any]) -> Iterator[Suspect]:
    """Let a Lambda pass only if it does nothing but name a function of the caller's."""
    function = config.get("function") if isinstance(config, dict) else None
    name = function.get("config") if isinstance(function, dict) else function
    if isinstance(name, str) and name in known:
        return
    if isinstance(name, str):
        yield where, f"calls the Python function {name!r}", name
    else:
        yield where, "holds a Python function as bytecode", ""


def _own_class(item: Config) -> bool:
    module, class_name = item.get("module"), item["class_name"]
    registered = item.get("registered_name")
    if registered not in (None, "", class_name):
        return False
    if module is None:
        return "module" not in item and _builtin(class_name, classes=True)
    if module == "keras":
        return _builtin(class_name, classes=True)
    return _own_module(str(module), _OWN_MODULES) and not _own_function(str(module), class_name)


def _own_module(module: str, allowed: tuple[str, ...]) -> bool:
    head, _, rest = module.partition(".")
    return head == "keras" and any(rest == own or rest.startswith(own + ".") for own in allowed)


def _own_function(module: str, name: str) -> bool:
    """Tell whether what a config calls a class is one of Keras's functions."""
    found = getattr(sys.modules.get(module), name, None)
    return found is not None and not isinstance(found, type)


def _builtin(name: str, *, classes: bool = False) -> bool:
    """Tell whether Keras itself has an activation, or a class, of that name."""
    import keras

    if not classes:
        return hasattr(keras.activations, name) or hasattr(keras.ops, name)
    if name in ("DTypePolicy", "Functional", "Model", "Sequential"):
        return True
    return any(
        isinstance(getattr(place, name, None), type)
        for place in (
            keras.layers,
            keras.initializers,
            keras.regularizers,
            keras.constraints,
            keras.dtype_policies,
        )
    )
