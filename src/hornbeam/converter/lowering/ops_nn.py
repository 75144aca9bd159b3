"""``keras.ops`` of neural networks: products, convolutions, pooling, attention, normalization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.converter.lowering.arguments import spread
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.conv import transposed_cropping
from hornbeam.converter.lowering.einsum import einsum
from hornbeam.converter.lowering.norm import affine, layer_norm, rms
from hornbeam.converter.lowering.ops_elementwise import promoted
from hornbeam.converter.lowering.pooling import pool
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import known

__all__ = ["attention", "matmul"]


@lowers("ops.Matmul", "ops.Dot")
def matmul_operation(b: Builder, _: Any, x1: Any, x2: Any) -> Value:
    """The matrix product, with numpy's rules for vectors; of bytes it is int32."""
    return _of_bytes(b, promoted(b, x1, x2), lambda values: matmul(b, *values))


def _of_bytes(
    b: Builder, values: Sequence[Value], product: Callable[[Sequence[Value]], Value]
) -> Value:
    """A product whose sums leave the range of its bytes: exact in float32 up to 1,000 of them."""
    if any(value.dtype not in ("int8", "uint8") for value in values):
        return product(values)
    return b.cast(product([b.cast(value, "float32") for value in values]), "int32")


def matmul(b: Builder, x: Value, y: Value) -> Value:
    """``x @ y``; a constant matrix on the right makes a Dense."""
    if x.rank == 0 or y.rank == 0:
        return b.binary("multiply", x, y)
    a = b.reshape(x, (1, *x.shape)) if x.rank == 1 else x
    if y.is_constant and y.rank <= 2:
        kernel = b.reshape(y, (*y.shape, 1)) if y.rank == 1 else y
        product = b.emit(op.Dense(), a, kernel)
    else:
        other = b.reshape(y, (*y.shape, 1)) if y.rank == 1 else y
        product = b.emit(op.MatMul(), *b.aligned(a, other))
    shape = list(product.shape)
    if y.rank == 1:
        shape.pop()
    if x.rank == 1:
        shape.pop(-1 if y.rank == 1 else -2)
    return b.reshape(product, shape)


@lowers("ops.Einsum")
def einsum_operation(b: Builder, operation: Any, *operands: Any) -> Value:
    """Einstein summation of any number of tensors."""
    dtypes = [x.dtype if isinstance(x, Value) else str(np.asarray(x).dtype) for x in operands]
    dtype = b.keras.result_type(*dtypes)
    values = [b.value(x, dtype) for x in operands]
    return _of_bytes(b, values, lambda x: einsum(b, operation.subscripts, *x))


