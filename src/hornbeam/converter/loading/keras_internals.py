"""The only room that touches Keras's private loading functions.

Keras creates every variable with its initializer's values, which the weights of the file then
overwrite. Under JAX each random initializer is compiled for its shape, and so is each plain
conversion of an array: MobileNetV2 takes ten CPU-seconds to load for half a second of work.
:func:`light_variables` therefore hands zeros to ``Layer.add_weight`` and host arrays to
``Variable.assign`` while a model loads, and knows afterwards which variables were assigned.
Written against Keras 3.13, 3.14 and 3.15.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from hornbeam.converter.loading.member import open_member

__all__ = [
    "VariableRecord",
    "class_names",
    "finalize_layers",
    "light_variables",
    "load_archive_weights",
    "model_from_config",
    "operation_module",
    "owned_weights",
    "top_level_weights",
]

Config = dict[str, Any]

_loading = threading.RLock()


class VariableRecord:
    """Which variables were created while a model loaded, and which received a value."""

    def __init__(self) -> None:
        self._created: dict[int, tuple[Any, Any]] = {}
        self._assigned: set[int] = set()

    def created(self, variable: Any, initializer: Any) -> None:
        """Note a variable that was given zeros in place of ``initializer``."""
        self._created[id(variable)] = (variable, initializer)

    def assigned(self, variable: Any) -> None:
        """Note a variable that received a value."""
        self._assigned.add(id(variable))

    def settle(self, model: Any) -> list[str]:
        """Return the paths of the model's weights that the file gave no value.

        State that files do not hold (a metric's, a seed's) gets what its initializer gives.
        """
        weights = {id(weight) for weight in model.weights}
        missing = []
        for key, (variable, initializer) in self._created.items():
            if key in self._assigned:
                continue
            if key in weights:
                missing.append(str(variable.path))
            else:
                variable.assign(_initial_value(variable, initializer))
        return missing


def _initial_value(variable: Any, initializer: Any) -> Any:
    import keras

    if initializer is None:
        floating = "float" in variable.dtype
        initializer = "glorot_uniform" if floating else "zeros"  # as add_weight chooses
    return keras.initializers.get(initializer)(variable.shape, dtype=variable.dtype)


@contextlib.contextmanager
def light_variables() -> Iterator[VariableRecord]:
    """Create variables as zeros, and assign host arrays without compiling, in this thread.

    Everything is put back on leaving, also after an error. One model loads at a time; layers
    that other threads build meanwhile are not touched.
    """
    import keras

    record = VariableRecord()
    me = threading.get_ident()
    immutable = keras.backend.backend() == "jax"
    on_device = _on_device()

    with _loading:
        add_weight, assign = keras.layers.Layer.add_weight, keras.Variable.assign

        @functools.cache
        def shared_zeros(shape: tuple[int, ...], dtype: str) -> Any:
            return on_device(np.zeros(shape, dtype))

        def zeros(shape: Any, dtype: Any = None) -> Any:
            # JAX arrays are immutable, so variables of one shape can start from the same one.
            if immutable:
                return shared_zeros(tuple(shape), str(dtype))
            return np.zeros(shape, dtype)

        def light_add_weight(
            self: Any, shape: Any = None, initializer: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            if threading.get_ident() != me:
                return add_weight(self, shape, initializer, *args, **kwargs)
            variable = add_weight(self, shape, zeros, *args, **kwargs)
            record.created(variable, initializer)
            return variable

        def light_assign(self: Any, value: Any) -> Any:
            if threading.get_ident() != me:
                return assign(self, value)
            if _is_host_array(value):
                dtype = keras.backend.standardize_dtype(self.dtype)
                value = on_device(np.asarray(value, dtype=dtype))
            result = assign(self, value)
            record.assigned(self)
            return result

        with (
            _patched(keras.layers.Layer, "add_weight", light_add_weight),
            _patched(keras.Variable, "assign", light_assign),
        ):
            yield record


@contextlib.contextmanager
def _patched(owner: type, name: str, replacement: Any) -> Iterator[None]:
    own = owner.__dict__.get(name)  # None where the method is inherited
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _on_device() -> Callable[[Any], Any]:
    """Return what turns a host array into what the backend's variables hold.

    ``jax.device_put`` moves bytes; ``jnp.asarray``, which Keras uses, compiles a copy for each
    new shape. The other backends take numpy arrays as they are.
    """
    import keras

    if keras.backend.backend() != "jax":
        return lambda array: array
    import jax

    return lambda array: jax.device_put(array)


def _is_host_array(value: Any) -> bool:
    import h5py

    return isinstance(value, (np.ndarray, np.generic, h5py.Dataset))


def model_from_config(config: Config, custom_objects: Mapping[str, Any], *, trust: bool) -> Any:
    """Build the model that ``config`` describes, its variables still without values.

    Configs of Keras 3 name the module of each class; older ones do not, and go Keras's old
    way. Safe mode is on unless ``trust``. Raises whatever Keras raises.
    """
    import keras
    from keras.src.legacy.saving import saving_options, saving_utils
    from keras.src.saving import serialization_lib

    with contextlib.ExitStack() as stack:
        stack.enter_context(_muted())
        stack.enter_context(_without_tensorflow())
        stack.enter_context(serialization_lib.SafeModeScope(not trust))
        stack.enter_context(keras.saving.custom_object_scope(dict(custom_objects)))
        if "module" in config:
            stack.enter_context(serialization_lib.ObjectSharingScope())
            return keras.saving.deserialize_keras_object(
                config, custom_objects=dict(custom_objects), safe_mode=not trust
            )
        stack.enter_context(saving_options.keras_option_scope(use_legacy_config=True))
        return saving_utils.model_from_config(config, custom_objects=dict(custom_objects))


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Keep Keras's advice on how to write layers from people who only read a file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"keras\.")
        yield


@contextlib.contextmanager
def _without_tensorflow() -> Iterator[None]:
    """Answer Keras's questions whether TensorFlow is there without importing it to find out.

    Keras asks while it serializes, as Bidirectional does with its layer. Where TensorFlow is
    imported already, or is the backend, the answer stays true.
    """
    from keras.src.utils import module_utils

    lazy = module_utils.tensorflow
    unknown = getattr(lazy, "_available", False) is None and "tensorflow" not in sys.modules
    if unknown:
        lazy._available = False
    try:
        yield
    finally:
        if unknown:
            lazy._available = None


def operation_module(class_name: str) -> str | None:
    """Return the module of Keras that defines the operation of that class name, if one does."""
    import keras
    from keras.src import ops

    for place in ("core", "image", "linalg", "math", "nn", "numpy"):
        found = getattr(getattr(ops, place, None), class_name, None)
        if isinstance(found, type) and issubclass(found, keras.Operation):
            return str(found.__module__)
    return None


def load_archive_weights(model: Any, archive: zipfile.ZipFile, member: str) -> None:
    """Assign to ``model`` the weights in ``member`` of an open .keras archive.

    Raises ``ValueError`` naming the layers that could not be loaded, or whatever h5py and
    zipfile raise.
    """
    from keras.src.saving import saving_lib

    if member.endswith(".npz"):
        store = saving_lib.NpzIOStore(member, archive, mode="r")
    else:
        store = saving_lib.H5IOStore(open_member(archive, member), mode="r")
    assets = None
    errors: dict[int, tuple[Any, Exception]] = {}
    try:
        if any(name.startswith("assets/") for name in archive.namelist()):
            assets = saving_lib.DiskIOStore("assets", archive=archive, mode="r")
        with _muted(), _without_tensorflow():
            saving_lib._load_state(
                model,
                weights_store=store,
                assets_store=assets,
                inner_path="",
                visited_saveables=set(),
                failed_saveables=set(),
                error_msgs=errors,
            )
    finally:
        store.close()
        if assets is not None:
            assets.close()
    for saveable, error in errors.values():
        name = getattr(saveable, "name", type(saveable).__name__)
        raise ValueError(f"{type(saveable).__name__} {name!r}: {error}") from error


def owned_weights(layer: Any) -> list[Any]:
    """Return a layer's variables in the order in which HDF5 files hold them."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def top_level_weights(model: Any) -> list[Any]:
    """Return the variables that a model made itself, outside its layers, in HDF5 order."""
    kept = {id(weight) for weight in model.weights}
    own = [*model._trainable_variables, *model._non_trainable_variables]
    return [variable for variable in own if id(variable) in kept]


def finalize_layers(model: Any) -> None:
    """Let the layers that derive state from their weights (Normalization) derive it."""
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()


@contextlib.contextmanager
def class_names(model: Any, names: Mapping[str, str]) -> Iterator[None]:
    """Give some layers, by layer name, the class name that they had when they were saved.

    Archives address a layer's weights by the name of its class, so a class that was replaced
    has to answer to its old name while they load.
    """
    touched = []
    try:
        for layer in model._flatten_layers() if names else ():
            if layer.name in names:
                current = type(layer)
                layer.__class__ = type(names[layer.name], (current,), {})
                touched.append((layer, current))
        yield
    finally:
        for layer, current in touched:
            layer.__class__ = current
