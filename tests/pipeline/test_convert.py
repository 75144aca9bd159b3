"""The public `convert`: what it reports, what it refuses, and that it leaves nothing half done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers

import hornbeam
from hornbeam.errors import ConversionError, OutputError, UsageError, VerificationError

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> Any:
    x = keras.Input((6, 6, 2), name="picture")
    y = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    return keras.Model(x, layers.Dense(2, name="score")(layers.Flatten()(y)), name="small")


def test_report_says_what_was_done(model: Any, tmp_path: Path) -> None:
    steps: list[str] = []
    outputs = [tmp_path / "a.onnx", tmp_path / "b.tflite"]
    report = hornbeam.convert(model, *outputs, progress=steps.append)
    assert report.model == "small"
    assert report.repairs == ()
    assert [file.path for file in report.files] == outputs
    assert [file.format for file in report.files] == ["onnx", "tflite"]
    for file in report.files:
        assert file.bytes == file.path.stat().st_size
        assert file.seconds > 0
        assert file.verification is not None
        assert 0 <= file.verification.worst <= 1e-4
        assert file.verification.agreements[0].scale > 0
    assert steps == list(report.seconds)
    assert steps == [
        "load", "trace", "improve",
        "write a.onnx", "verify a.onnx", "write b.tflite", "verify b.tflite",
    ]  # fmt: skip


def test_report_goes_into_json_and_into_a_sentence(model: Any, tmp_path: Path) -> None:
    report = hornbeam.convert(model, tmp_path / "a.onnx")
    again = json.loads(json.dumps(report.as_dict()))
    assert again["model"] == "small"
    assert again["files"][0]["verification"]["worst_error"] <= 1e-4
    assert "a.onnx" in str(report)
    assert "worst error" in str(report)
    unproved = hornbeam.convert(model, tmp_path / "a.onnx", verify=False)
    assert unproved.files[0].verification is None
    assert json.loads(json.dumps(unproved.as_dict()))["files"][0]["verification"] is None
    assert "not verified" in str(unproved)


@pytest.mark.parametrize("opset", [13, 17, 21])
def test_opset_is_the_one_asked_for(opset: int, model: Any, tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    hornbeam.convert(model, target, opset=opset)
    (domain,) = [each for each in onnx.load(target).opset_import if not each.domain]
    assert domain.version == opset


def test_suffix_may_be_in_capitals(model: Any, tmp_path: Path) -> None:
    hornbeam.convert(model, tmp_path / "A.ONNX", verify=False)
    assert (tmp_path / "A.ONNX").exists()


def test_existing_file_is_replaced(model: Any, tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    target.write_bytes(b"old")
    hornbeam.convert(model, target)
    onnx.checker.check_model(onnx.load(target))
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("size", [1, 4])
def test_batch_is_fixed_where_asked(size: int, model: Any, tmp_path: Path) -> None:
    outputs = [tmp_path / "a.onnx", tmp_path / "a.tflite"]
    report = hornbeam.convert(model, *outputs, batch=size)
    for file in report.files:
        assert file.verification is not None
        assert f"batches of {size}" in file.verification.runs[0]
        with hornbeam.load(file.path) as session:
            assert session.inputs[0].shape == (size, 6, 6, 2)


# -- refusals, before any work is done -----------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "options", "words"),
    [
        ([], {}, "at least one output"),
        (["model.pb"], {}, "no known format"),
        (["model"], {}, "no suffix"),
        (["a.onnx", "a.pt"], {}, "a.pt"),
        (["a.onnx", "a.onnx"], {}, "twice"),
        (["a.onnx", "b/../a.onnx"], {}, "twice"),
        (["a.onnx"], {"batch": 0}, "batch size"),
        (["a.onnx"], {"batch": 1.5}, "batch size"),
        (["a.onnx"], {"batch": True}, "batch size"),
        (["a.tflite"], {"opset": 17}, "opset"),
        (["a.onnx"], {"opset": 12}, "13"),
        (["a.onnx"], {"opset": 99}, "99"),
        (["a.onnx"], {"opset": "17"}, "'17'"),
    ],
)
def test_call_that_makes_no_sense_is_refused(
    outputs: list[str], options: dict[str, Any], words: str, model: Any, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    steps: list[str] = []
    with pytest.raises(UsageError, match=words):
        hornbeam.convert(
            model, *(tmp_path / name for name in outputs), progress=steps.append, **options
        )
    assert not steps, "refused before the model was read"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


def test_one_output_that_fails_leaves_the_other_as_it_was(model: Any, tmp_path: Path) -> None:
    first = tmp_path / "a.onnx"
    first.write_bytes(b"old")
    with pytest.raises(OutputError):
        hornbeam.convert(model, first, tmp_path / "missing" / "a.tflite")
    assert first.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_proof_that_fails_leaves_everything_as_it_was(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _spoil_the_second_format(monkeypatch)
    kept = {"a.onnx": b"old onnx", "a.tflite": b"old tflite"}
    for name, data in kept.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(VerificationError):
        hornbeam.convert(model, tmp_path / "a.onnx", tmp_path / "a.tflite")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_interruption_leaves_everything_as_it_was(model: Any, tmp_path: Path) -> None:
    def interrupt(step: str) -> None:
        if step.startswith("verify"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hornbeam.convert(model, tmp_path / "a.onnx", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_thing_that_is_no_model_is_refused(tmp_path: Path) -> None:
    for thing in (42, None, object(), np.zeros(3), ["model.keras"]):
        with pytest.raises((ConversionError, UsageError)):
            hornbeam.convert(thing, tmp_path / "a.onnx")


def _spoil_the_second_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer with a defect: one weight of the TFLite file is wrong."""
    from hornbeam.converter import tflite

    right = tflite.write

    def wrong(graph: Any, path: Path, **options: Any) -> None:
        for value in graph.constants():
            if value.name.endswith("kernel") and value.data is not None:
                value.data = value.data * np.float32(1.01)
                break
        right(graph, path, **options)

    monkeypatch.setattr(tflite, "write", wrong)
