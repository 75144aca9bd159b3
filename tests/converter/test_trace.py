"""The walk through Keras: the model stays as it was, sizes are understood, errors say where."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from proof import quick_initializers

import hornbeam
from hornbeam.converter import lowering
from hornbeam.converter.lowering import registry
from hornbeam.converter.trace import trace
from hornbeam.converter.trace.sizes import Sizes, UnknownSizeError
from hornbeam.errors import ConversionError, UnsupportedLayerError
from hornbeam.graph import Graph
from hornbeam.graph.dims import ceil_div, evaluate, symbol
from hornbeam.graph.operations import DimensionOf, Range

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Inner(layers.Layer):
    """A layer of layers, which has to be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.supports_masking = True
        self.dense, self.look = layers.Dense(8), layers.MultiHeadAttention(2, 4)

    def call(self, x: Any) -> Any:
        y = self.dense(x) * 2.0
        return self.look(y, y) + ops.mean(x)


def _model() -> Any:
    ids = keras.Input((7,), dtype="int32", name="ids")
    x = layers.Embedding(10, 8, mask_zero=True, name="table")(ids)
    x = Inner()(layers.LayerNormalization()(x))
    return keras.Model(ids, layers.GlobalAveragePooling1D()(x))


def _fingerprint(model: Any) -> dict[str, Any]:
    """Everything of a model that a careless walk could change."""
    every = [model, *model._flatten_layers(include_self=False)]
    return {
        "nodes": {
            layer.path: (list(map(id, layer._inbound_nodes)), list(map(id, layer._outbound_nodes)))
            for layer in every
        },
        "attributes": {layer.path: sorted(vars(layer)) for layer in every},
        "masks": [id(getattr(layer.output, "_keras_mask", None)) for layer in model.layers],
        "weights": [np.asarray(weight).tobytes() for weight in model.weights],
        "predict_function": model.predict_function,
        "output": np.asarray(model(np.arange(14).reshape(2, 7) % 10)).tobytes(),
    }


# -- the model is left as it was found -----------------------------------------------------


def test_model_is_left_as_it_was(tmp_path: Path) -> None:
    with quick_initializers():
        model = _model()
    before = _fingerprint(model)
    trace(model)
    hornbeam.convert(model, tmp_path / "model.onnx")
    assert _fingerprint(model) == before


def test_names_of_later_layers_are_those_that_they_would_have_been() -> None:
    keras.backend.clear_session()
    expected = [layer.name for layer in (_model(), layers.Dense(1), layers.Add(), Inner())]
    keras.backend.clear_session()
    model = _model()
    trace(model)
    found = [layer.name for layer in (model, layers.Dense(1), layers.Add(), Inner())]
    assert found == expected


def test_keras_is_left_as_it_was() -> None:
    """What is replaced while a call is recorded comes back, after a failure too."""
    watched = [
        (keras.ops, "arange"),
        (keras.KerasTensor, "__getitem__"),
        (keras.KerasTensor, "__jax_array__"),
        (keras.Variable, "__mul__"),
        (keras.Variable, "__getitem__"),
    ]

    def snapshot() -> list[Any]:
        return [getattr(owner, name, None) for owner, name in watched]

    before = snapshot()
    trace(_model())
    assert snapshot() == before
    with pytest.raises(ConversionError):
        trace(_around(_Failing()))
    assert snapshot() == before
    assert not hasattr(keras.KerasTensor, "__array_ufunc__")


def test_tracing_twice_gives_the_same_graph() -> None:
    model = _model()
    first, second = (list(map(repr, trace(model).nodes)) for _ in range(2))
    assert first == second


