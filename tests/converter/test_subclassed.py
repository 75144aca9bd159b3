"""Models and layers that people write in ``keras.ops``: as objects, and from files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from proof import assert_carries, quick_initializers, randomize

import hornbeam
from hornbeam.errors import ConversionError, UntrustedCodeError

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Case = Callable[[], tuple[Any, Any]]
CASES: list[Case] = []


def case(function: Case) -> Case:
    CASES.append(function)
    return function


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


class Plain(keras.Model):
    """One input, one output, and what `call` says while training left out."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.norm = layers.Dense(6), layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)

    def call(self, x: Any, training: bool = False) -> Any:
        y = self.drop(self.norm(self.dense(x), training=training), training=training)
        return ops.relu(y) + 100.0 if training else ops.relu(y)


class Heads(keras.Model):
    """A dictionary in, a dictionary out, and matrix products between."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = layers.Dense(4), layers.Dense(4)

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        q, k = self.query(inputs["x"]), self.key(inputs["y"])
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / ops.sqrt(4.0)
        weights = ops.softmax(scores, axis=-1)
        return {"weights": weights, "mixed": ops.einsum("bij,bjk->bik", weights, inputs["y"])}


class Several(keras.Model):
    """Several call arguments, a tuple out."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(4)

    def call(self, left: Any, right: Any) -> tuple[Any, Any]:
        return self.dense(left) * right, ops.max(left, axis=-1)


class Listed(keras.Model):
    """A list in."""

    def call(self, inputs: list[Any]) -> Any:
        first, second = inputs
        return ops.concatenate([first, ops.flip(second, axis=-1)], axis=-1)


class Composed(keras.Model):
    """A functional model, a sequential one and a subclassed one inside a subclassed one."""

    def __init__(self) -> None:
        super().__init__()
        x = keras.Input((4,))
        self.functional = keras.Model(x, [layers.Dense(4)(x), -x])
        self.sequential = keras.Sequential([layers.Dense(4, activation="gelu")])
        self.plain = Plain()

    def call(self, x: Any) -> Any:
        first, second = self.functional(x)
        return self.plain(self.sequential(first + second)) + ops.mean(x, axis=-1, keepdims=True)


class Loop(keras.Model):
    """Python's own control flow, over layers and over slices."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [layers.Dense(4, name=f"step_{i}") for i in range(3)]

    def call(self, x: Any) -> Any:
        state = ops.zeros((ops.shape(x)[0], 4))
        for time in range(x.shape[1]):
            for step in self.steps:
                state = ops.tanh(step(ops.concatenate([x[:, time], state], axis=-1)))
        return ops.stack([state, x[:, -1, ::-1] * 2], axis=1)


class Reflected(keras.Model):
    """Weights, arrays of numpy and results of keras.ops, each on the left of a tensor."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones", name="gamma")
        self.table = self.add_weight(shape=(7, 4), initializer="glorot_uniform", name="table")

    def call(self, x: Any) -> dict[str, Any]:
        ids = ops.cast(ops.abs(x[:, 0]) * 3.0 % 7.0, "int32")
        return {
            "weight": self.factor * x + self.factor**2 - (self.factor - x),
            "array": np.arange(4, dtype="float32") * x,
            "computed": ops.exp(self.factor) * x,
            "compared": self.factor > x,
            "looked_up": self.table[ids],
        }


@case
def subclass_of_one_input() -> tuple[Any, Any]:
    return _called(Plain(), normal(3, 5))


@case
def subclass_of_a_dictionary() -> tuple[Any, Any]:
    return _called(Heads(), {"x": normal(3, 5, 6), "y": normal(3, 7, 6, seed=1)})


@case
def subclass_of_a_list() -> tuple[Any, Any]:
    return _called(Listed(), [normal(3, 5), normal(3, 4, seed=1)])


@case
def subclass_of_models() -> tuple[Any, Any]:
    return _called(Composed(), normal(3, 4))


@case
def weights_and_arrays_on_the_left() -> tuple[Any, Any]:
    return _called(Reflected(), normal(3, 4))


@case
def subclass_with_loops() -> tuple[Any, Any]:
    return _called(Loop(), normal(3, 5, 4))


def _called(model: Any, inputs: Any) -> tuple[Any, Any]:
    model(inputs)
    return model, inputs


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


