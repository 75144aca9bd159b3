"""The demonstration: the digits model carried into both formats, proved, scored and timed."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbeam.errors import OutputError
from hornbeam.pipeline.convert import ConversionReport, convert
from hornbeam.pipeline.digits import DigitsFiles, locate
from hornbeam.runtime.session import load

__all__ = ["STEPS", "DemoReport", "DemoRun", "demo"]

Array = NDArray[Any]

#: The steps that ``progress`` is told of: those of a conversion to two files, and two more.
STEPS = 9
#: Timed runs of each; the median settles long before.
ROUNDS = 200
_WARM_UP = 20


@dataclass(frozen=True)
class DemoRun:
    """How one way of running the model did.

    ``error`` is the worst error against Keras as a share of the output's scale, None for Keras
    itself; ``correct`` counts digits; ``seconds`` is the median for one picture.
    """

    name: str
    engine: str
    bytes: int
    error: float | None
    correct: int
    seconds: float


@dataclass(frozen=True)
class DemoReport:
    """What `demo` did and found; ``pictures`` were scored, each run timed ``rounds`` times."""

    conversion: ConversionReport
    runs: tuple[DemoRun, ...]
    pictures: int
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "pictures": self.pictures,
            "rounds": self.rounds,
            "runs": [{**vars(run), "accuracy": run.correct / self.pictures} for run in self.runs],
            "conversion": self.conversion.as_dict(),
        }


def demo(
    keep: str | os.PathLike[str] | None = None,
    *,
    progress: Callable[[str], None] | None = None,
) -> DemoReport:
    """Convert the digits model to both formats, prove it, score it on unseen digits, time it.

    The files go into the folder ``keep``, which is made if need be, or into a temporary one.
    ``progress`` is told each of the `STEPS`. Raises what `convert` raises.
    """
    say = progress or (lambda _: None)
    files = locate()
    with ExitStack() as stack:
        folder = _folder(keep, stack)
        outputs = [folder / "digits.onnx", folder / "digits.tflite"]
        conversion = convert(files.model, *outputs, progress=progress)
        ways: list[Callable[[Array], Array]] = [_keras(files)]
        engines = ["Keras"]
        for path in outputs:
            session = stack.enter_context(load(path))
            ways.append(session.run)
            engines.append(session.engine)
        say("score")
        images, labels = _digits(files)
        correct = [int((way(images).argmax(axis=-1) == labels).sum()) for way in ways]
        say("time")
        seconds = _medians(ways, images[:1])
        sizes = [files.model.stat().st_size, *(file.bytes for file in conversion.files)]
        proofs = [None, *(file.verification for file in conversion.files)]
    runs = tuple(
        DemoRun(name, engine, size, proof and proof.worst, count, median)
        for name, engine, size, proof, count, median in zip(
            [files.model.name, *(path.name for path in outputs)],
            engines, sizes, proofs, correct, seconds, strict=True,
        )
    )  # fmt: skip
    return DemoReport(conversion, runs, len(labels), ROUNDS)


def _folder(keep: str | os.PathLike[str] | None, stack: ExitStack) -> Path:
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hornbeam-")))
    folder = Path(keep)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} was to be made",
            f"The system says: {error.strerror or error}",
            "Choose another folder",
        ) from error
    return folder


def _digits(files: DigitsFiles) -> tuple[Array, Array]:
    """Pictures as the model takes them, float32 (450, 8, 8, 1) of 0..16, and their digits."""
    with np.load(files.data) as data:
        return data["images"][..., np.newaxis].astype(np.float32), data["labels"]


def _keras(files: DigitsFiles) -> Callable[[Array], Array]:
    """Keras as it is used: compiled by its backend."""
    from hornbeam.converter.load import load as load_model

    model = load_model(files.model).model
    return lambda images: np.asarray(model.predict_on_batch(images))


def _medians(ways: list[Callable[[Array], Array]], picture: Array) -> list[float]:
    """The median time of each way, taken in turns so that other load meets them all alike."""
    samples: list[list[float]] = [[] for _ in ways]
    for index in range(_WARM_UP + ROUNDS):
        for way, taken in zip(ways, samples, strict=True):
            began = time.perf_counter()
            way(picture)
            if index >= _WARM_UP:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in samples]
