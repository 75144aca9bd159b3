"""The formats that Hornbeam writes, by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from hornbeam.errors import UsageError

__all__ = ["FORMATS", "format_of", "writer_of"]

FORMATS = {".onnx": "onnx", ".tflite": "tflite"}


def format_of(path: str | os.PathLike[str]) -> str:
    """``onnx`` or ``tflite``, by the suffix of ``path``; `UsageError` for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"The output '{os.fspath(path)}' has no known format",
            f"Its suffix is '{suffix}'" if suffix else "It has no suffix",
            f"Use one of {', '.join(FORMATS)}",
        )
    return FORMATS[suffix]


def writer_of(path: str | os.PathLike[str], opset: int | None = None) -> Callable[..., None]:
    """The function ``(graph, path, *, metadata)`` that writes the format of ``path``."""
    if format_of(path) == "onnx":
        from hornbeam.converter import onnx

        options: dict[str, Any] = {} if opset is None else {"opset": opset}
        return partial(onnx.write, **options)
    from hornbeam.converter import tflite

    return tflite.write
