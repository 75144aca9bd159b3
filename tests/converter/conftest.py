"""What the converter's tests share: a Keras backend, the zoo of trained models, a clean house."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hornbeam.converter.load import ensure_backend

ensure_backend()
import keras  # noqa: E402 - the backend is chosen before

ZOO = Path(__file__).parents[3] / "shared" / "zoo"


@pytest.fixture
def zoo() -> Callable[[str], Path]:
    """Find a trained model or labelled data outside the project; skip where there is none."""

    def find(name: str) -> Path:
        if not ZOO.is_dir():
            pytest.skip(f"the zoo of trained models is not here: {ZOO}")
        path = ZOO / name
        assert path.exists(), f"the zoo is here, but has no {name}"
        return path

    return find


@pytest.fixture
def lean() -> Iterator[None]:
    """Forget the models and the compiled functions of a heavy test, so that memory stays low."""
    yield
    keras.backend.clear_session()
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
    gc.collect()