def test_several_call_arguments_carry(tmp_path: Path) -> None:
    class Built(Several):
        def build(self, left_shape: Any, right_shape: Any) -> None:
            del right_shape
            self.dense.build(left_shape)

    model, left, right = Built(), normal(3, 4), normal(3, 4, seed=1)
    outputs = [np.asarray(output) for output in model(left, right)]
    files = [tmp_path / "model.onnx", tmp_path / "model.tflite"]
    hornbeam.convert(model, *files)
    for file in files:
        with hornbeam.load(file) as session:
            assert {spec.name for spec in session.inputs} == {"left", "right"}
            found = session.run({"left": left, "right": right})
        for expected, got in zip(outputs, found.values(), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)


def test_several_call_arguments_without_shapes_are_refused_with_a_way_out(tmp_path: Path) -> None:
    model = Several()
    model(normal(3, 4), normal(3, 4))
    with pytest.raises(ConversionError, match=r"left, right.*keras\.Model\(\[a, b\]"):
        hornbeam.convert(model, tmp_path / "model.onnx")
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    around = keras.Model([left, right], model(left, right))
    assert_carries(around, [normal(3, 4), normal(3, 4, seed=1)], tmp_path)


def test_samples_that_see_each_other_carry(tmp_path: Path) -> None:
    """A mean over the batch, a sum over everything: other rows matter, in Keras as in the file."""

    class Batchwise(keras.Model):
        def call(self, x: Any) -> dict[str, Any]:
            return {"centred": x - ops.mean(x, axis=0, keepdims=True), "total": ops.sum(x)}

    model, x = _called(Batchwise(), normal(3, 4))
    assert_carries(model, x, tmp_path, eager=True, coupled=True)
    hornbeam.convert(model, tmp_path / "proved.onnx", tmp_path / "proved.tflite")


# -- files and code of the user's own ------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """A layer of the user's own, with a weight and a setting."""

    def __init__(self, power: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.power = power

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(shape=shape[-1:], initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return self.factor * ops.sign(x) * ops.abs(x) ** self.power

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


class Unregistered(Scale):
    """The same, which Keras does not know by itself."""


def wave(x: Any) -> Any:
    """An activation of the user's own."""
    return ops.sin(x) + 0.1 * x


def _own_model() -> Any:
    x = keras.Input((4,), name="x")
    y = layers.Dense(4, activation=wave, name="y")(Unregistered(1.5)(x))
    return randomize(keras.Model(x, y))


def test_own_layer_and_activation_carry_as_an_object(tmp_path: Path) -> None:
    assert_carries(_own_model(), normal(3, 4), tmp_path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
def test_own_layer_and_activation_carry_from_a_file(suffix: str, tmp_path: Path) -> None:
    model, file = _own_model(), tmp_path / f"own{suffix}"
    model.save(file)
    objects = {"Unregistered": Unregistered, "wave": wave}
    target = tmp_path / "model.onnx"
    with pytest.raises(UntrustedCodeError, match="custom_objects"):
        hornbeam.convert(file, target)
    assert not target.exists()
    report = hornbeam.convert(file, target, custom_objects=objects)
    assert report.files[0].verification is not None
    x = normal(3, 4)
    with hornbeam.load(target) as session:
        np.testing.assert_allclose(session.run(x), np.asarray(model(x)), atol=1e-5)


def test_lambda_carries_as_an_object(tmp_path: Path) -> None:
    x = keras.Input((4,))
    y = layers.Lambda(lambda t: ops.tanh(t) * 2 + t)(x)
    assert_carries(keras.Model(x, y), normal(3, 4), tmp_path)


def test_lambda_carries_from_a_trusted_file(tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, layers.Lambda(lambda t: t * 2.0, output_shape=(4,), name="double")(x))
    model.save(tmp_path / "model.keras")
    target = tmp_path / "model.onnx"
    hornbeam.convert(tmp_path / "model.keras", target, trust=True)
    with hornbeam.load(target) as session:
        np.testing.assert_array_equal(session.run(normal(3, 4)), normal(3, 4) * 2)


def test_model_that_was_never_called_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="never called"):
        hornbeam.convert(Plain(), tmp_path / "model.onnx")
