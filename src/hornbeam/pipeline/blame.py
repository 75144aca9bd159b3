"""Which layer is to blame: the first one whose output differs between Keras and a written file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hornbeam.errors import HornbeamError
from hornbeam.graph import Graph
from hornbeam.pipeline.formats import writer_of
from hornbeam.pipeline.samples import sample_inputs
from hornbeam.runtime.session import load

__all__ = ["first_difference"]


def first_difference(model: Any, graph: Graph, file: Path, allowed: float) -> str | None:
    """The path of the first layer that differs by more than ``allowed`` of its scale, if known.

    Only layers of a functional model whose result still exists in the graph can be compared: the
    graph is written once more with each of those results as an output.
    """
    layers = _comparable(model, graph)
    if not layers:
        return None
    inner = {f"layer {i}": graph.layers[name] for i, name in enumerate(layers)}
    wide = Graph(graph.name, graph.inputs, {**graph.outputs, **inner}, graph.nodes, graph.symbols)
    tensors = [model.get_layer(name).output for name in layers]
    inputs = next(iter(sample_inputs(graph)))
    flat = [inputs[value.name] for value in graph.inputs]
    expected = keras.Model(model.inputs, tensors).predict_on_batch(flat)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"layers{file.suffix}"
        try:
            writer_of(copy)(wide, copy)
            with load(copy) as session:
                found = session.run(inputs)
        except HornbeamError:
            return None
    for i, name in enumerate(layers):
        wanted = np.asarray(expected[i], np.float64)
        got = np.asarray(found[f"layer {i}"], np.float64)
        if wanted.shape != got.shape:
            return name
        scale = max(float(np.abs(wanted).max(initial=0.0)), 1e-3)
        if not np.abs(wanted - got).max(initial=0.0) <= allowed * scale:
            return name
    return None


def _comparable(model: Any, graph: Graph) -> list[str]:
    """Layers that were called once and whose value the graph still makes, in running order."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None) or graph.states:
        return []
    made = {value: i for i, node in enumerate(graph.nodes) for value in node.outputs}
    once = {
        layer.name
        for layer in model.layers
        if len(layer._inbound_nodes) == 1 and not isinstance(layer.output, (list, dict, tuple))
    }
    names = [name for name, value in graph.layers.items() if value in made and name in once]
    return sorted(names, key=lambda name: made[graph.layers[name]])
