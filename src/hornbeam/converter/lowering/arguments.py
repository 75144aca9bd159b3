"""Keras's manners of giving arguments, made plain: axes, windows, paddings, dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["axes_of", "float_result", "pairs", "spread"]


def spread(argument: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One number for every spatial axis, where only one was given."""
    if isinstance(argument, int):
        return (argument,) * rank
    numbers = tuple(int(number) for number in argument)
    return numbers * rank if len(numbers) == 1 else numbers


def pairs(argument: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each of ``rank`` axes, from a number, a pair, or pairs."""
    if isinstance(argument, int):
        return ((argument, argument),) * rank
    items = list(argument)
    if rank == 1 and len(items) == 2 and all(isinstance(item, int) for item in items):
        return ((items[0], items[1]),)
    return tuple((i, i) if isinstance(i, int) else (int(i[0]), int(i[1])) for i in items)


def axes_of(argument: Any, rank: int) -> tuple[int, ...]:
    """Ascending axes, none negative, from None (all), a number or a sequence."""
    if argument is None:
        return tuple(range(rank))
    listed = [argument] if isinstance(argument, int) else list(argument)
    return tuple(sorted({int(axis) % rank for axis in listed}))


def float_result(dtype: str) -> str:
    """The dtype of a mean, an exponential, a division: floats stay, everything else is float32."""
    return dtype if dtype.startswith(("float", "bfloat")) else "float32"
