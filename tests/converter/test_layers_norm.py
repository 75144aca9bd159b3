"""Normalizations along any axes, with and without scale and offset, and products of any axes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_proof import floats, prove, prove_model

L = keras.layers

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

X = floats(3, 4, 5, 6) * 2 + 1
AXES = st.one_of(
    st.sampled_from([1, 2, 3, -1, -2]),
    st.lists(st.sampled_from([1, 2, 3]), min_size=1, unique=True).map(sorted),
)


@settings(max_examples=3, deadline=None)
@given(AXES, st.booleans(), st.booleans())
def test_layer_normalization_carries(axis: Any, scale: bool, center: bool) -> None:
    prove(L.LayerNormalization(axis=axis, scale=scale, center=center), X)


@settings(max_examples=3, deadline=None)
@given(AXES)
def test_unit_normalization_carries(axis: Any) -> None:
    prove(L.UnitNormalization(axis=axis), X)


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([1, 2, 3, -1]), st.booleans(), st.booleans())
def test_batch_normalization_carries(axis: int, scale: bool, center: bool) -> None:
    prove(L.BatchNormalization(axis=axis, scale=scale, center=center), X)


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([(2, -1), (-1, -1), (1, -1), (5, 2), (2, 1)]), st.booleans(), st.booleans())
def test_group_normalization_carries(
    groups_and_axis: tuple[int, int], scale: bool, center: bool
) -> None:
    groups, axis = groups_and_axis
    prove(L.GroupNormalization(groups, axis=axis, scale=scale, center=center), X)


# (Along other axes RMSNormalization itself fails in Keras 3.15, for its scale does not broadcast.)
@pytest.mark.parametrize("axis", [-1, (2, 3), (1, 2, 3)], ids=str)
def test_rms_normalization_carries(axis: Any) -> None:
    prove(L.RMSNormalization(axis=axis), X)


@pytest.mark.parametrize(
    "inner",
    [
        lambda: L.Dense(4),
        lambda: L.EinsumDense("abcd,de->abce", output_shape=(None, None, 7)),
    ],
    ids=["Dense", "EinsumDense"],
)
def test_spectral_normalization_carries(inner: Any) -> None:
    prove(lambda x: L.SpectralNormalization(inner())(x), X)


def test_a_mask_goes_through_batch_normalization() -> None:
    def model() -> Any:
        ids = keras.Input((5,), dtype="int32")
        x = L.BatchNormalization()(L.Embedding(7, 6, mask_zero=True)(ids))
        return keras.Model(ids, L.GlobalAveragePooling1D()(x))

    prove_model(model, np.random.default_rng(0).integers(0, 3, (3, 5)).astype("int32"))


@pytest.mark.parametrize(
    ("equation", "shape", "output", "bias"),
    [
        ("abc,cde->abde", (3, 4), (None, 2, 5), "de"),
        ("abc,dce->abde", (3, 4), (None, 2, 5), "e"),
        ("abcd,cde->abe", (3, 4, 5), (None, 6), "e"),
        ("...x,xy->...y", (3, 4), 7, "y"),
        ("ab,bc->ac", (4,), (5,), None),
        ("abc,bcd->abd", (3, 4), (3, 5), "bd"),
        ("abcd,bce->abde", (3, 4, 5), (3, 5, 2), None),
    ],
)
def test_einsum_dense_carries(equation: str, shape: Any, output: Any, bias: Any) -> None:
    layer = L.EinsumDense(equation, output_shape=output, bias_axes=bias, activation="tanh")
    prove(layer, floats(3, *shape))


@pytest.mark.parametrize(
    ("axes", "first", "second"),
    [
        ((1, 1), (4,), (4,)),
        (1, (4, 3), (4, 5)),
        ((1, 2), (4, 3), (5, 4)),
        (-1, (4,), (4,)),
    ],
)
def test_dot_carries(axes: Any, first: Any, second: Any) -> None:
    prove(lambda x, y: L.Dot(axes)([x, y]), floats(3, *first), floats(3, *second, seed=1))
