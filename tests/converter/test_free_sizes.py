"""Sizes that are open: one file for every batch, picture and length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from proof import assert_agrees, convert_unproved, quick_initializers, randomize

import hornbeam
from hornbeam.errors import ConversionError

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: A model, and inputs of different sizes for it.
Case = Callable[[], tuple[Any, Sequence[Any]]]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def ids(*shape: int, below: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, below, shape).astype("int32")


class ClassToken(layers.Layer):
    """A learned token in front of the others, for each sample of a batch of any size."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal")

    def call(self, x: Any) -> Any:
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, ops.shape(x)[-1]))
        return ops.concatenate([token, x], axis=1)


class LearnedPositions(layers.Layer):
    """One vector for each place of a fixed number of them."""

    def build(self, shape: Any) -> None:
        self.places = self.add_weight(shape=(1, *shape[1:]), initializer="random_normal")

    def call(self, x: Any) -> Any:
        return x + self.places


class CountedPositions(layers.Layer):
    """An embedding of 0, 1, 2… up to a length that is free."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True
        self.table = layers.Embedding(64, 16)

    def call(self, x: Any) -> Any:
        return x + self.table(ops.arange(ops.shape(x)[1]))


class Waves(layers.Layer):
    """Sines and cosines of the places (Vaswani et al., 2017)."""

    def call(self, x: Any) -> Any:
        length, size = ops.shape(x)[1], x.shape[-1]
        places = ops.cast(ops.arange(length), "float32")[:, None]
        rates = ops.exp(ops.arange(0, size, 2, dtype="float32") * (-np.log(1e4) / size))
        angles = places * rates[None]
        return x + ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)[None]


def block(x: Any, **options: Any) -> Any:
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 8)(y, y, **options)])
    y = layers.Dense(32, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dense(x.shape[-1])(y)


@case
def vision_transformer() -> tuple[Any, Sequence[Any]]:
    image = keras.Input((32, 32, 3), name="image")
    x = layers.Reshape((-1, 16))(layers.Conv2D(16, 8, 8)(image))
    x = block(block(LearnedPositions()(ClassToken()(x))))
    logits = layers.Dense(5, name="logits")(layers.LayerNormalization()(x)[:, 0])
    return keras.Model(image, logits), [normal(3, 32, 32, 3)]


@case
def fully_convolutional() -> tuple[Any, Sequence[Any]]:
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    skip = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.MaxPooling2D()(skip)
    x = layers.Conv2D(8, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = layers.UpSampling2D(interpolation="bilinear")(x)
    x = layers.Concatenate()([x, skip])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    sizes = (16, 24), (32, 8), (64, 64)
    return keras.Model(image, x), [normal(3, h, w, 3) for h, w in sizes]


@case
def pictures_of_odd_sizes() -> tuple[Any, Sequence[Any]]:
    image = keras.Input((None, None, 1))
    x = layers.Conv2D(4, 3, strides=2)(image)
    x = layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    x = layers.ZeroPadding2D(1)(layers.Cropping2D(((0, 1), (1, 0)))(x))
    return keras.Model(image, [x, layers.GlobalMaxPooling2D()(x)]), [
        normal(3, 29, 41, 1),
        normal(3, 40, 25, 1),
    ]


@case
def attention_over_a_picture() -> tuple[Any, Sequence[Any]]:
    image = keras.Input((None, None, 8))

    class Tokens(layers.Layer):
        def call(self, x: Any) -> Any:
            n, h, w, c = ops.shape(x)
            y = ops.reshape(x, (n, h * w, c))
            y = ops.softmax(ops.matmul(y, ops.transpose(y, (0, 2, 1))) / 8.0)
            return ops.reshape(ops.matmul(y, ops.reshape(x, (n, -1, c))), (n, h, w, c))

    return keras.Model(image, Tokens()(image)), [normal(3, 5, 7, 8), normal(3, 6, 2, 8)]


@case
def tokens_with_counted_positions() -> tuple[Any, Sequence[Any]]:
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(20, 16, mask_zero=True)(tokens)
    x = layers.GlobalAveragePooling1D()(block(CountedPositions()(x)))
    return keras.Model(tokens, layers.Dense(3, activation="softmax")(x)), [
        ids(3, 9, below=20),
        ids(3, 33, below=20),
    ]


@case
def causal_language_model() -> tuple[Any, Sequence[Any]]:
    tokens = keras.Input((None,), dtype="int32")
    x = Waves()(layers.Embedding(20, 16)(tokens))
    x = block(block(x, use_causal_mask=True), use_causal_mask=True)
    return keras.Model(tokens, layers.Dense(20)(x)), [ids(3, 6, below=20), ids(3, 17, below=20)]


@case
def causal_convolutions() -> tuple[Any, Sequence[Any]]:
    x = keras.Input((None, 4))
    y = layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    y = layers.SeparableConv1D(8, 3, padding="same")(y)
    return keras.Model(x, layers.MaxPooling1D(2, padding="same")(y)), [
        normal(3, 8, 4),
        normal(3, 15, 4),
    ]


@case
def two_free_lengths() -> tuple[Any, Sequence[Any]]:
    question, text = keras.Input((None, 8), name="question"), keras.Input((None, 8), name="text")
    x = layers.MultiHeadAttention(2, 4)(question, text)
    model = keras.Model([question, text], [x, layers.GlobalMaxPooling1D()(text)])
    return model, [
        [normal(3, 5, 8), normal(3, 9, 8, seed=1)],
        [normal(3, 12, 8), normal(3, 4, 8, seed=1)],
    ]


@case
def two_inputs_of_one_length() -> tuple[Any, Sequence[Any]]:
    x, weights = keras.Input((None, 8), name="x"), keras.Input((None,), name="weights")
    weighted = x * ops.expand_dims(weights, -1)
    return keras.Model([x, weights], ops.cumsum(weighted, axis=1)), [
        [normal(3, n, 8), normal(3, n, seed=1)] for n in (5, 11)
    ]


@case
def lengths_that_are_counted_and_compared() -> tuple[Any, Sequence[Any]]:
    x = keras.Input((None, 4))

    class Statistics(layers.Layer):
        def call(self, x: Any) -> Any:
            length = ops.shape(x)[1]
            mean = ops.sum(x, axis=1) / ops.cast(length, "float32")
            halves = ops.concatenate([x[:, 1:], x[:, :1]], axis=1)
            grid = ops.zeros((length, length)) + ops.eye(length)
            later = ops.triu(ops.ones((length, length)), k=1) * -1e9
            scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) + later)
            return mean, halves[:, ::2], ops.einsum("ij,bjc->bic", grid, x), scores

    return keras.Model(x, Statistics()(x)), [normal(3, 6, 4), normal(3, 13, 4)]


@case
def flattened_to_a_free_number_of_rows() -> tuple[Any, Sequence[Any]]:
    x = keras.Input((None, 4, 2))
    y = layers.TimeDistributed(layers.Flatten())(x)
    y = layers.Reshape((-1, 4))(layers.Dense(8)(y))
    return keras.Model(x, layers.Conv1D(3, 2)(y)), [normal(3, 5, 4, 2), normal(3, 8, 4, 2)]


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_free_sizes_carry(build: Case, tmp_path: Path) -> None:
    with quick_initializers():
        model, sets = build()
    files = convert_unproved(randomize(model), tmp_path)
    for inputs in sets:
        # Row by row it is a batch of one: the batch is free as well.
        assert_agrees(model, files, inputs, eager=True)


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_free_sizes_are_proved_and_declared(build: Case, tmp_path: Path) -> None:
    with quick_initializers():
        model, _ = build()
    files = [tmp_path / "model.onnx", tmp_path / "model.tflite"]
    report = hornbeam.convert(model, *files)
    declared = {x._keras_history.operation.name: x.shape for x in model.inputs}
    for file in report.files:
        assert file.verification is not None
        with hornbeam.load(file.path) as session:
            for spec in session.inputs:
                expected = declared[spec.name]
                assert len(spec.shape) == len(expected)
                for size, wanted in zip(spec.shape, expected, strict=True):
                    assert (size if isinstance(size, int) else None) == wanted, (
                        f"{spec.name} is {spec}"
                    )


def test_size_that_cannot_be_understood_is_said(tmp_path: Path) -> None:
    class Root(layers.Layer):
        def call(self, x: Any) -> Any:
            side = int(np.sqrt(ops.shape(x)[1]))
            return x[:, :side]

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor((x.shape[0], None, x.shape[2]))

    x = keras.Input((None, 4))
    with pytest.raises(ConversionError, match=r"root"):
        hornbeam.convert(keras.Model(x, Root()(x)), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
