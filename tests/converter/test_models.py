"""Sequential and functional models: many inputs and outputs, shared layers, nested models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from proof import assert_carries, expected_outputs, quick_initializers, randomize

import hornbeam

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Case = Callable[[], tuple[Any, Any]]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# -- sequential ----------------------------------------------------------------------------


@case
def sequential_with_input() -> tuple[Any, Any]:
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    )
    return model, normal(3, 8, 8, 3)


@case
def sequential_built_by_its_first_call() -> tuple[Any, Any]:
    model = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    model(np.zeros((2, 5), "float32"))
    return model, normal(3, 5)


@case
def sequential_of_models() -> tuple[Any, Any]:
    first = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="tanh")], name="first")
    given = keras.Input((5,))
    second = keras.Model(given, layers.Dense(4)(given), name="second")
    return keras.Sequential([keras.Input((6,)), first, second]), normal(3, 6)


# -- functional ----------------------------------------------------------------------------


@case
def many_inputs_and_outputs() -> tuple[Any, Any]:
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    dense = layers.Dense(5, activation="relu", name="first")
    x = layers.Concatenate(name="joined")([dense(left), layers.Dense(5)(right)])
    return keras.Model([left, right], [x, layers.Dense(2, name="last")(x), dense.output]), [
        normal(3, 4),
        normal(3, 6),
    ]


@case
def inputs_in_another_order_than_made() -> tuple[Any, Any]:
    z, a = keras.Input((4,), name="z"), keras.Input((4,), name="a")
    return keras.Model([a, z], layers.Subtract(name="minus")([z, a])), [normal(3, 4), normal(3, 4)]


@case
def inputs_by_name_in_a_dictionary() -> tuple[Any, Any]:
    b, a = keras.Input((4,), name="b"), keras.Input((3,), name="a")
    outputs = {"tail": layers.Dense(2)(a), "head": layers.Dense(3)(b)}
    return keras.Model({"b": b, "a": a}, outputs), {"a": normal(3, 3), "b": normal(3, 4)}


@case
def one_value_returned_twice() -> tuple[Any, Any]:
    x = keras.Input((4,))
    y = layers.Dense(3)(x)
    return keras.Model(x, {"once": y, "again": y, "changed": -y}), normal(3, 4)


@case
def an_input_returned_as_it_is() -> tuple[Any, Any]:
    x = keras.Input((4,))
    return keras.Model(x, {"same": x, "dense": layers.Dense(3)(x)}), normal(3, 4)


@case
def an_input_that_nobody_reads() -> tuple[Any, Any]:
    x, unread = keras.Input((4,), name="x"), keras.Input((2,), name="unread")
    return keras.Model([x, unread], layers.Dense(3, name="y")(x)), [normal(3, 4), normal(3, 2)]


@case
def a_layer_at_two_places() -> tuple[Any, Any]:
    a, b = keras.Input((9, 4), name="a"), keras.Input((5, 4), name="b")
    conv = layers.Conv1D(6, 3, activation="silu")
    pool = layers.GlobalMaxPooling1D()
    x, y = pool(conv(a)), pool(conv(b))
    return keras.Model([a, b], layers.Dot(1, normalize=True, name="cosine")([x, y])), [
        normal(3, 9, 4),
        normal(3, 5, 4),
    ]


@case
def a_layer_applied_to_its_own_result() -> tuple[Any, Any]:
    x = keras.Input((4,))
    step = layers.Dense(4, activation="tanh")
    return keras.Model(x, step(step(step(x)))), normal(3, 4)


@case
def nested_models_called_twice() -> tuple[Any, Any]:
    inside = keras.Input((4,))
    normed = layers.BatchNormalization()(layers.Dense(4)(inside))
    inner = keras.Model(inside, [normed, layers.ReLU(6.0)(normed)], name="inner")
    middle_in = keras.Input((4,))
    first, second = inner(middle_in)
    middle = keras.Model(middle_in, first * second, name="middle")
    x = keras.Input((4,))
    return keras.Model(x, middle(middle(x)) + inner(x)[1]), normal(3, 4)


@case
def nested_model_with_a_dictionary() -> tuple[Any, Any]:
    p, q = keras.Input((3,), name="p"), keras.Input((3,), name="q")
    inner = keras.Model({"q": q, "p": p}, {"d": q - p, "s": layers.Dense(3)(q)}, name="inner")
    x, y = keras.Input((3,), name="x"), keras.Input((3,), name="y")
    out = inner({"p": x, "q": y})
    return keras.Model([x, y], [out["s"], out["d"] * 2.0]), [normal(3, 3), normal(3, 3)]


@case
def numbers_and_arrays_in_arithmetic() -> tuple[Any, Any]:
    x = keras.Input((4,))
    table = normal(4)
    y = (2.0 - x) / 4.0 + x * table - 3 * ops.abs(x) ** 2.0
    return keras.Model(x, [y, x > 0.1, ops.cast(x > 0.1, "int32")]), normal(3, 4)


@case
def a_model_taken_out_of_the_middle() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 3, name="low")(x)
    z = layers.Conv2D(4, 3, name="high")(layers.ReLU()(y))
    whole = keras.Model(x, z)
    return keras.Model(whole.get_layer("low").output, whole.output), normal(3, 6, 6, 4)


@case
def integer_input_among_floats() -> tuple[Any, Any]:
    ids, weights = keras.Input((5,), dtype="int32", name="ids"), keras.Input((5,), name="weights")
    x = layers.Embedding(10, 4)(ids) * ops.expand_dims(weights, -1)
    random = np.random.default_rng(0)
    return keras.Model([ids, weights], ops.sum(x, axis=1)), [
        random.integers(0, 10, (3, 5)).astype("int32"),
        normal(3, 5),
    ]


@case
def channels_first_pictures() -> tuple[Any, Any]:
    x = keras.Input((3, 12, 10))
    first: dict[str, Any] = {"data_format": "channels_first"}
    y = layers.Conv2D(4, 3, padding="same", activation="relu", **first)(x)
    y = layers.BatchNormalization(axis=1)(y)
    y = layers.DepthwiseConv2D(3, padding="same", **first)(y)
    z = layers.GlobalAveragePooling2D(keepdims=True, **first)(y)
    y = layers.MaxPooling2D(2, **first)(y * z)
    y = layers.UpSampling2D(2, **first)(y)
    y = layers.ZeroPadding2D(((1, 0), (0, 2)), **first)(y)
    return keras.Model(x, layers.Dense(3)(layers.Flatten(**first)(y))), normal(3, 3, 12, 10)


@case
def half_precision_inside() -> tuple[Any, Any]:
    x = keras.Input((8,))
    y = layers.Dense(8, activation="relu", dtype="mixed_float16")(x)
    y = layers.LayerNormalization(dtype="mixed_float16")(y)
    return keras.Model(x, layers.Activation("softmax", dtype="float32")(y)), normal(3, 8)


@case
def time_distributed() -> tuple[Any, Any]:
    x = keras.Input((5, 8, 8, 3))
    y = layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu"))(x)
    inner = keras.Sequential([keras.Input((6, 6, 4)), layers.Flatten(), layers.Dense(3)])
    return keras.Model(x, layers.TimeDistributed(inner)(y)), normal(3, 5, 8, 8, 3)


@case
def grouped_convolution_and_shuffle() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 6))
    y = layers.Conv2D(12, 3, groups=3, padding="same")(x)
    y = layers.Reshape((8, 8, 3, 4))(y)
    y = layers.Reshape((8, 8, 12))(layers.Permute((1, 2, 4, 3))(y))
    return keras.Model(x, layers.Conv2D(4, 1, groups=2)(y)), normal(3, 8, 8, 6)


@case
def squeeze_and_excitation() -> tuple[Any, Any]:
    x = keras.Input((8, 8, 4))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    y = layers.Activation("swish")(layers.BatchNormalization(scale=False)(y))
    s = layers.GlobalAveragePooling2D()(y)
    s = layers.Dense(8, activation="sigmoid")(layers.Dense(2, activation="relu")(s))
    y = layers.Multiply()([y, layers.Reshape((1, 1, 8))(s)])
    return keras.Model(x, layers.Dense(3)(layers.GlobalMaxPooling2D()(y))), normal(3, 8, 8, 4)


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_model_carries(build: Case, tmp_path: Path) -> None:
    with quick_initializers():
        model, inputs = build()
    randomize(model)
    half = any("float16" in str(layer.compute_dtype) for layer in getattr(model, "layers", []))
    assert_carries(model, inputs, tmp_path, tolerance=1e-2 if half else 1e-4, eager=True)


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_model_is_proved(build: Case, tmp_path: Path) -> None:
    """The same models by the product's own proof."""
    with quick_initializers():
        model, _ = build()
    randomize(model)
    report = hornbeam.convert(model, tmp_path / "model.onnx", tmp_path / "model.tflite")
    assert all(file.verification is not None for file in report.files)


def test_fixed_batch_carries(tmp_path: Path) -> None:
    x = keras.Input((4, 4, 2))
    model = keras.Model(x, layers.Dense(3)(layers.Flatten()(layers.Conv2D(3, 2)(x))))
    files = [tmp_path / "model.onnx", tmp_path / "model.tflite"]
    hornbeam.convert(model, *files, batch=2)
    data = normal(2, 4, 4, 2)
    (expected,) = expected_outputs(model, data).values()
    for file in files:
        with hornbeam.load(file) as session:
            assert session.inputs[0].shape == (2, 4, 4, 2)
            np.testing.assert_allclose(session.run(data), expected, atol=1e-5)
