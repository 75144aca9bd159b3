"""TFLite files on LiteRT, which computes on the processor with XNNPACK."""

from __future__ import annotations

import importlib
from threading import Lock
from typing import Any

import numpy as np

from hornbeam.errors import InputError
from hornbeam.runtime.engines.base import Engine, broken_file, failed_run, not_installed
from hornbeam.runtime.files import ModelFile
from hornbeam.runtime.tensors import Array, TensorInfo, describe

__all__ = ["LiteRTEngine"]

# What the interpreter raises: ValueError for wrong arguments and files, RuntimeError
# for kernels that fail to prepare or to run.
_FAILURES = (RuntimeError, ValueError)


class LiteRTEngine(Engine):
    """One TFLite file in an interpreter, used by one thread at a time.

    An interpreter owns the memory of all its tensors, so two threads cannot be inside.
    A lock rather than an interpreter for each thread: a device that chose TFLite has
    little memory, and a model with state has one state.
    """

    name = "litert"

    def __init__(self, file: ModelFile, device: str, threads: int | None) -> None:
        try:
            self._module = importlib.import_module("ai_edge_litert.interpreter")
        except ImportError as error:
            raise not_installed("ai_edge_litert.interpreter", "litert", error) from error
        self._file = file
        self._threads = threads
        self._lock = Lock()
        self.device = device
        try:
            self._open()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except _FAILURES as error:
            raise broken_file(file, self.name, error) from error
        self.inputs = _tensor_infos(inputs, file.input_names)
        self.outputs = _tensor_infos(outputs, file.output_names)
        self._input_indices = [detail["index"] for detail in inputs]
        self._output_indices = [detail["index"] for detail in outputs]

    def _open(self) -> None:
        self._interpreter = self._module.Interpreter(
            model_path=str(self._file.path), num_threads=self._threads
        )
        self._interpreter.allocate_tensors()
        # The shapes that memory is allocated for; None after an allocation that failed.
        self._shapes: list[tuple[int, ...]] | None = [
            tuple(map(int, detail["shape"])) for detail in self._interpreter.get_input_details()
        ]

    def compute(self, arrays: list[Array]) -> list[Array]:
        """Compute all outputs; see ``Engine.compute``."""
        for info, array in zip(self.inputs, arrays, strict=True):
            if array.size == 0:
                raise _empty(info, array)
        with self._lock:
            try:
                self._allocate([array.shape for array in arrays])
                for index, array in zip(self._input_indices, arrays, strict=True):
                    self._interpreter.set_tensor(index, array)
                self._interpreter.invoke()
                # get_tensor copies, so the next run does not overwrite what this one gave.
                return [self._interpreter.get_tensor(index) for index in self._output_indices]
            except _FAILURES as error:
                raise failed_run(self.name, error) from error

    def _allocate(self, shapes: list[tuple[int, ...]]) -> None:
        """Plan the memory again, only when a shape is not that of the last run."""
        if shapes == self._shapes:
            return
        if self._shapes is None:
            # XNNPACK does not survive a second try in the same interpreter.
            self._open()
        self._shapes = None
        for index, shape in zip(self._input_indices, shapes, strict=True):
            self._interpreter.resize_tensor_input(index, shape)
        self._interpreter.allocate_tensors()
        self._shapes = shapes

    def reset(self) -> None:
        """Set every variable tensor to zero, as when the file was opened."""
        with self._lock:
            self._interpreter.reset_all_variables()


def _tensor_infos(
    details: list[dict[str, Any]], names: tuple[str, ...] | None
) -> tuple[TensorInfo, ...]:
    names = names or tuple(detail["name"] for detail in details)
    return tuple(
        TensorInfo(name, _shape(detail), _dtype(detail))
        for name, detail in zip(names, details, strict=True)
    )


def _shape(detail: dict[str, Any]) -> tuple[int | None, ...]:
    # Only the signature tells free dimensions (-1); the shape has 1 in their place.
    signature, shape = detail["shape_signature"], detail["shape"]
    sizes = signature if len(signature) == len(shape) else shape
    return tuple(None if size < 0 else int(size) for size in sizes)


def _dtype(detail: dict[str, Any]) -> np.dtype[Any]:
    dtype = np.dtype(detail["dtype"])
    return np.dtype(object) if dtype.kind in "SU" else dtype


def _empty(info: TensorInfo, array: Array) -> InputError:
    # XNNPACK overruns its memory on these, and the process ends, at once or later.
    return InputError(
        f'Input "{info.name}" must hold values: LiteRT computes nothing on empty arrays',
        f"Found {describe(array.dtype, array.shape)}",
        "Skip the run when there is nothing to compute",
    )
