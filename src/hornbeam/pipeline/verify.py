"""The proof: a written file beside the Keras model, on the same inputs.

Each set of inputs runs twice, and once more sample by sample in reverse order, because a file may
keep state from run to run, or be right at one batch size only. The error of an output is the
largest difference as a share of the output's scale, the largest magnitude that Keras gives.
Behind a softmax or a sigmoid that saturates everything would agree: there logarithms are compared
as well, and what went in.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hornbeam.errors import VerificationError
from hornbeam.graph import Graph, Node
from hornbeam.graph.operations import Softmax, Unary
from hornbeam.pipeline.agreement import Agreement, compare, compare_logarithms, saturated
from hornbeam.pipeline.formats import writer_of
from hornbeam.pipeline.given import fitted
from hornbeam.runtime.session import Session, load

if TYPE_CHECKING:
    from hornbeam.pipeline.reference import Reference
    from hornbeam.pipeline.second_way import TensorFlowReference

__all__ = ["TOLERANCE", "Agreement", "Verification", "prove", "verify"]

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

#: The largest error that passes, as a share of the output's scale.
TOLERANCE = 1e-4
#: The same where the model itself computes in half precision.
_HALF_TOLERANCE = {"float16": 1e-2, "bfloat16": 5e-2}


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
    data: Arrays | None = None,
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

    loaded = load_model(model, custom_objects=custom_objects, trust=trust)

    from hornbeam.converter.passes import improve
    from hornbeam.converter.trace import trace
    from hornbeam.pipeline.reference import Reference

    graph = trace(loaded.model)
    if data is not None:
        data = fitted(graph, data)
    improve(graph)
    return prove(Reference(loaded.model, graph), file, data=data, tolerance=tolerance)


def prove(
    reference: Reference | TensorFlowReference,
    file: str | os.PathLike[str],
    *,
    data: Arrays | None = None,
    tolerance: float | None = None,
) -> Verification:
    """`verify` for a model that is loaded and traced already."""
    proof = _Proof(reference, tolerance or _tolerance(reference.graph))
    cases: list[Any] = reference.cases if data is None else [data]
    with load(file) as session:
        for inputs in cases:
            proof.compare(session, inputs)
        engine = session.engine
    proof.compare_before_activation(Path(file), cases[0])
    machine = platform.processor() or platform.machine()
    result = Verification(tuple(proof.worst.values()), tuple(proof.runs), engine, machine)
    # Written so that a NaN fails, too.
    if not all(a.error <= proof.allowed for a in result.agreements):
        raise _mismatch(reference, Path(file), result, proof.allowed)
    return result


class _Proof:
    """The worst agreement of each output so far."""

    def __init__(self, reference: Reference | TensorFlowReference, allowed: float) -> None:
        self.graph = reference.graph
        self.reference = reference
        self.allowed = allowed
        self.worst: dict[str, Agreement] = {}
        self.runs: list[str] = []
        self._saturated: set[str] = set()
        #: The softmax or sigmoid that each output ends in, if it does.
        self._last = {
            name: node
            for name, node in _makers(self.graph).items()
            if isinstance(node.operation, Softmax) or node.operation == Unary("sigmoid")
        }

    def compare(self, session: Session, inputs: Arrays) -> None:
        """Run one set of inputs in every order, and keep the worst."""
        expected = self.reference.expected(inputs)
        if not _share_samples(self.graph):
            for label in ("as it is", "as it is, again"):
                self.runs.append(label)
                self._compare_run(inputs, expected, _outputs(session, inputs))
            return
        count = len(next(iter(inputs.values())))
        for label, batches in _orders(session, inputs):
            self.runs.append(label)
            for rows in batches:
                part = {name: array[rows] for name, array in inputs.items()}
                wanted = {name: _rows(array, rows, count) for name, array in expected.items()}
                self._compare_run(part, wanted, _outputs(session, part))

    def _compare_run(self, inputs: Arrays, wanted: Arrays, found: Arrays) -> None:
        agreements = self._agreements(wanted, found)
        if not all(a.error <= self.allowed for a in agreements):
            # A model whose samples see each other (a mean over the batch) is compared with Keras
            # at this very batch.
            agreements = self._agreements(self.reference.run(inputs), found)
        for agreement in agreements:
            name = agreement.output
            self.worst[name] = self.worst.get(name, agreement).worse(agreement)

    def _agreements(self, wanted: Arrays, found: Arrays) -> list[Agreement]:
        agreements = []
        for name in self.graph.outputs:
            agreement = compare(name, wanted[name], found[name])
            if np.isfinite(agreement.error) and name in self._last:
                if isinstance(self._last[name].operation, Softmax):
                    logs = compare_logarithms(name, wanted[name], found[name])
                    agreement = agreement.worse(logs)
                if saturated(wanted[name]):
                    self._saturated.add(name)
            agreements.append(agreement)
        return agreements

    def compare_before_activation(self, file: Path, inputs: Arrays) -> None:
        """Compare what went into the activations that saturate, in a twin of ``file``."""
        before = {name: self._last[name].inputs[0] for name in sorted(self._saturated)}
        expected = self.reference.run_before_activation(inputs, before) if before else {}
        if not expected:
            return
        twin = replace(self.graph, outputs={name: before[name] for name in expected})
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"before{file.suffix}"
            writer_of(path)(twin, path)
            rows = _fixed_batch(twin)
            with load(path) as session:
                part = {name: array[:rows] for name, array in inputs.items()}
                found = _outputs(session, part)
        for name, wanted in expected.items():
            agreement = compare(name, wanted[:rows], found[name])
            self.worst[name] = self.worst[name].worse(agreement)
        self.runs.append("before the last activation")


def _makers(graph: Graph) -> dict[str, Node]:
    """The node that makes each output, by the output's name."""
    producers = graph.producers()
    return {name: producers[v] for name, v in graph.outputs.items() if v in producers}


