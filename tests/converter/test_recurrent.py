"""Recurrent layers beside Keras: one file for every batch and length, each input twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers, ops, tree
from proof import expected_outputs, quick_initializers, randomize, worst_error

import hornbeam
from hornbeam.converter.passes import improve
from hornbeam.converter.trace import trace
from hornbeam.graph import Graph
from hornbeam.graph import operations as op

FORMATS = ("onnx", "tflite")
FEATURES = 5
UNITS = 4
TOLERANCE = 3e-5
#: More operators than this for one layer, its loops among them, and it is unrolled.
MOST_OPERATORS = 60

Layer = Callable[[], Any]
Inputs = dict[str, np.ndarray[Any, Any]]


@keras.saving.register_keras_serializable(package="recurrent tests")
class Leaky(keras.Layer):
    """A cell in keras.ops whose output is not its state, and whose state does not begin at 0."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, 1]
        self.output_size = units

    def build(self, shape: Any) -> None:
        """Two kernels."""
        self.kernel = self.add_weight((shape[-1], self.units), name="kernel")
        self.inner = self.add_weight((self.units, self.units), name="inner")

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """A memory of ones and a count of zero."""
        return [ops.ones((batch_size, self.units)), ops.zeros((batch_size, 1))]

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        """A slow memory, and a count of the steps."""
        memory, count = states
        new = 0.7 * memory + 0.3 * ops.tanh(
            ops.matmul(inputs, self.kernel) + ops.matmul(memory, self.inner)
        )
        return ops.relu(new) * 2.0 + ops.cos(count), [new, count + 1.0]


class PlainCell:
    """A cell that is no Keras layer."""

    state_size = UNITS
    compute_dtype = "float32"

    def call(self, inputs: Any, states: Any) -> tuple[Any, list[Any]]:
        """A decaying sum."""
        new = 0.5 * states[0] + inputs[:, :UNITS]
        return new, [new]

    __call__ = call


def _model(layer: Any, shape: tuple[int | None, ...] = (None, FEATURES)) -> Any:
    x = keras.Input(shape, name="x")
    return keras.Model(x, _named(layer(x)))


def _named(outputs: Any) -> dict[str, Any]:
    """Outputs with names of their own."""
    return {f"y{i}": y for i, y in enumerate(tree.flatten(outputs))}


def _masked_model(layer: Any, shape: tuple[int | None, ...] = (None, FEATURES)) -> Any:
    x, mask = keras.Input(shape, name="x"), keras.Input(shape[:1], dtype="bool", name="mask")
    return keras.Model([x, mask], _named(layer(x, mask=mask)))


def _randoms(model: Any, batch: int, time: int) -> Inputs:
    """Inputs with a free axis for time; masks of any pattern, one row without any step."""
    random = np.random.default_rng(batch * 1000 + time)
    made: Inputs = {}
    for tensor in model.inputs:
        sizes = [batch if i == 0 else time if d is None else d for i, d in enumerate(tensor.shape)]
        if tensor.dtype == "bool":
            mask = random.random(sizes) < 0.6
            mask[0, 0], mask[-1] = False, False
            made[tensor.name] = mask
        elif tensor.dtype == "int32":
            made[tensor.name] = random.integers(0, 3, sizes).astype("int32")
        else:
            made[tensor.name] = random.standard_normal(sizes).astype("float32")
    return made


def _prove(model: Any, folder: Path, sizes: Any = ((3, 6), (2, 9))) -> dict[str, Path]:
    """Convert once; run each file on every batch and length and on a row alone, twice each."""
    randomize(model)
    files = {kind: folder / f"model.{kind}" for kind in FORMATS}
    hornbeam.convert(model, *files.values(), verify=False)
    cases = [_randoms(model, batch, time) for batch, time in sizes]
    wanted = [_expected(model, case) for case in cases]
    for kind, file in files.items():
        with hornbeam.load(file) as session:
            for case, expected in zip(cases, wanted, strict=True):
                for run in ("first", "second"):
                    _agree(session.run(dict(case)), expected, f"{kind}, {run} run")
                    _agree(session.run(_last(case)), _last(expected), f"{kind}, {run} run, a row")
    return files


