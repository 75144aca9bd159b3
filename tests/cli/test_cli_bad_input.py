"""Bad input, through the command and the API: a clear error, and nothing written or run."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from command_harness import Invoke, Models, refused, save

import hornbeam
from hornbeam.errors import (
    HornbeamError,
    ModelFileError,
    ModelLoadError,
    UnsupportedLayerError,
    UntrustedCodeError,
)

keras = pytest.importorskip("keras")

BEFORE = b"what was there before"
KINDS = ("keras", "h5", "onnx", "tflite")
TEXT = b"This is not a model.\n" * 40


@dataclass(frozen=True)
class Bad:
    """How a file is bad: its content, made from those of good ones; None for no file."""

    name: str
    make: Callable[[str, dict[str, bytes]], bytes | None]


def overwritten(kind: str, good: dict[str, bytes]) -> bytes:
    """The same length, with the part that holds the structure replaced by noise.

    That is the directory of an archive, the first objects of HDF5, the root of a flatbuffer, the
    keys of a protobuf.
    """
    content = bytearray(good[kind])
    start = {"keras": len(content) - 400, "h5": 24, "onnx": 24, "tflite": 12}[kind]
    noise = np.random.default_rng(0).integers(1, 256, 300).astype(np.uint8).tobytes()
    content[start : start + len(noise)] = noise
    return bytes(content)


def mislabelled(kind: str, good: dict[str, bytes]) -> bytes:
    return good[{"keras": "onnx", "h5": "tflite", "onnx": "tflite", "tflite": "keras"}[kind]]


BAD = (
    Bad("missing", lambda _kind, _good: None),
    Bad("empty", lambda _kind, _good: b""),
    Bad("text", lambda _kind, _good: TEXT),
    Bad("cut in half", lambda kind, good: good[kind][: len(good[kind]) // 2]),
    Bad("cut by a byte", lambda kind, good: good[kind][:-1]),
    Bad("cut to its mark", lambda kind, good: good[kind][:8]),
    Bad("overwritten", overwritten),
    Bad("mislabelled", mislabelled),
)


@pytest.fixture(scope="module")
def good(models: Models) -> dict[str, bytes]:
    """The content of a good file of each kind."""
    return {kind: getattr(models, kind).read_bytes() for kind in KINDS}


@pytest.fixture(params=BAD, ids=lambda bad: bad.name.replace(" ", "_"))
def bad(request: pytest.FixtureRequest) -> Bad:
    """Each way in which a file can be bad."""
    return request.param  # type: ignore[no-any-return]


def commands(kind: str, path: Path, models: Models) -> list[list[str | Path]]:
    """Every command that reads a file of this kind."""
    if kind in ("keras", "h5"):
        return [
            ["convert", path, "-o", "out.onnx", "-o", "out.tflite"],
            ["verify", path, models.onnx],
            ["inspect", path],
        ]
    return [
        ["run", path, "--input", "x.npy", "-o", "out.npz"],
        ["verify", models.keras, path],
        ["inspect", path],
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_refuses_a_bad_file(
    invoke: Invoke, models: Models, good: dict[str, bytes], folder: Path, kind: str, bad: Bad
) -> None:
    path = folder / f"bad.{kind}"
    content = bad.make(kind, good)
    if content is not None:
        path.write_bytes(content)
    np.save("x.npy", np.zeros((1, 8, 8, 1), np.float32))
    outputs = [Path(name) for name in ("out.onnx", "out.tflite", "out.npz")]
    for output in outputs:
        output.write_bytes(BEFORE)
    for command in commands(kind, path, models):
        message = refused(invoke(*command))
        assert path.name in message, message
    assert [output.read_bytes() for output in outputs] == [BEFORE] * 3
    expected = {"x.npy", *map(str, outputs)} | ({path.name} if content is not None else set())
    assert {item.name for item in folder.iterdir()} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_api_refuses_a_bad_file(
    good: dict[str, bytes], folder: Path, kind: str, bad: Bad
) -> None:
    path = folder / f"bad.{kind}"
    content = bad.make(kind, good)
    if content is not None:
        path.write_bytes(content)
    if kind in ("keras", "h5"):
        with pytest.raises(ModelLoadError):
            hornbeam.convert(path, folder / "out.onnx")
        assert not (folder / "out.onnx").exists()
    else:
        with pytest.raises(ModelFileError):
            hornbeam.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder(invoke: Invoke, models: Models, folder: Path, kind: str) -> None:
    path = folder / f"model.{kind}"
    path.mkdir()
    np.save("x.npy", np.zeros((1, 8, 8, 1), np.float32))
    for command in commands(kind, path, models):
        assert path.name in refused(invoke(*command))


@pytest.mark.parametrize("suffix", [".pt", ".pb", ""])
def test_an_unknown_suffix(invoke: Invoke, models: Models, folder: Path, suffix: str) -> None:
    path = folder / f"model{suffix}"
    path.write_bytes(models.keras.read_bytes())
    message = refused(invoke("convert", path, "-o", "out.onnx"))
    assert "rename it to model.keras" in message
    with pytest.raises(ModelLoadError):
        hornbeam.convert(path, folder / "out.onnx")
    refused(invoke("inspect", path), code=2)
    assert not (folder / "out.onnx").exists()


@pytest.mark.usefixtures("folder")
def test_only_weights(invoke: Invoke, models: Models) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.saving.load_model(models.keras).save_weights("some.weights.h5")
    for command in (
        ["convert", "some.weights.h5", "-o", "out.onnx"],
        ["inspect", "some.weights.h5"],
    ):
        assert "weights" in refused(invoke(*command))
    with pytest.raises(ModelLoadError):
        hornbeam.convert("some.weights.h5", "out.onnx")
    assert not Path("out.onnx").exists()


@pytest.mark.usefixtures("folder")
def test_a_layer_without_a_lowering(invoke: Invoke) -> None:
    x = keras.Input((4, 4), name="x")
    save(keras.Model(x, keras.ops.eigh(keras.layers.Dense(4)(x))[0]), Path("values.keras"))
    Path("out.onnx").write_bytes(BEFORE)
    message = refused(invoke("convert", "values.keras", "-o", "out.onnx", "-o", "out.tflite"))
    assert "keras.ops.eigh" in message
    with pytest.raises(UnsupportedLayerError):
        hornbeam.convert("values.keras", "out.onnx")
    assert Path("out.onnx").read_bytes() == BEFORE
    assert not Path("out.tflite").exists()


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_lambda_is_not_run_unless_it_is_trusted(invoke: Invoke, folder: Path, name: str) -> None:
    marker = folder / "marker"
    # Built from source with the path in it: the bytecode must find all it needs by itself.
    code = f"lambda x: (__import__('pathlib').Path({str(marker)!r}).touch(), x * 2)[1]"
    x = keras.Input((4,), name="x")
    y = keras.layers.Lambda(eval(code))(x)
    save(keras.Model(x, keras.layers.Dense(2)(y)), folder / name)
    marker.unlink()
    for command in (["convert", name, "-o", "out.onnx"], ["inspect", name]):
        message = refused(invoke(*command))
        assert "--trust" in message
    with pytest.raises(UntrustedCodeError):
        hornbeam.convert(name, "out.onnx")
    assert not marker.exists(), "code from the file was run"
    assert not Path("out.onnx").exists()

    trusted = invoke("convert", name, "-o", "out.onnx", "--trust")
    assert trusted.exit_code == 0, trusted.stderr
    assert marker.exists(), "the marker itself does not work"


def test_a_custom_class_is_not_imported(
    invoke: Invoke, models: Models, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = folder / "marker"
    (folder / "trap_module.py").write_text(
        f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n"
        "import keras\nclass Trap(keras.layers.Layer):\n    def call(self, x): return x\n"
    )
    monkeypatch.syspath_prepend(folder)
    with zipfile.ZipFile(models.keras) as source, zipfile.ZipFile("trap.keras", "w") as target:
        for item in source.namelist():
            content = source.read(item)
            if item == "config.json":
                content = with_trap(content)
            target.writestr(item, content)
    message = refused(invoke("convert", "trap.keras", "-o", "out.onnx"))
    assert "Trap" in message
    with pytest.raises(UntrustedCodeError):
        hornbeam.convert("trap.keras", "out.onnx")
    assert "trap_module" not in sys.modules
    assert not marker.exists(), "code beside the file was run"
    assert not Path("out.onnx").exists()


def with_trap(config: bytes) -> bytes:
    """The config with its ReLU layers replaced by a class of a module that does harm."""
    model = json.loads(config)
    for layer in model["config"]["layers"]:
        if layer["class_name"] == "ReLU":
            layer["module"] = "trap_module"
            layer["class_name"] = "Trap"
            layer["registered_name"] = "Trap"
            layer["config"] = {"name": layer["config"]["name"]}
    return json.dumps(model).encode()


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_no_damage_ends_in_anything_but_a_clear_error(
    invoke: Invoke, good: dict[str, bytes], folder: Path, kind: str
) -> None:
    """Bytes changed at random places: inspect answers, or says what is wrong."""
    random = np.random.default_rng(7)
    path = folder / f"damaged.{kind}"
    verdicts = set()
    for _ in range(150):
        content = bytearray(good[kind])
        # Mostly where the structure is: at both ends.
        end = int(random.choice([200, 2000, len(content)]))
        places = random.integers(0, end, 3)
        if random.random() < 0.5:
            places = len(content) - 1 - places
        for place in places:
            content[place] = int(random.integers(0, 256))
        path.write_bytes(content)
        result = invoke("inspect", path)
        verdicts.add(result.exit_code)
        if result.exit_code:
            refused(result)
    assert verdicts == {0, 1}, "damage of both kinds was to be tried"


def test_all_errors_are_of_one_tree() -> None:
    assert all(
        issubclass(kind, HornbeamError)
        for kind in (ModelLoadError, ModelFileError, UnsupportedLayerError, UntrustedCodeError)
    )
