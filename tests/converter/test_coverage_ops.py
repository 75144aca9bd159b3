"""Every function of ``keras.ops``: carried in both formats, or on the list of what cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import ops_cases_folds
import ops_cases_images
import ops_cases_matrix
import ops_cases_nn
import ops_cases_numbers
import ops_cases_places
import pytest
from keras import ops
from ops_harness import Case, carries, floats, model_of

import hornbeam
from hornbeam.converter.coverage_ops import LOOPS, NO_OPERATIONS, REFUSED, REFUSED_IMAGES
from hornbeam.errors import ConversionError

FAMILIES = (
    ops_cases_numbers, ops_cases_folds, ops_cases_places, ops_cases_matrix, ops_cases_nn,
    ops_cases_images,
)  # fmt: skip
CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]
_CARRIED = {case.name.partition("/")[0] for case in CASES}


def _parameters() -> Iterator[Any]:
    """The first case of each function in the quick tests, all others in the slow ones."""
    seen: set[str] = set()
    for case in CASES:
        function = case.name.partition("/")[0]
        marks = [pytest.mark.slow] if function in seen else []
        seen.add(function)
        yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", list(_parameters()))
def test_the_files_compute_what_keras_computes(case: Case, tmp_path: Path) -> None:
    carries(case, tmp_path)


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})


def _public(module: ModuleType) -> set[str]:
    return {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and callable(thing) and not inspect.isclass(thing)
    }


@pytest.mark.parametrize("name", sorted(_public(ops)))
def test_every_function_is_carried_or_has_a_reason(name: str) -> None:
    lists = (_CARRIED, set(REFUSED), set(NO_OPERATIONS), set(LOOPS))
    found = [name in names for names in lists]
    assert sum(found) == 1, f"keras.ops.{name} is in {sum(found)} of: cases, and the reasons"


@pytest.mark.parametrize("name", sorted(_public(ops.image)))
def test_every_function_of_images_is_carried_or_has_a_reason(name: str) -> None:
    assert (name in _CARRIED) != (name in REFUSED_IMAGES), f"keras.ops.image.{name}"


def test_no_reason_is_left_for_what_keras_does_not_have() -> None:
    assert {*REFUSED, *NO_OPERATIONS, *LOOPS} <= _public(ops)
    assert set(REFUSED_IMAGES) <= _public(ops.image)


_ASKED_FOR: dict[str, Callable[[Any], Any]] = {
    "bincount": lambda x: ops.bincount(ops.cast(x, "int32")),
    "ctc_loss": lambda x: ops.ctc_loss(
        ops.ones((1, 2), "int32"),
        ops.expand_dims(x, 0),
        ops.full((1,), 2, "int32"),
        ops.full((1,), 4, "int32"),
    ),
    "eig": lambda x: ops.eig(x)[0],
    "eigh": lambda x: ops.eigh(x)[0],
    "matrix_rank": ops.matrix_rank,
    "nextafter": lambda x: ops.nextafter(x, x),
    "nonzero": ops.nonzero,
    "pinv": ops.pinv,
    "svd": lambda x: ops.svd(x)[1],
}


@pytest.mark.parametrize("name", sorted(_ASKED_FOR))
def test_a_refusal_says_why(name: str, tmp_path: Path) -> None:
    model = model_of(Case(name, _ASKED_FOR[name], (floats(4, 4),), fixed=True))
    reason = REFUSED[name].reason.partition("; ")[0]
    with pytest.raises(ConversionError, match="Cannot convert") as caught:
        hornbeam.convert(model, tmp_path / "model.onnx", verify=False)
    assert reason.casefold() in str(caught.value).casefold()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: ops.norm(x, ord=2, axis=(0, 1)), "singular values"),
        (lambda x: ops.lstsq(x, x), "singular values"),
        (lambda x: ops.det(ops.tile(x, (9, 9))), "36 rows"),
        (lambda x: ops.unique(x), "depends on the data"),
        (lambda x: ops.where(x > 0), "unknown shape"),
        (lambda x: ops.view(x, "int32"), "read bits"),
    ],
    ids=["norm", "lstsq", "det", "unique", "where", "view"],
)
def test_arguments_that_cannot_be_carried_say_why(
    function: Callable[[Any], Any], words: str, tmp_path: Path
) -> None:
    model = model_of(Case("refused", function, (floats(4, 4),), fixed=True))
    with pytest.raises(ConversionError, match=words):
        hornbeam.convert(model, tmp_path / "model.onnx", verify=False)


class _Noise(keras.Layer):
    """Adds what a function draws."""

    def __init__(self, draw: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="noise")
        self.draw, self.seeds = draw, keras.random.SeedGenerator(1)

    def call(self, x: Any) -> Any:
        return x + self.draw(x, self.seeds)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@pytest.mark.parametrize(
    "draw",
    [
        lambda _, seeds: keras.random.normal((4,), seed=seeds),
        lambda x, seeds: keras.random.dropout(x, 0.5, seed=seeds),
        lambda x, _: keras.random.shuffle(x, axis=1, seed=3),
        lambda *_: keras.random.uniform((4,)),
    ],
    ids=["generator", "dropout", "shuffle", "no seed"],
)
def test_random_numbers_are_refused(draw: Callable[[Any, Any], Any], tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, _Noise(draw)(inputs))
    with pytest.raises(ConversionError, match="draws random numbers"):
        hornbeam.convert(model, tmp_path / "model.onnx", verify=False)


def test_random_numbers_of_a_fixed_seed_are_a_constant(tmp_path: Path) -> None:
    noise = Case(
        "noise", lambda x: x + keras.random.normal((4,), seed=5), (floats(3, 4),), inside=True
    )
    carries(noise, tmp_path)
