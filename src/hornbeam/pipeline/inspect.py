"""Inspect: what is inside a model file, in the same terms for Keras, ONNX and TFLite."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbeam.errors import UsageError
from hornbeam.pipeline.inspection.report import Inspection, Port, Row

__all__ = ["Inspection", "Port", "Row", "inspect"]

_KERAS = (".h5", ".hdf5", ".keras")
_RUNTIME = (".onnx", ".tflite")


def inspect(
    path: str | os.PathLike[str],
    *,
    custom_objects: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Inspection:
    """Inputs, outputs and layers or operations of a file, with parameters and multiply-adds.

    ``path`` ends in .keras, .h5, .hdf5, .onnx or .tflite. ``custom_objects`` and ``trust`` are for
    Keras files, as in `hornbeam.convert`. Raises `ModelLoadError` or `ModelFileError` for a file
    that is missing or broken, `UsageError` for another suffix.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in _KERAS:
        from hornbeam.pipeline.inspection.keras_file import inspect_keras

        return inspect_keras(file, custom_objects=custom_objects, trust=trust)
    if suffix not in _RUNTIME and (file / "saved_model.pb").is_file():
        raise UsageError(
            f"{file} was to be inspected",
            "It is the folder of a TensorFlow SavedModel",
            f"Convert it, and inspect the file: hornbeam convert {file} -o model.onnx",
        )
    if suffix not in _RUNTIME:
        raise UsageError(
            f"{file} was to be inspected",
            f"Its suffix is {suffix!r}" if suffix else "It has no suffix",
            f"Name a file that ends in one of {', '.join((*_KERAS, *_RUNTIME))}",
        )
    # Checked before a library follows its offsets.
    from hornbeam.runtime.files import read_model_file

    checked = read_model_file(file)
    if checked.format == "onnx":
        from hornbeam.pipeline.inspection.onnx_file import inspect_onnx

        return inspect_onnx(checked)
    from hornbeam.pipeline.inspection.tflite_file import inspect_tflite

    return inspect_tflite(checked)