def _share_samples(graph: Graph) -> bool:
    """Whether axis 0 of every input counts the same samples, as in every Keras model."""
    firsts = {value.shape[:1] for value in graph.inputs}
    return len(firsts) == 1 and () not in firsts


def _orders(session: Session, inputs: Arrays) -> list[tuple[str, list[list[int]]]]:
    """The runs to make: which rows go in together, in which order."""
    first = next(iter(inputs.values()))
    rows = list(range(len(first)))
    sizes = "×".join(str(size) for size in first.shape)
    fixed = session.inputs[0].shape[:1]
    if fixed and isinstance(fixed[0], int):
        size, count = fixed[0], len(rows)
        batches = [[(at + i) % count for i in range(size)] for at in range(0, count, size)]
        return [
            (f"{sizes} in batches of {size}", batches),
            (f"{sizes} in batches of {size}, last first", batches[::-1]),
        ]
    return [
        (f"{sizes} at once", [rows]),
        (f"{sizes} one by one, last first", [[row] for row in reversed(rows)]),
        (f"{sizes} at once, again", [rows]),
    ]


def _fixed_batch(graph: Graph) -> int | None:
    size = graph.inputs[0].shape[0] if graph.inputs[0].shape else None
    return size if isinstance(size, int) else None


def _rows(array: Array, rows: list[int], count: int) -> Array:
    return array[rows] if array.ndim and len(array) == count else array


def _outputs(session: Session, inputs: Arrays) -> Arrays:
    result = session.run(dict(inputs))
    return result if isinstance(result, dict) else {session.outputs[0].name: result}


def _tolerance(graph: Graph) -> float:
    dtypes = {value.dtype for node in graph.nodes for value in node.outputs}
    return max([TOLERANCE, *(_HALF_TOLERANCE[d] for d in dtypes & _HALF_TOLERANCE.keys())])


def _mismatch(
    reference: Reference | TensorFlowReference, file: Path, result: Verification, allowed: float
) -> VerificationError:
    bad = max(result.agreements, key=lambda a: np.inf if np.isnan(a.error) else a.error)
    where = None
    if reference.model is not None:
        from hornbeam.pipeline.blame import first_difference

        where = first_difference(reference.model, reference.graph, file, allowed)
    return VerificationError(
        f"Cannot prove that {file.name} computes what '{reference.graph.name}' computes",
        f"Output '{bad.output}' differs by {bad.error:.2g} of its scale, allowed is {allowed:.0e}"
        + (f"; the first layer that differs is '{where}'" if where else ""),
        "Please report this; --no-verify (verify=False) writes the file all the same",
    )
