"""Loading: files of every Keras version give the numbers that their own Keras computed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hornbeam.converter.load import ensure_backend, load
from hornbeam.converter.loading.ledger import Ledger
from hornbeam.errors import ModelLoadError

ensure_backend()
import keras  # noqa: E402 - the backend is chosen before

KERAS2 = Path(__file__).parent / "keras2_files"
ZOO = Path(__file__).parents[3] / "shared" / "zoo"
# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1 when they are saved.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
needs_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo of trained models is not here")


def outputs_of(model: Any, *inputs: Any) -> list[np.ndarray]:
    result = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    results = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(each, dtype=np.float32) for each in results]


def random_weights(model: Any, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.5, 1.5) if "variance" in weight.name else (-1.0, 1.0)
        weight.assign(random.uniform(low, high, weight.shape).astype(weight.dtype))
    return model


# -- files of Keras 2 ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted(KERAS2.glob("*.*"))
        if path.with_suffix(".npz").exists() and path.suffix in (".h5", ".keras")
    ],
    ids=lambda path: path.name,
)
def test_keras2_file_computes_what_keras2_computed(path: Path) -> None:
    arrays = np.load(path.with_suffix(".npz"))
    inputs = [arrays[name] for name in arrays if name.startswith("x")]
    loaded = load(path)
    tolerance = 5e-3 if path.stem == "mixed" else 2e-6
    for index, output in enumerate(outputs_of(loaded.model, *inputs)):
        np.testing.assert_allclose(output, arrays[f"y{index}"], atol=tolerance, rtol=0)
    assert loaded.source == path.name
    assert loaded.repairs, "a Keras 2 file was loaded and nothing was said of its repairs"


def test_every_kind_of_repair_is_reported_with_the_layer() -> None:
    repairs = load(KERAS2 / "convolutions.h5").repairs
    for expected in (
        "Conv2D 'block/conv': slashes in the name replaced",
        "DepthwiseConv2D 'depthwise_conv2d': dropped argument groups=1",
        "SyncBatchNormalization 'sync_batch_normalization': read as BatchNormalization",
        "LeakyReLU 'leaky_re_lu': alpha renamed to negative_slope",
        "Dense 'dense': hard_sigmoid kept as Keras 2 defined it, clip(0.2 x + 0.5, 0, 1)",
    ):
        assert expected in repairs, f"{expected!r} is not among {repairs}"


def test_tensorflow_functions_become_operations_of_keras() -> None:
    loaded = load(KERAS2 / "operations.h5")
    names = [type(operation).__name__ for operation in loaded.model.operations]
    assert "Resize" in names
    assert names.count("GetItem") == 2
    assert any("tf.nn.relu6 read as ops.nn.Relu6" in repair for repair in loaded.repairs)


def test_equal_repairs_are_counted_in_one_sentence() -> None:
    ledger = Ledger()
    for number in range(13):
        ledger.note("DepthwiseConv2D", f"depthwise_{number}", "dropped argument groups=1")
    assert ledger.sentences() == (
        "DepthwiseConv2D 'depthwise_0' (and 12 more): dropped argument groups=1",
    )


# -- the zoo -------------------------------------------------------------------------------


def run_tflite(path: Path, batch: np.ndarray) -> np.ndarray:
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = interpreter_module.Interpreter(str(path))
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    made = interpreter.get_output_details()[0]["index"]
    results = []
    for row in batch:
        interpreter.set_tensor(given, row[None])
        interpreter.invoke()
        results.append(interpreter.get_tensor(made)[0].copy())
    return np.stack(results)


@needs_zoo
@pytest.mark.parametrize(
    ("name", "reference", "high"),
    [
        ("pretrainedResnet", "pretrainedResnet", 255.0),
        ("vww_96", "vww_96_float", 1.0),
    ],
)
def test_zoo_model_agrees_with_its_reference_file(name: str, reference: str, high: float) -> None:
    folder = ZOO / "mlperf_tiny"
    model = load(folder / f"{name}.h5").model
    shape = (4, *model.inputs[0].shape[1:])
    batch = np.random.default_rng(0).uniform(0, high, shape).astype(np.float32)
    expected = run_tflite(folder / f"{reference}.tflite", batch)
    (actual,) = outputs_of(model, batch)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=1e-4 * scale, rtol=0)


@needs_zoo
def test_autoencoder_computes_what_keras2_computed() -> None:
    """Its .tflite holds other weights; the numbers are those of tf_keras 2.21."""
    model = load(ZOO / "mlperf_tiny" / "ad01.h5").model
    batch = np.random.default_rng(0).uniform(0, 1, (2, 640)).astype(np.float32)
    expected = [
        [-34.572346, -19.170185, -10.438136, -5.974697, -3.3479617, 1.5292587],
        [-34.628654, -19.180939, -10.452553, -5.991357, -3.3800848, 1.5266113],
    ]
    (actual,) = outputs_of(model, batch)
    np.testing.assert_allclose(actual[:, :6], expected, atol=1e-4, rtol=0)


@needs_zoo
def test_wake_word_model_tells_the_calibration_samples_apart() -> None:
    data = np.load(ZOO / "data" / "streaming_wakeword_calibration.npz")
    loaded = load(ZOO / "mlperf_tiny" / "str_ww_ref_model.h5")
    (scores,) = outputs_of(loaded.model, data["specs"].astype(np.float32))
    accuracy = np.mean(scores.argmax(-1) == data["labels"])
    assert accuracy > 0.8, f"only {accuracy:.2f} of its own calibration samples are recognized"
    assert "DepthwiseConv2D 'depthwise_conv2d' (and 3 more): dropped argument groups=1" in (
        loaded.repairs
    )


@needs_zoo
@pytest.mark.parametrize(
    ("model", "table", "expected"),
    [
        ("keypoint_classifier", "keypoint", 0.965),
        ("point_history_classifier", "point_history", 0.966),
    ],
)
def test_gesture_model_has_its_known_accuracy(model: str, table: str, expected: float) -> None:
    with (ZOO / "hand_gesture" / f"{table}.csv").open(encoding="utf-8") as file:
        rows = np.array([[float(cell) for cell in row] for row in csv.reader(file)])
    network = load(ZOO / "hand_gesture" / f"{model}.hdf5").model
    rows = rows[rows[:, 0] < network.outputs[0].shape[-1]]  # a class came after the training
    (scores,) = outputs_of(network, rows[:, 1:].astype(np.float32))
    assert np.mean(scores.argmax(-1) == rows[:, 0]) == pytest.approx(expected, abs=2e-3)


@needs_zoo
@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("face/fer2013_mini_XCEPTION.102-0.66.hdf5", (2, 64, 64, 1)),
        ("imagenet/mobilenet_v1_0.25_224.h5", (1, 224, 224, 3)),
    ],
)
def test_zoo_classifier_loads_and_gives_probabilities(path: str, shape: tuple[int, ...]) -> None:
    batch = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    (scores,) = outputs_of(load(ZOO / path).model, batch)
    np.testing.assert_allclose(scores.sum(-1), 1.0, atol=1e-5)
    assert scores.std() > 1e-4, "all classes score alike: the weights are not in place"


# -- files of Keras 3 ----------------------------------------------------------------------


def sequential() -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(3, activation="hard_sigmoid"),
        ]
    )


def nested() -> Any:
    shared = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)], name="shared")
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    joined = keras.layers.Concatenate()([shared(first), shared(shared(second))])
    both = keras.ops.tanh(joined * 2.0)[:, 1:]
    return keras.Model([first, second], [keras.layers.Dense(2)(both), joined])


def recurrent() -> Any:
    layers = keras.layers
    stack = [
        layers.Embedding(10, 4, mask_zero=True),
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.GRU(2),
    ]
    return keras.Sequential([keras.Input((6,), dtype="int32"), *stack])


def normalized() -> Any:
    layer = keras.layers.Normalization()
    layer.adapt(np.arange(12.0, dtype=np.float32).reshape(6, 2))
    return keras.Sequential([keras.Input((2,)), layer])


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("build", [sequential, nested, recurrent, normalized])
@pytest.mark.filterwarnings("ignore:.*HDF5.*")
def test_keras3_file_computes_what_the_model_computed(
    tmp_path: Path, build: Any, suffix: str
) -> None:
    model = build() if build is normalized else random_weights(build())
    random = np.random.default_rng(1)
    inputs = [
        random.integers(0, 9, (3, *given.shape[1:]))
        if given.dtype == "int32"
        else random.normal(size=(3, *given.shape[1:])).astype(np.float32)
        for given in model.inputs
    ]
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = load(str(path))
    for expected, actual in zip(
        outputs_of(model, *inputs), outputs_of(loaded.model, *inputs), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    if suffix == ".keras" or build is not nested:
        assert loaded.repairs == (), "a file of Keras 3 needs no repair"


def test_compiled_model_loads_without_what_it_was_trained_with(tmp_path: Path) -> None:
    model = sequential()

    def loss_of_somebody(truth: Any, guess: Any) -> Any:
        return keras.ops.mean(truth - guess)

    model.compile("adam", loss_of_somebody)
    model.save(tmp_path / "model.keras")
    assert not load(tmp_path / "model.keras").model.compiled


# -- how it loads --------------------------------------------------------------------------


def test_no_initializer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_weights(sequential())
    model.save(tmp_path / "model.keras")

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("an initializer ran while a model was loaded")

    for name in ("GlorotUniform", "Zeros", "Ones"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", never)
    loaded = load(tmp_path / "model.keras").model
    for expected, actual in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def state_of_keras() -> tuple[Any, ...]:
    from keras.src.backend.common import global_state
    from keras.src.saving import serialization_lib

    return (
        keras.layers.Layer.add_weight,
        "assign" in keras.Variable.__dict__,
        serialization_lib.in_safe_mode(),
        dict(global_state.get_global_attribute("custom_objects_scope_dict", {})),
        global_state.get_global_attribute("use_legacy_config", None),
    )


@pytest.mark.parametrize("name", ["convolutions.h5", "convolutions.keras", "weights_only.h5"])
def test_keras_is_left_as_it_was(name: str) -> None:
    before = state_of_keras()
    try:
        load(KERAS2 / name)
    except ModelLoadError:
        assert name == "weights_only.h5"
    # Keras creates its scope dicts on first use: an empty one and none are the same.
    after = state_of_keras()
    assert after[:4] == before[:4]
    assert not after[4]


def test_loading_in_several_threads_gives_each_its_own_model() -> None:
    names = ["convolutions", "recurrent", "nested", "attention"] * 2
    results: list[Any] = [None] * len(names)

    def work(index: int) -> None:
        results[index] = load(KERAS2 / f"{names[index]}.h5").model

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, model in zip(names, results, strict=True):
        arrays = np.load(KERAS2 / f"{name}.npz")
        inputs = [arrays[key] for key in arrays if key.startswith("x")]
        np.testing.assert_allclose(outputs_of(model, *inputs)[0], arrays["y0"], atol=2e-6)


def test_state_that_files_do_not_hold_is_initialized(tmp_path: Path) -> None:
    class Counted(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1],), initializer="ones")
            self.seen = keras.metrics.Mean()

        def call(self, x: Any) -> Any:
            return x * self.kernel

    model = keras.Sequential([keras.Input((2,)), Counted(), keras.layers.Dropout(0.5)])
    model.save(tmp_path / "model.keras")
    loaded = load(tmp_path / "model.keras", custom_objects={"Counted": Counted}).model
    np.testing.assert_array_equal(np.asarray(loaded.layers[0].kernel), [1.0, 1.0])
    assert float(loaded.layers[0].seen.result()) == 0.0
    loaded(np.ones((1, 2), np.float32), training=True)  # draws from the seed's state


def test_weights_without_values_are_an_error(tmp_path: Path) -> None:
    """A layer that keeps its variables to itself leaves them unwritten in the file."""

    class Forgetful(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1],), initializer="normal")

        def call(self, x: Any) -> Any:
            return x * self.kernel

        def save_own_variables(self, store: Any) -> None:
            pass

        def load_own_variables(self, store: Any) -> None:
            pass

    keras.Sequential([keras.Input((2,)), Forgetful()]).save(tmp_path / "model.keras")
    with pytest.raises(ModelLoadError, match="no values for 1 of the model's weights"):
        load(tmp_path / "model.keras", custom_objects={"Forgetful": Forgetful})


def test_model_object_is_returned_as_it_is() -> None:
    model = sequential()
    loaded = load(model)
    assert loaded.model is model
    assert (loaded.repairs, loaded.source) == ((), "Sequential")


@pytest.mark.parametrize("wrong", [None, 3, [1.0], np.zeros(3)])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(ModelLoadError, match="The argument is a"):
        load(wrong)


# -- in a process of its own ---------------------------------------------------------------


def run_python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERAS_BACKEND", "JAX_PLATFORMS", "TF_CPP_MIN_LOG_LEVEL")
    }
    inherited |= {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=inherited,
        timeout=300,
        check=False,
    )


def test_tensorflow_is_never_asked_for() -> None:
    result = run_python(
        f"""
        import importlib.abc, sys
        from pathlib import Path

        class Watch(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("tensorflow", "torch"):
                    print("asked for", name)
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Watch())
        from hornbeam.converter.load import load
        folder = Path({str(KERAS2)!r})
        for name in ("convolutions.h5", "convolutions.keras", "recurrent.h5", "preprocessing.h5"):
            print("loaded", load(folder / name).source)
        """
    )
    assert result.returncode == 0, result.stderr
    assert "asked for" not in result.stdout, result.stdout
    assert result.stdout.count("loaded") == 4
    assert result.stderr == "", "loading writes to stderr"


@pytest.mark.parametrize(
    ("missing", "chosen", "says"),
    [
        ((), None, "jax cpu"),
        (("jax", "tensorflow", "torch"), None, "pip install 'hornbeam[convert]'"),
        (("keras",), None, "Keras is not installed"),
        ((), "torchless", "KERAS_BACKEND is set to 'torchless', which is not installed"),
    ],
)
def test_backend_is_one_that_is_installed(
    missing: tuple[str, ...], chosen: str | None, says: str
) -> None:
    result = run_python(
        f"""
        import os, sys
        for name in {missing!r}:
            sys.modules[name] = None
        if "keras" in {missing!r}:
            del sys.modules["keras"]
            import importlib.util
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name: None if name == "keras" else find(name)
        from hornbeam.converter.load import ensure_backend
        from hornbeam.errors import ModelLoadError
        try:
            print(ensure_backend(), os.environ.get("JAX_PLATFORMS"))
        except ModelLoadError as error:
            print(error)
        """,
        KERAS_BACKEND=chosen,
    )
    assert result.returncode == 0, result.stderr
    assert says in result.stdout, result.stdout


def test_what_the_user_set_is_kept() -> None:
    result = run_python(
        """
        import os
        from hornbeam.converter.load import ensure_backend
        print(ensure_backend(), os.environ.get("JAX_PLATFORMS"))
        """,
        KERAS_BACKEND="jax",
        JAX_PLATFORMS="cuda,cpu",
    )
    assert result.stdout.split() == ["jax", "cuda,cpu"], result.stderr


def test_archive_members_are_read_where_they_are_compressed(tmp_path: Path) -> None:
    model = random_weights(sequential())
    model.save(tmp_path / "stored.keras")
    with (
        zipfile.ZipFile(tmp_path / "stored.keras") as old,
        zipfile.ZipFile(tmp_path / "deflated.keras", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    loaded = load(tmp_path / "deflated.keras").model
    np.testing.assert_array_equal(np.asarray(loaded.weights[0]), np.asarray(model.weights[0]))


# -- Keras 1 -------------------------------------------------------------------------------


def keras1_file(path: Path, ordering: str = "tf") -> tuple[np.ndarray, np.ndarray]:
    """Write a file as Keras 1 laid it out: a list of layers, and arguments of its own."""
    random = np.random.default_rng(0)
    kernel = random.normal(size=(3, 3, 2, 4)).astype(np.float32)
    dense = random.normal(size=(4 * 4 * 4, 3)).astype(np.float32)
    layers: list[dict[str, Any]] = [
        {
            "class_name": "Convolution2D",
            "config": {
                "name": "conv",
                "trainable": True,
                "batch_input_shape": [None, 6, 6, 2],
                "input_dtype": "float32",
                "nb_filter": 4,
                "nb_row": 3,
                "nb_col": 3,
                "init": "glorot_uniform",
                "activation": "relu",
                "border_mode": "valid",
                "subsample": [1, 1],
                "dim_ordering": ordering,
                "W_regularizer": None,
                "b_regularizer": None,
                "activity_regularizer": None,
                "W_constraint": None,
                "b_constraint": None,
                "bias": False,
            },
        },
        {"class_name": "Dropout", "config": {"name": "drop", "trainable": True, "p": 0.5}},
        {"class_name": "Flatten", "config": {"name": "flat", "trainable": True}},
        {
            "class_name": "Dense",
            "config": {
                "name": "dense",
                "trainable": True,
                "output_dim": 3,
                "init": "glorot_uniform",
                "activation": "linear",
                "input_dim": None,
                "bias": False,
            },
        },
    ]
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"conv", b"drop", b"flat", b"dense"]
        for name, array in (("conv", kernel), ("drop", None), ("flat", None), ("dense", dense)):
            group = weights.create_group(name)
            names = [] if array is None else [f"{name}_W".encode()]
            group.attrs["weight_names"] = np.array(names, "S6")
            if array is not None:
                group[f"{name}_W"] = array
    return kernel, dense


def test_keras1_file_is_read_in_the_words_of_today(tmp_path: Path) -> None:
    kernel, dense = keras1_file(tmp_path / "model.h5")
    loaded = load(tmp_path / "model.h5")
    x = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    hidden = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel), 0)
    (actual,) = outputs_of(loaded.model, x)
    np.testing.assert_allclose(actual, hidden.reshape(2, -1) @ dense, atol=1e-4)
    assert "Convolution2D 'conv': arguments of Keras 1 renamed" in loaded.repairs


def test_keras1_file_with_channels_first_is_refused(tmp_path: Path) -> None:
    keras1_file(tmp_path / "model.h5", ordering="th")
    with pytest.raises(ModelLoadError, match="channels first"):
        load(tmp_path / "model.h5")
