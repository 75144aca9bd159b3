"""The command as a fixture, and small real models for it to work on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_harness import ZOO, Invoke, Models, call, save

from hornbeam.pipeline import digits


@pytest.fixture
def invoke() -> Invoke:
    """The command ``hornbeam``, as a function of its arguments."""
    return call


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The digits model as .keras, .h5, .onnx and .tflite. Tests leave the files as they are."""
    pytest.importorskip("keras")
    import keras

    folder = tmp_path_factory.mktemp("models")
    source = digits.locate().model
    copy = folder / "digits.keras"
    copy.write_bytes(source.read_bytes())
    old = folder / "digits.h5"
    save(keras.saving.load_model(source), old)
    outputs = [folder / "digits.onnx", folder / "digits.tflite"]
    made = call("convert", copy, "-o", outputs[0], "-o", outputs[1])
    assert made.exit_code == 0, made.stderr
    return Models(copy, old, *outputs)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that is the current one; nothing hidden may stay behind in it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    left = [path.name for path in tmp_path.rglob(".hornbeam-*")]
    assert not left, f"temporary files were left behind: {left}"


@pytest.fixture
def zoo() -> Callable[[str], Path]:
    """Find a real model outside the project; skip where there is none."""

    def find(name: str) -> Path:
        path = ZOO / name
        if not path.exists():
            pytest.skip(f"the zoo of trained models is not here: {path}")
        return path

    return find
