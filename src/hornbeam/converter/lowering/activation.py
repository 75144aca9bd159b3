"""Activations: as layers, as functions given to ``activation=``, and as ``keras.ops``."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from hornbeam.converter.lowering.arguments import axes_of, float_result
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__ = ["masked_softmax", "softmax"]

#: keras.activations and keras.ops that are one unary function here: (activation, operation).
_UNARY: dict[op.UnaryFunction, tuple[str, str]] = {
    "relu6": ("relu6", "Relu6"),
    "sigmoid": ("sigmoid", "Sigmoid"),
    "tanh": ("tanh", "Tanh"),
    "exp": ("exponential", "Exp"),
    "softplus": ("softplus", "Softplus"),
    "softsign": ("softsign", "Softsign"),
    "silu": ("silu", "Silu"),
    "hard_sigmoid": ("hard_sigmoid", "HardSigmoid"),
    "hard_silu": ("hard_silu", "HardSilu"),
    "selu": ("selu", "Selu"),
}


def _register_unary(function: op.UnaryFunction, activation: str, operation: str) -> None:
    @lowers(f"activations.{activation}", f"ops.{operation}")
    def lower(b: Builder, _: Any, x: Value) -> Value:
        return b.unary(function, x if function == "relu6" else b.cast(x, float_result(x.dtype)))


for _function, (_activation, _operation) in _UNARY.items():
    _register_unary(_function, _activation, _operation)


@lowers("activations.linear", "activations.mish")
def _plain(b: Builder, function: Any, x: Value) -> Value:
    return b.unary("mish", x) if function.__name__ == "mish" else x


@lowers("activations.relu", "ops.Relu")
def relu(b: Builder, _: Any, x: Value) -> Value:
    """``max(x, 0)``."""
    return b.unary("relu", x)


@lowers("activations.gelu")
def gelu(b: Builder, _: Any, x: Value) -> Value:
    """``keras.activations.gelu`` with its default, the exact form."""
    return b.unary("gelu", x)


@lowers("ops.Gelu")
def gelu_operation(b: Builder, operation: Any, x: Value) -> Value:
    """``keras.ops.gelu``, whose default is the approximation by tanh."""
    return b.unary("gelu_tanh" if operation.approximate else "gelu", x)


@lowers("activations.elu")
def elu(b: Builder, _: Any, x: Value) -> Value:
    """``x`` where positive, else ``exp(x) - 1``."""
    return b.emit(op.Elu(), x)


@lowers("ops.Elu", "layers.ELU")
def elu_with_alpha(b: Builder, operation: Any, x: Value) -> Value:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return b.emit(op.Elu(float(operation.alpha)), x)


@lowers("activations.leaky_relu")
def leaky_relu(b: Builder, _: Any, x: Value) -> Value:
    """``keras.activations.leaky_relu`` with its default slope of 0.2."""
    return b.emit(op.LeakyRelu(0.2), x)


@lowers("ops.LeakyRelu", "layers.LeakyReLU")
def leaky_relu_with_slope(b: Builder, operation: Any, x: Value) -> Value:
    """``x`` where positive, else ``negative_slope * x``."""
    return b.emit(op.LeakyRelu(float(operation.negative_slope)), x)


@lowers("layers.ReLU")
def relu_layer(b: Builder, layer: Any, x: Value) -> Value:
    """ReLU with a ceiling, a slope below the threshold, and a threshold."""
    return relu_with(b, x, layer.negative_slope, layer.max_value, layer.threshold)


@lowers("ops.ReLU")
def relu_static(b: Builder, operation: Any, x: Value) -> Value:
    """What ``keras.activations.relu`` records when it is called with arguments."""
    return relu_with(b, x, operation.negative_slope, operation.max_value, operation.threshold)


def relu_with(b: Builder, x: Value, slope: float, ceiling: float | None, threshold: float) -> Value:
    """``min(x, ceiling)`` above the threshold, ``slope * (x - threshold)`` below it."""
    slope, threshold = float(slope or 0.0), float(threshold or 0.0)
    if not slope and not threshold:
        if ceiling is None or np.isinf(ceiling):
            return b.unary("relu", x)
        return b.unary("relu6", x) if ceiling == 6 else b.emit(op.Clip(0.0, float(ceiling)), x)
    if not threshold:
        y = b.emit(op.LeakyRelu(slope), x)
        return y if ceiling is None else b.emit(op.Clip(None, float(ceiling)), y)
    y = b.binary("multiply", x, b.cast(b.compare("greater", x, threshold), x.dtype))
    if ceiling is not None:
        y = b.emit(op.Clip(0.0, float(ceiling)), y)
    if not slope:
        return y
    below = b.unary("relu", b.binary("add", b.unary("negative", x), threshold))
    return b.binary("subtract", y, b.binary("multiply", below, slope))


@lowers("layers.PReLU")
def prelu(b: Builder, layer: Any, x: Value) -> Value:
    """A learned slope for each channel, or each position."""
    slope = b.value(layer.alpha, x.dtype)
    return b.emit(op.Prelu(), x, b.reshape(slope, (1, *slope.shape)))


@lowers("layers.Activation")
def activation(b: Builder, layer: Any, x: Value) -> Value:
    """Whatever function the layer was given."""
    return b.activation(layer.activation, x)


@lowers("activations.softmax")
def softmax_function(b: Builder, _: Any, x: Value) -> Value:
    """Softmax over the last axis."""
    return softmax(b, x, -1)


@lowers("ops.Softmax")
def softmax_operation(b: Builder, operation: Any, x: Value) -> Value:
    """``keras.ops.softmax``."""
    return softmax(b, x, operation.axis)


@lowers("layers.Softmax")
def softmax_layer(b: Builder, layer: Any, x: Value, mask: Value | None = None) -> Value:
    """Softmax over one axis or several; masked positions get nothing."""
    return masked_softmax(b, x, mask, layer.axis)


@lowers("activations.sparsemax")
def sparsemax(b: Builder, _: Any, x: Value) -> Any:
    """What ``keras.ops.sparsemax`` records; the activation itself hands tensors to the backend."""
    return b.keras.function(ops.sparsemax, [x])


@lowers("activations.log_softmax", "ops.LogSoftmax")
def log_softmax(b: Builder, operation: Any, x: Value) -> Value:
    """The logarithm of softmax."""
    axis = getattr(operation, "axis", -1)
    return b.emit(op.LogSoftmax(axis % x.rank), x)


def softmax(b: Builder, x: Value, axis: Any) -> Value:
    """Softmax over one axis, several, or all (None)."""
    axes = axes_of(axis, x.rank)
    if len(axes) == 1:
        return b.emit(op.Softmax(axes[0]), x)
    others = [i for i in range(x.rank) if i not in axes]
    order = [*others, *axes]
    moved = b.transpose(x, order)
    flat = b.reshape(moved, (*moved.shape[: len(others)], -1))
    y = b.reshape(b.emit(op.Softmax(flat.rank - 1), flat), moved.shape)
    return b.transpose(y, [order.index(i) for i in range(x.rank)])


def masked_softmax(b: Builder, x: Value, mask: Value | None, axis: Any) -> Value:
    """Softmax where positions with a false mask weigh nothing, even if a whole row has none.

    The stand-in for minus infinity is Keras's own, so that fully masked rows agree as well.
    """
    if mask is None:
        return softmax(b, x, axis)
    if mask.dtype != "bool":
        mask = b.compare("greater", mask, 0.5)
    hidden = b.constant(-3e4 if x.dtype == "float16" else -1e9, x.dtype)
    weights = softmax(b, b.select(mask, x, hidden), axis)
    return b.select(mask, weights, b.constant(0.0, x.dtype))
