"""The engines, and which of them serves a format on a device.

One table decides; a new engine or device is a new line in it and a file beside this one.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from hornbeam.errors import EngineUnavailableError, UsageError
from hornbeam.runtime.engines.base import Engine
from hornbeam.runtime.files import ModelFile

__all__ = ["open_engine"]


class _Choice(NamedTuple):
    module: str
    class_name: str
    device: str


_ONNX_CPU = _Choice("hornbeam.runtime.engines.onnxruntime", "OnnxRuntimeEngine", "cpu")
_LITERT_CPU = _Choice("hornbeam.runtime.engines.litert", "LiteRTEngine", "cpu")

# For each format, what the caller may call a device: the machine's part or the engine.
_CHOICES: dict[str, dict[str, _Choice]] = {
    "onnx": {
        "auto": _ONNX_CPU,
        "cpu": _ONNX_CPU,
        "cuda": _ONNX_CPU._replace(device="cuda"),
        "onnxruntime": _ONNX_CPU,
    },
    "tflite": {"auto": _LITERT_CPU, "cpu": _LITERT_CPU, "litert": _LITERT_CPU},
}


def open_engine(file: ModelFile, device: str, threads: int | None) -> Engine:
    """Open ``file`` on the engine that serves its format on ``device``."""
    choices = _CHOICES[file.format]
    if device not in choices:
        known = sorted({name for table in _CHOICES.values() for name in table})
        if device not in known:
            raise UsageError(
                f"Loading {file.path.name} was asked of device {device!r}",
                "There is no device of this name",
                f"Choose one of {', '.join(known)}",
            )
        raise EngineUnavailableError(
            f"Loading {file.path.name} was asked of {device!r}",
            f"It holds a {file.format} model, which {device!r} does not run",
            f"Choose one of {', '.join(choices)}, or convert the model to the other format",
        )
    choice = choices[device]
    engine: type[Engine] = getattr(importlib.import_module(choice.module), choice.class_name)
    return engine(file, choice.device, threads)
