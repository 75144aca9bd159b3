"""Broken, missing and mislabelled files: each a clear error before an engine sees it."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_models import DATA

import hornbeam
from hornbeam.errors import ModelFileError
from hornbeam.runtime.files import read_model_file

SUFFIXES = [".onnx", ".tflite"]


def _refused(path: Path) -> str:
    """Load a file that must not load, with neither engine needed to find that out."""
    with pytest.raises(ModelFileError) as caught:
        hornbeam.load(path)
    assert str(path) in caught.value.asked
    assert caught.value.found
    assert caught.value.advice
    return str(caught.value)


def _affine(suffix: str) -> bytes:
    return (DATA / f"affine{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file(tmp_path: Path, suffix: str) -> None:
    assert "does not exist" in _refused(tmp_path / f"m{suffix}")
    assert "nor is its directory" in _refused(tmp_path / "nowhere" / f"m{suffix}")


def test_a_directory(tmp_path: Path) -> None:
    assert "is a directory" in _refused(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    assert "SavedModel" in _refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.onnx")
    assert "no regular file" in _refused(tmp_path / "m.onnx")


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="the root user may read everything"
)
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(_affine(".onnx"))
    path.chmod(0)
    assert "Permission denied" in _refused(path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".bin"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "Keras .h5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x1f\x8b\x08" + bytes(20), "gzip"),
        (b"\x93NUMPY\x01\x00", "numpy array"),
        (bytes(4) + b"ORTM" + bytes(20), "onnxruntime's own format"),
    ],
)
def test_what_is_no_model_is_named_as_what_it_is(
    tmp_path: Path, suffix: str, content: bytes, found: str
) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    assert found in _refused(path)


@pytest.mark.parametrize("content", [b"x", bytes(1000), b"\xff" * 1000, b"TFL3" * 10])
@pytest.mark.parametrize(
    ("suffix", "found"),
    [
        (".onnx", "broken ONNX model, or none"),
        (".tflite", "no TFLite model"),
        (".bin", "neither a TFLite model nor a whole ONNX model"),
    ],
)
def test_what_is_nothing_known_is_said_so(
    tmp_path: Path, content: bytes, suffix: str, found: str
) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    assert (found if content[4:8] != b"TFL3" else "broken TFLite model") in _refused(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_keras_archive_under_another_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    text = _refused(path)
    assert ".keras" in text
    assert "hornbeam convert" in text


@pytest.mark.parametrize(("suffix", "other"), [SUFFIXES, SUFFIXES[::-1]])
def test_a_model_under_the_suffix_of_the_other_format(
    tmp_path: Path, suffix: str, other: str
) -> None:
    path = shutil.copy(DATA / f"affine{suffix}", tmp_path / f"m{other}")
    title = {".onnx": "an ONNX model", ".tflite": "a TFLite model"}
    text = _refused(path)
    assert f"named as {title[other]}, but holds {title[suffix]}" in text
    assert f"Rename it to m{suffix}" in text


def test_a_model_without_a_telling_suffix_is_opened(tmp_path: Path, suffix: str) -> None:
    path = shutil.copy(DATA / f"affine{suffix}", tmp_path / "model.bin")
    assert hornbeam.load(path).run([[0, 0, 0, 0]]).tolist() == [[1, 0, 0]]


def test_every_cut_of_a_tflite_file_is_refused(tmp_path: Path) -> None:
    whole = _affine(".tflite")
    path = tmp_path / "m.tflite"
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        try:
            read_model_file(path)
        except ModelFileError:
            continue
        # Nothing but padding may be missing from a file that passes.
        assert not any(whole[end:]), f"cut at byte {end} of {len(whole)}"


def test_every_cut_of_an_onnx_file_is_refused_or_behind_the_model(tmp_path: Path) -> None:
    whole = _affine(".onnx")
    path = tmp_path / "m.onnx"
    passed = []
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end])
        try:
            read_model_file(path)
        except ModelFileError:
            continue
        passed.append(whole[end:].count(b"hornbeam."))
    # Only cuts between the two entries of metadata at the end leave a whole model.
    assert passed == [2, 1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_bytes_never_end_in_another_error(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / f"m{suffix}"
    whole = np.frombuffer(_affine(suffix), np.uint8)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(500):
        damaged = whole.copy()
        places = random.integers(0, len(whole), random.integers(1, 20))
        damaged[places] = random.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        try:
            read_model_file(path)
            outcomes["read"] += 1
        except ModelFileError:
            outcomes["refused"] += 1
    assert all(outcomes.values()), outcomes


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1, 7, 8, 9, 100, 10_000])
def test_random_bytes(tmp_path: Path, suffix: str, size: int) -> None:
    path = tmp_path / f"m{suffix}"
    for seed in range(20):
        content = np.random.default_rng(seed).bytes(size)
        path.write_bytes(content)
        _refused(path)
        path.write_bytes(content[:4] + b"TFL3" + content[8:])
        _refused(path)


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999])
@pytest.mark.parametrize(
    "name",
    [
        "pairs/model_1.onnx",
        "pairs/model_1.tflite",
        "mlperf_tiny/kws_ref_model.tflite",
        "tflite/trained_lstm.tflite",
    ],
)
def test_real_models_cut_short(
    zoo: Callable[[str], Path], tmp_path: Path, name: str, fraction: float
) -> None:
    whole = zoo(name).read_bytes()
    path = tmp_path / f"m{Path(name).suffix}"
    path.write_bytes(whole[: int(len(whole) * fraction)])
    _refused(path)


def test_the_name_of_a_signature_is_put_in_the_order_of_the_graph() -> None:
    file = read_model_file(DATA / "pair.tflite")
    assert file.input_names == ("a", "b")
    assert file.output_names == ("sum", "product")  # stored as product, sum


def test_reading_a_file_leaves_it_free(tmp_path: Path) -> None:
    path = shutil.copy(DATA / "affine.onnx", tmp_path / "m.onnx")
    read_model_file(path)
    path.unlink()
    assert not path.exists()
