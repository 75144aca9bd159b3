"""The version of each builtin operator: the lowest that has what its use here needs.

A runtime refuses an operator whose version it does not know, so a version that is too high shuts
out old runtimes for nothing, and one that is too low lets them compute nonsense. The rules are
those of TensorFlow's ``lite/tools/versioning/op_version.cc`` for the dtypes that are stored here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hornbeam.converter.tflite.context import Operator

__all__ = ["operator_version"]


def operator_version(operator: Operator) -> int:
    """The lowest version of the operator that supports its inputs and options."""
    rule = _RULES.get(operator.code)
    if rule is not None:
        return rule(operator)
    return _BY_DTYPE.get((operator.code, _dtype(operator)), 1)


def _dtype(operator: Operator, index: int = 0) -> str:
    tensor = operator.inputs[index] if len(operator.inputs) > index else None
    return tensor.dtype if tensor is not None else ""


def _rank(operator: Operator) -> int:
    return max(tensor.rank for tensor in operator.inputs if tensor is not None)


def _broadcasts(operator: Operator) -> bool:
    return len({tensor.shape for tensor in operator.inputs if tensor is not None}) > 1


def _conv_2d(operator: Operator) -> int:
    x, kernel = operator.inputs[0], operator.inputs[1]
    assert x is not None
    assert kernel is not None
    if x.shape[-1] != kernel.shape[-1]:
        return 6
    return {"int8": 3, "int16": 4}.get(x.dtype, 1)


def _depthwise(operator: Operator) -> int:
    version = {"int8": 3, "int16": 5}.get(_dtype(operator), 1)
    options = operator.options
    dilated = (options.dilationWFactor, options.dilationHFactor) != (1, 1)
    return max(version, 2 if dilated else 1)


def _fully_connected(operator: Operator) -> int:
    version = {"int8": 4, "int16": 7}.get(_dtype(operator), 1)
    if len(operator.inputs) == 2:
        return max(version, 6)
    return max(version, 5 if operator.options.keepNumDims else 1)


def _transpose_conv(operator: Operator) -> int:
    if operator.options.fusedActivationFunction:
        return 4
    if len(operator.inputs) == 4:
        return 3
    return 2 if _dtype(operator, 1) == "int8" else 1


def _transpose(operator: Operator) -> int:
    rank = _rank(operator)
    if rank > 6:
        return 8
    if rank > 5:
        return 6
    if rank > 4:
        return 4
    return {"bool": 3, "int8": 2, "int16": 5}.get(_dtype(operator), 1)


def _strided_slice(operator: Operator) -> int:
    if _rank(operator) > 4:
        return 4
    return {"bool": 3, "int8": 2}.get(_dtype(operator), 1)


def _slice(operator: Operator) -> int:
    return 5 if _rank(operator) > 4 else {"int8": 2, "int16": 4}.get(_dtype(operator), 1)


def _pad(operator: Operator) -> int:
    if _dtype(operator) == "bool":
        return 5
    return 4 if _rank(operator) > 4 else {"int8": 2, "int16": 3}.get(_dtype(operator), 1)


def _resize(operator: Operator) -> int:
    return 3 if operator.options.halfPixelCenters or operator.options.alignCorners else 1


def _wide(version: int) -> Callable[[Operator], int]:
    """Broadcasting over more than four axes came with ``version``."""

    def rule(operator: Operator) -> int:
        if _broadcasts(operator) and _rank(operator) > 4:
            return version
        return _BY_DTYPE.get((operator.code, _dtype(operator)), 1)

    return rule


def _sub(operator: Operator) -> int:
    return 4 if _dtype(operator) == "int64" else _wide(3)(operator)


def _split(operator: Operator) -> int:
    return {"int32": 3, "int8": 2, "int16": 4}.get(_dtype(operator, 1), 1)


def _cast(operator: Operator) -> int:
    dtypes = {_dtype(operator), operator.outputs[0].dtype}
    for version, needing in ((5, {"float64", "float16"}), (4, {"uint16"}), (3, {"int8"})):
        if dtypes & needing:
            return version
    return 2 if "uint32" in dtypes else 1


def _gather(operator: Operator) -> int:
    if operator.options.batchDims:
        return 5
    return {"int16": 4, "bool": 3, "int8": 2}.get(_dtype(operator), 1)


_RULES: dict[str, Callable[[Operator], int]] = {
    "BROADCAST_TO": lambda operator: 3 if _dtype(operator) in ("int8", "int16") else 2,
    "CAST": _cast,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DIV": _wide(2),
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "MAXIMUM": _wide(3),
    "MINIMUM": _wide(3),
    "PAD": _pad,
    "PADV2": _pad,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SLICE": _slice,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _sub,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}

#: (operator, dtype of the first input) → version, where nothing else matters.
_BY_DTYPE: dict[tuple[str, str], int] = {
    ("ABS", "int32"): 5,
    ("ADD", "int64"): 4,
    ("ARG_MAX", "bool"): 3,
    ("ARG_MIN", "bool"): 3,
    ("FILL", "int64"): 1,
    ("FLOOR_DIV", "float32"): 2,
    ("MUL", "int64"): 5,
    ("RANGE", "int64"): 2,
    ("REVERSE_V2", "bool"): 2,
    ("SIGN", "int32"): 2,
    ("UNPACK", "bool"): 3,
    **{
        (code, "int8"): 2
        for code in (
            "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "LOGISTIC", "MAX_POOL_2D",
            "MAXIMUM", "MEAN", "MINIMUM", "MUL", "PACK", "REDUCE_MAX", "REDUCE_MIN", "RELU",
            "RELU6", "SOFTMAX", "SPLIT_V", "SUB", "SUM", "TANH", "DEQUANTIZE", "LOG_SOFTMAX",
        )
    },
}  # fmt: skip