def _last(arrays: Mapping[str, Any]) -> Inputs:
    """The last row alone."""
    return {name: array[-1:] for name, array in arrays.items()}


def _expected(model: Any, case: Inputs) -> Mapping[str, Any]:
    values = list(case.values())
    inputs = values if len(values) > 1 else values[0]
    if len(model.layers) > 8 or any(isinstance(x, layers.TimeDistributed) for x in model.layers):
        return expected_outputs(model, inputs)
    # Short sequences of one size: what a step needs is compiled once for all tests.
    usual = values[0].shape[1:] in ((6, FEATURES), (9, FEATURES))
    with _step_by_step() if usual else nullcontext():
        return expected_outputs(model, inputs, eager=True)


def _step_by_step() -> AbstractContextManager[Any]:
    """Let JAX run each step as it comes: it would compile each loop for longer than it runs."""
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.disable_jit()


def _agree(found: Any, expected: Mapping[str, Any], label: str) -> None:
    if not isinstance(found, dict):
        found = dict.fromkeys(expected, found)
    assert list(found) == list(expected), label
    for name, wanted in expected.items():
        error = worst_error(wanted, found[name])
        assert error <= TOLERANCE, f"{label}: {name} {wanted.shape} differs by {error:.2g}"


def _operators(file: Path) -> int:
    """The operators of a file, in all its graphs."""
    if file.suffix == ".onnx":
        import onnx

        def count(graph: Any) -> int:
            inner = (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
            return len(graph.node) + sum(map(count, inner))

        return count(onnx.load(file).graph)
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(file.read_bytes(), 0)
    return sum(len(subgraph.operators) for subgraph in model.subgraphs)


CLASSES = {"LSTM": layers.LSTM, "GRU": layers.GRU, "SimpleRNN": layers.SimpleRNN}

LAYERS: dict[str, Layer] = {
    **{
        f"{name}-{(sequences and 'sequence') or 'last'}-{(backwards and 'back') or 'forth'}": (
            lambda cls=cls, sequences=sequences, backwards=backwards: cls(
                UNITS, return_sequences=sequences, go_backwards=backwards, return_state=True
            )
        )
        for (name, cls), sequences, backwards in product(
            CLASSES.items(), (False, True), (False, True)
        )
    },
    "LSTM-plain": lambda: layers.LSTM(UNITS),
    "LSTM-no-bias": lambda: layers.LSTM(UNITS, use_bias=False),
    "GRU-no-bias": lambda: layers.GRU(UNITS, use_bias=False),
    "GRU-reset-before": lambda: layers.GRU(UNITS, reset_after=False, return_sequences=True),
    "GRU-reset-before-no-bias": lambda: layers.GRU(UNITS, reset_after=False, use_bias=False),
    "SimpleRNN-no-bias": lambda: layers.SimpleRNN(UNITS, use_bias=False),
    "RNN-LSTMCell": lambda: layers.RNN(layers.LSTMCell(UNITS), return_sequences=True),
    "RNN-GRUCell": lambda: layers.RNN(layers.GRUCell(UNITS), return_state=True),
    "RNN-SimpleRNNCell": lambda: layers.RNN(layers.SimpleRNNCell(UNITS), go_backwards=True),
    "RNN-custom": lambda: layers.RNN(Leaky(UNITS), return_sequences=True, return_state=True),
    "RNN-custom-last": lambda: layers.RNN(Leaky(UNITS), go_backwards=True),
    "RNN-plain-object": lambda: layers.RNN(PlainCell(), return_sequences=True),
    "RNN-stacked": lambda: layers.RNN(
        [layers.LSTMCell(UNITS), layers.LSTMCell(3)], return_sequences=True, return_state=True
    ),
    "RNN-stacked-mixed": lambda: layers.RNN(
        [layers.GRUCell(3), layers.LSTMCell(UNITS), layers.SimpleRNNCell(2)], return_state=True
    ),
    "RNN-stacked-custom": lambda: layers.RNN(
        [layers.LSTMCell(3), Leaky(UNITS)], return_sequences=True
    ),
    "LSTM-of-a-function": lambda: layers.LSTM(
        UNITS, activation=lambda x: ops.tanh(x) * 0.5, return_sequences=True
    ),
    "GRU-of-a-function": lambda: layers.GRU(UNITS, activation=lambda x: ops.tanh(x) * 0.5),
    "GRU-of-a-function-before": lambda: layers.GRU(
        UNITS, activation=lambda x: ops.tanh(x) * 0.5, reset_after=False
    ),
    "SimpleRNN-of-a-function": lambda: layers.SimpleRNN(
        UNITS, activation=lambda x: ops.tanh(x) * 0.5, return_state=True
    ),
    **{
        f"Bidirectional-{mode}-{(sequences and 'sequence') or 'last'}": (
            lambda mode=mode, sequences=sequences: layers.Bidirectional(
                layers.LSTM(UNITS, return_sequences=sequences), merge_mode=mode
            )
        )
        for mode, sequences in product(("concat", "sum", "mul", "ave", None), (False, True))
    },
    "Bidirectional-state": lambda: layers.Bidirectional(
        layers.GRU(UNITS, return_state=True, return_sequences=True)
    ),
    "Bidirectional-state-apart": lambda: layers.Bidirectional(
        layers.LSTM(UNITS, return_state=True), merge_mode=None
    ),
    "Bidirectional-turned": lambda: layers.Bidirectional(
        layers.LSTM(UNITS, return_sequences=True, go_backwards=True),
        backward_layer=layers.GRU(UNITS, return_sequences=True),
    ),
    "Bidirectional-RNN": lambda: layers.Bidirectional(
        layers.RNN(Leaky(UNITS), return_sequences=True)
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str, tmp_path: Path) -> None:
    """Each layer, one file for three batches and two lengths."""
    with quick_initializers():
        files = _prove(_model(LAYERS[name]()), tmp_path)
    parts = 2 if "Bidirectional" in name else 3 if "stacked" in name else 1
    for file in files.values():
        assert _operators(file) <= MOST_OPERATORS * parts, f"{file.suffix} of {name} is unrolled"


#: Keras merges with a mask as it does without.
MERGED_ALIKE = {f"Bidirectional-{mode}-last" for mode in ("sum", "mul", "ave")} | {
    f"Bidirectional-{mode}-sequence" for mode in ("sum", "mul", "ave")
}


@pytest.mark.parametrize("name", sorted(set(LAYERS) - MERGED_ALIKE))
def test_masked_layer(name: str, tmp_path: Path) -> None:
    """Each layer with masks of any pattern: leading, inner and trailing steps, and all of them."""
    with quick_initializers():
        _prove(_masked_model(LAYERS[name]()), tmp_path, ((3, 6),))


ACTIVATIONS = (
    "linear", "relu", "relu6", "sigmoid", "hard_sigmoid", "softsign", "softplus", "elu", "selu",
    "leaky_relu", "silu", "gelu", "mish", "softmax", "exponential", "hard_tanh", "squareplus",
)  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, tmp_path: Path) -> None:
    """Any activation, of the candidate and of the gates."""
    x = keras.Input((None, FEATURES), name="x")
    with quick_initializers():
        outputs = [
            layers.LSTM(UNITS, activation=name, return_sequences=True, name="a")(x),
            layers.GRU(UNITS, recurrent_activation=name, name="b")(x),
            layers.SimpleRNN(UNITS, activation=name, name="c")(x),
        ]
    model = keras.Model(x, _named(outputs))
    for weight in model.weights:  # so that nothing grows from step to step
        weight.assign(0.1 * weight)
    _prove(model, tmp_path)


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("zero", [False, True], ids=["repeated", "zero"])
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "sequence"])
def test_initial_state(masked: bool, zero: bool, sequences: bool, tmp_path: Path) -> None:
    """States given with the call, also where the first steps are masked."""
    x, mask = keras.Input((None, FEATURES), name="x"), keras.Input((None,), dtype="bool", name="m")
    states = [keras.Input((UNITS,), name=f"state_{i}") for i in range(2)]
    options: dict[str, Any] = {"return_sequences": sequences, "zero_output_for_mask": zero}
    given = {"mask": mask} if masked else {}
    with quick_initializers():
        lstm = layers.LSTM(UNITS, **options, return_state=True)
        gru, both = layers.GRU(UNITS, **options), layers.Bidirectional(layers.GRU(UNITS))
        outputs = [
            *lstm(x, initial_state=states, **given),
            gru(x, initial_state=states[0], **given),
            both(x, initial_state=states, **given),
        ]
    inputs = [x, *([mask] if masked else []), *states]
    _prove(keras.Model(inputs, _named(outputs)), tmp_path)


