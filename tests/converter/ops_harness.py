"""One small model around each function of ``keras.ops``, and both files of it beside Keras."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import tree
from proof import convert_unproved, worst_error

import hornbeam

__all__ = [
    "Case", "Table", "bools", "carries", "floats", "ints", "model_of", "results_of",
    "same_results", "unit",
]  # fmt: skip

Array = npt.NDArray[Any]
#: How far a result may be off, as a share of the largest number that Keras gives.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Case:
    """A function of Keras, the arguments that are tensors, and how it is to be compared.

    The first axis of every array is the batch, 3 of them, and stays free, unless the case is
    ``fixed``. ``formats`` are those that can carry it.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Array, ...]
    fixed: bool = False
    tolerance: float = TOLERANCE
    formats: Sequence[str] = ("onnx", "tflite")
    #: Samples of one batch see each other, so that Keras has to compute one alone by itself.
    coupled: bool = False
    #: The model of the function does not run, or cannot even be made, in Keras; on arrays, the
    #: function does. So the model is a layer, and the function by itself is the oracle.
    inside: bool = False


class Table(list[Case]):
    """A list of cases that is written down by calling it."""

    def __call__(
        self, name: str, function: Callable[..., Any], *inputs: Array, **options: Any
    ) -> None:
        self.append(Case(name, function, inputs, **options))


_RANDOM = np.random.default_rng(11)


def floats(*shape: int, scale: float = 2.0, dtype: str = "float32") -> Array:
    """Normal numbers of both signs."""
    return (_RANDOM.normal(0.0, scale, shape)).astype(dtype)


def unit(*shape: int, dtype: str = "float32") -> Array:
    """Numbers between 0.05 and 0.95."""
    return _RANDOM.uniform(0.05, 0.95, shape).astype(dtype)


def ints(*shape: int, low: int = -9, high: int = 10, dtype: str = "int32") -> Array:
    """Whole numbers from ``low`` up to, and without, ``high``."""
    return _RANDOM.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> Array:
    """True and false."""
    return _RANDOM.integers(0, 2, shape).astype(bool)


def model_of(case: Case) -> Any:
    """The function alone, as a functional model."""
    inputs = [
        keras.Input(batch_shape=array.shape if case.fixed else (None, *array.shape[1:]),
                    dtype=str(array.dtype), name=f"input_{index}")
        for index, array in enumerate(case.inputs)
    ]  # fmt: skip
    if not case.inside:
        return keras.Model(inputs, tree.flatten(case.function(*inputs)))
    shapes = [array.shape for array in _function(case, case.inputs)]
    free = [shape if case.fixed else (None, *shape[1:]) for shape in shapes]
    dtypes = [str(array.dtype) for array in _function(case, case.inputs)]
    return keras.Model(inputs, Inside(case.function, list(zip(free, dtypes, strict=True)))(inputs))


class Inside(keras.Layer):
    """A function in the ``call`` of a layer; Keras is told what comes out."""

    def __init__(self, function: Callable[..., Any], types: list[Any]) -> None:
        super().__init__(name="inside", dtype="float32", autocast=False)
        self.function, self.types = function, types

    def call(self, tensors: Any) -> Any:
        """The results of the function, flat."""
        return tree.flatten(self.function(*tensors))

    def compute_output_spec(self, tensors: Any) -> Any:  # noqa: ARG002
        """The types that were found by running it."""
        return [keras.KerasTensor(shape, dtype) for shape, dtype in self.types]


def carries(case: Case, folder: Path) -> None:
    """Convert, and compare both files with Keras, run op by op: all samples, and one alone."""
    model = model_of(case)
    # A conversion collects garbage; Keras and its backend are none, and many.
    gc.freeze()
    files = convert_unproved(model, folder, formats=case.formats)
    run = (lambda arrays: _function(case, arrays)) if case.inside else partial(_keras, model)
    batches, wanted = [case.inputs], [run(case.inputs)]
    scales = [_scale(array) for array in wanted[0]]
    if not case.fixed:
        batches.append(tuple(array[1:2] for array in case.inputs))
        alone = run(batches[1]) if case.coupled else [x[1:2] for x in wanted[0]]
        wanted.append(alone)
    for file in files.values():
        with hornbeam.load(file) as session:
            for arrays, expected in zip(batches, wanted, strict=True):
                for time in ("first", "second"):
                    where = f"{file.suffix}, {len(arrays[0])} samples, {time} run"
                    found = results_of(session, arrays)
                    same_results(expected, found, f"{case.name} {where}", scales, case.tolerance)


def _function(case: Case, arrays: Sequence[Array]) -> list[Array]:
    outputs = case.function(*map(keras.ops.convert_to_tensor, arrays))
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in tree.flatten(outputs)]


def _keras(model: Any, arrays: Sequence[Array]) -> list[Array]:
    outputs = model([keras.ops.convert_to_tensor(array) for array in arrays], training=False)
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in tree.flatten(outputs)]


def _scale(array: Array) -> float:
    numbers = array.astype(np.float64)
    return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.01))


def results_of(session: Any, arrays: Sequence[Array]) -> list[Array]:
    """What a file computes from its inputs, in the order of its outputs."""
    found = session.run({f"input_{index}": array for index, array in enumerate(arrays)})
    return list(found.values()) if isinstance(found, dict) else [found]


def same_results(
    expected: Sequence[Array],
    found: Sequence[Array],
    where: str,
    scales: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
) -> None:
    """Equal shapes and dtypes, and numbers within ``tolerance`` of the largest that Keras gives."""
    whole = [_scale(array) for array in expected] if scales is None else scales
    for index, (a, b, scale) in enumerate(zip(expected, found, whole, strict=True)):
        assert a.shape == b.shape, f"{where}: output {index} is {b.shape}, not {a.shape}"
        assert a.dtype == b.dtype, f"{where}: output {index} is {b.dtype}, not {a.dtype}"
        with np.errstate(invalid="ignore"):
            error = worst_error(a, b, scale)
        assert error <= tolerance, (
            f"{where}: output {index} is off by {error:.2g}\nKeras {a}\nfound {b}"
        )
