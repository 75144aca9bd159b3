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
from hornbeam.converter.tensorflow import is_saved_model
from hornbeam.errors import ModelLoadError, UnsupportedLayerError, UsageError
from hornbeam.pipeline.formats import format_of, writer_of
from hornbeam.pipeline.second_way import (
    Detour,
    TensorFlowReference,
    may_load_elsewhere,
    opened,
)
from hornbeam.pipeline.verify import Verification, prove

if TYPE_CHECKING:
    from hornbeam.converter.load import LoadedModel
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
    """What `convert` did: repairs of the model's file, written files, seconds of each step.

    ``way`` is "keras" where Hornbeam traced the model and wrote the files itself, and "tensorflow"
    where TensorFlow's own converters did; ``why`` is then one sentence about the reason.
    """

    model: str
    source: str
    repairs: tuple[str, ...]
    files: tuple[FileReport, ...]
    seconds: dict[str, float]
    way: str = "keras"
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "source": self.source,
            "repairs": list(self.repairs),
            "way": self.way,
            "why": self.why,
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
        if self.why:
            lines.append(f"  by way of {self.way}: {self.why}")
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
    time_limit: float = 1800.0,
    progress: Callable[[str], None] | None = None,
) -> ConversionReport:
    """Carry a trained Keras model into each of ``outputs``, whose suffixes say the format.

    ``model`` is a Keras model, the path of a .keras, .h5 or .hdf5 file, or the folder of a
    TensorFlow SavedModel. A SavedModel, and a model that cannot be traced, goes through
    TensorFlow's own converters, where they are installed; they run in a process of their own, in
    which each step may take ``time_limit`` seconds, and the report says so. ``opset`` is that of
    ONNX, from 13 up; ``batch`` fixes the batch size, which is free otherwise; ``verify`` runs each
    file beside Keras before it takes its name. ``custom_objects`` are the classes and functions
    that the file names; ``trust`` lets code in the file run. ``progress`` is told each step.

    Raises `ConversionError` and its kin where the model cannot be loaded, expressed or proved, and
    `OutputError` where a file cannot be written; then no output is there that was not before.
    """
    from hornbeam.converter.load import load

    paths = _checked(outputs, opset, batch)
    watch = _Watch(progress)
    detour = Detour(
        model, tuple(map(format_of, paths)), batch, trust, custom_objects or {}, time_limit
    )
    job = _Job(paths, opset, verify, watch)
    if is_saved_model(model):
        return _through_tensorflow(detour, job)
    with watch("load"):
        try:
            loaded = load(model, custom_objects=custom_objects, trust=trust)
        except ModelLoadError as error:
            if not may_load_elsewhere(model, error):
                raise
            return _through_tensorflow(replace(detour, error=error), job)
    with watch("trace"):
        from hornbeam.converter.trace import trace

        try:
            graph = trace(loaded.model, batch=batch)
        except UnsupportedLayerError as error:
            return _through_tensorflow(replace(detour, error=error), job, loaded)
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

    def write(path: Path, staged: Path) -> None:
        writer_of(path, opset)(graph, staged, metadata=metadata)

    files = job.deliver(write, reference)
    return ConversionReport(graph.name, loaded.source, loaded.repairs, files, watch.seconds)


@dataclass(frozen=True)
class _Job:
    """The files to deliver, whichever way the model goes."""

    paths: list[Path]
    opset: int | None
    verify: bool
    watch: _Watch

    def deliver(
        self,
        write: Callable[[Path, Path], None],
        reference: Reference | TensorFlowReference | None,
    ) -> tuple[FileReport, ...]:
        """Write each file, prove it where there is a reference, and let all take their names."""
        files: list[FileReport] = []
        with ExitStack() as stack:
            for path in self.paths:
                began = time.perf_counter()
                staged = stack.enter_context(staging(path))
                proof = None
                with self.watch(f"write {path.name}"):
                    write(path, staged)
                if reference is not None:
                    with self.watch(f"verify {path.name}"):
                        proof = prove(reference, staged)
                size = sum(file.stat().st_size for file in staged.parent.iterdir())
                seconds = time.perf_counter() - began
                files.append(FileReport(path, format_of(path), size, seconds, proof))
        return tuple(files)


def _through_tensorflow(
    detour: Detour, job: _Job, loaded: LoadedModel | None = None
) -> ConversionReport:
    """Have TensorFlow's own converters write the files, in a child process."""
    name = Path(detour.source).name if loaded is None else str(loaded.model.name)
    metadata = {"version": hornbeam.__version__, "model": name, "way": "tensorflow"}
    with ExitStack() as stack:
        with job.watch("open with TensorFlow"):
            model = stack.enter_context(opened(detour, loaded and loaded.model))
        reference = TensorFlowReference(model)

        def write(path: Path, staged: Path) -> None:
            del path
            model.write(staged, opset=job.opset, axes=reference.axes, metadata=metadata)

        files = job.deliver(write, reference if job.verify else None)
    source, repairs = (loaded.source, loaded.repairs) if loaded else (name, ())
    why = f"{detour.reason.rstrip('.')} ({model.loader}, {', '.join(detour.converters)})"
    return ConversionReport(
        name, source, repairs, files, job.watch.seconds, way="tensorflow", why=why
    )


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
    if batch is not None and (type(batch) is not int or batch < 1):
        raise UsageError("The batch size must be a whole number from 1 up", f"Found {batch!r}")
    formats = [format_of(path) for path in outputs]
    if opset is not None and "onnx" not in formats:
        raise UsageError(
            "An opset was asked for", "No output is an .onnx file", "Leave the opset out"
        )
    if opset is not None:
        if type(opset) is not int:
            raise UsageError("The opset must be a whole number", f"Found {opset!r}")
        from hornbeam.converter.onnx import check_opset

        check_opset(opset)
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
