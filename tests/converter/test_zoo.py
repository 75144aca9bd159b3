"""Trained models that other people made: the files as they are, and their labelled data."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from proof import assert_carries, convert_unproved, expected_outputs

import hornbeam
from hornbeam.converter.load import load

Zoo = Callable[[str], Path]

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: Each model and the range of its inputs.
MODELS = {
    "mlperf_tiny/ad01.h5": (-20.0, 20.0),
    "mlperf_tiny/pretrainedResnet.h5": (0.0, 255.0),
    "mlperf_tiny/vww_96.h5": (0.0, 1.0),
    "mlperf_tiny/str_ww_ref_model.h5": (-1.0, 1.0),
    "hand_gesture/keypoint_classifier.hdf5": (-1.0, 1.0),
    "hand_gesture/point_history_classifier.hdf5": (-1.0, 1.0),
    "face/fer2013_mini_XCEPTION.102-0.66.hdf5": (-1.0, 1.0),
    "imagenet/mobilenet_v1_0.25_224.h5": (-1.0, 1.0),
}

#: Files of Keras 2 that Keras 3 refuses as they are.
REPAIRED = {
    "mlperf_tiny/vww_96.h5",
    "mlperf_tiny/str_ww_ref_model.h5",
    "imagenet/mobilenet_v1_0.25_224.h5",
}


@pytest.mark.parametrize("name", MODELS)
def test_trained_model_carries(name: str, zoo: Zoo, tmp_path: Path) -> None:
    model = load(zoo(name)).model
    inputs = _inputs(model, *MODELS[name])
    assert_carries(model, inputs, tmp_path)
    logits = _before_softmax(model)
    if logits is not None:
        # Trained classifiers are sure of themselves: behind the softmax, nearly everything agrees.
        folder = tmp_path / "logits"
        folder.mkdir()
        assert_carries(logits, inputs, folder)


@pytest.mark.parametrize("name", MODELS)
def test_trained_file_converts_with_proof(name: str, zoo: Zoo, tmp_path: Path) -> None:
    outputs = [tmp_path / "model.onnx", tmp_path / "model.tflite"]
    report = hornbeam.convert(zoo(name), *outputs)
    assert [file.format for file in report.files] == ["onnx", "tflite"]
    for file in report.files:
        assert file.verification is not None
        assert file.verification.worst <= 1e-4
        assert file.bytes == file.path.stat().st_size
    assert bool(report.repairs) >= (name in REPAIRED), "what was repaired is said"


@pytest.mark.parametrize("name", ["keypoint", "point_history"])
def test_gestures_are_told_apart_as_in_keras(name: str, zoo: Zoo, tmp_path: Path) -> None:
    """Every row of the data that the model was trained on gets the class that Keras gives it."""
    rows = np.loadtxt(zoo(f"hand_gesture/{name}.csv"), delimiter=",", dtype="float32")
    labels, features = rows[:, 0].astype(int), rows[:, 1:]
    model = load(zoo(f"hand_gesture/{name}_classifier.hdf5")).model
    (expected,) = expected_outputs(model, features).values()
    classes = expected.argmax(-1)
    # The data and the model belong together: only so are its decisions worth comparing. (Labels
    # of a gesture that was recorded later, which the model does not know, do not count.)
    known = labels < expected.shape[1]
    assert (classes == labels)[known].mean() > 0.96
    for file in convert_unproved(model, tmp_path).values():
        with hornbeam.load(file) as session:
            found = session.run(features)
        assert np.abs(found - expected).max() <= 1e-4
        differ = np.flatnonzero(found.argmax(-1) != classes)
        assert not differ.size, f"{file.suffix}: rows {differ[:5]} change their class"


def test_mobilenet_sees_what_keras_sees(zoo: Zoo, tmp_path: Path) -> None:
    """Two photographs, in the five best classes of a thousand."""
    model = load(zoo("imagenet/mobilenet_v1_0.25_224.h5")).model
    pictures = np.concatenate([_photograph(zoo(f"imagenet/{name}.bmp")) for name in
                               ("cat", "grace_hopper")])  # fmt: skip
    (expected,) = expected_outputs(model, pictures).values()
    best = np.argsort(-expected.reshape(2, -1))[:, :5]
    for file in convert_unproved(model, tmp_path).values():
        with hornbeam.load(file) as session:
            found = session.run(pictures)
        assert (np.argsort(-found.reshape(2, -1))[:, :5] == best).all(), file.suffix


def _inputs(model: Any, low: float, high: float) -> np.ndarray:
    (shape,) = [tensor.shape for tensor in model.inputs]
    assert None not in shape[1:]
    random = np.random.default_rng(3)
    return random.uniform(low, high, (3, *shape[1:])).astype("float32")


def _before_softmax(model: Any) -> Any:
    """The same model without its last softmax, or None where it ends otherwise."""
    last = model.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return None
    if isinstance(last, keras.layers.Activation):
        return keras.Model(model.inputs, last.input)
    last.activation = keras.activations.linear
    return model


def _photograph(path: Path) -> np.ndarray:
    """The middle of a 24-bit BMP as the network's input, ``[1, 224, 224, 3]`` in -1..1."""
    data = path.read_bytes()
    start, _, width, height, _, bits = struct.unpack_from("<IIiiHH", data, 10)
    assert bits == 24
    row = (3 * width + 3) // 4 * 4  # rows are padded to four bytes and come from the bottom up
    pixels = np.frombuffer(data, np.uint8, row * height, start).reshape(height, row)
    picture = pixels[::-1, : 3 * width].reshape(height, width, 3)[..., ::-1]
    top, left = (height - 224) // 2, (width - 224) // 2
    return picture[None, top : top + 224, left : left + 224].astype("float32") / 127.5 - 1.0
