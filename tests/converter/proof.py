"""An oracle of the tests' own: what Keras computes, beside what the written files compute.

It shares nothing with the product's `verify` but the files and the sessions that run them: inputs
come from the test, names from Keras's own rules, and every comparison is made here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import tree

import hornbeam
from hornbeam.pipeline.convert import ConversionReport

__all__ = [
    "BATCH",
    "assert_agrees",
    "assert_carries",
    "convert_unproved",
    "expected_outputs",
    "quick_initializers",
    "randomize",
    "worst_error",
]

Array = npt.NDArray[Any]

#: The batch that goes in at once; its rows then go in alone.
BATCH = 3
TOLERANCE = 1e-4
FORMATS = ("onnx", "tflite")


def assert_carries(
    model: Any,
    inputs: Any,
    folder: Path,
    *,
    tolerance: float = TOLERANCE,
    formats: Sequence[str] = FORMATS,
    eager: bool = False,
    coupled: bool = False,
    **options: Any,
) -> dict[str, Path]:
    """Convert unproved, run both files beside Keras, and return where the files are.

    ``inputs`` are what Keras takes: an array, a list or a dictionary, with the samples along axis
    0. They go through each file all at once and row by row, each twice; every output has to agree
    within ``tolerance`` of its scale (the largest magnitude that Keras gives). ``eager`` runs Keras
    op by op, which is quicker for a single layer; ``coupled`` says that samples see each other, so
    that Keras has to run the rows alone as well.
    """
    files = convert_unproved(model, folder, formats=formats, **options)
    assert_agrees(model, files, inputs, tolerance=tolerance, eager=eager, coupled=coupled)
    return files


def assert_agrees(
    model: Any,
    files: Mapping[str, Path],
    inputs: Any,
    *,
    tolerance: float = TOLERANCE,
    eager: bool = False,
    coupled: bool = False,
) -> None:
    """Run files that are there already beside Keras, as `assert_carries` does."""
    wanted = expected_outputs(model, inputs, eager=eager)
    alone = [
        expected_outputs(model, _row(inputs, row), eager=eager)
        if coupled
        else {name: array[row : row + 1] for name, array in wanted.items()}
        for row in range(_count(inputs))
    ]
    for file in files.values():
        with hornbeam.load(file) as session:
            names = _input_names(model, inputs)
            inputs_there = sorted(spec.name for spec in session.inputs)
            assert inputs_there == sorted(names), f"{file.name} has {inputs_there}"
            outputs = [spec.name for spec in session.outputs]
            assert outputs == list(wanted), f"{file.name} has {outputs}, Keras {list(wanted)}"
            for time in ("first", "second"):
                found = _run(session, _feed(inputs, names))
                _agree(wanted, found, tolerance, f"{file.suffix} all rows, {time} run")
                for row, expected in enumerate(alone):
                    found = _run(session, _feed(_row(inputs, row), names))
                    _agree(
                        expected, found, tolerance, f"{file.suffix} row {row}, {time} run", wanted
                    )


def convert_unproved(
    model: Any, folder: Path, *, formats: Iterable[str] = FORMATS, **options: Any
) -> dict[str, Path]:
    """Convert into each format without Hornbeam's own proof."""
    files = {kind: folder / f"model.{kind}" for kind in formats}
    report = hornbeam.convert(model, *files.values(), verify=False, **options)
    assert isinstance(report, ConversionReport)
    assert all(file.verification is None for file in report.files)
    return files


def expected_outputs(model: Any, inputs: Any, *, eager: bool = False) -> dict[str, Array]:
    """What Keras computes at inference, under the names that Keras's own rules give."""
    if eager or not isinstance(model, keras.Model):
        outputs = model(tree.map_structure(keras.ops.convert_to_tensor, inputs), training=False)
    else:
        outputs = model.predict_on_batch(inputs)
        model.predict_function = None
    flat = [np.asarray(keras.ops.convert_to_numpy(x)) for x in tree.flatten(outputs)]
    if isinstance(outputs, dict):
        names = [str(path[-1]) for path, _ in tree.flatten_with_path(outputs)]
    else:
        inner = getattr(model, "_functional", None) or model
        names = list(getattr(inner, "output_names", None) or [])
        if len(names) != len(flat):
            names = [f"output_{index}" for index in range(len(flat))]
    # A layer that returns several tensors gives all of them its name: they are counted.
    counted = [
        name if name not in names[:i] else f"{name}_{names[:i].count(name)}"
        for i, name in enumerate(names)
    ]
    return dict(zip(counted, flat, strict=True))


