"""Every error that Hornbeam raises on purpose, as one tree.

::

    HornbeamError
    ├── UsageError                 a call or a command line that makes no sense
    ├── OutputError                a file that cannot be written where it was asked for
    ├── ConversionError
    │   ├── ModelLoadError         a Keras file that is missing, broken, or not a model
    │   │   └── UntrustedCodeError it would run code, and nobody said that it may
    │   ├── UnsupportedLayerError  a layer or operation without a lowering
    │   ├── UnsupportedFormatError the model is fine, the chosen format cannot hold it
    │   └── VerificationError      the written file does not compute what Keras computes
    └── RuntimeModelError
        ├── ModelFileError         an .onnx or .tflite file that is missing or broken
        ├── EngineUnavailableError the engine is not installed or cannot start
        ├── InputError             inputs that do not fit the model
        ├── ExecutionError         the engine failed while computing
        └── SessionClosedError     a session used after ``close()``

Each message is built of three parts, in this order: what was asked, what was
found, what to do. The parts stay readable as attributes, so that a program can
show them its own way.
"""

from __future__ import annotations

__all__ = [
    "ConversionError",
    "EngineUnavailableError",
    "ExecutionError",
    "HornbeamError",
    "InputError",
    "ModelFileError",
    "ModelLoadError",
    "OutputError",
    "RuntimeModelError",
    "SessionClosedError",
    "UnsupportedFormatError",
    "UnsupportedLayerError",
    "UntrustedCodeError",
    "UsageError",
    "VerificationError",
]


class HornbeamError(Exception):
    """Root of the tree: catch this to catch everything Hornbeam raises on purpose.

    ``asked``, ``found`` and ``advice`` are one sentence each; an empty part is left
    out of the message.
    """

    def __init__(self, asked: str, found: str = "", advice: str = "") -> None:
        self.asked = asked
        self.found = found
        self.advice = advice
        super().__init__(" ".join(_sentence(part) for part in (asked, found, advice) if part))

    def __reduce__(self) -> tuple[type[HornbeamError], tuple[str, str, str]]:
        # An exception is pickled by its message, which is one argument; ours takes three.
        return type(self), (self.asked, self.found, self.advice)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else text + "."


class UsageError(HornbeamError):
    """A call or a command line that makes no sense (the command exits with code 2)."""


class OutputError(HornbeamError):
    """A file that cannot be written where it was asked for."""


class ConversionError(HornbeamError):
    """A model that could not be carried over."""


class ModelLoadError(ConversionError):
    """A Keras file that is missing, broken, or not a model."""


class UntrustedCodeError(ModelLoadError):
    """Loading the model would run code from its file, and nobody said that it may."""


class UnsupportedLayerError(ConversionError):
    """A layer or operation that has no lowering."""


class UnsupportedFormatError(ConversionError):
    """A model that is understood, in a format that cannot hold it."""


class VerificationError(ConversionError):
    """A written file that does not compute what Keras computes."""


class RuntimeModelError(HornbeamError):
    """A model file that could not be opened or run."""


class ModelFileError(RuntimeModelError):
    """An ``.onnx`` or ``.tflite`` file that is missing, truncated or corrupt."""


class EngineUnavailableError(RuntimeModelError):
    """The engine asked for is not installed, or cannot start on this machine."""


class InputError(RuntimeModelError):
    """Inputs whose names, shapes or dtypes do not fit the model."""


class ExecutionError(RuntimeModelError):
    """The engine failed while it computed."""


class SessionClosedError(RuntimeModelError):
    """A session was used after ``close()``."""
