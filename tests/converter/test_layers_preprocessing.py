"""Preprocessing layers with all of their arguments: bins, categories, scales and spectrograms."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_proof import floats, prove

from hornbeam.converter.trace import trace
from hornbeam.errors import UnsupportedLayerError

L = keras.layers
slow = pytest.mark.slow

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

BOUNDARIES = [-1.0, 0.0, 0.5, 2.0]
SHAPES = [(4,), (1,), (4, 3), (4, 1)]


@settings(max_examples=4, deadline=None)
@given(
    st.sampled_from(["int", "one_hot", "multi_hot", "count"]),
    st.sampled_from(SHAPES),
    st.lists(st.floats(-3, 3, width=16), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_discretization_carries(mode: str, shape: tuple[int, ...], boundaries: list[float]) -> None:
    x = floats(3, *shape)
    x.reshape(-1)[: len(boundaries)] = boundaries[: x.size]
    prove(L.Discretization(boundaries, output_mode=mode), x, tolerance=0)


def test_discretization_carries_what_is_no_number() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 0.0]] * 3, "float32")
    prove(L.Discretization(BOUNDARIES), x, tolerance=0)
    prove(L.Discretization(BOUNDARIES), np.arange(12, dtype="int32").reshape(3, 4), tolerance=0)


def test_discretization_without_boundaries_is_refused() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, L.Discretization(num_bins=4, name="bins")(inputs))
    with pytest.raises(UnsupportedLayerError, match="adapt") as caught:
        trace(model)
    assert "bins" in caught.value.asked


@settings(max_examples=4, deadline=None)
@given(
    st.sampled_from(["one_hot", "multi_hot", "count"]),
    st.sampled_from(SHAPES),
    st.sampled_from(["int32", "uint8"]),
)
def test_category_encoding_carries(mode: str, shape: tuple[int, ...], dtype: str) -> None:
    ids = np.random.default_rng(0).integers(0, 5, (3, *shape)).astype(dtype)
    prove(L.CategoryEncoding(5, mode), ids, tolerance=0)


def test_counts_carry_with_weights_and_without_ids_outside() -> None:
    ids = np.array([[0, 4, 4, 2], [9, -1, 0, 0], [1, 2, 3, 4]], "int32")
    weighted = L.CategoryEncoding(5, "count")
    prove(lambda i, w: weighted(i, count_weights=w), ids, floats(3, 4))
    prove(L.CategoryEncoding(5, "one_hot"), ids)


@pytest.mark.parametrize(
    "options",
    [
        {"axis": (1, 2), "mean": floats(4, 3), "variance": np.abs(floats(4, 3))},
        {"axis": 1, "mean": floats(4), "variance": np.abs(floats(4))},
        {"mean": 2.0, "variance": 4.0, "invert": True},
        {"axis": None, "mean": 2.0, "variance": 4.0},
    ],
    ids=["axes", "axis 1", "inverse", "scalar"],
)
def test_normalization_carries(options: dict[str, Any]) -> None:
    prove(L.Normalization(**options), floats(3, 4, 3))


def test_scales_of_integers_and_of_channels_carry() -> None:
    ids = np.arange(36, dtype="int32").reshape(3, 4, 3)
    prove(L.Normalization(mean=2.0, variance=4.0), ids)
    prove(L.Rescaling([1.0, 2.0, 3.0], offset=[1.0, 0.0, 2.0]), floats(3, 4, 3))


@pytest.mark.parametrize(
    "mode",
    ["log", *(pytest.param(m, marks=slow) for m in ("stft", "magnitude", "psd", "real", "imag"))],
)
@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same", "expand_dims": True, "scaling": "spectrum", "window": "hamming"},
        pytest.param({"data_format": "channels_first"}, marks=slow),
        pytest.param({"fft_length": 32, "periodic": True, "scaling": None}, marks=slow),
    ],
    ids=["same", "channels first", "longer"],
)
def test_stft_spectrogram_carries(mode: str, options: dict[str, Any]) -> None:
    shape = (3, 2, 90) if "data_format" in options else (3, 90, 2)
    prove(L.STFTSpectrogram(mode, frame_length=16, frame_step=7, **options), floats(*shape))


def test_stft_spectrogram_of_free_length_carries() -> None:
    prove(L.STFTSpectrogram("log", frame_length=16, frame_step=7), floats(3, 90, 2), free=(1,))


@slow
@pytest.mark.parametrize(
    "options",
    [
        {"top_db": 20.0, "ref_power": 0.5, "min_power": 1e-5, "sequence_length": 48},
        {"window": "hamming"},
        {"window": None},
        {"mag_exp": 1.0},
        {"mag_exp": 1.5},
        {"power_to_db": False},
    ],
    ids=str,
)
def test_mel_spectrogram_carries(options: dict[str, Any]) -> None:
    layer = L.MelSpectrogram(fft_length=64, sequence_stride=20, num_mel_bins=8, **options)
    prove(layer, floats(3, 300), coupled=True)


@slow
def test_mel_spectrogram_of_free_length_carries() -> None:
    layer = L.MelSpectrogram(fft_length=64, sequence_stride=20, num_mel_bins=8)
    prove(layer, floats(3, 300), coupled=True, free=(1,))
