"""Outputs that cannot be written: a clear error, no half-written file, what was there untouched."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from command_harness import RUNTIME_DATA, Invoke, Models, refused

import hornbeam
from hornbeam.errors import OutputError

BEFORE = b"what was there before"
NAMES = ("out.onnx", "out.tflite", "out.npz", "out.npy")
# Larger than each result is, and smaller than each by far.
ROWS = 5000
LIMIT = 4096
NOBODY = 65534


@pytest.fixture
def write(invoke: Invoke, models: Models, folder: Path) -> Callable[[Path], str]:
    """Have a command write to a path, which must fail; its message."""
    np.save(folder / "x.npy", np.ones((ROWS, 4), np.float32))

    def command(path: Path) -> str:
        if path.suffix.startswith(".np"):
            model = RUNTIME_DATA / "affine.onnx"
            return refused(invoke("run", model, "--input", "x.npy", "-o", path))
        message = refused(invoke("convert", models.keras, "-o", path, "--no-verify"))
        with pytest.raises(OutputError):
            hornbeam.convert(models.keras, path, verify=False)
        return message

    return command


@pytest.mark.parametrize("name", NAMES)
def test_missing_folder(write: Callable[[Path], str], folder: Path, name: str) -> None:
    message = write(folder / "nowhere" / name)
    assert "No such file or directory. Create the folder first" in message
    assert not (folder / "nowhere").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_in_the_way(write: Callable[[Path], str], folder: Path, name: str) -> None:
    (folder / name).mkdir()
    assert "it is a folder" in write(folder / name)
    assert (folder / name).is_dir()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_for_a_folder(write: Callable[[Path], str], folder: Path, name: str) -> None:
    (folder / "file").write_bytes(BEFORE)
    assert "Not a directory" in write(folder / "file" / name)
    assert (folder / "file").read_bytes() == BEFORE


@pytest.mark.parametrize("name", NAMES)
def test_a_device(write: Callable[[Path], str], folder: Path, name: str) -> None:
    # By a link, because the suffix says the format; replacing it would do away with the device.
    (folder / name).symlink_to(os.devnull)
    assert "it is a device" in write(folder / name)
    assert (folder / name).is_char_device()


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Not root, who may write to what is write-protected."""
    if os.getuid() != 0:
        yield
        return
    if not hasattr(os, "setresuid"):
        pytest.skip("root may write to what is write-protected, and stays root here")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("name", NAMES)
def test_write_protected(invoke: Invoke, models: Models, name: str) -> None:
    # The folders that pytest makes are closed to others.
    with tempfile.TemporaryDirectory() as temporary:
        open_folder = Path(temporary)
        open_folder.chmod(0o755)
        model, x = open_folder / "digits.keras", open_folder / "x.npy"
        model.write_bytes(models.keras.read_bytes())
        np.save(x, np.ones((1, 4), np.float32))
        closed = open_folder / "closed"
        closed.mkdir()
        (closed / name).write_bytes(BEFORE)
        affine = open_folder / "affine.onnx"
        affine.write_bytes((RUNTIME_DATA / "affine.onnx").read_bytes())
        command = (
            ["run", affine, "--input", x, "-o", closed / name]
            if name.startswith("out.np")
            else ["convert", model, "-o", closed / name, "--no-verify"]
        )
        (closed / name).chmod(0o444)
        closed.chmod(0o777)
        with ordinary_user():
            assert "write-protected" in refused(invoke(*command))
        assert (closed / name).read_bytes() == BEFORE
        (closed / name).unlink()
        closed.chmod(0o555)
        with ordinary_user():
            assert "Permission denied. Choose a folder" in refused(invoke(*command))
        assert not list(closed.iterdir())
        closed.chmod(0o755)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes: a write then fails half-way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
@pytest.mark.parametrize("name", NAMES)
def test_a_write_that_fails_half_way(
    write: Callable[[Path], str], folder: Path, name: str, there: bool
) -> None:
    if there:
        (folder / name).write_bytes(BEFORE)
    with file_size_limit(LIMIT):
        message = write(folder / name)
    assert "Free some space" in message
    left = {path.name for path in folder.iterdir()} - {"x.npy"}
    assert left == ({name} if there else set())
    if there:
        assert (folder / name).read_bytes() == BEFORE


@pytest.fixture
def full_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own with next to no room; only root can have one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError as error:
        pytest.skip(f"no file system of a fixed size can be made here: {error}")
    if done.returncode:
        pytest.skip(f"no file system of a fixed size can be made here: {done.stderr.decode()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(write: Callable[[Path], str], full_disk: Path, name: str) -> None:
    (full_disk / name).write_bytes(BEFORE)
    assert "No space left on device. Free some space" in write(full_disk / name)
    assert (full_disk / name).read_bytes() == BEFORE
    assert [path.name for path in full_disk.iterdir()] == [name]


def test_one_of_two_outputs_fails_and_none_is_written(
    invoke: Invoke, models: Models, folder: Path
) -> None:
    (folder / "a.onnx").write_bytes(BEFORE)
    given = ["-o", "a.onnx", "-o", "b.onnx", "-o", "nowhere/c.tflite"]
    message = refused(invoke("convert", models.keras, *given, "--no-verify"))
    assert "nowhere" in message
    assert (folder / "a.onnx").read_bytes() == BEFORE
    assert [path.name for path in folder.iterdir()] == ["a.onnx"]
