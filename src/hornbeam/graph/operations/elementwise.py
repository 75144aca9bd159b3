"""Operations that compute each element by itself: arithmetic, comparisons, activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.dims import broadcast
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

__all__ = [
    "Affine",
    "Binary",
    "BinaryFunction",
    "Cast",
    "Clip",
    "Compare",
    "CompareFunction",
    "Elu",
    "LeakyRelu",
    "LogSoftmax",
    "Prelu",
    "Select",
    "Softmax",
    "Unary",
    "UnaryFunction",
]

UnaryFunction = Literal[
    # arithmetic
    "abs", "negative", "reciprocal", "square", "sqrt", "rsqrt", "exp", "log", "sign",
    "floor", "ceil", "round", "erf",
    # trigonometry
    "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh",
    "arccosh", "arctanh",
    # activations, as keras.activations defines them
    "relu", "relu6", "sigmoid", "softplus", "softsign", "silu", "hard_sigmoid", "hard_silu",
    "gelu", "gelu_tanh", "selu", "mish",
    # predicates and bits
    "logical_not", "isnan", "isinf", "isfinite",
]  # fmt: skip

BinaryFunction = Literal[
    "add", "subtract", "multiply", "divide", "floor_divide", "mod", "power", "maximum", "minimum",
    "arctan2", "logical_and", "logical_or", "logical_xor",
]  # fmt: skip

CompareFunction = Literal["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]


@dataclass(frozen=True)
class Unary(Operation):
    """``function(x)``, in the dtype of ``x`` (predicates: bool)."""

    function: UnaryFunction

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        if self.function in ("logical_not", "isnan", "isinf", "isfinite"):
            return (TensorType(x.shape, "bool"),)
        return (x,)

    @property
    def label(self) -> str:
        return self.function


@dataclass(frozen=True)
class LeakyRelu(Operation):
    """``x`` where positive, else ``negative_slope * x``."""

    negative_slope: float

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class Elu(Operation):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""

    alpha: float = 1.0

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class Prelu(Operation):
    """``x`` where positive, else ``slope * x``; inputs ``x`` and ``slope``, which broadcasts."""

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs[:1]


@dataclass(frozen=True)
class Clip(Operation):
    """``min(max(x, minimum), maximum)``; a bound of None does not bind."""

    minimum: float | None = None
    maximum: float | None = None

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class Softmax(Operation):
    """``exp(x) / sum(exp(x))`` along ``axis`` (not negative)."""

    axis: int

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class LogSoftmax(Operation):
    """The logarithm of softmax along ``axis`` (not negative)."""

    axis: int

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class Affine(Operation):
    """``x * scale + offset``, channel by channel of the last axis.

    Inputs: ``x`` ``[..., c]``, constants ``scale`` ``[c]`` and ``offset`` ``[c]``. Batch
    normalization at inference, Rescaling and Normalization all are this, which is what lets one
    pass fold any of them into the convolution before or after it.
    """

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs[:1]


@dataclass(frozen=True)
class Binary(Operation):
    """``function(a, b)`` with broadcasting; both inputs have one dtype, which is the result's."""

    function: BinaryFunction

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        a, b = inputs
        if a.dtype != b.dtype:
            raise ValueError(f"{self.function} of {a.dtype} and {b.dtype}: cast one first")
        return (TensorType(broadcast(a.shape, b.shape), a.dtype),)

    @property
    def label(self) -> str:
        return self.function


@dataclass(frozen=True)
class Compare(Operation):
    """``function(a, b)`` with broadcasting, as bool."""

    function: CompareFunction

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        a, b = inputs
        return (TensorType(broadcast(a.shape, b.shape), "bool"),)

    @property
    def label(self) -> str:
        return self.function


@dataclass(frozen=True)
class Select(Operation):
    """``where(condition, a, b)`` with broadcasting; ``condition`` is bool."""

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        condition, a, b = inputs
        return (TensorType(broadcast(condition.shape, a.shape, b.shape), a.dtype),)


@dataclass(frozen=True)
class Cast(Operation):
    """The same numbers in another dtype; floats are truncated on the way to integers."""

    dtype: str

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return (TensorType(inputs[0].shape, self.dtype),)
