"""Bits of integers: TFLite has the difference of bits and the shift; the rest is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ai_edge_litert import schema_py_generated as schema

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
    """BITWISE_XOR, and what is made of it; for int64, the numbers are taken to fit int32."""
    function = cast(Bitwise, node.operation).function
    shape = broadcast(*(x.shape for x in inputs))
    wide = inputs[0].dtype == "int64"
    a, b = (broadcast_to(ctx, ctx.cast(x, "int32"), shape) for x in inputs)
    result = ctx.binary("BITWISE_XOR", a, b) if function == "xor" else _common(ctx, function, a, b)
    if not wide:
        return result
    result = ctx.cast(result, "int64")
    if node.output.dtype != "uint32":
        return result
    # What has no sign has wrapped around on the way to int32, and is turned back.
    turned = ctx.binary("ADD", result, 2**32)
    inputs_ = [ctx.compare("LESS", result, 0), turned, result]
    return ctx.emit("SELECT_V2", inputs_, result.type, schema.SelectV2OptionsT())


def _common(ctx: Context, function: str, a: Tensor, b: Tensor) -> Tensor:
    """What two numbers have in common, or together.

    The average of two numbers, rounded down, is ``(a & b) + ((a ^ b) >> 1)``; it is also the sum
    of their halves and of what their lowest bits carry. Nothing in this overflows.
    """
    differing = ctx.binary("BITWISE_XOR", a, b)
    one = broadcast_to(ctx, ctx.constant(1, a.dtype), a.shape)
    half_a, half_b = (ctx.binary("RIGHT_SHIFT", x, one) for x in (a, b))
    odd_a, odd_b = (
        ctx.binary("SUB", x, ctx.binary("ADD", half, half))
        for x, half in ((a, half_a), (b, half_b))
    )
    halves = ctx.binary("ADD", half_a, half_b)
    average = ctx.binary("ADD", halves, ctx.binary("MUL", odd_a, odd_b))
    both = ctx.binary("SUB", average, ctx.binary("RIGHT_SHIFT", differing, one))
    return both if function == "and" else ctx.binary("ADD", both, differing)
