"""``hornbeam convert`` and ``hornbeam verify`` on good models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_harness import Invoke, Models, refused, save

import hornbeam

GOLDEN = Path(__file__).parent / "data"


def masked(text: str) -> str:
    """``text`` with every figure and its unit as ``#``; rules and gaps depend on their widths."""
    text = re.sub(r"\d[\d.,]*(e[+-]\d+)?( ?(kB|MB|B|s|ms|µs|%)(?=\s|$))?", "#", text)
    return re.sub(r"-{2,}", "--", re.sub(r" {2,}", "  ", text))


def test_table(invoke: Invoke, models: Models, folder: Path) -> None:
    result = invoke("convert", models.keras, "-o", "a.onnx", "-o", "a.tflite")
    assert result.exit_code == 0, result.stderr
    assert masked(result.stdout) == (GOLDEN / "convert.txt").read_text(encoding="utf-8")
    assert result.stderr.splitlines() == [
        "load", "trace", "improve", "write a.onnx", "verify a.onnx", "write a.tflite",
        "verify a.tflite",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["a.onnx", "a.tflite"]


def test_json_is_the_report(invoke: Invoke, models: Models, folder: Path) -> None:
    result = invoke("convert", models.keras, "-o", "a.onnx", "-o", "a.tflite", "--json")
    report = json.loads(result.stdout)
    assert report["model"] == "digits"
    assert [file["path"] for file in report["files"]] == ["a.onnx", "a.tflite"]
    for file in report["files"]:
        assert file["bytes"] == (folder / file["path"]).stat().st_size
        assert 0 <= file["verification"]["worst_error"] <= 1e-4


def test_same_bytes_each_time(invoke: Invoke, models: Models, folder: Path) -> None:
    for format_ in ("onnx", "tflite"):
        assert invoke("convert", models.keras, "-o", f"a.{format_}", "--no-verify").exit_code == 0
        expected = getattr(models, format_).read_bytes()
        assert (folder / f"a.{format_}").read_bytes() == expected


def test_without_verification_says_so(invoke: Invoke, models: Models, folder: Path) -> None:
    result = invoke("convert", models.keras, "-o", "a.onnx", "--no-verify")
    assert "not verified" in result.stdout
    assert "verify" not in result.stderr
    assert (folder / "a.onnx").exists()


def test_opset_and_batch(invoke: Invoke, models: Models, folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    options = ["--opset", "13", "--batch", "2", "--no-verify"]
    assert invoke("convert", models.keras, "-o", "a.onnx", *options).exit_code == 0
    model = onnx.load(folder / "a.onnx")
    assert model.opset_import[0].version == 13
    with hornbeam.load(folder / "a.onnx") as session:
        assert session.inputs[0].shape == (2, 8, 8, 1)


def test_an_opset_that_is_too_old(invoke: Invoke, models: Models, folder: Path) -> None:
    message = refused(invoke("convert", models.keras, "-o", "a.onnx", "--opset", "12"), code=2)
    assert "13" in message
    assert not list(folder.iterdir())


def test_repairs_are_listed(invoke: Invoke, models: Models, folder: Path) -> None:
    mislabelled = folder / "digits.keras"
    mislabelled.write_bytes(models.h5.read_bytes())
    result = invoke("convert", mislabelled, "-o", "a.onnx", "--no-verify")
    assert result.exit_code == 0, result.stderr
    assert "repaired: digits.keras: read as an HDF5 file" in result.stdout
    report = json.loads(
        invoke("convert", mislabelled, "-o", "a.onnx", "--no-verify", "--json").stdout
    )
    assert "HDF5" in report["repairs"][0]
    verified = invoke("verify", mislabelled, "a.onnx")
    assert "repaired: digits.keras: read as an HDF5 file" in verified.stderr


def test_replaces_a_file_that_is_there(invoke: Invoke, models: Models, folder: Path) -> None:
    (folder / "a.onnx").write_bytes(b"before")
    assert invoke("convert", models.h5, "-o", "a.onnx", "--no-verify").exit_code == 0
    assert (folder / "a.onnx").read_bytes() != b"before"


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_verify(invoke: Invoke, models: Models, format_: str) -> None:
    file = getattr(models, format_)
    result = invoke("verify", models.h5, file)
    assert result.exit_code == 0, result.stderr
    assert f"{file} computes what {models.h5} computes" in result.stdout
    figures = json.loads(invoke("verify", models.h5, file, "--json").stdout)
    assert figures["worst_error"] <= 1e-4
    assert [output["output"] for output in figures["outputs"]] == ["digit"]


@pytest.mark.usefixtures("folder")
def test_verify_on_data(invoke: Invoke, models: Models) -> None:
    x = np.random.default_rng(0).uniform(0, 16, (4, 8, 8, 1)).astype(np.float32)
    np.savez("x.npz", image=x)
    result = invoke("verify", models.keras, models.onnx, "--data", "x.npz")
    assert result.exit_code == 0, result.stderr
    assert "4×8×8×1" in result.stdout


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"picture": np.zeros((1, 8, 8, 1), np.float32)}, '"image" missing'),
        ({"image": np.zeros((1, 9, 8, 1), np.float32)}, "Found 9 where dimension 1 must be 8"),
        ({"image": np.zeros((1, 8, 8, 1), np.int32)}, "int32"),
        ({"image": np.zeros((0, 8, 8, 1), np.float32)}, "They hold no sample"),
    ],
)
def test_verify_on_data_that_does_not_fit(
    invoke: Invoke, models: Models, folder: Path, arrays: dict[str, np.ndarray], complaint: str
) -> None:
    np.savez(folder / "x.npz", **arrays)
    assert complaint in refused(invoke("verify", models.keras, models.onnx, "--data", "x.npz"))


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_verify_refuses_a_file_of_another_model(
    invoke: Invoke, models: Models, folder: Path, format_: str
) -> None:
    import keras

    model = keras.saving.load_model(models.keras)
    kernel = model.get_layer("stem_conv").kernel
    kernel.assign(kernel * 1.01)
    save(model, folder / "other.keras")
    message = refused(invoke("verify", "other.keras", getattr(models, format_)))
    assert "Output 'digit' differs by" in message
