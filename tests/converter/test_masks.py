"""Masks of sequences: where they come from, whom they reach, and what they do there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from proof import assert_agrees, assert_carries, convert_unproved, quick_initializers, randomize

import hornbeam

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # What Keras says of every model that takes masked tensors and every layer that lets masks go.
    pytest.mark.filterwarnings("ignore:Layer '.*was passed an input with a mask:UserWarning"),
]

WORDS, LENGTH, SIZE = 12, 7, 8

#: Rows of different lengths; a zero in the middle, and a row that is never masked.
IDS = np.array(
    [[3, 1, 4, 1, 5, 0, 0], [9, 0, 2, 6, 0, 0, 0], [5, 3, 5, 8, 9, 7, 11]], dtype="int32"
)

Case = Callable[[Any], Any]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def embed(ids: Any) -> Any:
    return layers.Embedding(WORDS, SIZE, mask_zero=True)(ids)


def attention(**options: Any) -> Any:
    return layers.MultiHeadAttention(2, 4, **options)


@case
def pooling(ids: Any) -> Any:
    return layers.GlobalAveragePooling1D()(embed(ids))


@case
def pooling_keeps_axes(ids: Any) -> Any:
    return layers.GlobalAveragePooling1D(keepdims=True)(embed(ids))


@case
def self_attention(ids: Any) -> Any:
    x = embed(ids)
    return layers.GlobalAveragePooling1D()(attention()(x, x))


@case
def causal_self_attention(ids: Any) -> Any:
    x = embed(ids)
    return attention()(x, x, use_causal_mask=True)


@case
def attention_takes_the_mask_off_for_later_readers(ids: Any) -> Any:
    """Keras's MultiHeadAttention does so; whoever reads the same tensor later sees no mask."""
    x = embed(ids)
    before = layers.GlobalAveragePooling1D()(x)
    seen = attention()(x, x)
    after = layers.GlobalAveragePooling1D()(x)
    return [before, layers.GlobalAveragePooling1D()(seen), after]


@case
def two_attentions_of_one_tensor(ids: Any) -> Any:
    x = embed(ids)
    return [attention()(x, x), attention()(x, x)]


@case
def residual_transformer_block(ids: Any) -> Any:
    x = embed(ids)
    for _ in range(2):
        x = layers.LayerNormalization()(layers.Add()([x, attention()(x, x)]))
        y = layers.Dense(SIZE)(layers.Dense(16, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Dropout(0.1)(x + y))
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x))


@case
def mask_given_by_hand(ids: Any) -> Any:
    x = layers.Embedding(WORDS, SIZE)(ids)
    mask = ops.not_equal(ids, 0)
    pooled = layers.GlobalAveragePooling1D()(x, mask=mask)
    return [pooled, attention()(x, x, attention_mask=ops.expand_dims(mask, 1))]


@case
def mask_by_hand_beside_the_embedded_one(ids: Any) -> Any:
    x = embed(ids)
    window = np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))) < 3
    return attention()(x, x, attention_mask=window[None])


@case
def embedding_in_a_nested_model(ids: Any) -> Any:
    inside = keras.Input((LENGTH,), dtype="int32")
    encoder = keras.Model(inside, layers.Dense(SIZE)(embed(inside)), name="encoder")
    return layers.GlobalAveragePooling1D()(encoder(ids))


@case
def reader_in_a_nested_model(ids: Any) -> Any:
    inside = keras.Input((LENGTH, SIZE))
    reader = keras.Model(inside, layers.GlobalAveragePooling1D()(attention()(inside, inside)))
    return reader(embed(ids))


@case
def nested_model_of_a_nested_model(ids: Any) -> Any:
    inside = keras.Input((LENGTH, SIZE))
    inner = keras.Model(inside, layers.GlobalAveragePooling1D()(layers.Dense(4)(inside)))
    between = keras.Input((LENGTH, SIZE))
    middle = keras.Model(between, inner(layers.LayerNormalization()(between)) * 2.0)
    x = embed(ids)
    return [middle(x), inner(x)]


@case
def nested_sequential(ids: Any) -> Any:
    first = keras.Sequential([layers.Embedding(WORDS, SIZE, mask_zero=True), layers.Dense(SIZE)])
    second = keras.Sequential([layers.Dense(4), layers.GlobalAveragePooling1D()])
    return second(first(ids))


@case
def masking_layer(ids: Any) -> Any:
    x = layers.Masking(0.0)(ops.one_hot(ids, WORDS)[..., 1:])
    return layers.GlobalAveragePooling1D()(layers.Dense(4)(x))


@case
def masks_meet_in_merging_layers(ids: Any) -> Any:
    x = embed(ids)
    y = layers.Masking(0.0)(ops.one_hot(ops.flip(ids, axis=1), WORDS)[..., 1 : SIZE + 1])
    pool = layers.GlobalAveragePooling1D
    added, joined = layers.Add()([x, y]), layers.Concatenate(axis=1)([x, y])
    wide, multiplied = layers.Concatenate()([x, y]), layers.Multiply()([x, y])
    return [pool()(added), pool()(joined), pool()(wide), pool()(multiplied)]


