"""The layers of a Keras file, with what the traced graph says they compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.converter.load import LoadedModel, load
from hornbeam.errors import ConversionError
from hornbeam.graph import Graph, Node, Shape, Value
from hornbeam.graph.cost import count, free_sizes, multiply_adds
from hornbeam.graph.types import numpy_dtype
from hornbeam.pipeline.inspection.report import Inspection, Port, Row, Size, counted_as_one

__all__ = ["inspect_keras"]

#: What the row is called that holds what belongs to no layer.
_REST = "(outside layers)"


def inspect_keras(
    path: Path, *, custom_objects: Mapping[str, Any] | None = None, trust: bool = False
) -> Inspection:
    """Inspect a .keras, .h5 or .hdf5 file; see `hornbeam.pipeline.inspect.inspect`."""
    loaded = load(path, custom_objects=custom_objects, trust=trust)
    import keras

    # Only now: the tracer imports Keras, whose backend is chosen while loading.
    from hornbeam.converter.trace import trace

    notes = [f"Repaired: {repair}" for repair in loaded.repairs]
    graph: Graph | None
    try:
        graph = trace(loaded.model)
    except ConversionError as error:
        graph = None
        notes.append(f"Shapes and multiply-adds are unknown: {error}")
    else:
        notes += counted_as_one(name for name in free_sizes(graph.nodes) if name != "batch")
    inputs, outputs = _ports(loaded, graph)
    return Inspection(
        path=path,
        format="keras",
        version=f"read by Keras {keras.__version__}",
        bytes=path.stat().st_size,
        inputs=inputs,
        outputs=outputs,
        rows=tuple(_rows(loaded.model, graph)),
        metadata={},
        notes=tuple(notes),
    )


def _ports(loaded: LoadedModel, graph: Graph | None) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    if graph is not None:
        named = [(value.name, value) for value in graph.inputs]
        return _of_values(named), _of_values(list(graph.outputs.items()))
    tensors = (getattr(loaded.model, side, None) or [] for side in ("inputs", "outputs"))
    inputs, outputs = (
        tuple(Port(tensor.name, tuple(tensor.shape), str(tensor.dtype)) for tensor in side)
        for side in tensors
    )
    return inputs, outputs


def _of_values(named: list[tuple[str, Value]]) -> tuple[Port, ...]:
    return tuple(Port(name, _sizes(value.shape), value.dtype) for name, value in named)


def _sizes(shape: Shape) -> tuple[Size, ...]:
    return tuple(dim if isinstance(dim, int) else str(dim) for dim in shape)


def _rows(model: Any, graph: Graph | None) -> Iterator[Row]:
    layers = dict(_layers(model, ""))
    costs, rest = _costs(graph.nodes if graph else [], layers.keys())
    made_by = {**graph.layers, **{value.name: value for value in graph.inputs}} if graph else {}
    seen: set[int] = set()
    for name, layer in layers.items():
        parameters, size = _weights(layer, seen)
        made = made_by.get(name)
        shape = None if made is None else _sizes(made.shape)
        cost = costs.get(name, 0) if graph else None
        yield Row(name, type(layer).__name__, shape, parameters, size, cost)
    parameters, size = _weights(model, seen)
    if parameters or rest:
        yield Row(_REST, "", None, parameters, size, rest if graph else None)


def _layers(model: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every layer by its path; a nested model is replaced by its layers."""
    for layer in model.layers:
        name = f"{prefix}{layer.name}"
        if getattr(layer, "layers", None) and hasattr(layer, "get_layer"):
            yield from _layers(layer, f"{name}/")
        else:
            yield name, layer


def _costs(nodes: list[Node], names: Any) -> tuple[dict[str, int], int]:
    """The multiply-adds of each layer, and of what lies outside of them all."""
    costs: dict[str, int] = {}
    rest = 0
    for node in nodes:
        path = node.path
        while path and path not in names:
            path = path.rpartition("/")[0]
        cost = count(multiply_adds(node))
        if path:
            costs[path] = costs.get(path, 0) + cost
        else:
            rest += cost
    return costs, rest


def _weights(layer: Any, seen: set[int]) -> tuple[int, int]:
    """The number of the layer's weights and their bytes, without those in ``seen``."""
    parameters = size = 0
    for weight in layer.weights:
        if id(weight) in seen:
            continue
        seen.add(id(weight))
        elements = int(np.prod(weight.shape, dtype=np.int64))
        parameters += elements
        size += elements * numpy_dtype(str(weight.dtype)).itemsize
    return parameters, size