def test_a_mask_is_as_long_as_its_sequence() -> None:
    """Two free lengths that must be equal are one."""
    graph = _graph(layers.LSTM(UNITS), masked=True)
    assert len(graph.symbols) == 2, graph.symbols
    graph = _graph(layers.RNN(Leaky(UNITS)), masked=True)
    assert len(graph.symbols) == 2, graph.symbols


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy: str, tmp_path: Path) -> None:
    """Recurrent layers that compute in half precision, one after the other, proved."""
    x = keras.Input((None, FEATURES), name="x", dtype="float32")
    y = layers.LSTM(UNITS, return_sequences=True, dtype=policy)(x)
    y = layers.GRU(UNITS, activation="gelu", return_sequences=True, dtype=policy)(y)
    y = layers.Dense(3, dtype=policy)(layers.SimpleRNN(UNITS, dtype=policy)(y))
    formats = FORMATS if "bfloat16" not in policy else ("tflite",)
    model = keras.Model(x, y)
    for weight in model.weights:
        weight.assign(0.5 * weight)
    hornbeam.convert(model, *(tmp_path / f"model.{kind}" for kind in formats))


def test_masks_travel(tmp_path: Path) -> None:
    """From Embedding and Masking through layer upon layer, and into attention and pooling."""
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.Input((None, FEATURES), name="x")
    with quick_initializers():
        y = layers.Embedding(3, FEATURES, mask_zero=True)(ids)
        y = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True))(y)
        y = layers.TimeDistributed(layers.Dense(3))(y)
        y = layers.GRU(UNITS, return_sequences=True)(y)
        pooled = layers.GlobalAveragePooling1D()(y)
        hidden = layers.Masking(0.5)(ops.where(ops.expand_dims(ids, -1) == 1, 0.5, x))
        last = layers.LSTM(UNITS)(layers.SimpleRNN(UNITS, return_sequences=True)(hidden))
    model = keras.Model([ids, x], _named([pooled, last]))
    randomize(model)
    files = [tmp_path / f"model.{kind}" for kind in FORMATS]
    hornbeam.convert(model, *files, verify=False)
    random = np.random.default_rng(0)
    for batch, time in ((3, 7), (1, 4)):
        case = {
            "ids": random.integers(0, 3, (batch, time)).astype("int32"),
            "x": random.standard_normal((batch, time, FEATURES)).astype("float32"),
        }
        case["ids"][0, 0] = 2  # the mean of no step at all is not a number
        expected = _expected(model, case)
        for file in files:
            with hornbeam.load(file) as session:
                for _ in range(2):
                    _agree(session.run(dict(case)), expected, file.suffix)


