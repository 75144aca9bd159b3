"""What an engine is: a class that opens one file and computes, and nothing more.

The session has checked names, shapes and dtypes before an engine sees an array, so an
engine has no checks of its own: it opens the file, says what the file takes and gives,
and turns arrays into arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from hornbeam.errors import EngineUnavailableError, ExecutionError, ModelFileError
from hornbeam.runtime.files import ModelFile
from hornbeam.runtime.tensors import Array, TensorInfo

__all__ = ["Engine", "broken_file", "failed_run", "first_line", "not_installed"]


class Engine(ABC):
    """One model file, opened; made by ``open_engine`` and used by ``Session`` alone.

    The constructor raises ``EngineUnavailableError`` or ``ModelFileError``, or leaves an
    engine that can compute. It is freed when nothing refers to it any more.
    """

    name: ClassVar[str]
    device: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @abstractmethod
    def __init__(self, file: ModelFile, device: str, threads: int | None) -> None:
        """Open ``file``, to be computed on ``device`` with so many threads."""

    @abstractmethod
    def compute(self, arrays: list[Array]) -> list[Array]:
        """Compute the outputs from arrays that fit ``inputs``, both in the file's order.

        Called from many threads at once. The arrays returned belong to the caller.
        Raises ``ExecutionError``.
        """

    def reset(self) -> None:  # noqa: B027 - most engines keep nothing between runs
        """Clear what the model remembers from one ``compute`` to the next."""


def not_installed(library: str, extra: str, error: ImportError) -> EngineUnavailableError:
    """Say that the library behind an engine cannot be imported, and how to get it."""
    missing = isinstance(error, ModuleNotFoundError) and error.name == library.partition(".")[0]
    return EngineUnavailableError(
        f"This file runs on {library.partition('.')[0]}",
        "It is not installed" if missing else f"It cannot be imported: {first_line(error)}",
        f'Run: pip install "hornbeam[{extra}]"',
    )


def broken_file(file: ModelFile, engine: str, error: BaseException) -> ModelFileError:
    """Say that the engine refused the file, in the engine's own words."""
    return ModelFileError(
        f"Loading {file.path} failed",
        f"{engine} says: {first_line(error)}",
        "If the file is whole, it needs another version of the engine: update it, "
        "or convert the model again",
    )


def failed_run(engine: str, error: BaseException) -> ExecutionError:
    """Say that the engine failed on inputs that fit the model."""
    return ExecutionError(
        "The inputs fit the model, but computing it failed",
        f"{engine} says: {first_line(error)}",
        "Try other sizes of the free dimensions; if none works, convert the model again",
    )


def first_line(error: BaseException) -> str:
    """Give the first line of an error's text: engines append native stack traces."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
