"""The digits example: its files, and that the committed model is the one it claims to be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hornbeam.errors import ModelLoadError
from hornbeam.pipeline import digits


def test_files_are_found_and_small() -> None:
    files = digits.locate()
    assert files.model.name == "digits.keras"
    assert files.model.stat().st_size < 150_000
    assert files.data.stat().st_size < 20_000


def test_heldout_digits_are_what_the_readme_says() -> None:
    with np.load(digits.locate().data) as data:
        images, labels = data["images"], data["labels"]
    assert images.shape == (450, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    assert labels.shape == (450,)
    per_digit = np.bincount(labels, minlength=10)
    assert per_digit.shape == (10,)
    assert per_digit.min() >= 40, f"the split is uneven: {per_digit}"


def test_missing_files_are_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digits, "_PACKAGE", tmp_path / "site-packages" / "lib" / "hornbeam")
    with pytest.raises(ModelLoadError, match="Install Hornbeam again"):
        digits.locate()


def test_model_reads_digits_it_has_never_seen() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    files = digits.locate()
    model = keras.models.load_model(files.model)
    assert [tensor.name for tensor in model.inputs] == ["image"]
    assert model.layers[-1].name == "digit"
    with np.load(files.data) as data:
        images, labels = data["images"], data["labels"]
    predicted = model.predict(images[..., np.newaxis].astype(np.float32), verbose=0)
    assert (predicted.argmax(axis=-1) == labels).mean() > 0.98
