"""Keras dtypes as ONNX types, and which of them onnxruntime's CPU kernels compute in."""

from __future__ import annotations

from onnx import TensorProto

from hornbeam.errors import UnsupportedFormatError

__all__ = ["kernel_dtype", "onnx_dtype"]

_ONNX_DTYPES: dict[str, int] = {
    "bfloat16": TensorProto.BFLOAT16,
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}

# What both the oldest (1.20) and the newest onnxruntime take in every opset from 13 up, found by
# opening a model of one node for each. A float16 node without a kernel runs in float32 by itself.
_SINGLE = frozenset({"float16", "float32"})
_FLOATS = _SINGLE | {"float64"}
_NUMBERS = _FLOATS | {"int32", "int64"}
_WIDE = _NUMBERS | {"uint32", "uint64"}
_BYTES = _NUMBERS | {"int8", "uint8"}
_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_ALL_NUMBERS = _FLOATS | _INTEGERS
_FIXED_SIZE = _ALL_NUMBERS | {"bool"}

_KERNELS: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        (
            "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "AveragePool", "Conv",
            "ConvTranspose", "Cos", "Cosh", "Elu", "Erf", "Gelu", "GlobalAveragePool",
            "GlobalMaxPool", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish",
            "PRelu", "Resize", "Selu", "Sinh", "Softplus", "Softsign", "Tan",
        ),
        _SINGLE,
    ),
    **dict.fromkeys(
        (
            "BatchNormalization", "Ceil", "Exp", "Floor", "Gemm", "IsNaN", "LayerNormalization",
            "Log", "LogSoftmax", "Reciprocal", "Relu", "Round", "Sigmoid", "Sin", "Softmax",
            "Sqrt", "Tanh",
        ),
        _FLOATS,
    ),
    **dict.fromkeys(
        (
            "Add", "CumSum", "Div", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "MatMul",
            "Mul", "Pow", "ReduceMean", "ReduceProd", "ReduceSum", "Sub", "TopK",
        ),
        _NUMBERS,
    ),
    **dict.fromkeys(("Max", "Min"), _WIDE),
    **dict.fromkeys(("ArgMax", "ArgMin", "ReduceMax", "ReduceMin"), _BYTES),
    **dict.fromkeys(("Abs", "Mod", "Sign"), _ALL_NUMBERS),
    **dict.fromkeys(("Expand", "Tile"), _FIXED_SIZE | {"string"}),
    **dict.fromkeys(("And", "Not", "Or", "Xor"), frozenset({"bool"})),
    # Left to cast around a recurrent layer in float16, onnxruntime 1.31 ends the process.
    **dict.fromkeys(("GRU", "LSTM", "RNN"), frozenset({"float32"})),
    "Clip": _WIDE | {"int8", "uint8"},
    "Equal": _NUMBERS | {"bool"},
    "IsInf": frozenset({"float32", "float64"}),
    "MaxPool": _FLOATS | {"int8", "uint8"},
    "Neg": _NUMBERS | {"int8"},
    "Pad": _WIDE | {"bool", "int8", "uint8"},
    "Where": _NUMBERS | {"uint8", "string"},
}  # fmt: skip

# The first of these that has a kernel stands in for a dtype that has none.
_SUBSTITUTES: dict[str, tuple[str, ...]] = {
    "bfloat16": ("float32",),
    "bool": ("uint8", "int32", "float32"),
    "float16": ("float32",),
    "float64": ("float32",),
    "int8": ("int32", "float32"),
    "int16": ("int32", "float32"),
    "int32": ("int64", "float64", "float32"),
    "int64": ("float64", "float32", "bool"),
    "uint8": ("int32", "float32"),
    "uint16": ("int32", "float32"),
    "uint32": ("int64", "float64", "float32"),
    "uint64": ("int64", "float64", "float32"),
}


def onnx_dtype(dtype: str) -> int:
    """The ONNX element type of a Keras dtype name."""
    if dtype not in _ONNX_DTYPES:
        raise UnsupportedFormatError(
            f"A value of dtype {dtype} was to be written as ONNX",
            "Hornbeam writes " + ", ".join(_ONNX_DTYPES),
            "Cast it to one of these in the model",
        )
    return _ONNX_DTYPES[dtype]


def kernel_dtype(op_type: str, dtype: str) -> str:
    """``dtype`` where onnxruntime computes ``op_type`` in it, else what to compute in instead."""
    kernels = _KERNELS.get(op_type)
    if kernels is None or dtype in kernels:
        return dtype
    for substitute in (*_SUBSTITUTES.get(dtype, ()), "bool"):
        if substitute in kernels:
            return substitute
    raise UnsupportedFormatError(
        f"{op_type} of {dtype} was to be written as ONNX",
        f"onnxruntime computes it in {', '.join(sorted(kernels))} only",
        "Cast to one of these in the model",
    )