@lowers("ops.Conv", channels=True)
def conv(b: Builder, operation: Any, inputs: Value, kernel: Any) -> Value:
    """``keras.ops.conv``; the groups follow from the sizes."""
    rank = inputs.rank - 2
    weights = b.value(kernel, inputs.dtype)
    channels = known(inputs.shape[-1], "the number of channels")
    per_group = known(weights.shape[-2], "the number of channels of a group")
    strides, dilation = spread(operation.strides, rank), spread(operation.dilation_rate, rank)
    conv_op = op.Conv(strides, operation.padding, dilation, channels // per_group)
    return b.emit(conv_op, inputs, weights)


@lowers("ops.DepthwiseConv", channels=True)
def depthwise_conv(b: Builder, operation: Any, inputs: Value, kernel: Any) -> Value:
    """``keras.ops.depthwise_conv``."""
    rank = inputs.rank - 2
    strides, dilation = spread(operation.strides, rank), spread(operation.dilation_rate, rank)
    conv_op = op.DepthwiseConv(strides, operation.padding, dilation)
    return b.emit(conv_op, inputs, b.value(kernel, inputs.dtype))


@lowers("ops.SeparableConv", channels=True)
def separable_conv(
    b: Builder, operation: Any, inputs: Value, depthwise_kernel: Any, pointwise_kernel: Any
) -> Value:
    """``keras.ops.separable_conv``."""
    y = depthwise_conv(b, operation, inputs, depthwise_kernel)
    ones = (1,) * (inputs.rank - 2)
    return b.emit(op.Conv(ones, "valid", ones), y, b.value(pointwise_kernel, inputs.dtype))


@lowers("ops.ConvTranspose", channels=True)
def conv_transpose(b: Builder, operation: Any, inputs: Value, kernel: Any) -> Value:
    """``keras.ops.conv_transpose``."""
    rank = inputs.rank - 2
    weights = b.value(kernel, inputs.dtype)
    strides, dilation = spread(operation.strides, rank), spread(operation.dilation_rate, rank)
    extra = operation.output_padding
    cropping = transposed_cropping(
        weights.array.shape[:rank],
        strides,
        dilation,
        operation.padding,
        None if extra is None else spread(extra, rank),
    )
    return b.emit(op.ConvTranspose(strides, cropping, dilation), inputs, weights)


@lowers("ops.MaxPool", channels=True)
def max_pool(b: Builder, operation: Any, inputs: Value) -> Value:
    """``keras.ops.max_pool``."""
    return pool(b, "max", operation, inputs)


@lowers("ops.AveragePool", channels=True)
def average_pool(b: Builder, operation: Any, inputs: Value) -> Value:
    """``keras.ops.average_pool``."""
    return pool(b, "average", operation, inputs)


@lowers("ops.BatchNorm")
def batch_norm(
    b: Builder, operation: Any, x: Value, mean: Any, variance: Any,
    offset: Any = None, scale: Any = None,
) -> Value:  # fmt: skip
    """``keras.ops.batch_normalization`` with statistics that are known now."""
    arrays = [None if v is None else b.value(v) for v in (mean, variance, offset, scale)]
    if any(v is not None and not v.is_constant for v in arrays):
        return _normalized(b, operation, x, arrays)
    centre, spread_, beta, gamma = (None if v is None else np.float64(v.array) for v in arrays)
    factor = (1.0 if gamma is None else gamma) / np.sqrt(spread_ + operation.epsilon)
    return affine(b, x, factor, (0.0 if beta is None else beta) - centre * factor, operation.axis)


def _normalized(b: Builder, operation: Any, x: Value, arrays: list[Value | None]) -> Value:
    """With statistics that the model computes."""
    line = [-1 if i == operation.axis % x.rank else 1 for i in range(x.rank)]
    along = [None if v is None else b.reshape(b.cast(v, x.dtype), line) for v in arrays]
    centre, variance, beta, gamma = along
    assert centre is not None
    assert variance is not None
    factor = b.unary("rsqrt", b.binary("add", variance, float(operation.epsilon)))
    factor = factor if gamma is None else b.binary("multiply", factor, gamma)
    y = b.binary("multiply", b.binary("subtract", x, centre), factor)
    return y if beta is None else b.binary("add", y, beta)


@lowers("ops.LayerNorm")
def layer_norm_operation(b: Builder, operation: Any, x: Value, gamma: Any, beta: Any) -> Value:
    """``keras.ops.layer_normalization``."""
    epsilon = 1e-7 if operation.epsilon is None else float(operation.epsilon)
    if operation.rms_scaling:
        return rms(b, x, operation.axis, epsilon, gamma)
    return layer_norm(b, x, operation.axis, epsilon, (gamma, beta))


@lowers("ops.RMSNorm")
def rms_norm_operation(b: Builder, operation: Any, x: Value, scale: Any) -> Value:
    """``keras.ops.rms_normalization``."""
    epsilon = 1e-7 if operation.epsilon is None else float(operation.epsilon)
    return rms(b, x, operation.axis, epsilon, scale)


@lowers("ops.DotProductAttention")
def dot_product_attention(
    b: Builder, operation: Any, query: Value, key: Value, value: Value,
    bias: Any = None, mask: Any = None, scale: Any = None,
) -> Value:  # fmt: skip
    """``keras.ops.dot_product_attention`` on ``[batch, length, heads, size]``."""
    # (A soft cap of the logits is for kernels on TPUs: everywhere else Keras leaves it out.)
    options = (bias, mask, scale, bool(operation.is_causal))
    return attention(b, (query, key, value), options)


def attention(b: Builder, qkv: tuple[Value, Value, Value], options: Any) -> Value:
    """``softmax(q k^T * scale + bias) v`` (Vaswani et al., 2017), heads on axis 2.

    ``options``: bias, mask (True: may look), scale (None: ``1 / sqrt(size)``), causal.
    """
    query, key, value = qkv
    bias, mask, scale, causal = options
    if scale is None:
        scale = float(1.0 / np.sqrt(known(query.shape[-1], "the size of a head")))
    key, value = (_all_heads(b, x, query.shape[2]) for x in (key, value))
    q = b.transpose(b.binary("multiply", query, scale), (0, 2, 1, 3))
    scores = b.emit(op.MatMul(), q, b.transpose(key, (0, 2, 3, 1)))
    if bias is not None:
        scores = b.binary("add", scores, b.value(bias, scores.dtype))
    masks = [] if mask is None else [b.value(mask, "bool")]
    if causal:
        rows = b.emit(op.Range(0, 1, query.shape[1], "int32"))
        columns = b.emit(op.Range(0, 1, key.shape[1], "int32"))
        rows = b.reshape(rows, (query.shape[1], 1))
        masks.append(b.compare("greater_equal", rows, columns))
    if masks:
        allowed = masks[0] if len(masks) == 1 else b.binary("logical_and", *masks)
        # The stand-in for minus infinity that JAX uses: a fully masked row becomes uniform.
        hidden = -3e4 if scores.dtype == "float16" else -0.7 * float(np.finfo("float32").max)
        scores = b.select(allowed, scores, b.constant(hidden, scores.dtype))
    weights = b.emit(op.Softmax(3), scores)
    y = b.emit(op.MatMul(), weights, b.transpose(value, (0, 2, 1, 3)))
    return b.transpose(y, (0, 2, 1, 3))


def _all_heads(b: Builder, x: Value, heads: Any) -> Value:
    """Keys and values that several query heads share, repeated for each of them."""
    own = x.shape[2]
    if own == heads or not (isinstance(own, int) and isinstance(heads, int)):
        return x
    batch, length, _, size = x.shape
    wide = b.reshape(x, (batch, length, own, 1, size))
    tiled = b.emit(op.Tile((1, 1, 1, heads // own, 1)), wide)
    return b.reshape(tiled, (batch, length, heads, size))
