"""ONNX files on onnxruntime: the processor, or a GPU where the build has one."""

from __future__ import annotations

import ctypes
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.errors import EngineUnavailableError, ModelFileError
from hornbeam.runtime.engines.base import (
    Engine,
    broken_file,
    failed_run,
    first_line,
    not_installed,
)
from hornbeam.runtime.files import ModelFile
from hornbeam.runtime.tensors import Array, TensorInfo

__all__ = ["OnnxRuntimeEngine"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# onnxruntime's names of element types; what numpy has no type for is not here.
_DTYPES = {
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(int16)": np.dtype(np.int16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(string)": np.dtype(object),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(uint16)": np.dtype(np.uint16),
    "tensor(uint32)": np.dtype(np.uint32),
    "tensor(uint64)": np.dtype(np.uint64),
}

# A model file is data from anywhere, and some options name files to read or write, so
# it may set only those that choose among ways to compute the same numbers.
_FILE_MAY_SET = frozenset(
    {
        "session.disable_quant_qdq",
        "session.enable_quant_qdq_cleanup",
        "session.qdqisint8allowed",
        "session.set_denormal_as_zero",
        "session.x64quantprecision",
    }
)


class OnnxRuntimeEngine(Engine):
    """One ONNX file in an onnxruntime session, which threads may share freely."""

    name = "onnxruntime"

    def __init__(self, file: ModelFile, device: str, threads: int | None) -> None:
        ort = _import(device)
        self._failures = _failures()
        self._session = self._open(ort, file, device, threads)
        self.device = device
        try:
            self.inputs = _tensor_infos(file, self._session.get_inputs())
            self.outputs = _tensor_infos(file, self._session.get_outputs())
        except UnicodeDecodeError as error:
            raise broken_file(file, self.name, error) from error
        self._input_names = [info.name for info in self.inputs]
        self._output_names = [info.name for info in self.outputs]

    def _open(self, ort: Any, file: ModelFile, device: str, threads: int | None) -> Any:
        provider = _PROVIDERS[device]
        if provider not in ort.get_available_providers():
            raise _no_device(file, device, f"This build of onnxruntime has no {provider}")
        options = _options(ort, file, threads)
        try:
            # The fallback would print, and go on without the device. Some versions do not
            # know the argument, and have the method only.
            session = ort.InferenceSession(
                str(file.path), options, providers=[provider], enable_fallback=0
            )
            session.disable_fallback()
        except self._failures as error:
            # What is wrong with a model has types of its own; a driver has not.
            if device != "cpu" and isinstance(error, RuntimeError):
                raise _no_device(file, device, first_line(error)) from error
            raise broken_file(file, self.name, error) from error
        # A provider whose libraries do not load is left out without an error.
        if provider not in session.get_providers():
            raise _no_device(file, device, _why_not(ort, device))
        return session

    def compute(self, arrays: list[Array]) -> list[Array]:
        """Compute all outputs; see ``Engine.compute``."""
        feeds = dict(zip(self._input_names, arrays, strict=True))
        try:
            outputs: list[Array] = self._session.run(self._output_names, feeds)
        except self._failures as error:
            raise failed_run(self.name, error) from error
        return outputs


def _import(device: str) -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise not_installed("onnxruntime", device, error) from error


def _failures() -> tuple[type[Exception], ...]:
    """List every error that onnxruntime raises: its own have no base class in common."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = [
        kind
        for kind in vars(state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    return (*own, RuntimeError, ValueError)


def _options(ort: Any, file: ModelFile, threads: int | None) -> Any:
    options = ort.SessionOptions()
    # Fatal only: errors are raised as well, and one that is also printed is told twice.
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    for key, value in _options_in_file(file).items():
        options.add_session_config_entry(key, value)
    return options


def _options_in_file(file: ModelFile) -> dict[str, str]:
    """Read the options that the file was quantized for, from its metadata."""
    text = file.metadata.get("session_options", "{}")
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        entries = None
    if not isinstance(entries, dict) or not entries.keys() <= _FILE_MAY_SET:
        raise ModelFileError(
            f"Loading {file.path} failed",
            f"Its metadata asks for session options that a file may not set: {text}",
            f"Only these may be set, in a JSON object: {', '.join(sorted(_FILE_MAY_SET))}",
        )
    return {key: str(value) for key, value in entries.items()}


def _why_not(ort: Any, device: str) -> str:
    """Load a provider's library the way onnxruntime did, for the reason that it keeps back."""
    for library in Path(ort.__file__).parent.glob(f"capi/*onnxruntime_providers_{device}.*"):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return f"Its provider does not load: {first_line(error)}"
    return "Its provider is there, but does not start"


def _no_device(file: ModelFile, device: str, found: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"Loading {file.path.name} was asked of device {device!r}",
        found,
        f'Run: pip install "hornbeam[{device}]" where the device\'s driver and libraries '
        "are installed, or choose device='cpu'",
    )


def _tensor_infos(file: ModelFile, tensors: list[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(tensor.name, tuple(map(_dimension, tensor.shape)), _dtype(file, tensor))
        for tensor in tensors
    )


def _dtype(file: ModelFile, tensor: Any) -> np.dtype[Any]:
    if tensor.type in _DTYPES:
        return _DTYPES[tensor.type]
    raise ModelFileError(
        f"Loading {file.path} failed",
        f'Its "{tensor.name}" is a {tensor.type}, which is no numpy array',
        "Convert the model with inputs and outputs of numbers, bools or strings",
    )


def _dimension(size: int | str | None) -> int | str | None:
    # "unk__" starts the names that onnxruntime gives to dimensions without one.
    nameless = isinstance(size, str) and (not size or size.startswith("unk__"))
    return None if nameless else size
