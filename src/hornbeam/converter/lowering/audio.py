"""Sound: the mel spectrogram, whose Fourier transform is a convolution with cosines and sines."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@lowers("layers.MelSpectrogram")
def mel_spectrogram(b: Builder, layer: Any, inputs: Value) -> Value:
    """``[..., samples]`` as ``[..., mel bins, frames]``, in decibels where ``power_to_db``."""
    wide = "float64" if layer.compute_dtype == "float64" else "float32"
    x = b.cast(inputs, wide)
    lead = x.shape[:-1]
    series = b.reshape(x, (-1 if lead else 1, x.shape[-1], 1))
    bins = layer.fft_length // 2 + 1
    half = layer.fft_length // 2
    padded = b.emit(op.Pad(((0, 0), (half, half), (0, 0)), "reflect"), series)
    kernel = b.constant(_waves(layer), wide, f"{b.path}/waves")
    waves = b.emit(op.Conv((layer.sequence_stride,), "valid", (1,)), padded, kernel)
    real, imaginary = (b.slice(waves, 2, at, bins) for at in (0, bins))
    power = b.binary("add", b.unary("square", real), b.unary("square", imaginary))
    if layer.mag_exp != 2.0:
        magnitude = b.unary("sqrt", power)
        power = magnitude
        if layer.mag_exp != 1.0:
            power = b.binary("power", magnitude, float(layer.mag_exp))
    mel = b.emit(op.Dense(), power, b.constant(_mel_matrix(layer, bins), wide, f"{b.path}/mel"))
    if layer.power_to_db:
        mel = _decibels(b, layer, mel)
    swapped = b.transpose(mel, (0, 2, 1))
    return b.cast(b.reshape(swapped, (*lead, *swapped.shape[1:])), str(layer.compute_dtype))


def _waves(layer: Any) -> Any:
    """Windowed cosines and sines ``[fft_length, 1, 2 * bins]``; the window's scale cancels out."""
    length, window = layer.fft_length, layer.window
    turns = 2.0 * np.pi * np.arange(layer.sequence_length) / layer.sequence_length
    if window == "hann":
        window = 0.5 - 0.5 * np.cos(turns)
    elif window == "hamming":
        window = 0.54 - 0.46 * np.cos(turns)
    elif window is None:
        window = np.ones(layer.sequence_length)
    before = (length - layer.sequence_length) // 2
    taper = np.zeros(length)
    taper[before : before + layer.sequence_length] = np.asarray(window, np.float64)
    angle = 2.0 * np.pi * np.outer(np.arange(length), np.arange(length // 2 + 1)) / length
    waves = np.concatenate([np.cos(angle), -np.sin(angle)], axis=1) * taper[:, None]
    return waves[:, None, :]


def _mel_matrix(layer: Any, bins: int) -> Any:
    matrix = layer.linear_to_mel_weight_matrix(
        num_mel_bins=layer.num_mel_bins,
        num_spectrogram_bins=bins,
        sampling_rate=layer.sampling_rate,
        lower_edge_hertz=layer.min_freq,
        upper_edge_hertz=layer.max_freq,
    )
    return keras.ops.convert_to_numpy(matrix)


def _decibels(b: Builder, layer: Any, power: Value) -> Value:
    """``10 log10(power / reference)``, no lower than ``top_db`` below the loudest of the batch."""
    tenfold = 10.0 / np.log(10.0)
    reference = 10.0 * np.log10(max(abs(layer.ref_power), layer.min_power))
    loudness = b.unary("log", b.binary("maximum", power, layer.min_power))
    level = b.binary("subtract", b.binary("multiply", loudness, tenfold), reference)
    loudest = b.reduce("max", level, None, keepdims=True)
    return b.binary("maximum", level, b.binary("subtract", loudest, float(layer.top_db)))
