"""Free sizes while Python code runs: stand-in numbers, and the way back from numbers to symbols.

``ops.shape`` must give numbers while a ``call`` is recorded, so each free size gets a stand-in, and
the recording is made twice with different stand-ins. A number that is the same in both is a number;
one that moves is a size, and `Sizes.solve` finds which.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, count

from hornbeam.graph import Dim, Shape
from hornbeam.graph.dims import ceil_div, evaluate, symbol

__all__ = ["Sizes", "UnknownSizeError"]

# A prime and a number with many divisors, so that "half of it, and one more" is not "half of it,
# rounded up" in both; with different gaps, so that the difference alone tells the symbols apart.
# Large enough for a picture to survive five halvings, small enough for constants of that size.
_BATCH = (5, 11)
_OTHERS = ((163, 192), (211, 264), (223, 288), (229, 312), (239, 336), (241, 360))


#: What may be left over of a size that is a multiple of another: windows are not larger.
_LARGEST_OFFSET = 64
#: What a size is divided by, where something is added, too: strides are not larger.
_LARGEST_DIVISOR = 8


class UnknownSizeError(ValueError):
    """A number that depends on free sizes in a way that is not understood."""


class Sizes:
    """The stand-ins of a model's free sizes, in two assignments."""

    def __init__(self, names: Iterable[str]) -> None:
        # Models with more free sizes than that get numbers that are merely different.
        others = chain(_OTHERS, ((257 + 6 * i, 384 + 24 * i) for i in count()))
        pairs = {name: _BATCH if name == "batch" else next(others) for name in names}
        self.assignments: tuple[Mapping[str, int], Mapping[str, int]] = (
            {name: pair[0] for name, pair in pairs.items()},
            {name: pair[1] for name, pair in pairs.items()},
        )
        self._known: dict[tuple[int, int], Dim] = {}
        self.learn(symbol(name) for name in pairs)

    def numbers(self, dim: Dim) -> tuple[int, int]:
        """The stand-ins of a size under both assignments."""
        first, second = self.assignments
        return evaluate(dim, first), evaluate(dim, second)

    def shape(self, shape: Shape, which: int) -> tuple[int, ...]:
        """A shape with stand-ins for its free sizes."""
        return tuple(evaluate(dim, self.assignments[which]) for dim in shape)

    def moves(self, number: int, which: int) -> bool:
        """Whether a number that a function uses is, or is next to, the stand-in of a free size."""
        return number > 100 and any(abs(pair[which] - number) <= 1 for pair in self._known)

    def learn(self, dims: Iterable[Dim]) -> None:
        """Remember sizes that occur in the graph: numbers that move are most likely these."""
        for dim in dims:
            if not isinstance(dim, int):
                self._known.setdefault(self.numbers(dim), dim)

    def solve(self, pair: tuple[int, int]) -> Dim:
        """The size that has the value ``pair`` under the two assignments, simplest first."""
        if pair[0] == pair[1]:
            return pair[0]
        if pair in self._known:
            return self._known[pair]
        finders = (
            self._multiple, self._shifted, self._part, self._part_and_more, self._combined,
            self._line,
        )  # fmt: skip
        for find in finders:
            dim = find(pair)
            if dim is not None:
                self.learn([dim])
                return dim
        raise UnknownSizeError(
            f"a size of {pair[0]} for {dict(self.assignments[0])} and of {pair[1]} for "
            f"{dict(self.assignments[1])}"
        )

    def _multiple(self, pair: tuple[int, int]) -> Dim | None:
        for (a, b), dim in self._known.items():
            if a and pair[0] % a == 0 and pair[0] * b == pair[1] * a:
                return dim * (pair[0] // a)
        return None

    def _shifted(self, pair: tuple[int, int]) -> Dim | None:
        for (a, b), dim in self._known.items():
            if pair[0] - a == pair[1] - b:
                return dim + (pair[0] - a)
        return None

    def _part(self, pair: tuple[int, int]) -> Dim | None:
        for (a, b), dim in self._known.items():
            if not pair[0]:
                continue
            for divisor in {a // pair[0], a // pair[0] + 1} - {0, 1}:
                if (a // divisor, b // divisor) == pair:
                    return dim // divisor
                if (-(-a // divisor), -(-b // divisor)) == pair:
                    return ceil_div(dim, divisor)
        return None

    def _part_and_more(self, pair: tuple[int, int]) -> Dim | None:
        """What is left of a size that is divided, and a little more or less: the least of it."""
        found: list[tuple[int, Dim]] = []
        for dim in self._known.values():
            for divisor in range(2, _LARGEST_DIVISOR + 1):
                for part in (dim // divisor, ceil_div(dim, divisor)):
                    numbers = self.numbers(part)
                    offset = pair[0] - numbers[0]
                    if numbers[0] != numbers[1] and offset == pair[1] - numbers[1]:
                        found.append((abs(offset), part + offset))
        least = min(found, key=lambda each: each[0], default=None)
        return least[1] if least is not None and least[0] <= _LARGEST_OFFSET else None

    def _combined(self, pair: tuple[int, int]) -> Dim | None:
        known = list(self._known.items())
        for (a, b), dim in known:
            for (c, d), other in known:
                if (a + c, b + d) == pair:
                    return dim + other
                if (a - c, b - d) == pair:
                    return dim - other
                if a * c and pair[0] % (a * c) == 0 and pair[0] * b * d == pair[1] * a * c:
                    return dim * other * (pair[0] // (a * c))
        return None

    def _line(self, pair: tuple[int, int]) -> Dim | None:
        """A multiple of a size and a little more or less: the least that is left over."""
        found: list[tuple[int, Dim]] = []
        for (a, b), dim in self._known.items():
            factor, rest = divmod(pair[1] - pair[0], b - a) if b != a else (0, 1)
            offset = pair[0] - factor * a
            if factor > 0 and not rest and abs(offset) <= _LARGEST_OFFSET:
                found.append((abs(offset), dim * factor + offset))
        return min(found, key=lambda each: each[0])[1] if found else None
