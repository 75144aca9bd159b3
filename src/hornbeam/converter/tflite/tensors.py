"""Tensors of the file: what they hold, under which type they are stored.

TFLite's CPU kernels compute in float32, int32, int64 and bool; the other Keras dtypes have no, or
only quantized, arithmetic there. So every float is carried as float32 and every small integer as
int32 (uint32 and uint64 as int64), and the model's own dtype appears at its inputs and outputs
alone, behind a cast. bfloat16, which LiteRT's Python interface cannot exchange, is float32 there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Quantization, TensorType
from hornbeam.graph.dims import evaluate, symbols
from hornbeam.graph.types import is_float

__all__ = ["Data", "Tensor", "boundary_dtype", "build_tensor", "storage_dtype", "type_code"]

_CODES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "float64": schema.TensorType.FLOAT64,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "uint8": schema.TensorType.UINT8,
    "uint16": schema.TensorType.UINT16,
    "uint32": schema.TensorType.UINT32,
    "uint64": schema.TensorType.UINT64,
    "bool": schema.TensorType.BOOL,
    "int4": schema.TensorType.INT4,
}

_WIDENED = {
    "int8": "int32",
    "int16": "int32",
    "uint8": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "uint64": "int64",
}


@dataclass(frozen=True)
class Data:
    """A constant's contents; ``array`` is called when they are copied into the file, not before.

    A transposed view costs nothing here, so that weights are never held three times over.
    """

    shape: tuple[int, ...]
    dtype: str
    array: Callable[[], npt.NDArray[Any]]

    @property
    def nbytes(self) -> int:
        """The size in the file."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(eq=False)
class Tensor:
    """One tensor of the file: its symbolic type, as stored, and its contents if constant."""

    name: str
    type: TensorType
    data: Data | None = None
    quantization: Quantization | None = None

    @property
    def shape(self) -> tuple[Any, ...]:
        """The symbolic shape."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The stored dtype."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"{self.name}: {self.type}"


def type_code(dtype: str) -> int:
    """The schema's number for a stored dtype."""
    return int(_CODES[dtype])


def storage_dtype(dtype: str) -> str:
    """The dtype that carries ``dtype`` between operators."""
    if is_float(dtype):
        return "float32"
    if dtype == "string":
        raise UnsupportedFormatError(
            "A TFLite file was asked for.",
            "The model computes with strings, which TFLite's builtin operators cannot do.",
            "Look the strings up before the model and feed it their numbers, or write ONNX.",
        )
    return _WIDENED.get(dtype, dtype)


def boundary_dtype(dtype: str) -> str:
    """The dtype of a model input or output that Keras calls ``dtype``."""
    if is_float(dtype) and dtype not in ("float16", "float64"):
        return "float32"
    storage_dtype(dtype)
    return dtype


def build_tensor(tensor: Tensor, buffer: int, sizes: Mapping[str, int]) -> Any:
    """The schema's object for ``tensor``; ``sizes`` are placeholders for the free sizes."""
    result = schema.TensorT()
    result.name = tensor.name
    result.type = type_code(tensor.dtype)
    result.buffer = buffer
    result.shape = np.array([evaluate(dim, sizes) for dim in tensor.shape], np.int32)
    # The field is read as "these are all the free axes there are": absent means none.
    if any(symbols(dim) for dim in tensor.shape):
        signature = [dim if isinstance(dim, int) else -1 for dim in tensor.shape]
        result.shapeSignature = np.array(signature, np.int32)
    result.hasRank = True
    result.quantization = _quantization(tensor.quantization)
    return result


def _quantization(quantization: Quantization | None) -> Any:
    result = schema.QuantizationParametersT()
    if quantization is not None:
        result.scale = np.array(quantization.scale, np.float32)
        result.zeroPoint = np.array(quantization.zero_point, np.int64)
        result.quantizedDimension = quantization.axis or 0
    return result
