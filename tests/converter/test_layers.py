"""Arguments of layers, drawn at random: every combination computes what Keras computes.

Where Keras itself refuses a combination, the draw is thrown away.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from keras import layers
from proof import assert_carries, quick_initializers, randomize

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Draw = Callable[[st.SearchStrategy[Any]], Any]

few = settings(
    max_examples=6,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
seldom = st.sampled_from([False, False, True])
first_or_last = st.sampled_from(["channels_last", "channels_last", "channels_first"])
padding = st.sampled_from(["valid", "same"])
activation = st.sampled_from([None, "relu", "relu6", "tanh", "gelu", "hard_silu", "leaky_relu"])


def check(layer: Any, *shapes: tuple[int, ...], tolerance: float = 1e-4) -> None:
    """The layer alone, on a batch of normal numbers of ``shapes`` (without the batch)."""
    inputs = [keras.Input(shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    with quick_initializers():
        try:
            outputs = layer(inputs if len(inputs) > 1 else inputs[0])
        except (TypeError, ValueError):
            reject()  # Keras refuses it
    model = randomize(keras.Model(inputs, outputs))
    if any(0 in output.shape for output in model.outputs):
        reject()  # An empty result has nothing to compare.
    random = np.random.default_rng(0)
    arrays = [random.standard_normal((3, *shape)).astype("float32") for shape in shapes]
    data = arrays if len(arrays) > 1 else arrays[0]
    with tempfile.TemporaryDirectory() as folder:
        assert_carries(model, data, Path(folder), eager=True, tolerance=tolerance)


def window(draw: Draw, rank: int, most: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(1, most)) for _ in range(rank))


def picture(draw: Draw, rank: int, channels: int, data_format: str) -> tuple[int, ...]:
    """The shape of a picture of 1, 2 or 3 axes, large enough for most windows."""
    sizes = tuple(draw(st.integers(5, 9)) for _ in range(rank))
    return (*sizes, channels) if data_format == "channels_last" else (channels, *sizes)


def stride_or_dilation(draw: Draw, rank: int) -> dict[str, Any]:
    """Keras has no strided convolution that is dilated as well."""
    if draw(seldom):
        return {"dilation_rate": draw(st.integers(1, 3))}
    return {"strides": draw(st.integers(1, 3)) if rank != 2 or draw(seldom) else
            tuple(draw(st.integers(1, 3)) for _ in range(rank))}  # fmt: skip


# -- convolutions --------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
@few
@given(data=st.data())
def test_convolution(rank: int, data: st.DataObject) -> None:
    draw = data.draw
    # TFLite has no grouped convolution over three axes, and says so.
    groups = draw(st.sampled_from([1, 1, 2])) if rank < 3 else 1
    data_format = draw(first_or_last)
    layer = getattr(layers, f"Conv{rank}D")(
        2 * groups,
        window(draw, rank, 4),
        padding=draw(st.sampled_from(["valid", "same", "causal"]) if rank == 1 else padding),
        groups=groups,
        use_bias=draw(st.booleans()),
        activation=draw(activation),
        data_format=data_format,
        **stride_or_dilation(draw, rank),
    )
    check(layer, picture(draw, rank, 2 * groups, data_format))


@pytest.mark.parametrize("rank", [1, 2])
@few
@given(data=st.data())
def test_depthwise_convolution(rank: int, data: st.DataObject) -> None:
    draw = data.draw
    data_format = draw(first_or_last)
    options: dict[str, Any] = {"strides": draw(st.integers(1, 3))}
    if draw(seldom):
        options = {"dilation_rate": draw(st.integers(1, 3))}
    options |= {
        "padding": draw(padding),
        "depth_multiplier": draw(st.integers(1, 3)),
        "use_bias": draw(st.booleans()),
        "activation": draw(activation),
        "data_format": data_format,
    }
    kind = draw(st.sampled_from(["DepthwiseConv", "SeparableConv"]))
    arguments = [3] if kind == "SeparableConv" else []
    layer = getattr(layers, f"{kind}{rank}D")(*arguments, draw(st.integers(1, 4)), **options)
    check(layer, picture(draw, rank, 3, data_format))


@pytest.mark.parametrize("rank", [1, 2, 3])
@few
@given(data=st.data())
def test_transposed_convolution(rank: int, data: st.DataObject) -> None:
    draw = data.draw
    data_format = draw(first_or_last)
    strides = draw(st.integers(1, 3))
    extra = draw(st.sampled_from([None, None, 0, 1]))
    layer = getattr(layers, f"Conv{rank}DTranspose")(
        3,
        window(draw, rank, 4),
        strides=strides,
        padding=draw(padding),
        output_padding=extra if extra is None or extra < strides else None,
        use_bias=draw(st.booleans()),
        activation=draw(activation),
        data_format=data_format,
    )
    check(layer, picture(draw, rank, 2, data_format))


# -- pooling -------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
@few
@given(data=st.data())
def test_pooling(rank: int, data: st.DataObject) -> None:
    draw = data.draw
    data_format = draw(first_or_last)
    kind = draw(st.sampled_from(["Max", "Average"]))
    layer = getattr(layers, f"{kind}Pooling{rank}D")(
        window(draw, rank, 3),
        strides=draw(st.sampled_from([None, 1, 2, 3])),
        padding=draw(padding),
        data_format=data_format,
    )
    check(layer, picture(draw, rank, 2, data_format))


@few
@given(data=st.data())
def test_global_pooling(data: st.DataObject) -> None:
    draw = data.draw
    rank, data_format = draw(st.integers(1, 3)), draw(first_or_last)
    kind = draw(st.sampled_from(["Max", "Average"]))
    layer = getattr(layers, f"Global{kind}Pooling{rank}D")(
        keepdims=draw(st.booleans()), data_format=data_format
    )
    check(layer, picture(draw, rank, 3, data_format))


# -- normalizations and activations --------------------------------------------------------


@few
@given(data=st.data())
def test_normalization(data: st.DataObject) -> None:
    draw = data.draw
    rank = draw(st.integers(1, 3))
    shape = tuple(draw(st.sampled_from([2, 4, 6])) for _ in range(rank))
    axis = draw(st.sampled_from([-1, *range(1, rank + 1)]))
    axes = draw(st.sampled_from([axis, [1, rank] if rank > 1 else [1]]))
    flags = {"center": draw(st.booleans()), "scale": draw(st.booleans())}
    layer = draw(
        st.sampled_from(
            [
                layers.BatchNormalization(axis=axis, epsilon=1e-2, **flags),
                layers.LayerNormalization(axis=axes, **flags),
                layers.GroupNormalization(groups=draw(st.sampled_from([1, 2, -1])), axis=axis,
                                          **flags),
                layers.UnitNormalization(axis=axes),
                # Along another axis Keras itself cannot broadcast its scale.
                layers.RMSNormalization(axis=-1),
            ]
        )
    )  # fmt: skip
    check(layer, shape)


@few
@given(data=st.data())
def test_activation_layer(data: st.DataObject) -> None:
    draw = data.draw
    number = st.sampled_from([0.0, 0.1, 0.25, 1.0])
    layer = draw(
        st.sampled_from(
            [
                layers.ReLU(
                    max_value=draw(st.sampled_from([None, 0.5, 6.0])),
                    negative_slope=draw(number),
                    threshold=draw(number),
                ),
                layers.LeakyReLU(negative_slope=draw(number)),
                layers.ELU(alpha=draw(number)),
                layers.PReLU(shared_axes=draw(st.sampled_from([None, [1], [1, 2]]))),
                layers.Softmax(axis=draw(st.sampled_from([-1, 1, 2, (1, 2), (1, -1)]))),
            ]
        )
    )
    check(layer, (4, 3, 5))


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name in dir(keras.activations)
        if name not in {"get", "serialize", "deserialize", "glu", "threshold"}
        and not name.startswith("_")
    ),
)
def test_activation_function(name: str) -> None:
    check(layers.Activation(name), (4, 6))


# -- dense ---------------------------------------------------------------------------------


@few
@given(data=st.data())
def test_dense(data: st.DataObject) -> None:
    draw = data.draw
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(1, 4))))
    layer = layers.Dense(
        draw(st.integers(1, 5)), use_bias=draw(st.booleans()), activation=draw(activation)
    )
    check(layer, shape)


@pytest.mark.parametrize(
    ("equation", "output", "bias", "shape"),
    [
        ("ab,bc->ac", 5, "c", (4,)),
        ("abc,cd->abd", (None, 5), "d", (3, 4)),
        ("abc,cde->abde", (None, 2, 5), "de", (3, 4)),
        ("abcd,cde->abe", (None, 5), "e", (3, 2, 4)),
        ("abc,bd->adc", (5, 4), None, (3, 4)),
        ("...x,xy->...y", 5, "y", (3, 2, 4)),
        ("abc,bcd->abd", (3, 5), None, (3, 4)),
        ("abc,dc->abd", (None, 5), "d", (3, 4)),
        ("abc,bc->ab", (3,), None, (3, 4)),
    ],
)
def test_einsum_dense(equation: str, output: Any, bias: str | None, shape: tuple[int, ...]) -> None:
    layer = layers.EinsumDense(equation, output, bias_axes=bias, activation="tanh")
    check(layer, shape)


@few
@given(data=st.data())
def test_embedding(data: st.DataObject) -> None:
    draw = data.draw
    words, size = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 4)) for _ in range(draw(st.integers(0, 2))))
    dtype = draw(st.sampled_from(["int32", "uint8", "float32"]))
    ids = keras.Input(shape, dtype=dtype)
    model = keras.Model(ids, layers.Embedding(words, size)(ids))
    drawn = np.random.default_rng(0).integers(0, words, (3, *shape)).astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        assert_carries(model, drawn, Path(folder), eager=True)


# -- shapes --------------------------------------------------------------------------------


@few
@given(data=st.data())
def test_reshaping(data: st.DataObject) -> None:
    draw = data.draw
    shape = (4, 3, 2)
    layer = draw(
        st.sampled_from(
            [
                layers.Flatten(data_format=draw(first_or_last)),
                layers.Reshape(draw(st.sampled_from([(24,), (-1,), (2, -1, 3), (3, 4, 2, 1)]))),
                layers.Permute(draw(st.permutations([1, 2, 3]))),
            ]
        )
    )
    check(layer, shape)


@few
@given(data=st.data())
def test_repeat_vector(data: st.DataObject) -> None:
    check(layers.RepeatVector(data.draw(st.integers(1, 4))), (data.draw(st.integers(1, 5)),))


@pytest.mark.parametrize("rank", [1, 2, 3])
@few
@given(data=st.data())
def test_padding_and_cropping(rank: int, data: st.DataObject) -> None:
    draw = data.draw
    kind = draw(st.sampled_from(["ZeroPadding", "Cropping", "UpSampling"]))
    data_format = draw(first_or_last)
    pairs = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    borders = draw(st.sampled_from([pairs[0][0], pairs[0] if rank == 1 else tuple(pairs)]))
    options = {} if rank == 1 and kind != "ZeroPadding" else {"data_format": data_format}
    if kind == "UpSampling":
        size = draw(st.integers(1, 3))
        layer = getattr(layers, f"UpSampling{rank}D")(size if rank == 1 else (size,) * rank,
                                                      **options)  # fmt: skip
    else:
        layer = getattr(layers, f"{kind}{rank}D")(borders, **options)
    given_format = data_format if options else "channels_last"
    check(layer, picture(draw, rank, 2, given_format))


@few
@given(data=st.data())
def test_pictures_of_another_size(data: st.DataObject) -> None:
    draw = data.draw
    data_format = draw(first_or_last)
    interpolation = draw(st.sampled_from(["nearest", "bilinear"]))
    height, width = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    layer = draw(
        st.sampled_from(
            [
                layers.Resizing(
                    height, width, interpolation=interpolation, data_format=data_format
                ),
                layers.UpSampling2D(
                    (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
                    interpolation=interpolation,
                    data_format=data_format,
                ),
            ]
        )
    )
    check(layer, picture(draw, 2, 3, data_format))


# -- merging -------------------------------------------------------------------------------


@few
@given(data=st.data())
def test_merging(data: st.DataObject) -> None:
    draw = data.draw
    name = draw(st.sampled_from(["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract"]))
    shape = tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 3))))
    count = 2 if name == "Subtract" else draw(st.integers(2, 4))
    # Some inputs are broadcast: axes of 1, or missing axes.
    others = [
        tuple(1 if draw(seldom) else size for size in shape)[draw(st.integers(0, len(shape) - 1)) :]
        for _ in range(count - 1)
    ]
    check(getattr(layers, name)(), shape, *others)


@few
@given(data=st.data())
def test_concatenation(data: st.DataObject) -> None:
    draw = data.draw
    rank = draw(st.integers(1, 3))
    axis = draw(st.integers(1, rank))
    shapes = [
        tuple(draw(st.integers(1, 3)) if i == axis else 2 for i in range(1, rank + 1))
        for _ in range(draw(st.integers(2, 4)))
    ]
    check(layers.Concatenate(axis=draw(st.sampled_from([axis, axis - rank - 1]))), *shapes)


@few
@given(data=st.data())
def test_dot(data: st.DataObject) -> None:
    draw = data.draw
    left = tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 2))))
    right = tuple(draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 2))))
    axes = (draw(st.integers(1, len(left))), draw(st.integers(1, len(right))))
    right = tuple(left[axes[0] - 1] if i == axes[1] else n for i, n in enumerate(right, 1))
    check(layers.Dot(axes, normalize=draw(st.booleans())), left, right)


def test_dot_of_an_axis_of_one() -> None:
    """Sizes of 1 are sizes of the result too, not only what is stretched to another's."""
    x, y = keras.Input((2, 3)), keras.Input((1, 3))
    model = keras.Model([x, y], layers.Dot(axes=2)([x, y]))
    data = [np.random.default_rng(0).normal(size=(3, n, 3)).astype("float32") for n in (2, 1)]
    with tempfile.TemporaryDirectory() as folder:
        assert_carries(model, data, Path(folder), eager=True)