@case
def product_of_masked_and_plain(ids: Any) -> Any:
    """A masked step counts as one in a product, and as zero where every factor is masked."""
    x = embed(ids)
    y = layers.Masking(0.0)(ops.one_hot(ops.flip(ids, axis=1), WORDS)[..., 1 : SIZE + 1])
    plain = layers.Embedding(WORDS, SIZE)(ids)
    return [layers.Multiply()([x, plain]), layers.Multiply()([x, y]), x * y]


@case
def masked_softmax(ids: Any) -> Any:
    scores = layers.Embedding(WORDS, 1)(ids)[..., 0]
    return layers.Softmax()(scores, mask=ops.not_equal(ids, 0))


@case
def mask_through_shape_changes(ids: Any) -> Any:
    """Layers that support no mask stop it, those that do hand it on."""
    x = embed(ids)
    pool = layers.GlobalAveragePooling1D
    return [
        pool()(layers.Activation("tanh")(x)),
        pool()(layers.TimeDistributed(layers.Dense(3))(x)),
        pool()(layers.Conv1D(4, 3, padding="same")(x)),
        pool()(layers.Reshape((LENGTH, SIZE))(x)),
        pool()(ops.tanh(x)),
        pool()(layers.SpatialDropout1D(0.2)(x)),
        pool()(layers.BatchNormalization()(x)),
    ]


@case
def layer_that_computes_its_own_mask(ids: Any) -> Any:
    class EveryOther(layers.Layer):
        supports_masking = True

        def call(self, x: Any, mask: Any = None) -> Any:
            return x if mask is None else x * ops.cast(mask, x.dtype)[..., None]

        def compute_mask(self, x: Any, mask: Any = None) -> Any:
            del x
            return ops.logical_not(mask)

    return layers.GlobalAveragePooling1D()(EveryOther()(embed(ids)))


@case
def layer_that_sets_a_mask_inside(ids: Any) -> Any:
    class Encoder(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.table = layers.Embedding(WORDS, SIZE, mask_zero=True)
            self.look, self.pool = attention(), layers.GlobalAveragePooling1D()

        def call(self, ids: Any) -> Any:
            x = self.table(ids)
            return self.pool(self.look(x, x)) + self.pool(x)

    return Encoder()(ids)


@case
def attention_in_a_block_takes_the_mask_off_too(ids: Any) -> Any:
    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.look = attention()

        def call(self, x: Any) -> Any:
            return self.look(x, x)

    class Encoder(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.table = layers.Embedding(WORDS, SIZE, mask_zero=True)
            self.block, self.pool = Block(), layers.GlobalAveragePooling1D()

        def call(self, ids: Any) -> Any:
            x = self.table(ids)
            before = self.pool(x)
            seen = self.block(x)
            return ops.stack([before, self.pool(x), self.pool(seen)], axis=1)

    return Encoder()(ids)


@case
def additive_and_dot_attention(ids: Any) -> Any:
    x = embed(ids)
    y = layers.Dense(SIZE)(x)
    return [layers.Attention(use_scale=True)([x, y]), layers.AdditiveAttention()([y, x])]


@case
def grouped_query_attention(ids: Any) -> Any:
    x = embed(ids)
    return layers.GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)(x, x)


@case
def batch_normalization_by_its_own_statistics(ids: Any) -> Any:
    return layers.BatchNormalization()(embed(ids))


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_mask_carries(build: Case, tmp_path: Path) -> None:
    model = _model(build, LENGTH)
    assert_carries(model, IDS, tmp_path, eager=False)
    hornbeam.convert(model, tmp_path / "proved.onnx")


@pytest.mark.parametrize(
    "build",
    [
        self_attention,
        causal_self_attention,
        residual_transformer_block,
        masks_meet_in_merging_layers,
    ],
    ids=lambda build: build.__name__,
)
def test_mask_of_free_length_carries(build: Case, tmp_path: Path) -> None:
    model = _model(build, None)
    files = convert_unproved(model, tmp_path)
    for ids in (IDS, np.tile(IDS, 3)[:, 2:]):
        assert_agrees(model, files, ids)


def test_subclassed_model_with_masks_carries(tmp_path: Path) -> None:
    class Classifier(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table = layers.Embedding(WORDS, SIZE, mask_zero=True)
            self.look, self.pool = attention(), layers.GlobalAveragePooling1D()

        def call(self, ids: Any) -> Any:
            x = self.table(ids)
            return self.pool(x + self.look(x, x))

    model = Classifier()
    ids = IDS.astype("float32")  # Keras remembers shapes of a subclassed model, not dtypes
    model(ids)
    assert_carries(randomize(model), ids, tmp_path, eager=True)


def _model(build: Case, length: int | None) -> Any:
    ids = keras.Input((length,), dtype="int32", name="ids")
    with quick_initializers():
        model = keras.Model(ids, build(ids))
    return randomize(model)
