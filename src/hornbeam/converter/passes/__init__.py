"""Rewrites of the graph that both formats profit from: one a file, run until nothing changes.

A pass is a function that edits the graph in place and says whether it changed anything. None
changes what the model computes beyond rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hornbeam.converter.passes.bias import fold_bias
from hornbeam.converter.passes.channelwise import channelwise_to_affine
from hornbeam.converter.passes.duplicates import merge_duplicates
from hornbeam.converter.passes.fold_affine import fold_affine
from hornbeam.converter.passes.fold_pad import fold_pad
from hornbeam.converter.passes.fuse_activation import fuse_activations
from hornbeam.converter.passes.reshapes import simplify_reshapes
from hornbeam.converter.passes.reverses import cancel_reverses
from hornbeam.graph import Graph, GraphError

__all__ = ["DEFAULT", "improve"]

Pass = Callable[[Graph], bool]

DEFAULT: tuple[Pass, ...] = (
    merge_duplicates,
    simplify_reshapes,
    cancel_reverses,
    fuse_activations,
    channelwise_to_affine,
    fold_affine,
    fold_bias,
    fold_pad,
)

_MOST_ROUNDS = 20


def improve(graph: Graph, passes: Sequence[Pass] = DEFAULT) -> list[str]:
    """Run ``passes`` in turn until none changes anything; the names of those that did.

    The bodies of loops are improved as well. Raises `GraphError` naming the passes so far where one
    leaves a broken graph.
    """
    worked: list[str] = []
    for _ in range(_MOST_ROUNDS):
        changed = False
        for step in passes:
            if not step(graph):
                continue
            changed = True
            graph.prune()
            if step.__name__ not in worked:
                worked.append(step.__name__)
        if not changed:
            break
    for node in graph.nodes:
        for body in node.operation.bodies:
            worked += [name for name in improve(body, passes) if name not in worked]
    try:
        graph.check()
    except GraphError as error:
        raise GraphError(f"{error} (after {', '.join(worked)})") from error
    return worked