CONVOLUTIONS: dict[str, tuple[Layer, tuple[int | None, ...]]] = {
    "1D": (lambda: layers.ConvLSTM1D(3, 3, return_sequences=True), (None, 7, 2)),
    "1D-same-state": (
        lambda: layers.ConvLSTM1D(3, 2, padding="same", return_state=True, go_backwards=True),
        (None, 6, 2),
    ),
    "2D": (lambda: layers.ConvLSTM2D(3, (3, 2), padding="same"), (None, 5, 6, 2)),
    "2D-strided": (
        lambda: layers.ConvLSTM2D(2, 3, strides=2, return_sequences=True, use_bias=False),
        (None, 7, 9, 2),
    ),
    "2D-dilated": (
        lambda: layers.ConvLSTM2D(2, 2, dilation_rate=2, recurrent_activation="hard_sigmoid"),
        (None, 6, 6, 2),
    ),
    "3D": (lambda: layers.ConvLSTM3D(2, 2, padding="same"), (None, 3, 4, 3, 2)),
    "Bidirectional": (
        lambda: layers.Bidirectional(layers.ConvLSTM1D(2, 3, padding="same")), (None, 5, 2)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutional_layer(name: str, tmp_path: Path) -> None:
    """ConvLSTM over one to three axes."""
    layer, shape = CONVOLUTIONS[name]
    with quick_initializers():
        files = _prove(_model(layer(), shape), tmp_path, ((2, 3), (1, 4)))
    parts = 2 if name == "Bidirectional" else 1
    assert all(_operators(file) <= MOST_OPERATORS * parts for file in files.values())


def test_masked_convolutional_layer(tmp_path: Path) -> None:
    """One row, as Keras cannot broadcast the mask of more under JAX."""
    with quick_initializers():
        layer = layers.ConvLSTM1D(3, 2, padding="same", return_sequences=True)
        _prove(_masked_model(layer, (None, 6, 2)), tmp_path, ((1, 5), (1, 8)))


@pytest.mark.parametrize("time", [1, 5, 64, 130])
@pytest.mark.parametrize("backwards", [False, True], ids=["forth", "back"])
def test_length(time: int, backwards: bool, tmp_path: Path) -> None:
    """A fixed length, and the same as a free one: within a chunk, its size, and more than one."""
    for fixed in (time, None):
        with quick_initializers():
            layer = layers.GRU(UNITS, return_sequences=True, go_backwards=backwards)
            _prove(_model(layer, (fixed, FEATURES)), tmp_path, ((2, time), (1, time)))


def test_unrolled_layers_are_not(tmp_path: Path) -> None:
    """``unroll=True`` says how Keras runs a layer, not what it computes."""
    with quick_initializers():
        layer = layers.LSTM(UNITS, unroll=True, return_sequences=True)
        files = _prove(_masked_model(layer, (20, FEATURES)), tmp_path, ((2, 20),))
    assert all(_operators(file) <= MOST_OPERATORS for file in files.values())


def test_time_distributed(tmp_path: Path) -> None:
    """Layers on every step, pictures and recurrent layers among them."""
    x = keras.Input((None, 6, 6, 2), name="x")
    with quick_initializers():
        y = layers.TimeDistributed(layers.Conv2D(3, 3))(x)
        y = layers.TimeDistributed(layers.Flatten())(y)
        y = layers.LSTM(UNITS, return_sequences=True)(y)
        rows = keras.Input((None, 6, 12), name="x")
        z = layers.TimeDistributed(layers.LSTM(UNITS))(rows)
    sizes = ((2, 3), (1, 6))
    _prove(keras.Model(x, y), tmp_path, sizes)
    _prove(keras.Model(rows, z), tmp_path, sizes)


def _graph(layer: Any, masked: bool = False) -> Graph:
    return trace((_masked_model if masked else _model)(layer))


def test_known_cells_are_operations() -> None:
    """What engines have an operator for stays one node, stacked and both ways too."""
    with quick_initializers():
        graph = _graph(
            layers.Bidirectional(layers.RNN([layers.LSTMCell(UNITS), layers.GRUCell(UNITS)]))
        )
    kinds = [type(node.operation) for node in graph.nodes]
    assert [kind for kind in kinds if issubclass(kind, op.Recurrence)] == [op.Lstm, op.Gru] * 2
    assert op.Scan not in kinds


def test_a_bidirectional_layer_turns_nothing() -> None:
    """Its second half makes its outputs in the order of time."""
    with quick_initializers():
        graph = _graph(layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True)))
    assert "cancel_reverses" in improve(graph)
    assert not any(isinstance(node.operation, op.Reverse) for node in graph.nodes)


