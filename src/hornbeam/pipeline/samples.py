"""Inputs to prove a model on: seeded, and covering what each input is there for.

What an input is for is read from the graph: ids are those of the table that they look up, with the
first and the last among them; bytes and pictures span 0..255 as well as 0..1; masks are true here
and false there; free sizes take two values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.graph import Graph, Value
from hornbeam.graph.dims import evaluate, symbols
from hornbeam.graph.operations import Cast, Gather, OneHot, Reshape, Slice
from hornbeam.graph.types import is_float, numpy_dtype

__all__ = ["BATCH", "sample_inputs"]

Array = npt.NDArray[Any]

#: Samples in a batch: enough that each row differs from the others in kind.
BATCH = 3
_SEED = 20230717
#: Sizes of free axes in the two cases; pictures must survive five halvings.
_PICTURE = ({"height": 64, "width": 96}, {"height": 96, "width": 64})
_TIME = (11, 16)


def sample_inputs(graph: Graph) -> Iterator[dict[str, Array]]:
    """One set of inputs, by name; two where the model has free sizes besides the batch."""
    names = {name for value in graph.inputs for dim in value.shape for name in symbols(dim)}
    free = sorted(names - {"batch"})
    for case in range(2 if free else 1):
        sizes = {"batch": BATCH} | {name: _size(name, case, i) for i, name in enumerate(free)}
        random = np.random.default_rng(_SEED + case)
        yield {
            value.name: _sample(graph, value, sizes, random).astype(numpy_dtype(value.dtype))
            for value in graph.inputs
        }


def _size(name: str, case: int, index: int) -> int:
    for axis, size in _PICTURE[case].items():
        if name.endswith(axis):
            return size
    # Axes that are shared between inputs are one symbol; others differ, so that a size which is
    # read from the wrong input shows.
    return _TIME[case] + index


def _sample(
    graph: Graph, value: Value, sizes: Mapping[str, int], random: np.random.Generator
) -> Array:
    shape = tuple(evaluate(dim, sizes) for dim in value.shape)
    bound = _bound(graph, value)
    if bound is not None:
        return _ids(shape, bound, random)
    if value.dtype == "bool" or _becomes_bool(graph, value):
        return _mask(shape, random)
    if value.dtype == "uint8":
        return random.integers(0, 256, shape)
    if value.dtype == "string":
        return random.choice(np.asarray(["a", "b", "c d"], dtype=object), shape)
    if not is_float(value.dtype):
        return random.integers(0, 10, shape)
    plain: Array = random.standard_normal(shape)
    if len(shape) == 4 and (shape[-1] in (1, 3, 4) or shape[1] in (1, 3)):
        # Rows in the three ranges that pictures come in: about zero, 0..1, 0..255.
        plain[1::3] = random.random(plain[1::3].shape)
        plain[2::3] = random.integers(0, 256, plain[2::3].shape)
    return plain


def _ids(shape: tuple[int, ...], bound: int, random: np.random.Generator) -> Array:
    """Ids below ``bound``: the first and the last among them, rows padded with zeros."""
    ids: Array = random.integers(min(1, bound - 1), bound, shape)
    if len(shape) > 1:
        length = shape[1]
        for row in range(1, shape[0]):
            ids[row, max(1, length - row * max(1, length // 4)) :] = 0
    flat = ids.reshape(-1)
    flat[0] = bound - 1
    return ids


def _mask(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """True at the start of each row, true and false behind it."""
    mask: Array = random.random(shape) < 0.6
    if mask.ndim > 1:
        mask[:, 0] = True
        mask[..., -1] = False if mask.shape[-1] > 1 else mask[..., -1]
    return mask


def _bound(graph: Graph, value: Value) -> int | None:
    """The number of rows of the table that ``value`` looks up, if it does."""
    for node in _readers(graph, value):
        match node.operation:
            case Gather(axis=axis) if node.inputs[1] is value:
                rows = node.inputs[0].shape[axis]
                return rows if isinstance(rows, int) else None
            case OneHot(depth=depth):
                return depth
            case Cast(dtype=dtype) if dtype.startswith(("int", "uint")):
                found = _bound(graph, node.output)
            case Reshape() | Slice():
                found = _bound(graph, node.output)
            case _:
                continue
        if found is not None:
            return found
    return None


def _becomes_bool(graph: Graph, value: Value) -> bool:
    """Whether every reader casts the value to bool."""
    readers = _readers(graph, value)
    return bool(readers) and all(node.operation == Cast("bool") for node in readers)


def _readers(graph: Graph, value: Value) -> list[Any]:
    return [node for node in graph.nodes if value in node.inputs]
