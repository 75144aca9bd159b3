"""Sequences as pictures of one row, which is what TFLite convolves and pools.

A sequence ``[n, t, c]`` becomes ``[n, 1, t, c]`` before such an operator and comes back after it.
Where the next one wants a row again, the way back and forth is left out, also through operations
on each element by itself, which do not mind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import NodeWriter
from hornbeam.converter.tflite.sizes import drop_axis, insert_axis
from hornbeam.graph import Node

__all__ = ["as_row", "from_row", "pointwise"]

_Pointwise: TypeAlias = Callable[[Context, Node, Sequence[Tensor]], Tensor]


def as_row(ctx: Context, x: Tensor) -> Tensor:
    """``[n, t, c]`` as ``[n, 1, t, c]``."""
    return ctx.rows.get(x) or insert_axis(ctx, x, 1)


def from_row(ctx: Context, row: Tensor) -> Tensor:
    """``[n, 1, t, c]`` as ``[n, t, c]``."""
    x = drop_axis(ctx, row, 1)
    ctx.rows[x] = row
    return x


def pointwise(function: _Pointwise) -> NodeWriter:
    """The writer of an operation that neither moves elements nor counts axes from the front.

    It is given rows where all its inputs are rows, or constants that broadcast to them.
    """

    def write(ctx: Context, node: Node) -> Tensor:
        tensors = ctx.reads(node)
        if not any(tensor in ctx.rows for tensor in tensors):
            return function(ctx, node, tensors)
        rows = [x if x.data is not None and x.rank < 2 else ctx.rows.get(x) for x in tensors]
        if None in rows:
            return function(ctx, node, tensors)
        return from_row(ctx, function(ctx, node, [row for row in rows if row is not None]))

    return write
