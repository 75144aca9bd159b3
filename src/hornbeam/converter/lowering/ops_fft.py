"""Fourier transforms as products with constant matrices: neither format has a general one.

A transform of a composite length ``n = p * q`` is done in two smaller ones with a rotation between
them (Cooley and Tukey, 1965), as long as that makes the matrices small; complex numbers are pairs
of tensors, as in Keras.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import composes
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []

_Pair = tuple[Any, Any]
#: Up to this length, one product with the whole matrix is quick enough.
_WHOLE = 512


def _waves(rows: npt.NDArray[Any], columns: npt.NDArray[Any], length: int, sign: float) -> _Pair:
    """Cosines and sines of ``sign * 2 pi * row * column / length``, exact in the product."""
    turns = np.outer(rows, columns) % length / length
    angle = sign * 2.0 * math.pi * turns
    return np.cos(angle), np.sin(angle)


def _times(pair: _Pair, matrix: _Pair, dtype: str) -> _Pair:
    (re, im), (cosine, sine) = pair, (m.astype(dtype) for m in matrix)
    return (
        ops.matmul(re, cosine) - ops.matmul(im, sine),
        ops.matmul(re, sine) + ops.matmul(im, cosine),
    )


def _size(x: Any) -> int:
    return int(x.shape[-1])


def _fft(pair: _Pair, sign: float) -> _Pair:
    """The transform along the last axis, not scaled."""
    length = _size(pair[0])
    factor = _factor(length)
    dtype = str(pair[0].dtype)
    if length <= _WHOLE or factor == 1:
        numbers = np.arange(length)
        return _times(pair, _waves(numbers, numbers, length, sign), dtype)
    other = length // factor
    shape = ops.shape(pair[0])[:-1]
    # x[other * i + j] as a matrix [i, j]: transform over i, rotate, then over j.
    grid = tuple(ops.swapaxes(ops.reshape(x, (*shape, factor, other)), -1, -2) for x in pair)
    re, im = _fft((grid[0], grid[1]), sign)
    cosine, sine = _waves(np.arange(other), np.arange(factor), length, sign)
    cosine, sine = cosine.astype(dtype), sine.astype(dtype)
    turned = (re * cosine - im * sine, re * sine + im * cosine)
    done = _fft((ops.swapaxes(turned[0], -1, -2), ops.swapaxes(turned[1], -1, -2)), sign)
    results = [ops.reshape(ops.swapaxes(x, -1, -2), (*shape, length)) for x in done]
    return results[0], results[1]


def _factor(length: int) -> int:
    """The largest divisor that is not above the square root."""
    return next(n for n in range(math.isqrt(length), 0, -1) if length % n == 0)


@composes("FFT", known=(-1,))
def _fft_operation(_: Any, x: _Pair) -> _Pair:
    return _fft((x[0], x[1]), -1.0)


@composes("FFT2", "IFFT2", known=(-2, -1))
def _fft2(operation: Any, x: _Pair) -> _Pair:
    """Along the last axis, then along the one before it."""
    inverse = type(operation).__name__ == "IFFT2"
    sign = 1.0 if inverse else -1.0
    once = _fft((x[0], x[1]), sign)
    turned = _fft((ops.swapaxes(once[0], -1, -2), ops.swapaxes(once[1], -1, -2)), sign)
    scale = 1.0 / (_size(x[0]) * int(x[0].shape[-2])) if inverse else 1.0
    results = [ops.swapaxes(y, -1, -2) * scale if inverse else ops.swapaxes(y, -1, -2)
               for y in turned]  # fmt: skip
    return results[0], results[1]


def _rfft(x: Any, length: int) -> _Pair:
    """The first half of the transform of real numbers."""
    size = _size(x)
    if size < length:
        x = ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(0, length - size)])
    elif size > length:
        x = x[..., :length]
    half = length // 2 + 1
    if length <= _WHOLE or _factor(length) == 1:
        cosine, sine = _waves(np.arange(length), np.arange(half), length, -1.0)
        dtype = str(x.dtype)
        return ops.matmul(x, cosine.astype(dtype)), ops.matmul(x, sine.astype(dtype))
    re, im = _fft((x, ops.zeros_like(x)), -1.0)
    return re[..., :half], im[..., :half]


@composes("RFFT", known=(-1,))
def _rfft_operation(operation: Any, x: Any) -> _Pair:
    return _rfft(x, int(operation.fft_length or _size(x)))


def _irfft(pair: _Pair, length: int) -> Any:
    """Real numbers from the first half of their transform; the other half mirrors it."""
    half = length // 2 + 1
    re, im = pair
    size = _size(re)
    if size < half:
        widths = [(0, 0)] * (len(re.shape) - 1) + [(0, half - size)]
        re, im = ops.pad(re, widths), ops.pad(im, widths)
    elif size > half:
        re, im = re[..., :half], im[..., :half]
    cosine, sine = _waves(np.arange(half), np.arange(length), length, 1.0)
    # Each but the first (and, of an even number, the last) stands for its mirror image, too.
    weight = np.full((half, 1), 2.0 / length)
    weight[0] = 1.0 / length
    if length % 2 == 0:
        weight[-1] = 1.0 / length
    dtype = str(re.dtype)
    real, imaginary = (cosine * weight).astype(dtype), (sine * weight).astype(dtype)
    return ops.matmul(re, real) - ops.matmul(im, imaginary)


@composes("IRFFT", known=(-1,))
def _irfft_operation(operation: Any, x: _Pair) -> Any:
    return _irfft((x[0], x[1]), int(operation.fft_length or 2 * (_size(x[0]) - 1)))


# Short-time transforms


def _window(operation: Any, dtype: str) -> npt.NDArray[Any]:
    """The window of a frame, in the middle of ``fft_length`` samples."""
    length, whole = int(operation.sequence_length), int(operation.fft_length)
    before = (whole - length) // 2
    kind = operation.window
    if kind is None:
        return np.ones(whole, dtype)
    if isinstance(kind, str):
        # The periodic windows, as scipy.signal.get_window makes them.
        turn = 2.0 * math.pi * np.arange(length) / length
        a = 0.5 if kind == "hann" else 0.54
        shape = a - (1.0 - a) * np.cos(turn)
    else:
        shape = np.asarray(ops.convert_to_numpy(kind), np.float64)
    return np.pad(shape, (before, whole - length - before)).astype(dtype)


@lowers("ops.ExtractSequences")
def extract_sequences(b: Builder, operation: Any, x: Value) -> Value:
    """``[..., samples]`` as ``[..., frames, length]``."""
    length, stride = int(operation.sequence_length), int(operation.sequence_stride)
    count = (x.shape[-1] - length) // stride + 1
    begins = b.reshape(b.emit(op.Range(0, stride, count, "int32")), (count, 1))
    places = b.binary("add", begins, b.constant(np.arange(length)[None, :], "int32"))
    return b.emit(op.Gather(x.rank - 1), x, places)


@composes("STFT")
def _stft(operation: Any, x: Any) -> _Pair:
    """The window is taken into the matrix, so that a frame is one product."""
    length = int(operation.fft_length)
    if operation.center:
        widths = [(0, 0)] * (len(x.shape) - 1) + [(length // 2, length // 2)]
        x = ops.pad(x, widths, mode="reflect")
    frames = ops.extract_sequences(x, length, int(operation.sequence_stride))
    window = _window(operation, "float64")
    if length > _WHOLE and _factor(length) > 1:
        return _rfft(frames * window.astype(str(x.dtype)), length)
    cosine, sine = _waves(np.arange(length), np.arange(length // 2 + 1), length, -1.0)
    real, imaginary = ((m * window[:, None]).astype(str(x.dtype)) for m in (cosine, sine))
    return ops.matmul(frames, real), ops.matmul(frames, imaginary)


@composes("ISTFT", known=(-2, -1))
def _istft(operation: Any, x: _Pair) -> Any:
    """Frames are added where they overlap, over the sum of the squared windows there."""
    length, stride = int(operation.fft_length), int(operation.sequence_stride)
    frames = _irfft((x[0], x[1]), length)
    dtype = str(frames.dtype)
    window = _window(operation, "float64")
    count = int(frames.shape[-2])
    total = length + stride * (count - 1)
    weights = np.zeros(total)
    for index in range(count):
        weights[index * stride : index * stride + length] += window**2
    pieces = ops.reshape(frames * window.astype(dtype), (-1, count, length))
    added = _overlapped(pieces, stride)
    y = ops.reshape(added, (*ops.shape(frames)[:-2], total))
    y = y * (1.0 / np.where(weights > 1e-10, weights, 1.0)).astype(dtype)
    begin = length // 2 if operation.center else 0
    if operation.length is not None:
        end = begin + int(operation.length)
    else:
        end = total - length // 2 if operation.center else total
    y = y[..., begin : min(end, total)]
    missing = end - total
    return ops.pad(y, [(0, 0)] * (len(y.shape) - 1) + [(0, missing)]) if missing > 0 else y


def _overlapped(frames: Any, stride: int) -> Any:
    """``[n, frames, length]`` as ``[n, samples]``: a transposed convolution with ones."""
    length = _size(frames)
    kernel = np.eye(length)[:, None, :].astype(str(frames.dtype))
    y = ops.conv_transpose(frames, kernel, strides=stride, padding="valid",
                           data_format="channels_last")  # fmt: skip
    total = length + stride * (int(frames.shape[1]) - 1)
    return ops.reshape(y, (-1, int(y.shape[1])))[:, :total]