def worst_error(expected: Array, found: Array, scale: float | None = None) -> float:
    """The largest difference as a share of the scale; infinite where shapes or dtypes differ."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    a, b = expected.astype(np.float64), found.astype(np.float64)
    if scale is None:
        scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    difference = np.where(same, 0.0, np.abs(a - b))
    worst = float(difference.max(initial=0.0))
    return worst / scale if scale else worst


@contextmanager
def quick_initializers(seed: int = 0) -> Iterator[None]:
    """Let numpy draw the first weights of models that are built meanwhile.

    JAX compiles its random functions anew for every shape, which takes most of the time that
    building a large model takes; and numpy's numbers are the same on every machine.
    """
    random = np.random.default_rng(seed)

    def draw(_: Any, shape: Sequence[int], dtype: str | None = None) -> Array:
        # He's scale, so that signals neither die nor explode over a hundred layers.
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 1
        deviation = np.sqrt(2.0 / max(1, fan_in))
        return random.normal(0.0, deviation, tuple(shape)).astype(dtype or "float32")

    classes = (
        keras.initializers.VarianceScaling,
        keras.initializers.RandomUniform,
        keras.initializers.RandomNormal,
        keras.initializers.TruncatedNormal,
    )
    before = [cls.__call__ for cls in classes]
    for cls in classes:
        cls.__call__ = draw
    try:
        yield
    finally:
        for cls, call in zip(classes, before, strict=True):
            cls.__call__ = call


def randomize(model: Any, seed: int = 0) -> Any:
    """Give every weight that Keras starts at 0 or 1 a value that shows when it is lost."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name, shape = weight.path.rpartition("/")[2], weight.shape
        if "variance" in name or name in ("gamma", "scale"):
            weight.assign(random.uniform(0.5, 1.5, shape))
        elif name in ("bias", "beta", "moving_mean", "mean") or "bias" in name:
            weight.assign(random.normal(0.0, 0.3, shape))
    return model


def _agree(
    expected: Mapping[str, Array],
    found: Mapping[str, Array],
    tolerance: float,
    run: str,
    whole: Mapping[str, Array] | None = None,
) -> None:
    assert list(found) == list(expected), run
    for name, array in expected.items():
        got = found[name]
        assert array.shape == got.shape, f"{run}: '{name}' has shape {got.shape}, not {array.shape}"
        assert array.dtype == got.dtype, f"{run}: '{name}' is {got.dtype}, not {array.dtype}"
        scale = _scale(array if whole is None else whole[name])
        error = worst_error(array, got, scale)
        assert error <= tolerance, (
            f"{run}: '{name}' differs by {error:.2g} of its scale {scale:.3g}"
        )


def _scale(array: Array) -> float:
    numbers = array.astype(np.float64)
    return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))


def _input_names(model: Any, inputs: Any) -> list[str]:
    """The name of each flat input: of its InputLayer, its key, or its call argument."""
    tensors = getattr(model, "_inputs", None) or getattr(model, "inputs", None)
    if tensors:
        return [tensor._keras_history.operation.name for tensor in tensors]
    if isinstance(inputs, dict):
        return [str(path[-1]) for path, _ in tree.flatten_with_path(inputs)]
    if isinstance(inputs, (list, tuple)):
        return [f"{_first_argument(model)}_{index}" for index in range(len(inputs))]
    return [_first_argument(model)]


def _first_argument(model: Any) -> str:
    return next(iter(inspect.signature(model.call).parameters))


def _feed(inputs: Any, names: Sequence[str]) -> dict[str, Array]:
    return dict(zip(names, tree.flatten(inputs), strict=True))


def _row(inputs: Any, row: int) -> Any:
    return tree.map_structure(lambda array: array[row : row + 1], inputs)


def _count(inputs: Any) -> int:
    return len(tree.flatten(inputs)[0])


def _run(session: Any, feed: Mapping[str, Array]) -> dict[str, Array]:
    result = session.run(dict(feed))
    return result if isinstance(result, dict) else {session.outputs[0].name: result}
