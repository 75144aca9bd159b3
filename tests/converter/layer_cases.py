"""One small model for each public class of ``keras.layers``, with arguments that say something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

__all__ = ["CASES", "Case", "model_of", "samples_of"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A layer, the shapes of its inputs (without the batch), and what is in them.

    ``fill`` is one of ``normal``, ``picture`` (0 to 255), ``unit`` (0 to 1) or the number of ids.
    """

    layer: Callable[[], Any]
    shapes: Sequence[Shape]
    fill: str | int = "normal"
    dtype: str = "float32"
    tolerance: float = 1e-4
    #: Samples of one batch see each other, so that Keras has to compute each by itself too.
    coupled: bool = False
    call: dict[str, Any] = field(default_factory=dict)


def model_of(case: Case) -> Any:
    """A functional model of the layer alone."""
    inputs = [
        keras.Input(shape, dtype=case.dtype, name=f"input_{index}")
        for index, shape in enumerate(case.shapes)
    ]
    outputs = case.layer()(inputs[0] if len(inputs) == 1 else inputs, **case.call)
    return keras.Model(inputs, outputs)


def samples_of(case: Case, batch: int = 3) -> Any:
    """A batch for `model_of`: an array, or a list of them."""
    random = np.random.default_rng(7)

    def draw(shape: Shape) -> Array:
        shape = (batch, *shape)
        if isinstance(case.fill, int):
            return random.integers(0, case.fill, shape).astype(case.dtype)
        if case.fill == "picture":
            return random.integers(0, 256, shape).astype(case.dtype)
        if case.fill == "unit":
            return random.random(shape).astype(case.dtype)
        return random.normal(0.0, 1.5, shape).astype(case.dtype)

    arrays = [draw(shape) for shape in case.shapes]
    return arrays[0] if len(arrays) == 1 else arrays


def _one(name: str, shape: Shape, *args: Any, **options: Any) -> tuple[str, Case]:
    """A layer of one float input."""
    return name, Case(lambda: getattr(keras.layers, name)(*args, **options), [shape])


def _picture(name: str, *args: Any, size: Shape = (8, 10, 3), **options: Any) -> tuple[str, Case]:
    """A layer of pictures from 0 to 255."""
    make = lambda: getattr(keras.layers, name)(*args, **options)  # noqa: E731
    return name, Case(make, [size], fill="picture")


def _merge(name: str, *shapes: Shape, **options: Any) -> tuple[str, Case]:
    """A layer of several float inputs."""
    return name, Case(lambda: getattr(keras.layers, name)(**options), shapes)


def _attention(
    name: str, *shapes: Shape, together: bool = False, **options: Any
) -> tuple[str, Case]:
    """Attention of the first input to the second."""

    def make() -> Any:
        layer = getattr(keras.layers, name)(**options)
        return layer if together else lambda inputs: layer(inputs[0], inputs[1])

    return name, Case(make, shapes)


def _wrapped(name: str, shape: Shape, inner: Callable[[], Any], **options: Any) -> tuple[str, Case]:
    """A layer around another."""
    return name, Case(lambda: getattr(keras.layers, name)(inner(), **options), [shape])


def _cell(name: str) -> tuple[str, Case]:
    """A recurrent cell, in the layer that walks it along time."""
    make = lambda: keras.layers.RNN(getattr(keras.layers, name)(4))  # noqa: E731
    return name, Case(make, [(5, 3)])


class _Half(keras.layers.Layer):
    """A layer of the test's own."""

    def call(self, x: Any) -> Any:
        return keras.ops.tanh(x) * 0.5


class _Holder(keras.layers.Layer):
    """Calls another layer, for layers that cannot be part of a functional model."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any, training: bool = False) -> Any:
        return self.inner(x, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class _Twice(keras.layers.Wrapper):
    """A wrapper of the test's own."""

    def call(self, x: Any) -> Any:
        return self.layer(self.layer(x))


def _reversible() -> Any:
    layer = keras.layers.ReversibleEmbedding(11, 6)
    return lambda ids: layer(layer(ids), reverse=True)


def _stacked() -> Any:
    cells = [keras.layers.LSTMCell(4), keras.layers.GRUCell(5)]
    return keras.layers.RNN(keras.layers.StackedRNNCells(cells))


def _normalization() -> Any:
    return keras.layers.Normalization(mean=[1.0, -2.0, 0.5], variance=[4.0, 0.25, 1.0])


def _pipeline() -> Any:
    steps = [keras.layers.RandomFlip(), keras.layers.CenterCrop(6, 6), keras.layers.Rescaling(0.1)]
    return keras.layers.Pipeline(steps)


def _spectral() -> Any:
    return keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3))


L = keras.layers
_VECTOR, _SERIES, _PICTURE, _VOLUME = (6,), (7, 3), (8, 10, 3), (5, 6, 7, 2)

