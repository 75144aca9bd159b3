"""``hornbeam inspect``: how it prints; what it counts is tested with the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_harness import Invoke, Models, save


@pytest.mark.parametrize("kind", ["keras", "h5", "onnx", "tflite"])
def test_table(invoke: Invoke, models: Models, kind: str) -> None:
    result = invoke("inspect", getattr(models, kind))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert any(line.startswith("input   image: float32 (") for line in lines)
    assert any(line.startswith("output  digit: float32 (") for line in lines)
    (total,) = (line.split() for line in lines if line.startswith("total"))
    assert total[-1] == "110,056"
    assert result.stderr == ""


def test_json(invoke: Invoke, models: Models) -> None:
    found = json.loads(invoke("inspect", models.tflite, "--json").stdout)
    assert found["multiply_adds"] == sum(row["multiply_adds"] for row in found["rows"])
    assert found["bytes"] == models.tflite.stat().st_size
    assert found["inputs"] == [{"name": "image", "shape": [None, 8, 8, 1], "dtype": "float32"}]


def test_unknown_multiply_adds_and_notes(invoke: Invoke, folder: Path) -> None:
    import keras

    x = keras.Input((4, 4), name="x")
    save(keras.Model(x, keras.ops.eigh(keras.layers.Dense(4)(x))[0]), folder / "values.keras")
    result = invoke("inspect", "values.keras")
    assert result.exit_code == 0, result.stderr
    assert "Shapes and multiply-adds are unknown: " in result.stdout
    (total,) = (line for line in result.stdout.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "20", "80", "?"]


def test_long_names_lose_their_middle(invoke: Invoke, zoo: Callable[[str], Path]) -> None:
    path = zoo("mlperf_tiny/vww_96_int8.tflite")
    result = invoke("inspect", path)
    assert result.exit_code == 0, result.stderr
    assert "…" in result.stdout
    assert max(map(len, result.stdout.splitlines())) < 160
    assert "…" not in invoke("inspect", path, "--json").stdout
