"""One model in the hands of TensorFlow: opened, described, written in either format, and run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from hornbeam.converter.secondway import onnx_file, tflite_file
from hornbeam.converter.secondway.arrays import load_arrays, save_arrays
from hornbeam.converter.secondway.saved import Opened, open_saved_model
from hornbeam.errors import (
    ConversionError,
    EngineUnavailableError,
    ModelFileError,
    ModelLoadError,
)
from hornbeam.runtime.session import load

__all__ = ["Work"]


class Work:
    """A model as one concrete function, whose inputs and outputs are named by its signature.

    ``source`` is a SavedModel's folder, or a Keras file, which Keras then exports into a folder
    beside the process. ``custom_objects`` holds (module, qualified name) by the name in the file.
    ``batch`` fixes the first size of the inputs where it is free.
    """

    def __init__(
        self,
        source: str,
        *,
        trust: bool,
        batch: int | None,
        custom_objects: Mapping[str, tuple[str, str]],
    ) -> None:
        folder = Path(source)
        exported = not folder.is_dir()
        if exported:
            folder = _export(folder, custom_objects, batch, trust=trust)
        # What Keras has just exported was built from a config that was looked at before.
        self._opened = open_saved_model(folder, trust=trust or exported)
        self._module, self._function = _function(self._opened, batch)

    def describe(self) -> dict[str, Any]:
        """How it was loaded, and each input and output: name, dtype and sizes, if known."""
        _, inputs = self._function.structured_input_signature
        outputs = self._function.structured_outputs
        return {
            "loader": self._opened.loader,
            "inputs": [_port(name, inputs[name]) for name in sorted(inputs)],
            "outputs": [_port(name, outputs[name]) for name in sorted(outputs)],
        }

    def write_onnx(
        self,
        path: str,
        *,
        opset: int | None,
        axes: Mapping[str, list[int | str | None]],
        metadata: Mapping[str, str],
    ) -> None:
        """Have tf2onnx write ``path``; ``axes`` holds each input's sizes, free ones by name."""
        model = onnx_file.convert(self._function, opset)
        onnx_file.check(model, list(axes), sorted(self._function.structured_outputs))
        onnx_file.write(model, Path(path), axes, metadata)
        _try_out(Path(path), "tf2onnx")

    def write_tflite(self, path: str) -> None:
        """Have TFLiteConverter write ``path``."""
        Path(path).write_bytes(tflite_file.convert(self._function, self._module))
        _try_out(Path(path), "TFLiteConverter")

    def run(self, *, inputs: str, outputs: str) -> None:
        """Compute the arrays in the file ``inputs`` into the file ``outputs``."""
        arrays = load_arrays(Path(inputs))
        specs = self._opened.inputs
        tensors = {name: _tensor(array, specs[name]) for name, array in arrays.items()}
        try:
            results = self._opened.call(**tensors)
        except (tf.errors.OpError, ValueError) as error:
            raise ConversionError(
                "The model was to be run by TensorFlow, as the reference",
                str(error).strip().splitlines()[0][:300],
                "If made-up inputs cannot fit this model, convert with --no-verify (verify=False)",
            ) from error
        save_arrays(Path(outputs), {name: results[name].numpy() for name in sorted(results)})


def _try_out(path: Path, converter: str) -> None:
    """Raise `ConversionError` where the engine for ``path`` is installed and refuses it."""
    try:
        with load(path):
            return
    except EngineUnavailableError:
        return
    except ModelFileError as error:
        raise ConversionError(
            "",
            f"{converter} wrote a file that is broken. {error.found}",
            "Try the other format, or write that part of the model with keras.ops",
        ) from error


def _tensor(array: Any, spec: tf.TensorSpec) -> Any:
    return tf.cast(array, spec.dtype) if spec.dtype == tf.bfloat16 else tf.constant(array)


def _port(name: str, tensor: Any) -> dict[str, Any]:
    known = tensor.shape.rank is not None
    shape = tensor.shape.as_list() if known else None
    return {"name": name, "dtype": tensor.dtype.name, "shape": shape}


def _function(opened: Opened, batch: int | None) -> tuple[tf.Module, Any]:
    """The model as a function of named tensors, and the module that owns its variables."""
    for name, spec in opened.inputs.items():
        if spec.shape.rank is None:
            raise ModelLoadError(
                "The SavedModel was to be converted",
                f"Its input '{name}' does not say how many dimensions it has",
                "Save it with a signature that does: tf.TensorSpec((None, 28, 28), ...)",
            )
    specs = {
        name: tf.TensorSpec(_shape(spec, batch), spec.dtype, name=name)
        for name, spec in opened.inputs.items()
    }

    def serve(**tensors: Any) -> Mapping[str, Any]:
        return dict(opened.call(**tensors))

    module = tf.Module()
    module.serve = tf.function(serve)
    module.keep = opened.keep
    return module, module.serve.get_concrete_function(**specs)


def _shape(spec: tf.TensorSpec, batch: int | None) -> list[int | None]:
    shape: list[int | None] = spec.shape.as_list()
    return [batch, *shape[1:]] if batch and shape and shape[0] is None else shape


def _export(
    path: Path,
    custom_objects: Mapping[str, tuple[str, str]],
    batch: int | None,
    *,
    trust: bool,
) -> Path:
    """A SavedModel of what is in a Keras file, in the current folder, which is temporary."""
    from hornbeam.converter.load import load as load_keras
    from hornbeam.converter.tensorflow import export

    objects = {name: _imported(*place) for name, place in custom_objects.items()}
    loaded = load_keras(path, custom_objects=objects, trust=trust)
    folder = Path.cwd() / "exported"
    export(loaded.model, folder, batch)
    return folder


def _imported(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
