"""The proof: a written file beside the Keras model, on the same inputs.

Each set of inputs runs twice, and once more sample by sample in reverse order, because a file may
keep state from run to run, or be right at one batch size only. The error of an output is the
largest difference as a share of the output's scale, the largest magnitude that Keras gives. Behind
a softmax or sigmoid that saturates, everything would agree; there the logarithms, which are what
went into it, are compared as well.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hornbeam.errors import VerificationError
from hornbeam.graph import Graph
from hornbeam.graph.operations import Softmax, Unary
from hornbeam.pipeline.samples import sample_inputs
from hornbeam.runtime.session import Session, load

if TYPE_CHECKING:
    from hornbeam.pipeline.reference import Reference

__all__ = ["TOLERANCE", "Agreement", "Verification", "prove", "verify"]

Array = npt.NDArray[Any]

#: The largest error that passes, as a share of the output's scale.
TOLERANCE = 1e-4
#: The same where the model itself computes in half precision.
_HALF_TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2}
#: Below this, differences are noise whatever their share.
_SMALLEST_SCALE = 1e-3
#: Probabilities below this have no logarithm worth comparing.
_SMALLEST_PROBABILITY = 1e-30


@dataclass(frozen=True)
class Agreement:
    """How well one output agrees: the worst error, as a share of ``scale``."""

    output: str
    error: float
    scale: float


@dataclass(frozen=True)
class Verification:
    """What was compared, and how well it agreed."""

    agreements: tuple[Agreement, ...]
    runs: tuple[str, ...]
    engine: str
    machine: str

    @property
    def worst(self) -> float:
        """The worst error over all outputs and runs."""
        return max(agreement.error for agreement in self.agreements)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "worst_error": self.worst,
            "engine": self.engine,
            "machine": self.machine,
            "runs": list(self.runs),
            "outputs": [vars(agreement) for agreement in self.agreements],
        }


def verify(
    model: Any,
    file: str | os.PathLike[str],
    *,
    data: Mapping[str, Array] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    trust: bool = False,
    tolerance: float | None = None,
) -> Verification:
    """Prove that ``file`` (.onnx or .tflite) computes what ``model`` (a path or a model) does.

    ``data`` holds inputs by name, with the samples along axis 0; without it inputs are made up
    from what each input is for. ``tolerance`` is a share of each output's scale, by default 1e-4.
    Raises `VerificationError` where an error is larger, `InputError` where ``data`` does not fit.
    """
    from hornbeam.converter.load import load as load_model
    from hornbeam.converter.passes import improve
    from hornbeam.converter.trace import trace

    loaded = load_model(model, custom_objects=custom_objects, trust=trust)
    graph = trace(loaded.model)
    improve(graph)
    return prove(loaded.model, graph, file, data=data, tolerance=tolerance)


def prove(
    model: Any,
    graph: Graph,
    file: str | os.PathLike[str],
    *,
    data: Mapping[str, Array] | None = None,
    tolerance: float | None = None,
) -> Verification:
    """`verify` for a model that is loaded and traced already."""
    # Keras comes in with the model, never before a backend was chosen for it.
    from hornbeam.pipeline.reference import Reference

    reference = Reference(model, graph)
    allowed = tolerance if tolerance is not None else _tolerance(graph)
    worst = {name: Agreement(name, 0.0, 0.0) for name in graph.outputs}
    runs: list[str] = []
    with load(file) as session:
        for inputs in [data] if data is not None else sample_inputs(graph):
            expected = reference.run(inputs)
            for label, rows in _orders(session, inputs):
                _compare(worst, graph, (session, reference), inputs, expected, rows, allowed)
                runs.append(label)
        result = Verification(
            tuple(worst.values()), tuple(runs), session.engine, platform.processor() or
            platform.machine(),
        )  # fmt: skip
    # Written so that a NaN fails, too.
    if not result.worst <= allowed:
        raise _mismatch(model, graph, Path(file), result, allowed)
    return result


def _orders(
    session: Session, inputs: Mapping[str, Array]
) -> list[tuple[str, list[list[int]]]]:
    """The runs to make: which rows go in together, in which order."""
    count = len(next(iter(inputs.values())))
    rows = list(range(count))
    sizes = "×".join(str(size) for size in next(iter(inputs.values())).shape)
    fixed = session.inputs[0].shape[:1]
    if fixed and isinstance(fixed[0], int):
        size = fixed[0]
        batches = [[(start + i) % count for i in range(size)] for start in range(0, count, size)]
        return [
            (f"{sizes} in batches of {size}", batches),
            (f"{sizes} in batches of {size}, last first", batches[::-1]),
        ]
    return [
        (f"{sizes} at once", [rows]),
        (f"{sizes} one by one, last first", [[row] for row in reversed(rows)]),
        (f"{sizes} at once, again", [rows]),
    ]


def _compare(
    worst: dict[str, Agreement],
    graph: Graph,
    sides: tuple[Session, Reference],
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array],
    batches: Sequence[list[int]],
    allowed: float,
) -> None:
    session, reference = sides
    for rows in batches:
        part = {name: array[rows] for name, array in inputs.items()}
        found = _outputs(session, part)
        wanted = {name: _rows(array, rows, len(expected_rows(inputs))) for name, array in
                  expected.items()}  # fmt: skip
        agreements = _agreements(graph, wanted, found)
        if not all(a.error <= allowed for a in agreements):
            # A model whose samples see each other (a mean over the batch) is compared with Keras
            # at this very batch.
            agreements = _agreements(graph, reference.run(part), found)
        for agreement in agreements:
            if not agreement.error <= worst[agreement.output].error:
                worst[agreement.output] = agreement
            elif not worst[agreement.output].scale:
                worst[agreement.output] = agreement


def expected_rows(inputs: Mapping[str, Array]) -> Array:
    """The array whose axis 0 counts the samples."""
    return next(iter(inputs.values()))


def _rows(array: Array, rows: list[int], count: int) -> Array:
    return array[rows] if array.ndim and len(array) == count else array


def _outputs(session: Session, inputs: Mapping[str, Array]) -> dict[str, Array]:
    result = session.run(dict(inputs))
    if isinstance(result, dict):
        return result
    return {session.outputs[0].name: result}


def _agreements(
    graph: Graph, expected: Mapping[str, Array], found: Mapping[str, Array]
) -> list[Agreement]:
    producers = graph.producers()
    agreements = []
    for name, value in graph.outputs.items():
        agreement = _agreement(name, expected[name], found[name])
        node = producers.get(value)
        if node is not None and agreement.error < np.inf:
            if isinstance(node.operation, Softmax):
                agreement = _worse(agreement, _in_logarithms(name, expected, found))
            elif node.operation == Unary("sigmoid"):
                agreement = _worse(agreement, _in_logarithms(name, expected, found, below=0.5))
        agreements.append(agreement)
    return agreements


def _agreement(name: str, expected: Array, found: Array) -> Agreement:
    if expected.shape != found.shape:
        return Agreement(name, float("inf"), 0.0)
    if expected.dtype == object:
        same = np.array_equal(expected.astype(str), found.astype(str))
        return Agreement(name, 0.0 if same else float("inf"), 1.0)
    wanted, got = (np.asarray(x, np.float64) for x in (expected, found))
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], got[~finite], equal_nan=True):
        return Agreement(name, float("inf"), 0.0)
    wanted, got = wanted[finite], got[finite]
    scale = max(float(np.abs(wanted).max(initial=0.0)), _SMALLEST_SCALE)
    return Agreement(name, float(np.abs(wanted - got).max(initial=0.0)) / scale, scale)


def _in_logarithms(
    name: str, expected: Mapping[str, Array], found: Mapping[str, Array], below: float = 1.0
) -> Agreement:
    """Probabilities as logarithms: what went into the softmax, up to a constant for each row."""
    wanted, got = (np.asarray(x[name], np.float64) for x in (expected, found))
    usable = (wanted > _SMALLEST_PROBABILITY) & (wanted <= below) & (got > 0)
    if not usable.any():
        return Agreement(name, 0.0, 0.0)
    logs = np.log(wanted[usable])
    scale = max(float(np.abs(logs).max()), 1.0)
    return Agreement(name, float(np.abs(logs - np.log(got[usable])).max()) / scale, scale)


def _worse(a: Agreement, b: Agreement) -> Agreement:
    return b if b.error > a.error else a


def _tolerance(graph: Graph) -> float:
    dtypes = {value.dtype for node in graph.nodes for value in node.outputs}
    return max([TOLERANCE, *(_HALF_TOLERANCE[d] for d in dtypes & _HALF_TOLERANCE.keys())])


def _mismatch(
    model: Any, graph: Graph, file: Path, result: Verification, allowed: float
) -> VerificationError:
    from hornbeam.pipeline.blame import first_difference

    bad = max(result.agreements, key=lambda a: np.inf if a.error != a.error else a.error)
    where = first_difference(model, graph, file, allowed)
    return VerificationError(
        f"Cannot prove that {file.name} computes what '{graph.name}' computes",
        f"Output '{bad.output}' differs by {bad.error:.2g} of its scale, allowed is {allowed:.0e}"
        + (f"; the first layer that differs is '{where}'" if where else ""),
        "Please report this; --no-verify (verify=False) writes the file all the same",
    )
