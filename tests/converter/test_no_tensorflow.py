"""No TensorFlow and no torch on the way from Keras to a file and through the proof."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

#: Refuses the import of what must not be needed, wherever it is installed.
BLOCK = """
    import sys

    BLOCKED = {"tensorflow", "torch", "tf2onnx", "tf_keras", "torchvision"}

    class Refusal:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.partition(".")[0] in BLOCKED:
                raise ImportError(f"{name} must not be imported")
            return None

    sys.meta_path.insert(0, Refusal)
"""

CONVERT = """
    import keras
    import numpy as np
    from keras import layers

    import hornbeam

    picture = keras.Input((12, 12, 3), name="picture")
    words = keras.Input((None,), dtype="int32", name="words")
    x = layers.Rescaling(1 / 255)(picture)
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(x))
    x = layers.GlobalAveragePooling2D()(layers.Resizing(6, 6)(x))
    y = layers.Embedding(20, 8, mask_zero=True)(words)
    y = layers.GlobalAveragePooling1D()(layers.MultiHeadAttention(2, 4)(y, y))
    z = layers.Dense(3, activation="softmax")(layers.Concatenate()([x, y]))
    model = keras.Model([picture, words], z)
    if len(sys.argv) > 2:
        model.save(sys.argv[1] + "/model.keras")
        model = sys.argv[1] + "/model.keras"
    outputs = [sys.argv[1] + "/model.onnx", sys.argv[1] + "/model.tflite"]
    report = hornbeam.convert(model, *outputs)
    assert all(file.verification.worst <= 1e-4 for file in report.files)
    for file in outputs:
        with hornbeam.load(file) as session:
            answer = session.run(
                {"picture": np.zeros((2, 12, 12, 3), "float32"), "words": np.ones((2, 5), "int32")}
            )
            assert answer.shape == (2, 3)
    print("loaded:", sorted(BLOCKED & set(sys.modules)))
"""


@pytest.mark.parametrize("source", ["object", "file"])
def test_conversion_needs_no_tensorflow(source: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path), *(["file"] if source == "file" else [])]
    result = _run(BLOCK + CONVERT, *arguments)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.splitlines()[-1] == "loaded: []"
    assert (tmp_path / "model.onnx").exists()
    assert (tmp_path / "model.tflite").exists()


def test_the_block_blocks() -> None:
    result = _run(BLOCK + "\n    import tensorflow")
    assert result.returncode == 1
    assert "must not be imported" in result.stderr


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
