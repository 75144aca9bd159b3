"""The proof: broken files are refused, by layer; good ones pass, however odd the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops
from onnx import helper, numpy_helper

import hornbeam
from hornbeam.converter.trace import trace
from hornbeam.errors import InputError, VerificationError
from hornbeam.pipeline.samples import sample_inputs
from hornbeam.pipeline.verify import verify

# Keras, not Hornbeam: its variables answer numpy 2 in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> Any:
    x = keras.Input((8, 8, 3), name="picture")
    y = layers.Conv2D(4, 3, activation="relu", name="first")(x)
    y = layers.Conv2D(4, 3, activation="tanh", name="second")(y)
    y = layers.Conv2D(4, 3, activation="relu", name="third")(y)
    y = layers.Dense(5, activation="softmax", name="score")(layers.Flatten()(y))
    chain = keras.Model(x, y, name="chain")
    random = np.random.default_rng(0)
    for weight in chain.weights:
        weight.assign(random.normal(0.0, 0.2, weight.shape))
    return chain


def _files(model: Any, folder: Path) -> list[Path]:
    files = [folder / "model.onnx", folder / "model.tflite"]
    hornbeam.convert(model, *files, verify=False)
    return files


def _edit(path: Path, change: Any) -> None:
    proto = onnx.load(path)
    change(proto.graph)
    onnx.save(proto, path)


def _scale_weight(graph: Any, name: str, factor: float) -> None:
    (weight,) = [each for each in graph.initializer if each.name.startswith(f"{name}/kernel")]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(factor),
                                            weight.name))  # fmt: skip


def test_right_files_pass(model: Any, tmp_path: Path) -> None:
    for file in _files(model, tmp_path):
        result = verify(model, file)
        assert result.worst <= 1e-4
        assert result.engine in ("onnxruntime", "litert")
        assert len(result.runs) >= 3


@pytest.mark.parametrize("layer", ["first", "second", "third", "score"])
def test_wrong_weight_is_refused_and_its_layer_named(
    layer: str, model: Any, tmp_path: Path
) -> None:
    file, _ = _files(model, tmp_path)
    _edit(file, lambda graph: _scale_weight(graph, layer, 1.01))
    with pytest.raises(VerificationError) as caught:
        verify(model, file)
    assert "model.onnx" in caught.value.asked
    assert "'score'" in caught.value.found


def test_wrong_weight_of_tflite_is_refused(model: Any, tmp_path: Path) -> None:
    _, file = _files(model, tmp_path)
    weight = np.asarray(model.get_layer("score").kernel).T
    data = bytearray(file.read_bytes())
    at = data.find(np.ascontiguousarray(weight).tobytes())
    assert at > 0
    data[at : at + weight.nbytes] = np.ascontiguousarray(weight * 1.01).tobytes()
    file.write_bytes(bytes(data))
    with pytest.raises(VerificationError):
        verify(model, file)


def test_defect_of_a_writer_is_blamed_on_the_layer(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that gets tanh wrong: the second layer is the first to differ."""
    from hornbeam.converter import onnx as writer

    right = writer.write

    def wrong(graph: Any, path: Path, **options: Any) -> None:
        right(graph, path, **options)

        def swap(proto: Any) -> None:
            for node in proto.node:
                node.op_type = "Sigmoid" if node.op_type == "Tanh" else node.op_type

        _edit(path, swap)

    monkeypatch.setattr(writer, "write", wrong)
    with pytest.raises(VerificationError, match="first layer that differs is 'second'"):
        hornbeam.convert(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_error_behind_a_saturated_softmax_is_seen(tmp_path: Path) -> None:
    """Every probability is 0 or 1 to six digits; the logits are wrong all the same."""
    x = keras.Input((4,))
    dense = layers.Dense(3, activation="softmax", name="score")
    model = keras.Model(x, dense(x))
    dense.kernel.assign(np.eye(4, 3, dtype="float32") * 40.0)
    dense.bias.assign(np.float32([0.0, 50.0, 0.0]))
    file, _ = _files(model, tmp_path)
    assert verify(model, file).worst <= 1e-4
    _edit(file, lambda graph: _scale_weight(graph, "score", 1.01))
    with pytest.raises(VerificationError):
        verify(model, file)


def test_nan_is_refused(model: Any, tmp_path: Path) -> None:
    file, _ = _files(model, tmp_path)
    _edit(file, lambda graph: _scale_weight(graph, "third", float("nan")))
    with pytest.raises(VerificationError):
        verify(model, file)


def test_nan_that_keras_computes_as_well_passes(tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, ops.log(x))
    for file in _files(model, tmp_path):
        assert verify(model, file).worst <= 1e-4


def test_file_that_is_right_at_one_batch_only_is_refused(tmp_path: Path) -> None:
    """The first row of each run is right, the others repeat it."""
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Activation("linear", name="y")(x))
    file, _ = _files(model, tmp_path)

    def repeat_first(graph: Any) -> None:
        graph.initializer.append(numpy_helper.from_array(np.int64([0]), "zero"))
        graph.node[-1].output[0] = "whole"
        graph.node.append(helper.make_node("Gather", ["whole", "zero"], ["row"], axis=0))
        graph.node.append(helper.make_node("Shape", ["whole"], ["shape"]))
        graph.node.append(helper.make_node("Expand", ["row", "shape"], [graph.output[0].name]))

    _edit(file, repeat_first)
    with pytest.raises(VerificationError):
        verify(model, file)