def test_training_is_over() -> None:
    class Mode(layers.Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            return x * 100.0 if training else x + 1.0

    graph = trace(_around(Mode()))
    assert [node.operation.label for node in graph.nodes] == ["add"]


# -- errors --------------------------------------------------------------------------------


class _Failing(layers.Layer):
    """A layer that needs numbers."""

    def call(self, x: Any) -> Any:
        return x * float(np.asarray(x).max())

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


class _Looping(layers.Layer):
    """Control flow that has no lowering."""

    def call(self, x: Any) -> Any:
        return ops.associative_scan(lambda a, b: a + b, x, axis=1)


def _around(layer: Any) -> Any:
    x = keras.Input((4,))
    return keras.Model(x, layer(x))


def test_code_that_needs_numbers_is_named_with_a_way_out() -> None:
    inner = keras.Sequential([keras.Input((4,)), _Failing(name="needy")], name="inside")
    with pytest.raises(UnsupportedLayerError) as caught:
        trace(_around(inner))
    assert "inside/needy" in caught.value.asked
    assert "keras.ops" in caught.value.advice
    assert "\n" not in str(caught.value)


def test_operation_without_lowering_is_named_with_its_layer(monkeypatch: Any) -> None:
    lowering.load_all()
    monkeypatch.delitem(registry._REGISTRY, "ops.Sin")

    class Wave(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.sin(x)

    inner = keras.Sequential([keras.Input((4,)), Wave(name="wave")], name="inside")
    with pytest.raises(UnsupportedLayerError) as caught:
        trace(_around(inner))
    assert "inside/wave" in caught.value.asked
    assert "Sin" in caught.value.found
    assert "docs/architecture.md" in caught.value.advice


def test_no_tensor_returned_is_an_error() -> None:
    class Nothing(keras.Model):
        def call(self, x: Any) -> Any:
            del x
            return {}

    model = Nothing()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(ConversionError, match="no tensor"):
        trace(model)


# -- the registry --------------------------------------------------------------------------


def _keras_class(key: str) -> Any:
    kind, _, name = key.partition(".")
    home = {"layers": "keras.src.layers", "ops": "keras.src.", "activations": "keras.src."}[kind]
    modules = [module for path, module in sys.modules.items() if path.startswith(home)]
    modules.append(keras.layers)
    return next((vars(module)[name] for module in modules if name in vars(module)), None)


def test_every_lowering_is_of_something_that_keras_has() -> None:
    lowering.load_all()
    keys = [entry.key for entry in registry.registered()]
    assert len(keys) > 200
    unknown = [key for key in keys if _keras_class(key) is None]
    assert not unknown


#: Layers whose call takes a mask that changes nothing, and why.
MASK_DOES_NOTHING = {
    "BatchNormalization": "it counts in training only",
    "TimeDistributed": "it goes to the layer inside, which steps of their own have none for",
}


def test_every_layer_that_asks_for_a_mask_gets_it() -> None:
    """A lowering that forgets the mask of its layer would be wrong in silence."""
    lowering.load_all()
    forgetful = []
    for entry in registry.registered():
        kind, _, name = entry.key.partition(".")
        if kind != "layers" or name in MASK_DOES_NOTHING:
            continue
        asked = {
            parameter
            for parameter in inspect.signature(_keras_class(entry.key).call).parameters
            if parameter == "mask" or parameter.endswith("_mask")
        }
        if asked - entry.parameters and "kwargs" not in entry.parameters:
            forgetful.append((entry.key, sorted(asked - entry.parameters)))
    assert not forgetful


# -- sizes ---------------------------------------------------------------------------------

NAMES = ("batch", "time", "height", "width")


def _sizes() -> Sizes:
    return Sizes(NAMES)


@pytest.mark.parametrize(
    "dim",
    [
        symbol("batch"),
        symbol("time"),
        symbol("batch") * 4,
        symbol("batch") * symbol("time"),
        symbol("height") * symbol("width"),
        symbol("time") + 1,
        symbol("time") - 2,
        symbol("time") * 2 + 1,
        symbol("height") // 2,
        ceil_div(symbol("height"), 2),
        symbol("time") // 2 + 1,
        (symbol("time") - 4) // 2 + 1,
        ceil_div(symbol("width"), 4) - 1,
        symbol("height") // 3 + 2,
        ceil_div(symbol("width"), 8),
        symbol("batch") * symbol("height") * symbol("width"),
        symbol("time") - symbol("height"),
        symbol("height") + symbol("width"),
    ],
    ids=str,
)
def test_size_is_found_from_its_two_numbers(dim: Any) -> None:
    sizes = _sizes()
    if len(dim.terms[0][0]) > 2:  # a product of three: two of them have been met before
        sizes.learn([symbol("height") * symbol("width")])
    found = sizes.solve(sizes.numbers(dim))
    for n in (1, 2, 7, 40):
        assignment = {name: n + i for i, name in enumerate(NAMES)}
        assert evaluate(found, assignment) == evaluate(dim, assignment), found


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(NAMES), factor=st.integers(1, 9), offset=st.integers(-9, 9), data=st.data()
)
def test_straight_line_of_a_known_size_is_found(
    name: str, factor: int, offset: int, data: st.DataObject
) -> None:
    sizes = _sizes()
    scaled = symbol(name) * factor
    sizes.learn([scaled])
    dim = scaled + offset
    found = sizes.solve(sizes.numbers(dim))
    sample = {each: data.draw(st.integers(10, 99)) for each in NAMES}
    assert evaluate(found, sample) == evaluate(dim, sample)


def test_number_that_does_not_move_is_a_number() -> None:
    assert _sizes().solve((7, 7)) == 7


def test_size_that_cannot_be_explained_is_an_error() -> None:
    with pytest.raises(UnknownSizeError):
        _sizes().solve((1, 100003))


# -- constants that depend on sizes --------------------------------------------------------


def _recorded(call: Any) -> Graph:
    class Custom(layers.Layer):
        def call(self, x: Any) -> Any:
            return call(x)

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    x = keras.Input((None, 4))
    return trace(keras.Model(x, Custom()(x)))


@pytest.mark.parametrize(
    "constant",
    [
        lambda n: np.arange(n, dtype="float32")[:, None],
        lambda n: np.arange(1, 2 * n + 1, 2, dtype="float32")[:, None],
        lambda n: np.full((n, 1), 3.5, "float32"),
        lambda n: np.tile(np.float32([[1, 2, 3, 4]]), (n, 1)),
        lambda n: np.float32(n),
    ],
    ids=["counted", "odd", "repeated", "rows", "number"],
)
def test_constant_of_a_free_size_holds_for_every_size(constant: Any, tmp_path: Path) -> None:
    class Custom(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + constant(ops.shape(x)[1])

        def compute_output_spec(self, x: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    x = keras.Input((None, 4))
    hornbeam.convert(keras.Model(x, Custom()(x)), tmp_path / "model.onnx", verify=False)
    with hornbeam.load(tmp_path / "model.onnx") as session:
        for n in (2, 5, 30):
            zeros = np.zeros((2, n, 4), "float32")
            expected = zeros + constant(n)
            np.testing.assert_array_equal(session.run(zeros), expected)


def test_constant_without_a_rule_is_an_error() -> None:
    with pytest.raises(UnsupportedLayerError, match="free size"):
        _recorded(lambda x: x + np.random.default_rng(0).random((ops.shape(x)[1], 1)))


def test_arange_of_a_free_size_is_an_operation() -> None:
    graph = _recorded(lambda x: x * ops.cast(ops.arange(ops.shape(x)[1]), "float32")[:, None])
    assert any(isinstance(node.operation, Range) for node in graph.nodes)
    assert not any(isinstance(node.operation, DimensionOf) for node in graph.nodes)


def test_any_number_of_free_sizes_has_stand_ins_of_its_own() -> None:
    sizes = Sizes(["batch", *(f"size_{i}" for i in range(40))])
    for assignment in sizes.assignments:
        assert len(set(assignment.values())) == 41
    assert all(a != b for a, b in zip(*(s.values() for s in sizes.assignments), strict=True))
