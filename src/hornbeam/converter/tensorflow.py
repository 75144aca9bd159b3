"""The second way in: SavedModels, and models whose code calls TensorFlow, by its own converters.

tf2onnx writes ONNX and TFLiteConverter writes TFLite, both in a child process with limits of time
and memory, because either may hang or abort. Nothing here imports TensorFlow into the process that
asks. What the child opened, it also runs: its outputs are what a written file is held against.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from hornbeam.converter.secondway.arrays import load_arrays, save_arrays
from hornbeam.converter.secondway.process import Child
from hornbeam.errors import ModelLoadError, UnsupportedLayerError

__all__ = ["Limits", "Port", "TensorFlowModel", "export", "is_saved_model", "missing", "places"]

Array = npt.NDArray[Any]

_PROGRAM = "hornbeam.converter.secondway.child"
_NEEDED = {"onnx": ("tensorflow", "tf2onnx"), "tflite": ("tensorflow",)}

#: What Keras and TensorFlow raise where a model cannot be exported. (TensorFlow's own errors
#: derive from `Exception` alone, and are named where TensorFlow is imported.)
_COMPLAINTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Limits:
    """What the child may take: seconds for each step, bytes of memory (None: the machine's)."""

    seconds: float = 1800.0
    memory: int | None = None


@dataclass(frozen=True)
class Port:
    """One input or output by the signature's name; None is a free size, or an unknown rank."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


def is_saved_model(source: Any) -> bool:
    """Whether ``source`` is the path of a folder with a SavedModel in it."""
    return isinstance(source, (str, os.PathLike)) and (Path(source) / "saved_model.pb").is_file()


def missing(formats: Iterable[str]) -> list[str]:
    """The libraries that are not installed, of those that this way needs for ``formats``."""
    needed = dict.fromkeys(name for form in formats for name in _NEEDED[form])
    return [name for name in needed if not _installed(name)]


def _installed(name: str) -> bool:
    # A name that is blocked by a None in sys.modules raises ValueError.
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


class TensorFlowModel:
    """A model that TensorFlow holds in a child process, from ``with`` to its end.

    ``source`` is a SavedModel's folder or a Keras file; ``custom_objects`` are those of `places`.
    ``batch`` fixes the batch where it is free. Every method raises `ConversionError` or its kin
    where the child refuses, fails, hangs or dies.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        batch: int | None = None,
        trust: bool = False,
        custom_objects: Mapping[str, tuple[str, str]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.source = Path(source).resolve()
        self.inputs: tuple[Port, ...] = ()
        self.outputs: tuple[Port, ...] = ()
        self.loader = ""
        self._arguments = {
            "source": str(self.source),
            "batch": batch,
            "trust": trust,
            "custom_objects": dict(custom_objects or {}),
        }
        self._child = Child(_PROGRAM, seconds=limits.seconds, memory=limits.memory)
        self._stack = ExitStack()
        self._numbers = count()

    def __enter__(self) -> TensorFlowModel:
        with ExitStack() as stack:
            stack.enter_context(self._child)
            asked = f"{self.source.name} was to be opened by TensorFlow"
            found = self._child.ask(asked, "open", **self._arguments)
            self.loader = found["loader"]
            self.inputs = tuple(map(_port, found["inputs"]))
            self.outputs = tuple(map(_port, found["outputs"]))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def write(
        self,
        path: Path,
        *,
        opset: int | None = None,
        axes: Mapping[str, list[int | str | None]],
        metadata: Mapping[str, str],
    ) -> None:
        """Write ``path``, an .onnx or .tflite file. ``axes`` names free sizes of inputs in ONNX.

        ``opset`` and ``metadata`` are for ONNX, too. Broken files are refused and not written.
        """
        target = str(path.resolve())
        if path.suffix.lower() == ".tflite":
            asked = f"{path.name} was to be written by TFLiteConverter"
            self._child.ask(asked, "write_tflite", path=target)
            return
        self._child.ask(
            f"{path.name} was to be written by tf2onnx",
            "write_onnx",
            path=target,
            opset=opset,
            axes=dict(axes),
            metadata=dict(metadata),
        )

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What TensorFlow computes, by name, for arrays by name."""
        number = next(self._numbers)
        takes, gives = (self._child.folder / f"{number}.{side}.npz" for side in ("in", "out"))
        save_arrays(takes, inputs)
        asked = f"{self.source.name} was to be run by TensorFlow, as the reference"
        self._child.ask(asked, "run", inputs=str(takes), outputs=str(gives))
        return load_arrays(gives)


def _port(found: Mapping[str, Any]) -> Port:
    shape = found["shape"]
    return Port(found["name"], found["dtype"], None if shape is None else tuple(shape))


def export(model: Any, folder: Path, batch: int | None = None) -> None:
    """Let Keras, under TensorFlow, save what ``model`` computes at inference as a SavedModel.

    Keras leaves the batch free, which recurrent layers do not survive on their way to TFLite;
    ``batch`` fixes it from the start in a model with one input. Raises `UnsupportedLayerError`
    where Keras cannot export it.
    """
    import keras
    import tensorflow as tf

    signature = None
    inputs = getattr(model, "inputs", None) or []
    if batch is not None and len(inputs) == 1:
        shape, dtype, name = inputs[0].shape, inputs[0].dtype, inputs[0].name
        signature = [keras.InputSpec(shape=(batch, *shape[1:]), dtype=dtype, name=name)]
    try:
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=signature)
    except (*_COMPLAINTS, tf.errors.OpError) as error:
        lines = str(error).strip().splitlines()
        raise UnsupportedLayerError(
            f"Cannot export the model '{model.name}' as a SavedModel",
            f"Keras says: {(lines[0] if lines else type(error).__name__)[:300]}",
            "Write the model's code with keras.ops, which Hornbeam converts by itself",
        ) from error


def places(custom_objects: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Where another process finds the caller's classes and functions: module and name of each.

    Raises `ModelLoadError` for one that only this process has.
    """
    found = {}
    for name, thing in custom_objects.items():
        module = getattr(thing, "__module__", None)
        qualified = getattr(thing, "__qualname__", None)
        known = sys.modules.get(module or "")
        if not qualified or module == "__main__" or not _leads_to(known, qualified, thing):
            raise ModelLoadError(
                f"'{name}' of the custom objects was to be used in another process",
                "No module that can be imported there has it",
                "Put it into a module of its own, or set KERAS_BACKEND=tensorflow, so that the "
                "model is exported in this process",
            )
        found[name] = (str(module), qualified)
    return found


def _leads_to(module: Any, qualified: str, thing: Any) -> bool:
    for part in qualified.split("."):
        module = getattr(module, part, None)
    return module is thing
