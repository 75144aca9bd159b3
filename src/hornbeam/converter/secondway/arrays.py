"""Arrays by name, from one process to the other: an .npz file without Python objects in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["load_arrays", "save_arrays"]

Array = npt.NDArray[Any]


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write ``arrays``; texts are written as text, and bfloat16, which numpy lacks, as float32."""
    # By position: a name may hold characters that are none of a file in an archive.
    plain = {f"{i}": _plain(array) for i, array in enumerate(arrays.values())}
    np.savez(path, names=np.asarray(list(arrays), dtype=str), **plain)  # type: ignore[arg-type]


def load_arrays(path: Path) -> dict[str, Array]:
    """What `save_arrays` wrote; texts are objects again."""
    with np.load(path, allow_pickle=False) as file:
        names = [str(name) for name in file["names"]]
        arrays = {name: file[f"{i}"] for i, name in enumerate(names)}
    return {
        name: array.astype(object) if array.dtype.kind == "U" else array
        for name, array in arrays.items()
    }


def _plain(array: Array) -> Array:
    if array.dtype.kind == "O":
        texts = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in array.flat]
        return np.asarray(texts, dtype=str).reshape(array.shape)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
