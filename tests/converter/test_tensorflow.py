"""The second way in: SavedModels, and Keras models whose code calls TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import hornbeam
from hornbeam.cli.main import hornbeam_command
from hornbeam.errors import (
    ConversionError,
    ModelLoadError,
    UnsupportedFormatError,
    UnsupportedLayerError,
    UntrustedCodeError,
    UsageError,
    VerificationError,
)
from hornbeam.pipeline.inspect import inspect

Zoo = Callable[[str], Path]

HERE = Path(__file__).parent
ABSENT = [name for name in ("tensorflow", "tf2onnx") if not importlib.util.find_spec(name)]

with_tensorflow = pytest.mark.skipif(bool(ABSENT), reason=f"not installed: {', '.join(ABSENT)}")
without_tensorflow = pytest.mark.skipif(not ABSENT, reason="TensorFlow and tf2onnx are installed")


def run_python(code: str, *arguments: str | Path, backend: str = "tensorflow") -> str:
    """What ``code`` prints, in a process of its own with the tests on its path."""
    paths = os.pathsep.join([str(HERE), *(entry for entry in sys.path if entry)])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "KERAS_BACKEND": backend,
            "CUDA_VISIBLE_DEVICES": "-1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all SavedModels of `tensorflow_models`."""
    folder = tmp_path_factory.mktemp("saved_models")
    run_python("import sys, tensorflow_models as m; m.write(m.Path(sys.argv[1]))", folder)
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which nothing may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _outputs(tmp_path: Path) -> list[Path]:
    return [tmp_path / "model.onnx", tmp_path / "model.tflite"]


def _nothing_written(tmp_path: Path) -> bool:
    return not [path for path in tmp_path.iterdir() if path.is_file() or path.name[0] == "."]


# Without TensorFlow


@without_tensorflow
def test_saved_model_without_tensorflow_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="Not installed: ") as caught:
        hornbeam.convert(tmp_path, tmp_path / "model.onnx")
    assert 'pip install "hornbeam[tensorflow]"' in caught.value.advice


class _Untraceable(keras.layers.Layer):
    """Code that cannot run without numbers."""

    def call(self, x: object) -> object:
        return np.asarray(x)

    def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@without_tensorflow
def test_model_that_cannot_be_traced_says_what_may_help(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, _Untraceable(name="odd")(inputs))
    with pytest.raises(UnsupportedLayerError, match="'odd'") as caught:
        hornbeam.convert(model, tmp_path / "model.onnx")
    assert "keras.ops" in caught.value.advice
    assert 'pip install "hornbeam[tensorflow]"' in caught.value.advice


def test_a_saved_model_is_refused_where_only_layers_will_do(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UsageError, match="SavedModel") as caught:
        inspect(tmp_path)
    assert "hornbeam convert" in caught.value.advice


# SavedModels that other people made


@pytest.mark.slow
@with_tensorflow
def test_keyword_spotting(zoo: Zoo, tmp_path: Path, temporary: Path) -> None:
    """A SavedModel of Keras 2 whose Python objects TensorFlow cannot rebuild any more."""
    before = set(sys.modules)
    report = hornbeam.convert(zoo("mlperf_tiny/kws_ref_model"), *_outputs(tmp_path))
    assert "tensorflow" not in set(sys.modules) - before
    assert report.way == "tensorflow"
    assert "SavedModel" in report.why
    assert "compat.v1" in report.why
    assert report.as_dict()["way"] == "tensorflow"
    assert "by way of tensorflow: It is a SavedModel" in str(report)
    data = np.load(zoo("data/kws01.npz"))
    x = ((data["x"].astype("float32") - 83.0) * 0.5847029089927673).astype("float32")
    predictions = []
    for file in report.files:
        assert file.verification is not None
        assert file.verification.worst < 1e-5
        assert file.bytes == file.path.stat().st_size
        with hornbeam.load(file.path) as session:
            assert [(i.name, i.shape[1:]) for i in session.inputs] == [("input_1", (49, 10, 1))]
            assert [o.name for o in session.outputs] == ["dense"]
            predictions.append(session.run(x))
            assert np.allclose(session.run(x[:1]), predictions[-1][:1], atol=1e-5)
    for predicted in predictions:
        assert (predicted.argmax(-1) == data["y"]).mean() == pytest.approx(0.913, abs=5e-4)
    assert np.abs(predictions[0] - predictions[1]).max() < 1e-5
    assert not list(temporary.iterdir()), "temporary files were left behind"


