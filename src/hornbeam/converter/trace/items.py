"""``x[key]`` while a ``call`` is recorded, for every key that Keras's backends take.

Keras itself knows the shape of ``x[key]`` for numbers, slices and new axes in a tuple; when a model
runs, arrays and tensors of indices work as well, and a slice that stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.ops.numpy import GetItem

__all__ = ["any_key"]


@contextmanager
def any_key() -> Iterator[None]:
    """Let numpy say what shape ``x[key]`` has."""
    plain = GetItem.compute_output_spec

    def compute_output_spec(_: Any, x: Any, key: Any) -> Any:
        keys = tuple(key) if isinstance(key, list) else key
        places = keras.tree.map_structure(_stand_in, keys)
        shape = np.broadcast_to(np.zeros((), bool), x.shape)[places].shape
        return keras.KerasTensor(shape, dtype=x.dtype)

    GetItem.compute_output_spec = compute_output_spec
    try:
        yield
    finally:
        GetItem.compute_output_spec = plain


def _stand_in(key: Any) -> Any:
    if not isinstance(key, keras.KerasTensor):
        return np.asarray(key) if hasattr(key, "__array__") else key
    if key.dtype == "bool":
        raise ValueError("a mask that is computed, as an index, makes a result of unknown length")
    return np.zeros(key.shape, np.int64)
