"""Keras's own quantization, LoRA and dtype policies: the files do Keras's arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_proof import floats, prove_model

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.float8 import to_float8
from hornbeam.graph import Graph

L = keras.layers

pytestmark = [
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Model.quantize tells of every layer that it leaves alone.
    pytest.mark.filterwarnings("ignore:.*`quantize` method:UserWarning"),
    pytest.mark.filterwarnings("ignore:Invalid quantization mode:UserWarning"),
]


def _dense() -> Any:
    inputs = keras.Input((6,))
    return keras.Model(inputs, L.Dense(5, activation="relu")(inputs))


def _einsum() -> Any:
    inputs = keras.Input((4, 6))
    layer = L.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")
    return keras.Model(inputs, layer(inputs))


def _embedding() -> Any:
    inputs = keras.Input((4,), dtype="int32")
    return keras.Model(inputs, L.Embedding(9, 6)(inputs))


def _reversible() -> Any:
    inputs = keras.Input((4,), dtype="int32")
    layer = L.ReversibleEmbedding(9, 6)
    return keras.Model(inputs, layer(layer(inputs), reverse=True))


def _attention() -> Any:
    inputs = keras.Input((4, 6))
    return keras.Model(inputs, L.MultiHeadAttention(2, 4)(inputs, inputs))


IDS = np.array([[0, 1, 8, 3], [2, 2, 0, 1], [7, 8, 5, 4]], "int32")
MODELS: dict[str, tuple[Callable[[], Any], Any]] = {
    "Dense": (_dense, floats(3, 6)),
    "EinsumDense": (_einsum, floats(3, 4, 6)),
    "Embedding": (_embedding, IDS),
    "ReversibleEmbedding": (_reversible, IDS),
    "MultiHeadAttention": (_attention, floats(3, 4, 6)),
}
MODES = ("int8", "int4", "int4 in blocks", "float8", "lora", "lora, then int8")


def _quantize(model: Any, mode: str) -> Any:
    random = np.random.default_rng(3)
    if "lora" in mode:
        for layer in model._flatten_layers():
            if layer is not model and hasattr(layer, "enable_lora"):
                layer.enable_lora(2)
        for weight in model.weights:
            if "lora" in weight.path:
                weight.assign(random.normal(size=weight.shape))
    if mode == "int4 in blocks":
        model.quantize("int4", config=keras.quantizers.Int4QuantizationConfig(block_size=2))
    elif mode != "lora":
        model.quantize(mode.rpartition(" ")[2])
    if mode == "float8":
        for weight in model.weights:
            if weight.path.endswith("scale"):
                weight.assign(np.full(weight.shape, 0.01))
    return model


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "Dense" else [pytest.mark.slow]) for n in MODELS],
)
def test_quantized_layer_carries(name: str, mode: str) -> None:
    build, inputs = MODELS[name]
    prove_model(lambda: _quantize(build(), mode), inputs)


def test_sums_of_bytes_leave_their_range() -> None:
    class Product(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            byte = keras.ops.cast(x, "int8")
            return keras.ops.matmul(byte, keras.ops.full((5, 2), 100, dtype="int8"))

    inputs = keras.Input((5,))
    prove_model(lambda: keras.Model(inputs, Product()(inputs)), np.full((3, 5), 90.0, "float32"))


@settings(max_examples=60, deadline=None)
@given(st.floats(-448, 448, width=32), st.integers(-20, 9))
def test_rounding_to_float8_is_that_of_a_cast(number: float, power: int) -> None:
    half_way = (1.0 + 1.0 / 16) * 2.0**power
    x = np.clip(np.array([number, half_way, 3 * half_way, -half_way], "float32"), -448, 448)
    graph = Graph("rounding")
    value = graph.add_input("x", (4,), "float32")
    result = to_float8(Builder(graph, None), value, "float8_e4m3fn")  # type: ignore[arg-type]
    graph.outputs = {"y": result}
    np.testing.assert_array_equal(
        _computed(graph, x), x.astype(ml_dtypes.float8_e4m3fn).astype("float32")
    )


def _computed(graph: Any, x: Any) -> Any:
    """What the graph's few operations say, in numpy."""
    functions = {
        "multiply": np.multiply, "subtract": np.subtract, "round": np.round, "abs": np.abs,
        "less": np.less, "Select": np.where,
    }  # fmt: skip
    values = {graph.inputs[0]: x}
    for node in graph.nodes:
        operands = [values.get(v, v.data) for v in node.inputs]
        values[node.outputs[0]] = functions[node.operation.label](*operands)
    return values[graph.outputs["y"]]


def _net(policy: str) -> Any:
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((8, 8, 3), dtype="float32")
        x = L.Conv2D(4, 3, activation="relu")(inputs)
        x = L.MaxPooling2D()(L.BatchNormalization()(x))
        x = L.Flatten()(L.LayerNormalization()(x))
        return keras.Model(inputs, L.Activation("softmax", dtype="float32")(L.Dense(5)(x)))
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("policy", "tolerance"),
    [
        ("mixed_float16", 5e-3),
        ("mixed_bfloat16", 3e-2),
        pytest.param("float16", 5e-3, marks=pytest.mark.slow),
    ],
)
def test_dtype_policy_carries(policy: str, tolerance: float) -> None:
    prove_model(lambda: _net(policy), floats(3, 8, 8, 3), tolerance=tolerance)
