"""What Keras itself computes: the oracle that every written file is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import tree

from hornbeam.converter.trace import signature_of
from hornbeam.graph import Graph

__all__ = ["Reference"]

Array = npt.NDArray[Any]


class Reference:
    """A Keras model that answers by the names of the graph's inputs and outputs."""

    def __init__(self, model: Any, graph: Graph) -> None:
        self._model = model
        self._signature = signature_of(model)
        self._input_names = [value.name for value in graph.inputs]
        self._output_names = list(graph.outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of the model at inference, by name, for inputs by name."""
        flat = [inputs[name] for name in self._input_names]
        outputs = tree.flatten(self._call(flat))
        arrays = [np.asarray(keras.ops.convert_to_numpy(x)) for x in outputs]
        return dict(zip(self._output_names, arrays, strict=True))

    def _call(self, flat: list[Array]) -> Any:
        structure = self._signature.structure
        packed = tree.pack_sequence_as(structure, flat)
        if self._signature.output_names is None and isinstance(packed, dict):
            # A subclassed model: the structure is the arguments of its call.
            if len(packed) > 1:
                return self._model(**packed, training=False)
            (packed,) = packed.values()
        with _as_it_was(self._model):
            if isinstance(self._model, keras.Model):
                # Compiled, which under JAX is several times quicker than op by op, even once.
                return self._model.predict_on_batch(packed)
            return self._model(packed, training=False)


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Forget the compiled function that a prediction leaves on the model."""
    before = getattr(model, "predict_function", None)
    try:
        yield
    finally:
        if hasattr(model, "predict_function"):
            model.predict_function = before
