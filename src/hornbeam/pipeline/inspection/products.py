"""The multiply-adds of ONNX and TFLite operations, from the shapes of what goes in and out.

Counted are sums of products: convolutions, matrix products and the matrix products inside
recurrent operations (every step of the sequence). The meaning of each input is that of the
operator specifications (onnx.ai/onnx/operators; the TFLite schema and its kernels).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Call", "onnx_products", "tflite_products"]

#: Sizes as numbers, or None where the shape is not wholly known.
Sizes = tuple[int, ...] | None


class _Unknown(Exception):  # noqa: N818 - a signal, not an error
    """A shape that the count needs is not known."""


@dataclass(frozen=True)
class Call:
    """One operation with the shapes of its inputs and outputs (None for one left out)."""

    operation: str
    inputs: Sequence[Sizes]
    outputs: Sequence[Sizes]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def input(self, index: int) -> tuple[int, ...]:
        """The shape of an input that must be known."""
        shape = self.inputs[index] if index < len(self.inputs) else None
        if shape is None:
            raise _Unknown
        return shape

    def output(self) -> tuple[int, ...]:
        """The shape of the first output, which must be known."""
        if not self.outputs or self.outputs[0] is None:
            raise _Unknown
        return self.outputs[0]

    def sizes_of(self, *indices: int) -> int:
        """The number of elements of those inputs that are there."""
        shapes = (self.inputs[i] for i in indices if i < len(self.inputs))
        return sum(math.prod(shape) for shape in shapes if shape is not None)


Rule = Callable[[Call], int]


def onnx_products(call: Call) -> int | None:
    """The multiply-adds of an ONNX operation; None where its shapes do not tell."""
    return _apply(_ONNX, call)


def tflite_products(call: Call) -> int | None:
    """The multiply-adds of a TFLite operation; None where its shapes do not tell."""
    return _apply(_TFLITE, call)


def _apply(rules: Mapping[str, Rule], call: Call) -> int | None:
    rule = rules.get(call.operation)
    if rule is None:
        return 0
    try:
        return rule(call)
    # A file may declare shapes of another rank than its operation takes.
    except (_Unknown, IndexError):
        return None


def _conv(weights: int, filters_first: bool = True) -> Rule:
    """Each result from one filter; ``weights`` is the input that holds the filters."""

    def rule(call: Call) -> int:
        shape = call.input(weights)
        return math.prod(call.output()) * math.prod(shape[1:] if filters_first else shape[:-1])

    return rule


def _spread(x: int, weights: int, axis: int) -> Rule:
    """Each input element over the weights, of which ``axis`` counts the input's channels."""

    def rule(call: Call) -> int:
        shape = list(call.input(weights))
        shape.pop(axis)
        return math.prod(call.input(x)) * math.prod(shape)

    return rule


def _matmul(call: Call) -> int:
    return math.prod(call.output()) * call.input(0)[-1]


def _gemm(call: Call) -> int:
    return math.prod(call.output()) * call.input(0)[0 if call.attributes.get("transA") else 1]


def _einsum(call: Call) -> int:
    """One product for each combination of all letters; 0 where no letter is summed over."""
    terms, _, result = str(call.attributes.get("equation", "")).replace(" ", "").partition("->")
    letters: dict[str, int] = {}
    for index, term in enumerate(terms.split(",")):
        shape = call.input(index)
        if len(shape) != len(term):  # an ellipsis
            raise _Unknown
        letters.update(zip(term, shape, strict=True))
    return 0 if set(letters) == set(result) else math.prod(letters.values())


def _onnx_recurrent(call: Call) -> int:
    """Every step multiplies the sample with W and the state with R."""
    return math.prod(call.input(0)[:2]) * (math.prod(call.input(1)) + math.prod(call.input(2)))


def _fully_connected(call: Call) -> int:
    return math.prod(call.output()) * call.input(1)[-1]


def _tflite_depthwise(call: Call) -> int:
    return math.prod(call.output()) * math.prod(call.input(1)[1:3])


def _batch_matmul(call: Call) -> int:
    return math.prod(call.output()) * call.input(0)[-2 if call.attributes.get("adjX") else -1]


def _steps(weights: tuple[int, ...], axes: int = 2) -> Rule:
    """Every step multiplies with all ``weights``; ``axes`` of the input count the steps."""

    def rule(call: Call) -> int:
        return math.prod(call.input(0)[:axes]) * call.sizes_of(*weights)

    return rule


_ONNX: dict[str, Rule] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _spread(0, 1, axis=0),
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "LSTM": _onnx_recurrent,
    "GRU": _onnx_recurrent,
    "RNN": _onnx_recurrent,
}

_LSTM_WEIGHTS = (1, 2, 3, 4, 5, 6, 7, 8, 16)

_TFLITE: dict[str, Rule] = {
    "CONV_2D": _conv(1),
    "CONV_3D": _conv(1, filters_first=False),
    "DEPTHWISE_CONV_2D": _tflite_depthwise,
    "TRANSPOSE_CONV": _spread(2, 1, axis=-1),
    "CONV_3D_TRANSPOSE": _spread(2, 1, axis=-1),
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "LSTM": _steps(_LSTM_WEIGHTS, axes=1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _steps(_LSTM_WEIGHTS),
    "BIDIRECTIONAL_SEQUENCE_LSTM": _steps((*_LSTM_WEIGHTS, *range(18, 26), 33)),
    "RNN": _steps((1, 2), axes=1),
    "UNIDIRECTIONAL_SEQUENCE_RNN": _steps((1, 2)),
    "BIDIRECTIONAL_SEQUENCE_RNN": _steps((1, 2, 4, 5)),
    "SVDF": _steps((1, 2), axes=1),
}
