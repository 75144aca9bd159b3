"""Files appear whole or not at all, whatever goes wrong while they are written."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from hornbeam.converter.files import replacing
from hornbeam.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path, problem: Exception) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise problem


def test_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert not path.exists()
        assert temporary.suffix == ".onnx"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "No space left"), ValueError("bug")])
def test_failure_leaves_the_old_file(tmp_path: Path, problem: Exception) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    expected = OutputError if isinstance(problem, OSError) else ValueError
    with pytest.raises(expected) as caught:
        write_half(path, problem)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["model.onnx"]
    if expected is OutputError:
        assert "No space left" in str(caught.value)
        assert "Free some space" in str(caught.value)


def test_a_full_disk() -> None:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(OutputError, match="device"), replacing(device):
        pytest.fail("the block must not run")
    assert stat.S_ISCHR(device.stat().st_mode)


def test_a_missing_folder(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "model.onnx"
    with pytest.raises(OutputError, match="Create the folder"), replacing(path):
        pytest.fail("the block must not run")


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"), replacing(tmp_path):
        pytest.fail("the block must not run")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(OutputError), replacing(tmp_path / "plain" / "model.onnx"):
        pytest.fail("the block must not run")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_write_protected_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(OutputError, match="write-protected"), replacing(path):
        pytest.fail("the block must not run")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "v2.onnx").write_bytes(b"old")
    link = tmp_path / "latest.onnx"
    link.symlink_to("v2.onnx")
    with replacing(link) as temporary:
        temporary.write_bytes(b"new")
    assert link.is_symlink()
    assert (tmp_path / "v2.onnx").read_bytes() == b"new"
