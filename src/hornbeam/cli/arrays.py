"""Arrays in .npy and .npz files: none of them runs as code, and they appear whole or not at all."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbeam.converter.files import replacing
from hornbeam.errors import InputError

__all__ = ["read_arrays", "read_npz", "write_npy", "write_npz"]

Array = NDArray[Any]
Path = str | os.PathLike[str]

#: What numpy and zipfile raise for files that are damaged or that they do not understand.
_COMPLAINTS = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
#: Zip members carry a time; a fixed one makes equal results equal files.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """The array in an .npy file, or the arrays by name in an .npz file. Raises `InputError`."""
    try:
        # Opened here: numpy leaves a file open whose archive is damaged. And pickles, which are
        # code, stay refused.
        with open(path, "rb") as file:  # noqa: PTH123 - a path-like of any kind
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded as archive:
                return {name: archive[name] for name in archive.files}
    except _COMPLAINTS as error:
        raise _unreadable(path, error) from error


def read_npz(path: Path) -> dict[str, Array]:
    """The arrays by name in an .npz file. Raises `InputError`."""
    arrays = read_arrays(path)
    if isinstance(arrays, dict):
        return arrays
    raise InputError(
        f"Arrays by name were to be read from {os.fspath(path)}",
        "It holds a single array without a name",
        "Save them with numpy.savez(path, input_name=array)",
    )


def write_npy(path: Path, array: Array) -> None:
    """Write one array. Raises `OutputError`, and then leaves what was there."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        # To a file itself numpy writes in C, and then a full disk is an error without a number.
        writer = SimpleNamespace(write=file.write)
        np.lib.format.write_array(writer, _plain(array), allow_pickle=False)


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name; the same arrays give the same bytes. Raises `OutputError`."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "x") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(array), allow_pickle=False)


def _plain(array: Array) -> Array:
    """Strings, which arrive as objects, in numpy's own string type."""
    if array.dtype != object:
        return array
    return np.array(array.tolist(), dtype=None if array.size else "U1")


def _unreadable(path: Path, error: BaseException) -> InputError:
    asked = f"Arrays were to be read from {os.fspath(path)}"
    if isinstance(error, FileNotFoundError):
        return InputError(asked, "There is no such file", "Check the path")
    if isinstance(error, OSError) and error.strerror:
        return InputError(asked, f"The system says: {error.strerror}", "Check the path")
    lines = str(error).splitlines()
    if isinstance(error, ValueError) and "pickle" in str(error):
        lines = ["it holds no plain array, but pickled objects or something else"]
    return InputError(
        asked,
        f"They cannot be: {lines[0] if lines else type(error).__name__}",
        "Save them with numpy.save or numpy.savez",
    )
