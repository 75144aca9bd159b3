"""Small committed models, in both formats, for tests that need no converter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import DATA

ZOO = Path(__file__).parents[3] / "shared" / "zoo"
ENGINES = {".onnx": "onnxruntime", ".tflite": "ai_edge_litert"}


@pytest.fixture(params=[".onnx", ".tflite"])
def suffix(request: pytest.FixtureRequest) -> str:
    """Each format whose engine is installed."""
    pytest.importorskip(ENGINES[request.param])
    return str(request.param)


@pytest.fixture
def model(suffix: str) -> Callable[[str], Path]:
    """Find a committed model by its name, in one format after the other."""
    return lambda name: DATA / f"{name}{suffix}"


@pytest.fixture
def zoo() -> Callable[[str], Path]:
    """Find a real model outside the project; skip where there is none."""

    def find(name: str) -> Path:
        path = ZOO / name
        if not path.exists():
            pytest.skip(f"the zoo of trained models is not here: {path}")
        pytest.importorskip(ENGINES[path.suffix])
        return path

    return find