@pytest.mark.slow
@with_tensorflow
def test_transcription(zoo: Zoo, tmp_path: Path) -> None:
    """Three outputs, and the ONNX file that its makers published beside the SavedModel."""
    report = hornbeam.convert(zoo("pairs/basic_pitch/saved_model"), *_outputs(tmp_path))
    sound = np.random.default_rng(5).uniform(-0.5, 0.5, (2, 43844, 1)).astype("float32")
    with hornbeam.load(zoo("pairs/basic_pitch/nmp.onnx")) as session:
        (name,) = [value.name for value in session.inputs]
        published = {value.shape: value for value in session.run({name: sound}).values()}
    assert published
    for file in report.files:
        assert file.verification is not None
        assert file.verification.worst < 1e-4
        with hornbeam.load(file.path) as session:
            assert session.inputs[0].name == "input_2"
            found = session.run({"input_2": sound})
        assert sorted(found) == ["contour", "note", "onset"]
        assert found["contour"].shape == (2, 172, 264)
        assert np.abs(found["contour"] - published[2, 172, 264]).max() < 1e-4


# SavedModels of the tests' own


@pytest.mark.slow
@with_tensorflow
def test_operations_that_a_format_lacks_are_named(saved_models: Path, tmp_path: Path) -> None:
    onnx, tflite = _outputs(tmp_path)
    with pytest.raises(UnsupportedFormatError, match="Svd") as caught:
        hornbeam.convert(saved_models / "svd", onnx)
    assert "Bincount" not in str(caught.value), "tf2onnx has that one"
    with pytest.raises(UnsupportedFormatError, match="Bincount, Svd"):
        hornbeam.convert(saved_models / "svd", tflite)
    assert _nothing_written(tmp_path)


@pytest.mark.slow
@with_tensorflow
def test_inputs_without_samples_in_common(saved_models: Path, tmp_path: Path) -> None:
    report = hornbeam.convert(saved_models / "unshared", *_outputs(tmp_path))
    assert "tf.saved_model.load" in report.why
    table = np.arange(20.0, dtype="float32").reshape(5, 4)
    for file in report.files:
        assert file.verification is not None
        with hornbeam.load(file.path) as session:
            assert sorted(i.name for i in session.inputs) == ["idle", "scale", "table"]
            given = {"table": table, "scale": np.float32(3.0), "idle": np.zeros(2, "int32")}
            found = session.run(given)
        assert np.array_equal(found["scaled"], 3.0 * table), file.format
        assert np.array_equal(found["sums"], table.sum(0)), file.format


@pytest.mark.slow
@with_tensorflow
def test_recurrent_layers_need_a_batch_in_tflite(saved_models: Path, tmp_path: Path) -> None:
    onnx, tflite = _outputs(tmp_path)
    with pytest.raises(UnsupportedFormatError, match="saved with a free batch") as caught:
        hornbeam.convert(saved_models / "recurrent", onnx, tflite)
    assert "input_signature" in caught.value.advice
    assert _nothing_written(tmp_path), "one file without the other was delivered"
    report = hornbeam.convert(saved_models / "batched", onnx, tflite, opset=17)
    for file in report.files:
        assert file.verification is not None
        with hornbeam.load(file.path) as session:
            assert session.inputs[0].shape == (2, 7, 3)
    report = hornbeam.convert(saved_models / "recurrent", onnx, batch=5)
    with hornbeam.load(onnx) as session:
        assert session.inputs[0].shape == (5, 7, 3)
        assert session.metadata["way"] == "tensorflow"
        assert session.metadata["model"] == "recurrent"


