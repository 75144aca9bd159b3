"""Attention layers with all of their arguments: scores, masks, causality, gates and windows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from layer_proof import floats, prove, prove_model

L = keras.layers
slow = pytest.mark.slow

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

QUERY, VALUE, KEY = floats(3, 5, 4), floats(3, 6, 4, seed=1), floats(3, 6, 4, seed=2)
IDS = [np.random.default_rng(n).integers(0, 3, (3, size)).astype("int32")
       for n, size in enumerate((5, 6))]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"use_scale": True},
        {"score_mode": "concat"},
        pytest.param({}, marks=slow),
        pytest.param({"score_mode": "concat", "use_scale": True}, marks=slow),
    ],
    ids=str,
)
def test_attention_carries(options: dict[str, Any]) -> None:
    prove(lambda q, v, k: L.Attention(**options)([q, v, k]), QUERY, VALUE, KEY)


@pytest.mark.parametrize("kind", ["Attention", "AdditiveAttention"])
def test_attention_looks_back_only(kind: str) -> None:
    layer = getattr(L, kind)()
    prove(lambda q, v: layer([q, v], use_causal_mask=True), QUERY, VALUE)


def test_attention_looks_back_only_along_a_free_axis() -> None:
    prove(
        lambda q, v: L.Attention()([q, v], use_causal_mask=True),
        floats(3, 5, 4), floats(3, 5, 4, seed=1), free=(1,),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["Attention", pytest.param("AdditiveAttention", marks=slow)])
def test_attention_obeys_the_masks_of_embeddings(kind: str) -> None:
    def attended(a: Any, b: Any) -> Any:
        table = L.Embedding(7, 4, mask_zero=True)
        return getattr(L, kind)()([table(a), table(b)])

    prove(attended, *IDS)


def test_attention_obeys_a_mask_that_is_given() -> None:
    allowed = np.random.default_rng(0).random((3, 6)) > 0.4
    prove(lambda q, v, m: L.Attention()([q, v], mask=[None, m]), QUERY, VALUE, allowed)


def _scored(layer: Any, together: bool) -> Any:
    """The layer's result and its scores, as outputs with names."""

    def call(q: Any, v: Any) -> Any:
        inputs = ([q, v],) if together else (q, v)
        result, scores = layer(*inputs, return_attention_scores=True)
        return [L.Identity(name="result")(result), L.Identity(name="scores")(scores)]

    return call


@pytest.mark.parametrize(
    ("layer", "together"),
    [
        (lambda: L.Attention(), True),
        (lambda: L.MultiHeadAttention(2, 3), False),
        pytest.param(lambda: L.GroupQueryAttention(4, 4, 2), False, marks=slow),
    ],
    ids=["Attention", "MultiHeadAttention", "GroupQueryAttention"],
)
def test_scores_carry(layer: Any, together: bool) -> None:
    prove(_scored(layer(), together), QUERY, VALUE)


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"use_gate": True}, {}),
        ({"sliding_window": 2}, {}),
        pytest.param({"use_bias": False}, {}, marks=slow),
        pytest.param({}, {"use_causal_mask": True}, marks=slow),
        pytest.param({"output_shape": (2, 3)}, {}, marks=slow),
        pytest.param({"attention_axes": 1}, {}, marks=slow),
    ],
    ids=str,
)
def test_multi_head_attention_carries(options: dict[str, Any], call: dict[str, Any]) -> None:
    layer = L.MultiHeadAttention(2, 3, **options)
    prove(lambda q, v: layer(q, v, **call), QUERY, VALUE)


@pytest.mark.parametrize("axes", [(2,), pytest.param((1, 2), marks=slow)], ids=str)
def test_multi_head_attention_carries_along_other_axes(axes: tuple[int, ...]) -> None:
    x = floats(3, 4, 5, 6)
    prove(lambda q: L.MultiHeadAttention(2, 3, attention_axes=axes)(q, q), x)


def test_multi_head_attention_obeys_a_mask_that_is_given() -> None:
    allowed = np.random.default_rng(0).random((3, 5, 6)) > 0.4
    layer = L.MultiHeadAttention(2, 3)
    prove(lambda q, v, m: layer(q, v, attention_mask=m), QUERY, VALUE, allowed)


def test_masks_and_causality_meet_along_a_free_axis() -> None:
    def model() -> Any:
        ids = keras.Input((None,), dtype="int32")
        x = L.Embedding(7, 6, mask_zero=True)(ids)
        return keras.Model(ids, L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True))

    prove_model(model, IDS[0])


@pytest.mark.parametrize(
    "options",
    [{"use_gate": True}, *(pytest.param(o, marks=slow)
                           for o in ({}, {"use_bias": False}, {"sliding_window": 2}))],
    ids=str,
)  # fmt: skip
def test_group_query_attention_carries(options: dict[str, Any]) -> None:
    layer = L.GroupQueryAttention(4, 4, 2, **options)
    prove(lambda q, v: layer(q, v, use_causal_mask=True), QUERY, floats(3, 5, 4, seed=1))