def test_layers_of_onnx() -> None:
    """One LSTM, GRU or RNN a layer, and no loop."""
    from hornbeam.converter.onnx import to_model

    for name, cls in CLASSES.items():
        with quick_initializers():
            nodes = to_model(_graph(cls(UNITS, return_sequences=True))).graph.node
        found = [node.op_type for node in nodes]
        assert name.removeprefix("Simple") in found, found
        assert len(found) <= 5, found


@pytest.fixture
def stateful() -> Any:
    """A model whose layers keep their states from call to call."""
    x = keras.Input(batch_shape=(2, None, FEATURES), name="x")
    with quick_initializers():
        y = layers.LSTM(UNITS, stateful=True, return_sequences=True, name="lower")(x)
        y = layers.GRU(3, stateful=True, name="upper")(y)
    return randomize(keras.Model(x, y))


def test_stateful(stateful: Any, tmp_path: Path) -> None:
    """States are named inputs and outputs; fed back, they do what Keras keeps to itself."""
    files = [tmp_path / f"model.{kind}" for kind in FORMATS]
    hornbeam.convert(stateful, *files)
    names = ["lower_state_0", "lower_state_1", "upper_state_0"]
    pieces = [_randoms(stateful, 2, time)["x"] for time in (5, 3, 4)]
    for layer in stateful.layers[1:]:
        layer.reset_state()
    wanted = [np.asarray(stateful(piece)) for piece in pieces]
    for file in files:
        with hornbeam.load(file) as session:
            assert [spec.name for spec in session.inputs] == ["x", *names]
            sizes = [tuple(spec.shape) for spec in session.inputs[1:]]
            state = {n: np.zeros(s, "float32") for n, s in zip(names, sizes, strict=True)}
            for piece, expected in zip(pieces, wanted, strict=True):
                found = session.run({"x": piece, **state})
                state = {name: found.pop(f"{name}_out") for name in names}
                (result,) = found.values()
                assert worst_error(expected, result) <= TOLERANCE, file.suffix


