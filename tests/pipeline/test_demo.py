"""The demonstration's figures: those of the files, right on unseen digits, and its own report."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import hornbeam
from hornbeam.pipeline import digits

os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("keras")

from hornbeam.pipeline.demo import STEPS, DemoReport, demo


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoReport, Path, list[str]]:
    """One run, its folder, and the steps that it told."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    steps: list[str] = []
    return demo(folder, progress=steps.append), folder, steps


def test_three_ways_and_all_steps(done: tuple[DemoReport, Path, list[str]]) -> None:
    report, _, steps = done
    assert [(run.name, run.engine) for run in report.runs] == [
        ("digits.keras", "Keras"), ("digits.onnx", "onnxruntime"), ("digits.tflite", "litert"),
    ]  # fmt: skip
    assert len(steps) == STEPS
    assert steps[-2:] == ["score", "time"]


def test_accuracy_is_that_of_the_files(done: tuple[DemoReport, Path, list[str]]) -> None:
    report, folder, _ = done
    with np.load(digits.locate().data) as data:
        images, labels = data["images"][..., None].astype(np.float32), data["labels"]
    assert report.pictures == len(labels) == 450
    correct = {run.name: run.correct for run in report.runs}
    for name in ("digits.onnx", "digits.tflite"):
        with hornbeam.load(folder / name) as session:
            assert correct[name] == (session.run(images).argmax(-1) == labels).sum()
    assert min(correct.values()) >= 440, "the model knows digits"
    assert len(set(correct.values())) == 1, "both files decide as Keras does"


def test_figures_are_plausible(done: tuple[DemoReport, Path, list[str]]) -> None:
    report, folder, _ = done
    source, *files = report.runs
    assert source.error is None
    for run in files:
        assert run.error is not None
        assert 0 <= run.error <= 1e-4
        assert run.bytes == (folder / run.name).stat().st_size
    assert all(run.seconds > 0 for run in report.runs)


def test_json(done: tuple[DemoReport, Path, list[str]]) -> None:
    report, _, _ = done
    plain = json.loads(json.dumps(report.as_dict()))
    assert [run["accuracy"] for run in plain["runs"]] == [run.correct / 450 for run in report.runs]
    assert plain["conversion"]["model"] == "digits"
