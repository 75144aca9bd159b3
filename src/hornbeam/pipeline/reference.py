"""What Keras itself computes: the oracle that every written file is held against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import tree

from hornbeam.converter.trace import signature_of
from hornbeam.graph import Graph
from hornbeam.pipeline.samples import sample_inputs

__all__ = ["Reference"]

Array = npt.NDArray[Any]

_SATURATING = (keras.activations.softmax, keras.activations.sigmoid)


class Reference:
    """A Keras model that answers by the names of the graph's inputs and outputs."""

    def __init__(self, model: Any, graph: Graph) -> None:
        self.model = model
        self.graph = graph
        self._answers: dict[int, dict[str, Array]] = {}
        self._signature = signature_of(model)
        self._input_names = [v.name for v in graph.inputs if v.name not in graph.states]
        self._states = _states_of(model, graph)
        self._output_names = [n for n in graph.outputs if n not in graph.states.values()]

    @cached_property
    def cases(self) -> list[dict[str, Array]]:
        """Inputs to compare on, by name, with the samples along axis 0."""
        return list(sample_inputs(self.graph))

    def expected(self, case: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for one of `cases`, computed once however many files are held against it."""
        if id(case) not in self._answers:
            self._answers[id(case)] = self.run(case)
        return self._answers[id(case)]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the model at inference, by name, for inputs by name."""
        flat = [inputs[name] for name in self._input_names]
        with ExitStack() as stack:
            for name, variable in self._states.items():
                stack.callback(variable.assign, _array(variable.value).copy())
                variable.assign(inputs[name])
            outputs = tree.flatten(self._call(flat))
            found = dict(zip(self._output_names, map(_array, outputs), strict=True))
            for name, variable in self._states.items():
                found[self.graph.states[name]] = _array(variable.value).copy()
        return found

    def run_before_activation(
        self, inputs: Mapping[str, Array], outputs: Iterable[str]
    ) -> dict[str, Array]:
        """What goes into the last activation of those ``outputs`` that a layer of their own makes.

        The layer's ``activation`` is linear for the time of the call.
        """
        layers = {
            name: layer
            for name, layer in self._last_layers().items()
            if name in set(outputs) and layer.activation in _SATURATING
        }
        with ExitStack() as stack:
            for layer in layers.values():
                stack.callback(setattr, layer, "activation", layer.activation)
                layer.activation = keras.activations.linear
            found = self.run(inputs) if layers else {}
        return {name: found[name] for name in layers}

    def _last_layers(self) -> dict[str, Any]:
        """The layer with an activation that makes each output of a functional model."""
        flat = getattr(self.model, "outputs", None) or []
        makers = [getattr(tensor, "_keras_history", None) for tensor in flat]
        return {
            name: maker.operation
            for name, maker in zip(self._output_names, makers, strict=False)
            if maker is not None and callable(getattr(maker.operation, "activation", None))
        }

    def _call(self, flat: list[Array]) -> Any:
        structure = self._signature.structure
        packed = tree.pack_sequence_as(structure, flat)
        if self._signature.output_names is None and isinstance(packed, dict):
            # A subclassed model: the structure is the arguments of its call.
            if len(packed) > 1:
                return self.model(**packed, training=False)
            (packed,) = packed.values()
        with _as_it_was(self.model):
            # (A prediction does not give back the states that layers end in.)
            if isinstance(self.model, keras.Model) and not self._states:
                # Compiled, which under JAX is several times quicker than op by op, even once.
                return self.model.predict_on_batch(packed)
            return self.model(packed, training=False)


def _array(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def _states_of(model: Any, graph: Graph) -> dict[str, Any]:
    """The variable in which a stateful layer keeps what is an input of the graph, by its name."""
    if not graph.states:
        return {}
    variables = {
        f"{layer.name}_state_{index}": variable
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False)
        for index, variable in enumerate(tree.flatten(getattr(layer, "states", None) or []))
    }
    return {name: variables[name.rpartition("/")[2]] for name in graph.states}


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Forget the compiled function, and whatever else a prediction leaves on the model."""
    names = set(vars(model))
    before = getattr(model, "predict_function", None)
    try:
        yield
    finally:
        if hasattr(model, "predict_function"):
            model.predict_function = before
        for name in set(vars(model)) - names:
            del vars(model)[name]
