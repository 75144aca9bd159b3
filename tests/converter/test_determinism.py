"""The same file and backend give the same bytes, in any process."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers

import hornbeam

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CONVERT = """
    import sys

    import hornbeam

    # Names that Keras counts must not depend on what was made before.
    if int(sys.argv[3]):
        import keras

        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    folder = sys.argv[2]
    hornbeam.convert(sys.argv[1], folder + "/model.onnx", folder + "/model.tflite", verify=False)
"""


def _model() -> keras.Model:
    """Many branches, masks, constants and free sizes: whatever could be kept in a set."""
    picture = keras.Input((None, None, 3), name="picture")
    words = keras.Input((None,), dtype="int32", name="words")
    branches = [
        layers.BatchNormalization()(layers.Conv2D(4, size, padding="same")(picture))
        for size in (1, 3, 5)
    ]
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()(branches))
    y = layers.Embedding(20, 8, mask_zero=True)(words)
    y = layers.MultiHeadAttention(2, 4)(y, y, use_causal_mask=True)
    y = layers.GlobalAveragePooling1D()(y)
    outputs = {"both": layers.Concatenate()([x, y]), "picture_only": x, "words_only": y}
    return keras.Model([picture, words], outputs, name="two_ways")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_same_bytes_in_every_process(suffix: str, tmp_path: Path) -> None:
    source = tmp_path / f"model{suffix}"
    _model().save(source)
    digests = []
    for seed in ("0", "4711"):
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CONVERT), str(source), str(folder), seed],
            check=True,
            capture_output=True,
            env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONHASHSEED": seed},
        )
        digests.append(
            [
                hashlib.sha256((folder / f"model.{kind}").read_bytes()).hexdigest()
                for kind in ("onnx", "tflite")
            ]
        )
    assert digests[0] == digests[1], "[onnx, tflite] differ from process to process"


def test_same_bytes_from_one_object_twice(tmp_path: Path) -> None:
    model = _model()
    for name in ("first", "second"):
        hornbeam.convert(model, tmp_path / f"{name}.onnx", tmp_path / f"{name}.tflite")
    for kind in ("onnx", "tflite"):
        first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("first", "second"))
        assert first == second, kind


def test_bytes_say_nothing_of_the_machine(tmp_path: Path) -> None:
    """No path, no date, no host: the file is about the model."""
    target = tmp_path / "model.onnx"
    hornbeam.convert(_model(), target, verify=False)
    data = target.read_bytes()
    for secret in (str(tmp_path), os.uname().nodename, str(Path.home())):
        assert secret.encode() not in data, secret
    assert onnx.load(target).producer_name == "hornbeam"


def test_weights_are_those_of_the_model(tmp_path: Path) -> None:
    """Another model with other weights gives other bytes: the digests above mean something."""
    model = _model()
    hornbeam.convert(model, tmp_path / "before.tflite", verify=False)
    weight = model.trainable_weights[0]
    weight.assign(np.asarray(weight) + 1.0)
    hornbeam.convert(model, tmp_path / "after.tflite", verify=False)
    before, after = ((tmp_path / f"{n}.tflite").read_bytes() for n in ("before", "after"))
    assert before != after
