"""Loading: files of Keras 1 and 2 give the numbers that their own Keras computed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hornbeam.converter.load import ensure_backend, load
from hornbeam.converter.loading.ledger import Ledger
from hornbeam.errors import ModelLoadError

ensure_backend()

KERAS2 = Path(__file__).parent / "keras2_files"
ZOO = Path(__file__).parents[3] / "shared" / "zoo"
# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1 when they are saved.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
needs_zoo = pytest.mark.skipif(not ZOO.is_dir(), reason="the zoo of trained models is not here")


def outputs_of(model: Any, *inputs: Any) -> list[np.ndarray]:
    result = model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)
    results = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(each, dtype=np.float32) for each in results]


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
            group.attrs["weight_names"] = np.array(names, "S7")
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
