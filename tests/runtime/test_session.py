"""One session, whatever the format: the same calls give the same answers on both engines."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from small_models import affine_of, sample

import hornbeam
from hornbeam.errors import (
    ExecutionError,
    InputError,
    SessionClosedError,
    UsageError,
)

Find = Callable[[str], Path]


def test_it_says_what_the_model_takes_and_gives(model: Find, suffix: str) -> None:
    session = hornbeam.load(model("affine"))
    free = "batch" if suffix == ".onnx" else None  # TFLite has no names for dimensions
    assert [(i.name, i.shape, i.dtype) for i in session.inputs] == [("x", (free, 4), np.float32)]
    assert [(o.name, o.shape, o.dtype) for o in session.outputs] == [("y", (free, 3), np.float32)]
    assert session.device == "cpu"
    assert session.engine == {".onnx": "onnxruntime", ".tflite": "litert"}[suffix]


def test_it_reads_the_metadata_without_the_prefix(model: Find) -> None:
    metadata = hornbeam.load(model("affine")).metadata
    assert metadata["note"] == "für Tests"
    assert metadata["labels"] == '["a", "b", "c"]'


@pytest.mark.parametrize("form", ["array", "dict", "list"])
def test_one_output_is_an_array(model: Find, form: str) -> None:
    x = sample(2)
    given = {"array": x, "dict": {"x": x}, "list": x.tolist()}[form]
    y = hornbeam.load(model("affine")).run(given)
    np.testing.assert_allclose(y, affine_of(x), rtol=1e-5, atol=1e-6)
    assert y.dtype == np.float32


def test_several_outputs_are_a_dict_in_the_order_of_the_model(model: Find) -> None:
    session = hornbeam.load(model("pair"))
    a, b = np.full((2, 3), 2, np.float32), np.full((2, 3), 5, np.float32)
    for outputs in (session.run(a, b), session.run({"b": b, "a": a})):
        assert list(outputs) == ["sum", "product"] == [o.name for o in session.outputs]
        np.testing.assert_array_equal(outputs["sum"], a + b)
        np.testing.assert_array_equal(outputs["product"], a * b)


def test_the_batch_may_change_from_run_to_run(model: Find) -> None:
    session = hornbeam.load(model("affine"))
    for batch in (1, 3, 3, 17, 1):
        x = sample(batch, seed=batch)
        np.testing.assert_allclose(session.run(x), affine_of(x), rtol=1e-5, atol=1e-6)


def test_the_same_input_gives_the_same_answer_and_keeps_the_last_one(model: Find) -> None:
    session = hornbeam.load(model("affine"))
    first = session.run(sample(2))
    kept = first.copy()
    session.run(sample(2, seed=1))
    np.testing.assert_array_equal(first, kept, err_msg="a later run changed an earlier answer")
    np.testing.assert_array_equal(session.run(sample(2)), kept)
    first[:] = 0  # the caller's own
    np.testing.assert_array_equal(session.run(sample(2)), kept)


def test_memory_layout_and_byte_order_do_not_matter(model: Find) -> None:
    session = hornbeam.load(model("affine"))
    x = sample(4)
    expected = session.run(x)
    wide = np.zeros((8, 8), np.float32)
    wide[::2, ::2] = x
    for other in (np.asfortranarray(x), wide[::2, ::2], x.astype(">f4"), x.astype(np.float64)):
        np.testing.assert_array_equal(session.run(other), expected)


def test_threads_may_share_a_session(model: Find) -> None:
    session = hornbeam.load(model("affine"), threads=1)

    def work(seed: int) -> float:
        x = sample(1 + seed % 5, seed)
        return float(np.abs(session.run(x) - affine_of(x)).max())

    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(work, range(400)))
    assert max(errors) < 1e-5


def test_a_failed_run_is_an_execution_error_and_the_next_one_works(
    model: Find, suffix: str
) -> None:
    session = hornbeam.load(model("conv"))
    channels = 1 if suffix == ".onnx" else 3

    def ones(height: int, width: int) -> np.ndarray:
        return np.expand_dims(np.ones((2, height, width), np.float32), channels)

    for _ in range(3):
        with pytest.raises(ExecutionError, match="says: "):
            session.run(ones(2, 2))  # smaller than the window
        np.testing.assert_array_equal(session.run(ones(5, 4)), 9 * ones(3, 2))


def test_empty_arrays_never_end_the_process(model: Find, suffix: str) -> None:
    session = hornbeam.load(model("affine"))
    if suffix == ".onnx":
        assert session.run(np.zeros((0, 4), np.float32)).shape == (0, 3)
    else:
        with pytest.raises(InputError, match="empty"):
            session.run(np.zeros((0, 4), np.float32))
    assert session.run(sample(1)).shape == (1, 3)


def test_a_closed_session_says_so(model: Find) -> None:
    with hornbeam.load(model("affine")) as session:
        session.run(sample(1))
        assert not session.closed
    assert session.closed
    for use in (lambda: session.run(sample(1)), session.reset, session.__enter__):
        with pytest.raises(SessionClosedError, match="closed before"):
            use()
    session.close()  # twice is no error
    assert "closed" in repr(session)
    assert session.inputs[0].name == "x"


def test_its_text_shows_the_model(model: Find, suffix: str) -> None:
    text = repr(hornbeam.load(model("affine")))
    free = "batch" if suffix == ".onnx" else "?"
    assert f"x: float32 ({free}, 4) -> y: float32 ({free}, 3)" in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ['"a", "b"', "0 arrays for 2"]),
        ((np.ones((1, 3), "f"),), ['"a", "b"', "1 array for 2"]),
        (({"a": np.ones((1, 3), "f")},), ['"b" missing']),
        (({"a": 1, "b": 2, "c": 3},), ['"c" not among them']),
        ((np.ones((1, 3), "f"), np.ones((1, 4), "f")), ['"b" must be', "dimension 1 must be 3"]),
        ((np.ones((1, 3), "f"), np.ones((1, 3), "u1")), ["uint8", "x.astype(np.float32)"]),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    model: Find, given: tuple[object, ...], expected: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        hornbeam.load(model("pair")).run(*given)
    for text in expected:
        assert text in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_a_thread_count_that_makes_no_sense_is_refused(model: Find, threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        hornbeam.load(model("affine"), threads=threads)


def test_an_unknown_device_is_refused_with_those_that_there_are(model: Find) -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        hornbeam.load(model("affine"), device="gpu")


def test_a_path_may_be_text(model: Find) -> None:
    assert hornbeam.load(str(model("affine"))).path == model("affine")
