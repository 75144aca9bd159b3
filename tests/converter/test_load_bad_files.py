"""Files that cannot be loaded: each says what was asked, what was found, and what to do."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hornbeam.converter.load import ensure_backend, load
from hornbeam.errors import ModelLoadError

ensure_backend()
import keras  # noqa: E402 - the backend is chosen before

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*HDF5.*"),
]
KERAS2 = Path(__file__).parent / "keras2_files"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small model, saved as model.keras, model.h5 and model.weights.h5."""
    folder = tmp_path_factory.mktemp("models")
    layers = keras.layers
    stack = [
        keras.Input((6, 6, 2)),
        layers.Conv2D(4, 3, name="conv"),
        layers.Flatten(),
        layers.Dense(3, name="dense"),
    ]
    model = keras.Sequential(stack)
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    return folder


def refused(path: Path | str, *says: str) -> ModelLoadError:
    """Load a path, and return the error after checking its three parts and its cause."""
    with pytest.raises(ModelLoadError) as caught:
        load(path)
    error = caught.value
    for part in (error.asked, error.found, error.advice):
        assert part, f"a part of the message is missing: {error}"
    assert Path(path).name in error.asked, f"the file is not named: {error}"
    for text in says:
        assert text in str(error), f"{text!r} is not in: {error}"
    assert len(str(error)) < 900, f"too long to read: {error}"
    return error


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "model.keras", "There is no such file")
    refused(tmp_path / "no" / "folder" / "model.h5", "There is no such file")


