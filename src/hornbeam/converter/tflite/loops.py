"""WHILE: two subgraphs beside the main one, with the same variables going round through both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Subgraph, Tensor
from hornbeam.converter.tflite.sizes import copied, size_tensor
from hornbeam.converter.tflite.walk import alive
from hornbeam.graph.dims import symbol

__all__ = ["Body", "repeat_while"]

#: From the variables before a step to those after it; and to whether there is another step.
Body = Callable[[Context, list[Tensor]], Sequence[Tensor]]
Condition = Callable[[Context, list[Tensor]], Tensor]


def repeat_while(
    ctx: Context, name: str, condition: Condition, body: Body, begin: Sequence[Tensor]
) -> list[Tensor]:
    """Apply ``body`` to variables while ``condition`` holds, and return them.

    Their types stay as they are in ``begin``. A variable that ``body`` returns as it got it is
    handed through, which costs nothing; so is, on its own, every free size that ``body`` needs.
    """
    start = list(begin)
    inner, asking = ctx.inside(), ctx.inside()
    before = _alike(start)
    after = list(body(inner, list(before)))
    for size, tensor in (inner.captures or {}).items():
        start.append(size_tensor(ctx, symbol(size)))
        before.append(tensor)
        after.append(tensor)
    after = [
        tensor if tensor is old else _own(inner, tensor, [*before, *after[:i]])
        for i, (old, tensor) in enumerate(zip(before, after, strict=True))
    ]
    repeated = Subgraph(name, before, after, alive(inner.operators, after))
    asked = _alike(start)
    goes_on = condition(asking, asked[: len(begin)])
    test = Subgraph(f"{name}/while", asked, [goes_on], alive(asking.operators, [goes_on]))
    options = schema.WhileOptionsT()
    results = ctx.emit_all("WHILE", start, [tensor.type for tensor in start], options)
    ctx.operators[-1].subgraphs = {"condSubgraphIndex": test, "bodySubgraphIndex": repeated}
    return results[: len(begin)]


def _alike(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [Tensor(tensor.name.removeprefix("?"), tensor.type) for tensor in tensors]


def _own(ctx: Context, tensor: Tensor, others: Sequence[Tensor]) -> Tensor:
    """``tensor``, or a copy where it is a constant or one of ``others``."""
    taken = tensor.data is not None or any(tensor is other for other in others)
    return copied(ctx, tensor) if taken else tensor
