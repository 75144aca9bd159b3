"""Inputs that the caller gives for a proof: checked against the model before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.errors import InputError
from hornbeam.graph import Graph, Value
from hornbeam.graph.types import numpy_dtype
from hornbeam.runtime.tensors import TensorInfo, validate

__all__ = ["fitted"]

Array = npt.NDArray[Any]


def fitted(graph: Graph, data: Mapping[str, Array]) -> dict[str, Array]:
    """``data`` in the dtypes of the model, samples along axis 0; `InputError` where it misfits."""
    infos = tuple(map(_info, graph.inputs))
    arrays = validate(infos, (data,))
    if any(array.size == 0 for array in arrays):
        raise InputError(
            "The model was to be run on the inputs given",
            "They hold no sample",
            "Give at least one, along axis 0",
        )
    return {info.name: array for info, array in zip(infos, arrays, strict=True)}


def _info(value: Value) -> TensorInfo:
    # The samples of all inputs belong together, whatever batch the model itself is for.
    rest = (dim if isinstance(dim, int) else str(dim) for dim in value.shape[1:])
    shape = ("samples", *rest) if value.shape else ()
    return TensorInfo(value.name, shape, np.dtype(numpy_dtype(value.dtype)))
