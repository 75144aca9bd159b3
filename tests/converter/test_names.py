"""What can only be seen in a fresh process, and what outputs are called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras

from hornbeam.converter.trace import trace


def test_a_missing_file_is_refused_before_keras_is_imported(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    command = [sys.executable, "-m", "hornbeam", "convert", "none.keras", "-o", "x.onnx"]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "There is no such file" in ended.stderr
    assert "unexpected" not in ended.stderr


def test_the_output_of_a_sequential_model_is_called_as_its_last_layer() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="score")])
    assert list(trace(model).outputs) == ["score"]
