"""Layers that go past ``keras.ops``, made to use it while their ``call`` is recorded.

Preprocessing layers speak to ``self.backend``, so that they also run inside a data pipeline of
another framework, and quantized layers hide their arithmetic in ``ops.custom_gradient``. Neither
takes a `KerasTensor`; the same functions of ``keras.ops`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.utils.backend_utils import DynamicBackend

__all__ = ["portable", "replaced", "tensors_take_over"]


@contextmanager
def portable(layer: Any) -> Iterator[None]:
    """Let ``layer``, and the layers inside it, be written in ``keras.ops`` for a while."""
    spoken = [
        inner
        for inner in layer._flatten_layers()
        if isinstance(vars(inner).get("backend"), DynamicBackend)
    ]
    before = [vars(inner)["backend"] for inner in spoken]
    for inner in spoken:
        # Past Keras's __setattr__, which would track it.
        vars(inner)["backend"] = _KerasOps()
    try:
        with replaced("custom_gradient", _forward_only(keras.ops.custom_gradient)):
            yield
    finally:
        for inner, backend in zip(spoken, before, strict=True):
            vars(inner)["backend"] = backend


@contextmanager
def tensors_take_over() -> Iterator[None]:
    """Let ``array - tensor`` be a recorded operation, as ``tensor - array`` is.

    A `KerasTensor` refuses to become an array, by an error; without the methods that raise it, an
    array on the left gives way to the operators of the `KerasTensor` on the right. It also has no
    ``==`` of its own, so that ``tensor == 0`` would be False.
    """
    cls = keras.KerasTensor
    refusals = {
        name: vars(cls)[name] for name in ("__jax_array__", "__tf_tensor__") if name in vars(cls)
    }
    for name in refusals:
        delattr(cls, name)
    equality = cls.__eq__
    cls.__array_ufunc__ = None
    cls.__eq__ = _equal
    try:
        yield
    finally:
        del cls.__array_ufunc__
        cls.__eq__ = equality
        for name, method in refusals.items():
            setattr(cls, name, method)


def _equal(tensor: Any, other: Any) -> Any:
    if other is None or isinstance(other, (str, type)):
        return NotImplemented
    return tensor is other or keras.ops.equal(tensor, other)


@contextmanager
def replaced(name: str, function: Any) -> Iterator[None]:
    """Another function in the place of ``keras.ops.<name>``, wherever Keras keeps it."""
    plain = getattr(keras.ops, name)
    homes = [
        home
        for home in (
            keras.ops, keras.ops.numpy, keras.src.ops, keras.src.ops.numpy, keras.src.ops.core
        )
        if getattr(home, name, None) is plain
    ]  # fmt: skip
    for home in homes:
        setattr(home, name, function)
    try:
        yield
    finally:
        for home in homes:
            setattr(home, name, plain)


class _KerasOps:
    """``keras.ops`` under the names by which a layer reaches its backend's functions."""

    __name__ = "keras.ops"

    def __init__(self) -> None:
        self.name = self._backend = keras.backend.backend()

    def __getattr__(self, name: str) -> Any:
        if name in ("numpy", "nn", "core", "math", "linalg"):
            return keras.ops
        if name == "random":
            return keras.random
        return getattr(keras.ops, name)

    def set_backend(self, backend: str) -> None:
        """Nothing: what is recorded belongs to no backend."""

    def reset(self) -> None:
        """Nothing, likewise."""


def _forward_only(plain: Callable[..., Any]) -> Callable[..., Any]:
    """``ops.custom_gradient``, leaving the gradient out where tensors are symbolic."""

    def custom_gradient(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves = keras.tree.flatten((args, kwargs))
            if any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
                return function(*args, **kwargs)[0]
            return plain(function)(*args, **kwargs)

        return call

    return custom_gradient
