"""The session is the one way to run a model, whatever its format and engine."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

from hornbeam.errors import SessionClosedError, UsageError
from hornbeam.runtime.engines import open_engine
from hornbeam.runtime.engines.base import Engine
from hornbeam.runtime.files import ModelFile, read_model_file
from hornbeam.runtime.tensors import TensorInfo, validate

__all__ = ["Session", "load"]


def load(
    path: str | os.PathLike[str], device: str = "auto", *, threads: int | None = None
) -> Session:
    """Open an ``.onnx`` or ``.tflite`` file, ready to run.

    What the file is, is read from its bytes, not from its name. ``device`` is ``"auto"``
    or ``"cpu"`` (the format's own engine on the processor), ``"cuda"``, or the name of an
    engine; what was asked for is used or refused, never replaced by something slower.
    ``threads`` bounds the threads that compute one operator; ``None`` leaves it to the
    engine (onnxruntime takes all cores, LiteRT takes one).

    Raises ``ModelFileError`` for a file that is missing, broken or mislabelled,
    ``EngineUnavailableError`` for an engine or device that is not here, ``UsageError``
    for an unknown device or a thread count below one.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise UsageError(
            "The number of threads must be a whole number from 1 up",
            f"Found {threads!r}",
            "Leave it out to let the engine choose",
        )
    file = read_model_file(path)
    return Session(file, open_engine(file, device, threads))


class Session:
    """One model, loaded and ready: ``load`` makes it, ``run`` uses it, ``close`` frees it.

    A session is a context manager, and any number of threads may share it: onnxruntime
    runs them side by side, LiteRT one after the other. ``inputs`` and ``outputs`` say
    what the model takes and gives, in the order and with the names of the file;
    ``metadata`` is what its author wrote into it.
    """

    def __init__(self, file: ModelFile, engine: Engine) -> None:
        self.path: Path = file.path
        self.metadata: dict[str, str] = dict(file.metadata)
        self.engine: str = engine.name
        self.device: str = engine.device
        self.inputs: tuple[TensorInfo, ...] = engine.inputs
        self.outputs: tuple[TensorInfo, ...] = engine.outputs
        self._output_names = tuple(output.name for output in engine.outputs)
        self._engine: Engine | None = engine

    def run(self, *inputs: Any) -> Any:
        """Compute the outputs for one set of inputs.

        Give the inputs in the model's order, or as one mapping from name to array. An
        array must have its input's dtype; only another float is cast by itself, and plain
        Python numbers and lists take the dtype of the input where they keep their value.
        Byte order and memory layout are put right silently.

        Returns the array itself where the model has one output, else a dict by output
        name in the model's order. The arrays are the caller's own: no later run changes
        them. A TFLite file with state (a fused LSTM, resource variables) carries it from
        one run to the next, as on any device; ``reset`` clears it.

        Raises ``InputError`` before anything is computed, ``ExecutionError`` when the
        engine fails, ``SessionClosedError`` after ``close``.
        """
        outputs = self._opened().compute(validate(self.inputs, inputs))
        return (
            outputs[0] if len(outputs) == 1 else dict(zip(self._output_names, outputs, strict=True))
        )

    def reset(self) -> None:
        """Clear the state that a stateful model keeps between runs; others have none."""
        self._opened().reset()

    def close(self) -> None:
        """Give the engine's memory back. Runs in other threads finish; later ones raise."""
        self._engine = None

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._engine is None

    def _opened(self) -> Engine:
        # Read once: another thread may close the session between a test and a use.
        engine = self._engine
        if engine is None:
            raise SessionClosedError(
                f"The session of {self.path.name} was asked to work",
                "It was closed before",
                "Load the file again, or move the call inside the with block",
            )
        return engine

    def __enter__(self) -> Session:
        self._opened()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        takes = ", ".join(map(str, self.inputs))
        gives = ", ".join(map(str, self.outputs))
        state = "closed" if self.closed else f"{self.engine} on {self.device}"
        return f"<Session {self.path.name}: {takes} -> {gives} ({state})>"
