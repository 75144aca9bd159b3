"""What is this file? Answered from its bytes, before an engine sees them.

An engine given a broken file says little, and some end the process. So the structure is
walked first, in pure Python and within bounds; a file that passes is whole as far as its
own lengths and offsets tell.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hornbeam.errors import ModelFileError
from hornbeam.runtime.onnx_file import MalformedOnnxError, read_onnx
from hornbeam.runtime.tflite_file import MalformedTFLiteError, read_tflite

__all__ = ["ModelFile", "read_model_file"]

Format = Literal["onnx", "tflite"]

_SUFFIXES: dict[str, Format] = {".onnx": "onnx", ".tflite": "tflite"}
_TITLES: dict[Format, str] = {"onnx": "an ONNX model", "tflite": "a TFLite model"}

_CONVERT = "Convert it first: hornbeam convert MODEL -o model.onnx"
_DOWNLOAD = "Download the file itself"

# What people hand over by mistake: where its mark is, what it is, what to do about it.
_OTHERS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "a Keras .h5 file (HDF5)", _CONVERT),
    (0, b"PK\x03\x04", "a zip archive, as .keras files are", _CONVERT),
    (0, b"version https://git-lfs", "a Git LFS pointer", "Fetch the file: git lfs pull"),
    (0, b"<!DOCTYPE", "a web page", _DOWNLOAD),
    (0, b"<html", "a web page", _DOWNLOAD),
    (0, b"\x1f\x8b", "compressed by gzip", "Unpack it"),
    (0, b"\x93NUMPY", "a numpy array", "Give it as an input, and a model as the model"),
    (4, b"ORTM", "in onnxruntime's own format", "Use the .onnx file that it was made from"),
)


@dataclass(frozen=True)
class ModelFile:
    """A file that holds a whole model, and what can be read of it without an engine.

    ``input_names`` and ``output_names`` are those of a TFLite signature, in the order of
    the graph; ``None`` where the names in the graph are the names to use.
    """

    path: Path
    format: Format
    metadata: Mapping[str, str]
    input_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None


def read_model_file(path: str | os.PathLike[str]) -> ModelFile:
    """Find out what ``path`` holds. Raises ``ModelFileError`` unless it is one whole model."""
    path = Path(path)
    _check_place(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, data)
    except OSError as error:
        raise _refused(
            path, f"It cannot be read: {error.strerror or error}", "Check its permissions"
        ) from error


def _check_place(path: Path) -> None:
    if path.is_dir():
        if (path / "saved_model.pb").exists():
            raise _refused(path, "It is a TensorFlow SavedModel, a directory", _CONVERT)
        raise _refused(path, "It is a directory", "Name a file in it")
    if not path.exists():
        parent = "" if path.parent.is_dir() else f", nor is its directory {path.parent}"
        raise _refused(path, f"It does not exist{parent}", "Check the path")
    if not path.is_file():
        raise _refused(path, "It is no regular file", "Copy the model into a file")
    if path.stat().st_size == 0:
        raise _refused(path, "It is empty")


def _read(path: Path, data: mmap.mmap) -> ModelFile:
    for start, mark, title, advice in _OTHERS:
        if data[start : start + len(mark)] == mark:
            raise _refused(path, f"It is {title}", advice)
    try:
        if data[4:8] == b"TFL3":
            model = read_tflite(data)
            file = ModelFile(path, "tflite", model.metadata, model.input_names, model.output_names)
        else:
            file = ModelFile(path, "onnx", read_onnx(data))
    except (MalformedTFLiteError, MalformedOnnxError) as error:
        raise _refused(path, _complaint(path, error)) from error
    expected = _SUFFIXES.get(path.suffix.lower(), file.format)
    if expected != file.format:
        raise _refused(
            path,
            f"It is named as {_TITLES[expected]}, but holds {_TITLES[file.format]}",
            f"Rename it to {path.with_suffix('.' + file.format).name}",
        )
    return file


def _complaint(path: Path, error: MalformedTFLiteError | MalformedOnnxError) -> str:
    """Say what is wrong with a file that is whole in neither format."""
    if isinstance(error, MalformedTFLiteError):
        return f"It is a broken TFLite model: {error}"
    expected = _SUFFIXES.get(path.suffix.lower())
    if expected == "tflite":
        return "It is no TFLite model: the identifier TFL3 is missing"
    if expected == "onnx":
        return f"It is a broken ONNX model, or none: {error}"
    return f"It is neither a TFLite model nor a whole ONNX model: {error}"


def _refused(
    path: Path, found: str, advice: str = "Copy or convert the model again"
) -> ModelFileError:
    return ModelFileError(f"Loading {path} failed", found, advice)