def test_file_of_another_model_is_refused(model: Any, tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3), name="picture")
    other = keras.Model(x, layers.Dense(7, name="score")(layers.Flatten()(x)))
    for file in _files(other, tmp_path):
        with pytest.raises((VerificationError, InputError)):
            verify(model, file)


def test_file_with_other_names_is_refused(model: Any, tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3), name="image")
    other = keras.Model(x, layers.Dense(5, name="result")(layers.Flatten()(x)))
    for file in _files(other, tmp_path):
        with pytest.raises((VerificationError, InputError)):
            verify(model, file)


# -- the user's own data -------------------------------------------------------------------


def test_own_data_is_used(model: Any, tmp_path: Path) -> None:
    file, _ = _files(model, tmp_path)
    data = np.random.default_rng(0).random((7, 8, 8, 3)).astype("float32")
    result = verify(model, file, data={"picture": data})
    assert all("7×8×8×3" in run for run in result.runs)


@pytest.mark.parametrize(
    "data",
    [
        {"wrong": np.zeros((2, 8, 8, 3), "float32")},
        {"picture": np.zeros((2, 8, 9, 3), "float32")},
        {"picture": np.zeros((2, 8, 8, 3), "float32"), "more": np.zeros((2, 1), "float32")},
        {},
        {"picture": np.zeros((0, 8, 8, 3), "float32")},
    ],
    ids=["other name", "other shape", "one too many", "none", "no samples"],
)
def test_data_that_does_not_fit_is_refused(data: Any, model: Any, tmp_path: Path) -> None:
    file, _ = _files(model, tmp_path)
    with pytest.raises(InputError):
        verify(model, file, data=data)


def test_tolerance_can_be_chosen(model: Any, tmp_path: Path) -> None:
    file, _ = _files(model, tmp_path)
    _edit(file, lambda graph: _scale_weight(graph, "score", 1.001))
    with pytest.raises(VerificationError):
        verify(model, file, tolerance=1e-6)
    assert verify(model, file, tolerance=0.1).worst > 1e-6


# -- models of every kind ------------------------------------------------------------------


class Centred(keras.Model):
    """Samples see each other."""

    def call(self, x: Any) -> Any:
        return {"rows": x - ops.mean(x, axis=0, keepdims=True), "total": ops.sum(x)}


def test_samples_that_see_each_other_pass(tmp_path: Path) -> None:
    model = Centred()
    model(np.zeros((2, 4), "float32"))
    for file in _files(model, tmp_path):
        assert verify(model, file).worst <= 1e-4


def test_fixed_batch_passes(model: Any, tmp_path: Path) -> None:
    files = [tmp_path / "model.onnx", tmp_path / "model.tflite"]
    hornbeam.convert(model, *files, batch=2, verify=False)
    for file in files:
        result = verify(model, file)
        assert all("batches of 2" in run for run in result.runs)


def test_booleans_and_integers_pass(tmp_path: Path) -> None:
    x = keras.Input((6,))
    model = keras.Model(x, {"sign": x > 0, "best": ops.argmax(x, axis=-1)})
    for file in _files(model, tmp_path):
        assert verify(model, file).worst == 0.0


# -- samples -------------------------------------------------------------------------------


def _samples(model: Any) -> list[dict[str, Any]]:
    return list(sample_inputs(trace(model)))


def test_ids_are_the_first_and_the_last_with_zeros_behind() -> None:
    ids = keras.Input((9,), dtype="int32", name="ids")
    (inputs,) = _samples(keras.Model(ids, layers.Embedding(30, 4, mask_zero=True)(ids)))
    assert inputs["ids"].dtype == np.int32
    assert inputs["ids"].min() == 0
    assert inputs["ids"].max() == 29
    assert (inputs["ids"][1:, -1] == 0).all()
    assert (inputs["ids"][0] != 0).all()


def test_pictures_cover_their_ranges() -> None:
    picture = keras.Input((8, 8, 3), name="picture")
    (inputs,) = _samples(keras.Model(picture, layers.Conv2D(2, 3)(picture)))
    rows = inputs["picture"]
    assert rows[0].min() < 0
    assert (rows[1] >= 0).all()
    assert (rows[1] <= 1).all()
    assert rows[2].max() > 200


def test_masks_are_true_here_and_false_there() -> None:
    mask = keras.Input((9,), dtype="bool", name="mask")
    (inputs,) = _samples(keras.Model(mask, ops.cast(mask, "float32")))
    assert inputs["mask"].dtype == bool
    assert inputs["mask"].any(axis=1).all()
    assert not inputs["mask"].all(axis=1).any()


def test_free_sizes_take_two_values() -> None:
    x = keras.Input((None, 4), name="x")
    first, second = _samples(keras.Model(x, layers.Conv1D(2, 3)(x)))
    assert first["x"].shape[1] != second["x"].shape[1]


def test_samples_are_the_same_every_time(model: Any) -> None:
    first, second = _samples(model), _samples(model)
    for a, b in zip(first, second, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
