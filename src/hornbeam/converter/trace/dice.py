"""Random numbers while a ``call`` is recorded: refused, or constants where their seed is a number.

A function of ``keras.random`` that runs while recording would leave its numbers in the file, the
same for every run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

from hornbeam.converter.coverage_ops import RANDOM

__all__ = ["no_dice"]


@contextmanager
def no_dice() -> Iterator[None]:
    """Let ``keras.random`` refuse what is random."""
    names = [name for name, thing in vars(keras.random).items() if inspect.isfunction(thing)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_refusing(name))
        yield


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    plain = getattr(keras.random, name)
    homes = [home for home in (keras.random, keras.src.random)
             if getattr(home, name, None) is plain]  # fmt: skip
    for home in homes:
        setattr(home, name, _unless_constant(plain, name))
    try:
        yield
    finally:
        for home in homes:
            setattr(home, name, plain)


def _unless_constant(plain: Callable[..., Any], name: str) -> Callable[..., Any]:
    signature = inspect.signature(plain)

    def draw(*args: Any, **kwargs: Any) -> Any:
        seed = signature.bind(*args, **kwargs).arguments.get("seed")
        leaves = keras.tree.flatten((args, kwargs))
        symbolic = any(isinstance(leaf, keras.KerasTensor) for leaf in leaves)
        if symbolic or not isinstance(seed, int):
            raise ValueError(f"keras.random.{name}: {RANDOM}")
        return plain(*args, **kwargs)

    return draw
