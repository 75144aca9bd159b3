"""The way through TensorFlow as a step of `convert`: when it is taken, and its proof.

A folder with a SavedModel in it goes this way, and so does a Keras model that cannot be traced,
because its code calls TensorFlow or because of an operation that has no lowering. The reference is
what TensorFlow itself computes with the model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from hornbeam.converter import tensorflow
from hornbeam.converter.tensorflow import Limits, Port, TensorFlowModel
from hornbeam.errors import ConversionError, HornbeamError, ModelLoadError, UnsupportedLayerError
from hornbeam.graph import Dim, Graph, Value
from hornbeam.graph.dims import symbol
from hornbeam.graph.types import TensorType
from hornbeam.pipeline.samples import sample_inputs

__all__ = ["Detour", "TensorFlowReference", "may_load_elsewhere", "opened"]

Array = npt.NDArray[Any]

_INSTALL = 'pip install "hornbeam[tensorflow]"'
_CONVERTERS = {"onnx": "tf2onnx", "tflite": "TFLiteConverter"}
#: What free axes behind the first are called, by the input's rank: `samples` fits their sizes.
_AXES = {3: ("time", "features"), 4: ("height", "width", "channels")}


@dataclass(frozen=True)
class Detour:
    """A model that is to go through TensorFlow, and why.

    ``source`` is a path or a Keras model. ``error`` is why the first way ended, if it was tried.
    """

    source: Any
    formats: tuple[str, ...]
    batch: int | None = None
    trust: bool = False
    custom_objects: Mapping[str, Any] | None = None
    seconds: float = Limits.seconds
    error: HornbeamError | None = None

    @property
    def reason(self) -> str:
        """One sentence for the report."""
        if self.error is None:
            return "It is a SavedModel"
        return f"{self.error.asked.rstrip('.')}: {self.error.found}"

    @property
    def converters(self) -> tuple[str, ...]:
        """Who writes the files."""
        return tuple(_CONVERTERS[form] for form in dict.fromkeys(self.formats))


class TensorFlowReference:
    """What TensorFlow computes, by the names of the signature: the oracle for `prove`."""

    #: No Keras model is here whose layers could be compared.
    model = None

    def __init__(self, model: TensorFlowModel) -> None:
        self.graph = _graph(model)
        self._model = model
        self._answers: dict[int, dict[str, Array]] = {}

    @cached_property
    def cases(self) -> list[dict[str, Array]]:
        """Inputs to compare on, by name, with the samples along axis 0."""
        return list(sample_inputs(self.graph))

    def expected(self, case: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for one of `cases`, computed once."""
        if id(case) not in self._answers:
            self._answers[id(case)] = self.run(case)
        return self._answers[id(case)]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name, for inputs by name."""
        return self._model.run(inputs)

    def run_before_activation(self, inputs: Mapping[str, Array], outputs: Any) -> dict[str, Array]:
        """Nothing: what goes into the last activation is not known here."""
        del inputs, outputs
        return {}

    @property
    def axes(self) -> dict[str, list[int | str | None]]:
        """The sizes of each input, for ONNX.

        Free ones have names where there is one input: nothing says which sizes of several belong
        together.
        """
        single = len(self.graph.inputs) == 1
        return {
            value.name: [
                dim if isinstance(dim, int) else str(dim) if single else None for dim in value.shape
            ]
            for value in self.graph.inputs
        }


@contextmanager
def opened(detour: Detour, loaded: Any = None) -> Iterator[TensorFlowModel]:
    """The model in its child process; ``loaded`` is the Keras model that it is, if it is here.

    Raises the error that ended the first way, with what became of the second, where that one is
    not there or fails to open the model; errors of a model that is open are its own.
    """
    absent = tensorflow.missing(detour.formats)
    if absent:
        raise _absent(detour, absent)
    with ExitStack() as stack:
        try:
            temporary = TemporaryDirectory(prefix="hornbeam-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
            model = stack.enter_context(_prepared(detour, loaded, folder))
        except ConversionError as error:
            if detour.error is None:
                raise
            raise type(detour.error)(
                detour.error.asked,
                f"{detour.error.found.rstrip('.')}. The way through TensorFlow ended, too: "
                f"{error.found}",
                error.advice or detour.error.advice,
            ) from detour.error
        yield model


def may_load_elsewhere(model: Any, error: ModelLoadError) -> bool:
    """Whether a file that Keras cannot load here may load under its TensorFlow backend.

    Under another backend, Keras runs a layer's code while it loads, and that fails where the code
    calls TensorFlow; whoever has such code has imported TensorFlow by then.
    """
    return (
        type(error) is ModelLoadError
        and isinstance(error.__cause__, (AttributeError, RuntimeError, TypeError, ValueError))
        and isinstance(model, (str, os.PathLike))
        # A file may be refused before a backend was chosen: Keras is not to be imported for this.
        and {"keras", "tensorflow"} <= sys.modules.keys()
        and _backend() != "tensorflow"
    )


def _prepared(detour: Detour, loaded: Any, folder: Path) -> TensorFlowModel:
    """The model that the child is to open: a folder that there is, one exported here, or a file."""
    limits = Limits(detour.seconds)
    source = detour.source
    if detour.error is None:
        return TensorFlowModel(source, batch=detour.batch, trust=detour.trust, limits=limits)
    if loaded is not None and _backend() == "tensorflow":
        tensorflow.export(loaded, folder / "exported", detour.batch)
        # Its graph comes from code that ran here already.
        return TensorFlowModel(folder / "exported", batch=detour.batch, trust=True, limits=limits)
    if not isinstance(source, (str, os.PathLike)):
        raise UnsupportedLayerError(
            "A Keras model was to be exported by TensorFlow",
            f"Keras runs on {_backend()} here, and the model is in memory only",
            "Set KERAS_BACKEND=tensorflow before Keras is imported, or convert the saved file",
        )
    return TensorFlowModel(
        source,
        batch=detour.batch,
        trust=detour.trust,
        custom_objects=tensorflow.places(detour.custom_objects or {}),
        limits=limits,
    )


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


def _absent(detour: Detour, libraries: list[str]) -> HornbeamError:
    missing = ", ".join(libraries)
    if detour.error is None:
        return ModelLoadError(
            f"The SavedModel {detour.source} was to be converted",
            f"That needs TensorFlow's own converters. Not installed: {missing}",
            f"Run: {_INSTALL}",
        )
    error = detour.error
    advice = f"{error.advice.rstrip('.')}; or let TensorFlow's own converters try: {_INSTALL}"
    return type(error)(error.asked, error.found, advice)


def _graph(model: TensorFlowModel) -> Graph:
    """The model's inputs and outputs, without what is between them."""
    graph = Graph(model.source.name)
    for port in model.inputs:
        value = graph.add_input(port.name, _shape(port), port.dtype)
        for axis, dim in enumerate(value.shape):
            if not isinstance(dim, int):
                graph.symbols.setdefault(str(dim), (value, axis))
    for port in model.outputs:
        graph.outputs[port.name] = Value(port.name, TensorType(_shape(port), port.dtype))
    return graph


def _shape(port: Port) -> tuple[Dim, ...]:
    names = ("batch", *_AXES.get(len(port.shape or ()), ()))
    return tuple(
        symbol(names[axis] if axis < len(names) else f"axis_{axis}") if size is None else size
        for axis, size in enumerate(port.shape or ())
    )