ARGUMENTS = st.fixed_dictionaries(
    {
        "units": st.sampled_from([1, 4, 7]),
        "activation": st.sampled_from(["tanh", "relu", "linear", "elu", "silu"]),
        "use_bias": st.booleans(),
        "return_sequences": st.booleans(),
        "return_state": st.booleans(),
        "go_backwards": st.booleans(),
        "zero_output_for_mask": st.booleans(),
    }
)
GATES = st.sampled_from(["sigmoid", "hard_sigmoid"])
MERGES = st.sampled_from(["concat", "sum", "mul", "ave", None, "one way"])


def _any_arguments(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def draw(test: Callable[..., None]) -> Callable[..., None]:
        drawn = given(
            kind=st.sampled_from(sorted(CLASSES)), options=ARGUMENTS, gates=GATES,
            after=st.booleans(), merge=MERGES, masked=st.booleans(),
        )(test)  # fmt: skip
        return settings(
            max_examples=examples, deadline=None, derandomize=True,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )(drawn)  # fmt: skip

    return draw


@_any_arguments(4)
def test_any_arguments(tmp_path: Path, **drawn: Any) -> None:
    """Arguments at random, in both formats."""
    _prove_arguments(tmp_path, **drawn)


@pytest.mark.slow
@_any_arguments(60)
def test_many_arguments(tmp_path: Path, **drawn: Any) -> None:
    """The same, more often."""
    _prove_arguments(tmp_path, **drawn)


def _prove_arguments(
    folder: Path, kind: str, options: dict[str, Any], gates: str, after: bool,
    merge: str | None, masked: bool,
) -> None:  # fmt: skip
    options = dict(options)
    if kind != "SimpleRNN":
        options["recurrent_activation"] = gates
    if kind == "GRU":
        options["reset_after"] = after
    if merge == "one way":
        layer = CLASSES[kind](**options)
    else:
        layer = layers.Bidirectional(
            CLASSES[kind](**{**options, "go_backwards": False}), merge_mode=merge
        )
    model = (_masked_model if masked else _model)(layer)
    for weight in model.weights:
        weight.assign(0.5 * weight)
    _prove(model, folder, ((3, 4), (2, 7)))
