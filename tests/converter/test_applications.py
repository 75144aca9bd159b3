"""The convolutional networks that people start from: right, and with no transpose too many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from proof import BATCH, assert_carries, quick_initializers, randomize

pytestmark = [
    pytest.mark.usefixtures("lean"),
    # Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

slow = pytest.mark.slow

#: Each network at its usual size; how often its ONNX file transposes (once, from Keras's layout of
#: pictures to ONNX's, where everything behind is convolutions and pools); and how many of its
#: normalizations no convolution can take in: those behind a sum or a concatenation that someone
#: else reads too, and the rescaling of pictures in front of a padded convolution.
NETWORKS = [
    pytest.param("MobileNet", 224, 1, 0),
    pytest.param("MobileNetV2", 224, 1, 0),
    pytest.param("MobileNetV3Small", 224, 1, 1),
    pytest.param("EfficientNetB0", 224, 1, 0),
    pytest.param("EfficientNetV2B0", 224, 1, 1, marks=slow),
    # 18 blocks of a convolution and an MLP, two transposes each; the stem and the three ways down
    # are convolutions between LayerNorms.
    pytest.param("ConvNeXtTiny", 224, 2 * 18 + 5, 0, marks=slow),
    pytest.param("MobileNetV3Large", 224, 1, 1, marks=slow),
    pytest.param("ResNet50", 224, 1, 0, marks=slow),
    pytest.param("ResNet50V2", 224, 1, 17, marks=slow),
    pytest.param("DenseNet121", 224, 1, 62, marks=slow),
    pytest.param("InceptionV3", 299, 1, 0, marks=slow),
    pytest.param("Xception", 299, 1, 0, marks=slow),
    pytest.param("NASNetMobile", 224, 1, 4, marks=slow),
    pytest.param("VGG16", 224, 1, 0, marks=slow),
]


@pytest.mark.parametrize(("name", "size", "transposes", "norms"), NETWORKS)
def test_application_carries(
    name: str, size: int, transposes: int, norms: int, tmp_path: Path
) -> None:
    model = _build(name, (size, size, 3))
    files = assert_carries(model, _pictures(size), tmp_path)
    operators = [node.op_type for node in onnx.load(files["onnx"]).graph.node]
    assert operators.count("Transpose") <= transposes
    assert operators.count("BatchNormalization") <= norms


def test_application_of_free_size_carries(tmp_path: Path) -> None:
    """One file for pictures of any size, squeeze-and-excitation included."""
    model = _build("MobileNetV3Small", (None, None, 3))
    for height, width in ((96, 64), (50, 75)):
        folder = tmp_path / f"{height}"
        folder.mkdir()
        assert_carries(model, _pictures(96)[:, :height, :width], folder)


def _build(name: str, shape: tuple[int | None, ...]) -> Any:
    with quick_initializers():
        # Logits, so that no softmax hides an error.
        network = getattr(keras.applications, name)
        model = network(weights=None, classifier_activation=None, input_shape=shape)
    return randomize(model)


def _pictures(size: int) -> np.ndarray:
    """One about zero, one in 0..1, one in 0..255."""
    random = np.random.default_rng(1)
    shape = (size, size, 3)
    rows = [
        random.standard_normal(shape),
        random.random(shape),
        random.integers(0, 256, shape),
    ]
    assert len(rows) == BATCH
    return np.stack(rows).astype("float32")
