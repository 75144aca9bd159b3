"""Sizes that are only known at run time, computed by ONNX nodes from the model's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hornbeam.converter.onnx.freedom import Layout
from hornbeam.graph import Dim, Expression, GraphError, Shape
from hornbeam.graph.dims import Quotient, symbol

if TYPE_CHECKING:
    from hornbeam.converter.onnx.emitter import Emitter

__all__ = ["ShapeWriter"]


class ShapeWriter:
    """Writes dimensions as int64 vectors of one element, each once."""

    def __init__(self, emit: Emitter) -> None:
        self._emit = emit
        self._written: dict[object, str] = {}

    def dimension(self, dim: Dim) -> str:
        """The name of a vector that holds ``dim``."""
        if isinstance(dim, int):
            return self._emit.integers([dim])
        if dim not in self._written:
            self._written[dim] = self._emit.keep(self._expression(dim))
        return self._written[dim]

    def vector(self, dims: Shape) -> str:
        """The name of a vector that holds ``dims``."""
        if all(isinstance(dim, int) for dim in dims):
            return self._emit.integers([dim for dim in dims if isinstance(dim, int)])
        if len(dims) == 1:
            return self.dimension(dims[0])
        key = tuple(dims)
        if key not in self._written:
            pieces: list[str] = []
            known: list[int] = []
            for dim in dims:
                if isinstance(dim, int):
                    known.append(dim)
                    continue
                if known:
                    pieces.append(self._emit.integers(known))
                    known = []
                pieces.append(self.dimension(dim))
            if known:
                pieces.append(self._emit.integers(known))
            self._written[key] = self._emit.keep(self._emit("Concat", *pieces, axis=0))
        return self._written[key]

    def scalar(self, dim: Dim) -> str:
        """The name of an int64 scalar that holds ``dim``."""
        if isinstance(dim, int):
            return self._emit.constant(np.asarray(dim, np.int64), "int64")
        key = ("scalar", dim)
        if key not in self._written:
            squeezed = self._emit("Squeeze", self.dimension(dim), self._emit.integers([0]))
            self._written[key] = self._emit.keep(squeezed)
        return self._written[key]

    def reshape_target(self, before: Shape, after: Shape) -> str:
        """The second input of a Reshape from ``before`` to ``after``, both as in memory.

        A free size is copied from its place (0) or left to the engine (-1) where that says all.
        """
        target: list[Dim] = []
        for place, dim in enumerate(after):
            copied = not isinstance(dim, int) and place < len(before) and before[place] == dim
            target.append(0 if copied else dim)
        unknown = [place for place, dim in enumerate(target) if not isinstance(dim, int)]
        if unknown:
            target[unknown[-1]] = -1
        return self.vector(tuple(target))

    def _expression(self, dim: Expression) -> str:
        emit = self._emit
        total: str | None = None
        for monomial, factor in dim.terms:
            term: str | None = None
            for atom in monomial:
                size = self._symbol(atom) if isinstance(atom, str) else self._quotient(atom)
                term = size if term is None else emit("Mul", term, size)
            if term is None:
                term = emit.integers([factor])
            elif factor != 1:
                term = emit("Mul", term, emit.integers([factor]))
            total = term if total is None else emit("Add", total, term)
        assert total is not None
        return total

    def _quotient(self, quotient: Quotient) -> str:
        emit = self._emit
        numerator = self.dimension(quotient.numerator)
        denominator = emit.integers([quotient.denominator])
        # Div truncates, which is the floor only of what is not negative.
        if any(factor < 0 for monomial, factor in quotient.numerator.terms if monomial):
            remainder = emit("Mod", numerator, denominator)
            numerator = emit("Sub", numerator, remainder)
        return emit("Div", numerator, denominator)

    def _symbol(self, name: str) -> str:
        key = ("symbol", name)
        if key in self._written:
            return self._written[key]
        emit = self._emit
        if name in emit.graph.symbols:
            value, axis = emit.graph.symbols[name]
            source = emit.value(value, Layout.LAST)
            if emit.opset >= 15:
                size = emit("Shape", source, start=axis, end=axis + 1)
            else:
                size = emit("Gather", emit("Shape", source), emit.integers([axis]), axis=0)
        elif emit.around is not None:
            size = emit.around.shapes.dimension(symbol(name))
        else:
            raise GraphError(f"the free size {name} is no input's")
        self._written[key] = emit.keep(size)
        return size