CASES: dict[str, Case] = dict([
    # core
    _one("Dense", _SERIES, 4, activation="relu"),
    _one("EinsumDense", _SERIES, "abc,cd->abd", output_shape=(None, 4), bias_axes="d"),
    ("Embedding", Case(lambda: L.Embedding(11, 4, mask_zero=True), [(5,)], 11, "int32")),
    ("ReversibleEmbedding", Case(_reversible, [(5,)], 11, "int32")),
    _one("Identity", _VECTOR),
    _one("Lambda", _VECTOR, lambda x: x * 2.0 + 1.0),
    _one("Masking", _SERIES, mask_value=0.0),
    ("Layer", Case(_Half, [_VECTOR])),
    ("Wrapper", Case(lambda: _Twice(L.Dense(6, activation="tanh")), [_VECTOR])),
    ("InputLayer", Case(lambda: L.Activation("relu"), [_VECTOR])),
    # activations
    _one("Activation", _VECTOR, "gelu"),
    _one("ELU", _VECTOR, alpha=0.7),
    _one("LeakyReLU", _VECTOR, negative_slope=0.1),
    _one("PReLU", _PICTURE, alpha_initializer="ones", shared_axes=[1, 2]),
    _one("ReLU", _VECTOR, max_value=2.0, negative_slope=0.1, threshold=0.3),
    _one("Softmax", _SERIES, axis=1),
    # convolutions
    _one("Conv1D", _SERIES, 4, 3, padding="causal"),
    _one("Conv2D", _PICTURE, 4, 3, strides=2, padding="same"),
    _one("Conv3D", _VOLUME, 3, 2),
    _one("Conv1DTranspose", _SERIES, 4, 3, strides=2, padding="same"),
    _one("Conv2DTranspose", _PICTURE, 4, 3, strides=2, padding="same"),
    _one("Conv3DTranspose", _VOLUME, 3, 2, strides=2),
    _one("DepthwiseConv1D", _SERIES, 3, depth_multiplier=2),
    _one("DepthwiseConv2D", _PICTURE, 3, padding="same"),
    _one("SeparableConv1D", _SERIES, 4, 3),
    _one("SeparableConv2D", _PICTURE, 4, 3, strides=2, padding="same"),
    # pooling
    _one("AveragePooling1D", _SERIES, 2, padding="same"),
    _one("AveragePooling2D", _PICTURE, 3, strides=2, padding="same"),
    _one("AveragePooling3D", _VOLUME, 2),
    _one("MaxPooling1D", _SERIES, 2, padding="same"),
    _one("MaxPooling2D", _PICTURE, 3, strides=2, padding="same"),
    _one("MaxPooling3D", _VOLUME, 2, padding="same"),
    _one("GlobalAveragePooling1D", _SERIES),
    _one("GlobalAveragePooling2D", _PICTURE, keepdims=True),
    _one("GlobalAveragePooling3D", _VOLUME),
    _one("GlobalMaxPooling1D", _SERIES, keepdims=True),
    _one("GlobalMaxPooling2D", _PICTURE),
    _one("GlobalMaxPooling3D", _VOLUME),
    _one("AdaptiveAveragePooling1D", _SERIES, 3),
    _one("AdaptiveAveragePooling2D", _PICTURE, (3, 4)),
    _one("AdaptiveAveragePooling3D", _VOLUME, (2, 3, 4)),
    _one("AdaptiveMaxPooling1D", _SERIES, 3),
    _one("AdaptiveMaxPooling2D", _PICTURE, (3, 5)),
    _one("AdaptiveMaxPooling3D", _VOLUME, (2, 4, 3)),
    # normalization
    _one("BatchNormalization", _PICTURE, axis=1),
    _one("GroupNormalization", (4, 5, 6), groups=3),
    _one("LayerNormalization", _PICTURE, axis=(1, 3)),
    _one("RMSNormalization", _SERIES),
    _one("UnitNormalization", _SERIES, axis=1),
    ("SpectralNormalization", Case(_spectral, [_PICTURE])),
    # regularization
    _one("ActivityRegularization", _VECTOR, l2=0.1),
    _one("AlphaDropout", _VECTOR, 0.3),
    _one("Dropout", _VECTOR, 0.3),
    _one("GaussianDropout", _VECTOR, 0.3),
    _one("GaussianNoise", _VECTOR, 0.3),
    _one("SpatialDropout1D", _SERIES, 0.3),
    _one("SpatialDropout2D", _PICTURE, 0.3),
    _one("SpatialDropout3D", _VOLUME, 0.3),
    # merging
    _merge("Add", (4, 3), (4, 3), (1, 3)),
    _merge("Average", (4, 3), (4, 3)),
    _merge("Concatenate", (4, 3), (2, 3), axis=1),
    _merge("Dot", (4, 3), (3, 5), axes=(2, 1), normalize=True),
    _merge("Maximum", (4, 3), (3,)),
    _merge("Minimum", (4, 3), (4, 3)),
    _merge("Multiply", (4, 3), (4, 1)),
    _merge("Subtract", (4, 3), (4, 3)),
    # attention
    _attention("Attention", (5, 4), (6, 4), score_mode="concat", use_scale=True, together=True),
    _attention("AdditiveAttention", (5, 4), (6, 4), together=True),
    _attention("MultiHeadAttention", (5, 6), (7, 4), num_heads=2, key_dim=3, output_shape=5),
    _attention(
        "GroupQueryAttention", (5, 6), (7, 6), head_dim=8, num_query_heads=4, num_key_value_heads=2
    ),
    # reshaping
    _one("Cropping1D", _SERIES, (1, 2)),
    _one("Cropping2D", _PICTURE, ((1, 2), (0, 3))),
    _one("Cropping3D", _VOLUME, 1),
    _one("Flatten", _PICTURE),
    _one("Permute", _PICTURE, (3, 1, 2)),
    _one("RepeatVector", _VECTOR, 3),
    _one("Reshape", _SERIES, (3, -1)),
    _one("UpSampling1D", _SERIES, 2),
    _one("UpSampling2D", _PICTURE, (2, 3), interpolation="bicubic"),
    _one("UpSampling3D", _VOLUME, 2),
    _one("ZeroPadding1D", _SERIES, (1, 2)),
    _one("ZeroPadding2D", _PICTURE, ((1, 2), (0, 3))),
    _one("ZeroPadding3D", _VOLUME, 1),
    # recurrent
    _one("LSTM", _SERIES, 4),
    _one("GRU", _SERIES, 4, return_sequences=True),
    _one("SimpleRNN", _SERIES, 4),
    ("RNN", Case(lambda: L.RNN(L.GRUCell(4), return_sequences=True), [_SERIES])),
    _cell("LSTMCell"),
    _cell("GRUCell"),
    _cell("SimpleRNNCell"),
    ("StackedRNNCells", Case(_stacked, [_SERIES])),
    _wrapped("Bidirectional", _SERIES, lambda: L.LSTM(4, return_sequences=True)),
    _wrapped("TimeDistributed", (4, 5, 6, 2), lambda: L.Conv2D(3, 3)),
    _one("ConvLSTM1D", (4, 6, 2), 3, 3),
    _one("ConvLSTM2D", (4, 6, 5, 2), 3, 3, padding="same"),
    _one("ConvLSTM3D", (3, 4, 5, 4, 2), 2, 2),
    # preprocessing
    ("CategoryEncoding", Case(lambda: L.CategoryEncoding(6, "count"), [(5,)], 6, "int32")),
    _one("Discretization", _SERIES, [-1.0, 0.0, 0.5, 2.0]),
    ("Normalization", Case(_normalization, [_SERIES])),
    _one("Rescaling", _PICTURE, 1 / 127.5, offset=-1.0),
    _one("STFTSpectrogram", (90, 2), mode="log", frame_length=16, frame_step=7),
    ("MelSpectrogram", Case(
        lambda: L.MelSpectrogram(fft_length=64, sequence_stride=20, num_mel_bins=8), [(300,)],
        coupled=True)),
    ("Pipeline", Case(_pipeline, [_PICTURE], "picture")),
    # pictures
    _picture("Resizing", 5, 7, interpolation="lanczos3", antialias=True),
    _picture("CenterCrop", 5, 6),
    _picture("AutoContrast"),
    _picture("ContrastLimitedAdaptiveHistogramEqualization", tile_grid_size=(2, 2)),
    # (Keras: its result is its input, so that a functional model of it is a circle.)
    ("Equalization", Case(lambda: _Holder(L.Equalization()), [_PICTURE], "picture")),
    _picture("Solarization", 0.3, 0.3),
    _picture("MaxNumBoundingBoxes", 4),
    _picture("AugMix"),
    _picture("CutMix"),
    _picture("MixUp"),
    _picture("RandAugment"),
    _picture("RandomBrightness", 0.2),
    _picture("RandomColorDegeneration", 0.2),
    _picture("RandomColorJitter", value_range=(0, 255), brightness_factor=0.2, hue_factor=0.1),
    _picture("RandomContrast", 0.2),
    _picture("RandomCrop", 8, 10),
    _picture("RandomElasticTransform", 0.2),
    _picture("RandomErasing", 0.2),
    _picture("RandomFlip"),
    _picture("RandomGaussianBlur", 0.2),
    _picture("RandomGrayscale", 0.2),
    _picture("RandomHue", 0.2),
    _picture("RandomInvert", 0.2),
    _picture("RandomPerspective", 0.2),
    _picture("RandomPosterization", 4),
    _picture("RandomRotation", 0.2),
    _picture("RandomSaturation", 0.2),
    _picture("RandomSharpness", 0.2),
    _picture("RandomShear", 0.2),
    _picture("RandomTranslation", 0.2, 0.2),
    _picture("RandomZoom", 0.2),
])  # fmt: skip
