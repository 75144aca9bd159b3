"""Bits of integers: TFLite has the difference of bits and the shift; the rest is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.rows import pointwise
from hornbeam.converter.tflite.sizes import broadcast_to
from hornbeam.graph import Node
from hornbeam.graph.dims import broadcast
from hornbeam.graph.operations import Bitwise

__all__: list[str] = []


@writes(Bitwise)
@pointwise
def bitwise(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """BITWISE_XOR, and for "and" and "or" what two numbers have in common.

    The average of two numbers, rounded down, is ``(a & b) + ((a ^ b) >> 1)``; it is also the sum
    of their halves and of what their lowest bits carry. Nothing in this overflows.
    """
    function = cast(Bitwise, node.operation).function
    shape = broadcast(*(x.shape for x in inputs))
    a, b = (broadcast_to(ctx, x, shape) for x in inputs)
    differing = ctx.binary("BITWISE_XOR", a, b)
    if function == "xor":
        return differing
    one = broadcast_to(ctx, ctx.constant(1, a.dtype), shape)
    half_a, half_b = (ctx.binary("RIGHT_SHIFT", x, one) for x in (a, b))
    odd_a, odd_b = (
        ctx.binary("SUB", x, ctx.binary("ADD", half, half))
        for x, half in ((a, half_a), (b, half_b))
    )
    halves = ctx.binary("ADD", half_a, half_b)
    average = ctx.binary("ADD", halves, ctx.binary("MUL", odd_a, odd_b))
    both = ctx.binary("SUB", average, ctx.binary("RIGHT_SHIFT", differing, one))
    return both if function == "and" else ctx.binary("ADD", both, differing)