def test_name_that_no_file_can_have() -> None:
    refused("model\0.keras", "cannot be opened")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.touch()
    refused(path, "The file is empty")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file"
)
def test_file_that_may_not_be_read(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    shutil.copy(models / "model.keras", path)
    path.chmod(0)
    refused(path, "may not be read", "permissions")


def test_folders(tmp_path: Path) -> None:
    for name, file, says in (
        ("saved", "saved_model.pb", "SavedModel"),
        ("unpacked", "config.json", "unpacked Keras archive"),
        ("other", "notes.txt", "holds no model"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("x", encoding="utf-8")
        refused(tmp_path / name, says, "model.save('model.keras')")


@pytest.mark.parametrize("suffix", ["", ".model", ".pb", ".onnx", ".pt"])
def test_unknown_suffix(models: Path, tmp_path: Path, suffix: str) -> None:
    foreign = tmp_path / f"foreign{suffix}"
    foreign.write_bytes(b"something else")
    refused(foreign, "none of .keras, .h5, .hdf5")
    copy = tmp_path / f"copy{suffix}"
    shutil.copy(models / "model.keras", copy)
    refused(copy, "none of .keras, .h5, .hdf5", "rename it to copy.keras")


@pytest.mark.parametrize(("real", "named"), [(".keras", ".h5"), (".h5", ".keras")])
def test_mislabelled_file_is_read_as_what_it_is(
    models: Path, tmp_path: Path, real: str, named: str
) -> None:
    path = tmp_path / f"renamed{named}"
    shutil.copy(models / f"model{real}", path)
    loaded = load(path)
    expected = load(models / f"model{real}").model
    for ours, theirs in zip(loaded.model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert len(loaded.repairs) == 1
    assert "which it is whatever its suffix says" in loaded.repairs[0]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\x1c\0\0\0TFL3\x14\0", "TFLite model already"),
        (b"\x08\x0a\x12\x07pytorch", "looks like an ONNX model"),
        (b"\x80\x04\x95\x10\0", "Python pickle"),
        (b"<!DOCTYPE html>", "neither a zip archive nor HDF5"),
    ],
    ids=["tflite", "onnx", "pickle", "html"],
)
def test_file_of_another_kind(tmp_path: Path, suffix: str, head: bytes, says: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(head + bytes(200))
    refused(path, says)


# -- archives ------------------------------------------------------------------------------


def rebuilt(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Copy an archive, with its members changed on the way."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.pop("config.json"), "holds no config.json"),
        (lambda m: (m.clear(), m.update({"archive/data.pkl": b"x"})), "PyTorch"),
        (lambda m: m.pop("model.weights.h5"), "holds no model.weights.h5"),
        (lambda m: m.update({"config.json": b"{"}), "config.json is not JSON"),
        (lambda m: m.update({"config.json": b"\xff\xfe\x00"}), "config.json is not JSON"),
        (lambda m: m.update({"config.json": b"[]"}), "config.json holds no object"),
        (lambda m: m.update({"config.json": b"{}"}), "describes no model"),
        (lambda m: m.update({"config.json": b'{"a":' * 50_000}), "config.json"),
        (lambda m: m.update({"model.weights.h5": b"not HDF5"}), "damaged or incomplete"),
        (lambda m: m.update({"model.weights.h5": m["model.weights.h5"][:3000]}), "damaged"),
        (
            lambda m: m.update(
                {"config.json": b'{"class_name":"ReLU","config":{},"module":"keras.layers"}'}
            ),
            "not a model",
        ),
        (
            lambda m: m.update(
                {"config.json": b'{"class_name":"Sequential","config":3,"module":"keras"}'}
            ),
            "Keras could not read it",
        ),
    ],
    ids=[
        "no config",
        "pytorch",
        "no weights",
        "half json",
        "no text",
        "list",
        "nothing in it",
        "deep",
        "weights no hdf5",
        "weights cut",
        "a layer",
        "config a number",
    ],
)
def test_archive_with_a_wrong_member(
    models: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], says: str
) -> None:
    refused(rebuilt(models / "model.keras", tmp_path / "model.keras", change), says)


def edited_config(change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def edit(members: dict[str, bytes]) -> None:
        config = json.loads(members["config.json"])
        change(config["config"]["layers"])
        members["config.json"] = json.dumps(config).encode()

    return edit


def edited_weights(change: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def edit(members: dict[str, bytes]) -> None:
        buffer = io.BytesIO(members["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        members["model.weights.h5"] = buffer.getvalue()

    return edit


def test_archive_whose_shapes_do_not_match(models: Path, tmp_path: Path) -> None:
    def widen(layers: Any) -> None:
        layers[3]["config"]["units"] = 5

    path = rebuilt(models / "model.keras", tmp_path / "model.keras", edited_config(widen))
    refused(path, "Dense 'dense'", "shape")


def test_archive_that_lacks_the_weights_of_a_layer(models: Path, tmp_path: Path) -> None:
    def forget(file: Any) -> None:
        del file["layers/dense"]

    path = rebuilt(models / "model.keras", tmp_path / "model.keras", edited_weights(forget))
    refused(path, "Dense 'dense'")


def test_archive_that_lacks_one_array(models: Path, tmp_path: Path) -> None:
    def forget(file: Any) -> None:
        del file["layers/conv2d/vars/0"]

    path = rebuilt(models / "model.keras", tmp_path / "model.keras", edited_weights(forget))
    refused(path, "Conv2D 'conv'")


def test_archive_with_an_argument_nobody_knows(models: Path, tmp_path: Path) -> None:
    def add(layers: Any) -> None:
        layers[1]["config"]["made_up"] = 1

    path = rebuilt(models / "model.keras", tmp_path / "model.keras", edited_config(add))
    refused(path, "made_up")


def test_archive_that_would_fill_the_memory(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    shutil.copy(models / "model.keras", path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("assets/bomb", "w", force_zip64=True) as member,
    ):
        for _ in range(300):
            member.write(bytes(1 << 20))
    refused(path, "assets/bomb would grow")


# -- HDF5 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder_name", ["models", "keras2"])
def test_weights_only_file(models: Path, folder_name: str) -> None:
    folder = models if folder_name == "models" else KERAS2
    name = "model.weights.h5" if folder_name == "models" else "weights_only.h5"
    refused(folder / name, "weights only", "model.save(...)")


def test_hdf5_of_something_else(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["measurements"] = np.arange(10)
    refused(tmp_path / "data.h5", "holds no Keras model")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.attrs.__setitem__("model_config", "{"), "model_config is not JSON"),
        (lambda f: f.attrs.__setitem__("model_config", "[]"), "describes no model"),
        (lambda f: f.attrs.__setitem__("model_config", '{"class_name": "Model"}'), "no model"),
        (lambda f: f.__delitem__("model_weights"), "a model without weights"),
        (lambda f: f.__delitem__("model_weights/dense"), "'dense' are missing"),
        (lambda f: f["model_weights"].attrs.__setitem__("layer_names", [b"conv"]), "the file 1"),
        (
            lambda f: f["model_weights/dense"].attrs.__setitem__("weight_names", [b"a"]),
            "has 2 weights, the file 1",
        ),
    ],
    ids=["half", "list", "no config", "no weights", "no layer", "fewer layers", "fewer arrays"],
)
def test_hdf5_with_a_wrong_part(
    models: Path, tmp_path: Path, change: Callable[[Any], None], says: str
) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(models / "model.h5", path)
    with h5py.File(path, "r+") as file:
        change(file)
    refused(path, says)


def replace_kernel(path: Path, make: Callable[[Any, str], None]) -> None:
    """Put something else where the dense layer's kernel was."""
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        name = group.attrs["weight_names"][0]
        name = name.decode() if isinstance(name, bytes) else name
        del group[name]
        make(group, name)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda g, n: g.create_dataset(n, data=np.zeros((2, 2), np.float32)), "has the shape"),
        (lambda *_: None, "is missing"),
        (lambda g, n: g.create_group(n), "is missing"),
        (
            lambda g, n: g.create_dataset(n, (1 << 20, 1 << 10), "f4", chunks=(1024, 1024)),
            "is not stored in the file",
        ),
        (
            lambda g, n: g.create_dataset(
                n, (64, 3), "f4", external=[("/etc/hostname", 0, 64 * 3 * 4)]
            ),
            "is not stored in the file",
        ),
        (lambda g, n: g.__setitem__(n, h5py.ExternalLink("other.h5", "/x")), "array"),
    ],
    ids=["shape", "gone", "a group", "bomb", "external file", "external link"],
)
def test_hdf5_with_a_wrong_array(
    models: Path, tmp_path: Path, make: Callable[[Any, str], Any], says: str
) -> None:
    path = tmp_path / "model.h5"
    shutil.copy(models / "model.h5", path)
    replace_kernel(path, make)
    refused(path, says)


@pytest.mark.parametrize(
    ("class_name", "config", "says"),
    [
        ("StringLookup", {"vocabulary": ["a"]}, "without TensorFlow"),
        ("LocallyConnected1D", {"filters": 2}, "Keras 3 no longer has"),
        ("TFOpLambda", {"function": "math.erfinv"}, "tf.math.erfinv"),
        ("TFOpLambda", {"function": "keras.utils.get_file"}, "tf.keras.utils.get_file"),
        ("TensorFlowOpLayer", {"node_def": "x"}, "raw operation"),
    ],
)
def test_keras2_layer_without_a_counterpart(
    tmp_path: Path, class_name: str, config: dict[str, Any], says: str
) -> None:
    first = {"name": "x", "batch_input_shape": [None, 4], "dtype": "float32"}
    own = {"name": "own", "trainable": True, "dtype": "float32", **config}
    layers = [
        {"class_name": "InputLayer", "config": first, "name": "x", "inbound_nodes": []},
        {
            "class_name": class_name,
            "config": own,
            "name": "own",
            "inbound_nodes": [["x", 0, 0, {}]],
        },
    ]
    graph = {"name": "m", "layers": layers, "input_layers": [["x", 0, 0]]}
    graph["output_layers"] = [["own", 0, 0]]
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.9.0"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": graph})
        file.create_group("model_weights").attrs["layer_names"] = [b"x", b"own"]
    refused(path, "'own'", says)


# -- damage anywhere -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_truncated_anywhere(models: Path, tmp_path: Path, name: str) -> None:
    whole = (models / name).read_bytes()
    for keep in np.linspace(1, len(whole) - 1, 25).astype(int):
        path = tmp_path / name
        path.write_bytes(whole[:keep])
        refused(path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_damaged_anywhere(models: Path, tmp_path: Path, name: str) -> None:
    """Damage is an error of our own tree, or hits nothing that is read."""
    whole = (models / name).read_bytes()
    random = np.random.default_rng(0)
    errors = 0
    for _ in range(40):
        data = bytearray(whole)
        start = int(random.integers(0, len(data) - 64))
        data[start : start + 64] = random.bytes(64)
        path = tmp_path / name
        path.write_bytes(bytes(data))
        try:
            load(path)
        except ModelLoadError:
            errors += 1
    assert errors >= 5, "hardly any damage was noticed"