@pytest.mark.slow
@with_tensorflow
def test_bad_saved_models(saved_models: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "model.onnx"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"\xff\xff\xff no message")
    cases = [
        (broken, ModelLoadError, "saved_model.pb is damaged"),
        (saved_models / "reader", UntrustedCodeError, "ReadFile"),
        (saved_models / "rankless", ModelLoadError, "'x' does not say how many dimensions"),
        (saved_models / "nothing", ModelLoadError, "no signature"),
    ]
    for folder, kind, says in cases:
        with pytest.raises(kind, match=says):
            hornbeam.convert(folder, onnx)
    with pytest.raises(UsageError, match="opsets 13 to"):
        hornbeam.convert(saved_models / "recurrent", onnx, opset=99)
    with pytest.raises(ConversionError, match=r"did not end within 0\.2 seconds"):
        hornbeam.convert(saved_models / "recurrent", onnx, time_limit=0.2)
    assert _nothing_written(tmp_path)


@pytest.mark.slow
@with_tensorflow
def test_a_file_that_computes_something_else_is_not_delivered(
    saved_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hornbeam.converter.tensorflow import TensorFlowModel

    honest = TensorFlowModel.run

    def shifted(self: TensorFlowModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: array + 0.01 for name, array in honest(self, inputs).items()}

    monkeypatch.setattr(TensorFlowModel, "run", shifted)
    with pytest.raises(VerificationError, match="differs by"):
        hornbeam.convert(saved_models / "recurrent", tmp_path / "model.onnx")
    assert _nothing_written(tmp_path)


@pytest.mark.slow
@with_tensorflow
def test_broken_files_of_tf2onnx_are_told(tmp_path: Path) -> None:
    """Each way in which its files are known to be broken, on files that are broken so."""
    code = """
import sys, onnx, pathlib
from onnx import helper, TensorProto
from hornbeam.converter.secondway import onnx_file
from hornbeam.errors import ConversionError

def value(name, sizes=("n", 3)):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)

def model(nodes, inputs=("x",), outputs=("y",)):
    graph = helper.make_graph(nodes, "g", [value(n) for n in inputs], [value(n) for n in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])

relu = helper.make_node("Relu", ["x"], ["y"])
body = helper.make_graph([helper.make_node("TensorListReserve", [], ["z"])], "b", [], [value("z")])
inner = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
foreign = helper.make_node("Erfc", ["x"], ["y"], domain="com.somebody")
for given in (
    model([helper.make_node("Svd", ["x"], ["y"])]),
    model([inner]),
    model([foreign]),
    model([relu], inputs=("x", "x/ReadVariableOp")),
    model([relu], outputs=("z",)),
):
    try:
        onnx_file.check(given, ["x"], ["y"])
        print("passed")
    except ConversionError as error:
        print(error.found)
onnx_file.check(model([relu]), ["x"], ["y"])
try:
    late = helper.make_node("Relu", ["a"], ["y"])
    unsorted = model([late, helper.make_node("Relu", ["x"], ["a"])])
    onnx_file.write(unsorted, pathlib.Path(sys.argv[1]), {"x": ["batch", 3]}, {})
except ConversionError as error:
    print(error.found)
"""
    found = run_python(code, tmp_path / "model.onnx").splitlines()
    for says, line in zip(
        ["Svd", "TensorListReserve", "Erfc", "x/ReadVariableOp", "gives z instead of y",
         "onnx refuses its file"], found, strict=True,
    ):  # fmt: skip
        assert says in line
    assert not (tmp_path / "model.onnx").exists()


# Keras models whose code calls TensorFlow


@pytest.mark.slow
@with_tensorflow
def test_keras_model_whose_code_calls_tensorflow(tmp_path: Path) -> None:
    code = """
import sys, numpy as np, hornbeam, keras, tensorflow_layers
keras.utils.set_random_seed(3)
model = tensorflow_layers.model()
report = hornbeam.convert(model, sys.argv[1], sys.argv[2], progress=print)
x = np.random.default_rng(1).normal(size=(5, 16, 3)).astype("float32")
expected = model.predict(x, verbose=0)
for file in report.files:
    assert file.verification.worst < 1e-5, file
    with hornbeam.load(file.path) as session:
        assert np.abs(session.run(x) - expected).max() < 1e-6, file
print(report)
model = tensorflow_layers.model(recurrent=True)
hornbeam.convert(model, sys.argv[1], sys.argv[2], batch=2)
expected = model.predict(x[:2], verbose=0)
for path in sys.argv[1:]:
    with hornbeam.load(path) as session:
        assert np.abs(session.run(x[:2]) - expected).max() < 1e-6, path
"""
    said = run_python(code, *_outputs(tmp_path))
    assert "heard from Functional" in said
    assert "by way of tensorflow: Cannot convert" in said
    assert "'heard/frames'" in said or "frames" in said


@pytest.mark.slow
@with_tensorflow
def test_keras_file_whose_code_calls_tensorflow(tmp_path: Path) -> None:
    code = """
import sys, hornbeam, tensorflow_layers
from hornbeam.errors import UntrustedCodeError
tensorflow_layers.model().save(sys.argv[1])
try:
    hornbeam.convert(*sys.argv[1:])
except UntrustedCodeError as error:
    print("refused:", error)
report = hornbeam.convert(*sys.argv[1:], custom_objects={"Frames": tensorflow_layers.Frames})
print(report)
"""
    said = run_python(code, tmp_path / "heard.keras", *_outputs(tmp_path))
    assert "refused: heard.keras" in said
    assert "heard from heard.keras" in said
    assert "by way of tensorflow" in said
    assert all(path.exists() for path in _outputs(tmp_path))


@pytest.mark.slow
@with_tensorflow
def test_a_keras_file_is_opened_in_the_child(tmp_path: Path) -> None:
    """As it is where Keras runs on another backend: there the code fails while it loads."""
    code = """
import sys, tensorflow_layers
from pathlib import Path
from hornbeam.converter.tensorflow import TensorFlowModel, places
tensorflow_layers.model().save(sys.argv[1])
there = places({"Frames": tensorflow_layers.Frames})
with TensorFlowModel(sys.argv[1], custom_objects=there, batch=1) as model:
    print(model.inputs, model.outputs)
    model.write(Path(sys.argv[2]), axes={"sound": [1, 16, 3]}, metadata={})
"""
    said = run_python(code, tmp_path / "heard.keras", tmp_path / "model.onnx")
    assert "(1, 16, 3)" in said
    with hornbeam.load(tmp_path / "model.onnx") as session:
        assert session.inputs[0].shape == (1, 16, 3)


def test_places_are_those_that_another_process_finds() -> None:
    from hornbeam.converter.tensorflow import places

    assert places({"A": keras.layers.Dense})["A"][1] == "Dense"
    assert places({"B": _Untraceable}) == {"B": (_Untraceable.__module__, "_Untraceable")}

    class Local:
        """A class that only this function has."""

    for thing in (Local, lambda x: x, keras.layers.Dense(1)):
        with pytest.raises(ModelLoadError, match="another process") as caught:
            places({"C": thing})
        assert "KERAS_BACKEND=tensorflow" in caught.value.advice


# The command


@pytest.mark.slow
@with_tensorflow
def test_command(saved_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    monkeypatch.chdir(tmp_path)
    folder = str(saved_models / "recurrent")
    done = CliRunner().invoke(hornbeam_command, ["convert", folder, "-o", "a.onnx"])
    assert done.exit_code == 0, done.output
    assert "by way of tensorflow: It is a SavedModel" in done.stdout
    limited = ["convert", folder, "-o", "b.onnx", "--time-limit", "0.2"]
    done = CliRunner().invoke(hornbeam_command, limited)
    assert done.exit_code == 1
    assert "did not end within 0.2 seconds" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx"]
