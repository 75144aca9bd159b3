"""Convert: load, trace, improve, write, prove; and a report of what was done."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hornbeam
from hornbeam.converter.files import staging
from hornbeam.errors import UsageError
from hornbeam.pipeline.formats import format_of, writer_of
from hornbeam.pipeline.verify import Verification, prove

if TYPE_CHECKING:
    from hornbeam.graph import Graph
    from hornbeam.pipeline.reference import Reference

__all__ = ["ConversionReport", "FileReport", "convert"]


@dataclass(frozen=True)
class FileReport:
    """One written file: where, how large, how long it took, and its proof if there is one."""

    path: Path
    format: str
    bytes: int
    seconds: float
    verification: Verification | None


@dataclass(frozen=True)
class ConversionReport:
    """What `convert` did: repairs of the model's file, written files, seconds of each step."""

    model: str
    source: str
    repairs: tuple[str, ...]
    files: tuple[FileReport, ...]
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "source": self.source,
            "repairs": list(self.repairs),
            "seconds": self.seconds,
            "files": [
                {
                    "path": str(file.path),
                    "format": file.format,
                    "bytes": file.bytes,
                    "seconds": file.seconds,
                    "verification": file.verification and file.verification.as_dict(),
                }
                for file in self.files
            ],
        }

    def __str__(self) -> str:
        lines = [f"{self.model} from {self.source}", *(f"  repaired: {r}" for r in self.repairs)]
        for file in self.files:
            proof = file.verification
            error = "not verified" if proof is None else f"worst error {proof.worst:.1e}"
            lines.append(f"  {file.path}: {file.bytes:,} bytes, {error}, {file.seconds:.2f} s")
        return "\n".join(lines)


def convert(
    model: Any,
    *outputs: str | os.PathLike[str],
    opset: int | None = None,
    batch: int | None = None,
    verify: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
    trust: bool = False,
    progress: Callable[[str], None] | None = None,
) -> ConversionReport:
    """Carry a trained Keras model into each of ``outputs``, whose suffixes say the format.

    ``model`` is a Keras model or the path of a .keras, .h5 or .hdf5 file. ``opset`` is that of
    ONNX, from 13 up; ``batch`` fixes the batch size, which is free otherwise; ``verify`` runs each
    file beside Keras before it takes its name. ``custom_objects`` are the classes and functions
    that the file names; ``trust`` lets code in the file run. ``progress`` is told each step.

    Raises `ConversionError` and its kin where the model cannot be loaded, expressed or proved, and
    `OutputError` where a file cannot be written; then no output is there that was not before.
    """
    from hornbeam.converter.load import load

    paths = _checked(outputs, opset, batch)
    watch = _Watch(progress)
    with watch("load"):
        loaded = load(model, custom_objects=custom_objects, trust=trust)
    with watch("trace"):
        from hornbeam.converter.trace import trace

        graph = trace(loaded.model, batch=batch)
    if not verify:
        # From here on the graph has all that is needed: let the weights of a file be freed as
        # they are folded, so that they are not held twice.
        loaded = replace(loaded, model=None)
        gc.collect()
    with watch("improve"):
        from hornbeam.converter.passes import improve

        improve(graph)
    reference = _reference(loaded.model, graph) if verify else None
    metadata = {"version": hornbeam.__version__, "model": graph.name}
    files: list[FileReport] = []
    with ExitStack() as stack:
        for path in paths:
            began = time.perf_counter()
            staged = stack.enter_context(staging(path))
            proof = None
            with watch(f"write {path.name}"):
                writer_of(path, opset)(graph, staged, metadata=metadata)
            if reference is not None:
                with watch(f"verify {path.name}"):
                    proof = prove(reference, staged)
            size = sum(file.stat().st_size for file in staged.parent.iterdir())
            seconds = time.perf_counter() - began
            files.append(FileReport(path, format_of(path), size, seconds, proof))
    return ConversionReport(graph.name, loaded.source, loaded.repairs, tuple(files), watch.seconds)


def _reference(model: Any, graph: Graph) -> Reference:
    # Keras comes in with the model, never before a backend was chosen for it.
    from hornbeam.pipeline.reference import Reference

    return Reference(model, graph)


def _checked(
    outputs: tuple[str | os.PathLike[str], ...], opset: int | None, batch: int | None
) -> list[Path]:
    """The outputs as paths; `UsageError` before any work is done."""
    if not outputs:
        raise UsageError(
            "convert needs at least one output", "None was given", "Name one, such as model.onnx"
        )
    if batch is not None and (not isinstance(batch, int) or batch < 1):
        raise UsageError("The batch size must be a whole number from 1 up", f"Found {batch!r}")
    formats = [format_of(path) for path in outputs]
    if opset is not None and "onnx" not in formats:
        raise UsageError(
            "An opset was asked for", "No output is an .onnx file", "Leave the opset out"
        )
    paths = [Path(path) for path in outputs]
    twice = {path for path in paths if [p.resolve() for p in paths].count(path.resolve()) > 1}
    if twice:
        raise UsageError(f"The output {min(twice)} was given twice", "", "Name each file once")
    return paths


class _Watch:
    """Tells the caller each step, and how long it took."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        if self._progress is not None:
            self._progress(step)
        began = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - began
