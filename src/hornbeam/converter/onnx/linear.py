"""Convolutions, dense layers, matrix products."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Dim, Node, Value
from hornbeam.graph.operations import Conv, ConvTranspose, Dense, DepthwiseConv, MatMul, Padding

__all__ = ["pads"]


def pads(
    spatial: Sequence[Dim], window: Sequence[int], strides: Sequence[int], padding: Padding
) -> dict[str, object]:
    """The attributes that say how a window (dilated already) is padded.

    "same" puts the smaller half first, as TensorFlow does; where it depends on a size that is
    not known, the engine is told to do so.
    """
    if padding == "valid":
        return {}
    if padding == "same":
        pairs = []
        for size, k, s in zip(spatial, window, strides, strict=True):
            if s == 1:
                total = k - 1
            elif isinstance(size, int):
                total = max((-(-size // s) - 1) * s + k - size, 0)
            else:
                return {"auto_pad": "SAME_UPPER"}
            pairs.append((total // 2, total - total // 2))
    else:
        pairs = list(padding)
    if not any(before or after for before, after in pairs):
        return {}
    return {"pads": [before for before, _ in pairs] + [after for _, after in pairs]}


def _sizes(value: Value, axes: slice) -> list[int]:
    return [dim for dim in value.shape[axes] if isinstance(dim, int)]


def _weights(node: Node, emit: Emitter, kernel: str, kind: str) -> list[str]:
    """Kernel and bias as inputs of the ONNX node."""
    names = [kernel, *(emit.value(bias, Layout.LAST) for bias in node.inputs[2:])]
    return [emit.cast(name, node.inputs[1].dtype, kind) for name in names]


@writes(Conv, DepthwiseConv)
def conv(node: Node, emit: Emitter) -> str:
    """Conv, with one group for each channel where it is depthwise."""
    operation, (x, kernel) = node.operation, node.inputs[:2]
    assert isinstance(operation, Conv | DepthwiseConv)
    window = _sizes(kernel, slice(-2))
    rank = kernel.rank
    if isinstance(operation, Conv):
        groups = operation.groups
        weights = emit.permuted(kernel, (rank - 1, rank - 2, *range(rank - 2)))
    else:
        groups, multiplier = _sizes(kernel, slice(-2, None))
        weights = emit.permuted(
            kernel, (rank - 2, rank - 1, *range(rank - 2)), (groups * multiplier, 1, *window)
        )
    dilated = [(k - 1) * d + 1 for k, d in zip(window, operation.dilation, strict=True)]
    kind = kernel_dtype("Conv", x.dtype)
    result = emit(
        "Conv",
        emit.cast(emit.input(), x.dtype, kind),
        *_weights(node, emit, weights, kind),
        kernel_shape=window,
        strides=list(operation.strides),
        dilations=list(operation.dilation),
        group=groups,
        **pads(x.shape[1:-1], dilated, operation.strides, operation.padding),
    )
    return emit.cast(result, kind, node.output.dtype)


@writes(ConvTranspose)
def conv_transpose(node: Node, emit: Emitter) -> str:
    """ConvTranspose; what is cropped are its pads, and what is added at the end its padding."""
    operation, (x, kernel) = node.operation, node.inputs[:2]
    assert isinstance(operation, ConvTranspose)
    rank = kernel.rank
    window = _sizes(kernel, slice(-2))
    weights = emit.permuted(kernel, (rank - 1, rank - 2, *range(rank - 2)))
    kind = kernel_dtype("ConvTranspose", x.dtype)
    begins = [max(before, 0) for before, _ in operation.cropping]
    ends = [max(after, 0) for _, after in operation.cropping]
    added = [(max(-before, 0), max(-after, 0)) for before, after in operation.cropping]
    # The engine adds zeros only at the end, and fewer than a stride of them.
    at_end = [after for _, after in added]
    by_engine = all(
        before == 0 and after < max(stride, dilation)
        for (before, after), stride, dilation in zip(
            added, operation.strides, operation.dilation, strict=True
        )
    )
    names = _weights(node, emit, weights, kind)
    bias = [] if by_engine else names[1:]
    result = emit(
        "ConvTranspose",
        emit.cast(emit.input(), x.dtype, kind),
        *(names if by_engine else names[:1]),
        kernel_shape=window,
        strides=list(operation.strides),
        dilations=list(operation.dilation),
        pads=begins + ends,
        output_padding=at_end if by_engine and any(at_end) else None,
    )
    if not by_engine:
        result = _zeros_around(emit, result, added)
        for name in bias:
            channels = _sizes(kernel, slice(-2, -1))
            shape = emit.integers([*channels, *(1 for _ in window)])
            result = emit("Add", result, emit("Reshape", name, shape))
    return emit.cast(result, kind, node.output.dtype)


def _zeros_around(emit: Emitter, x: str, added: Sequence[tuple[int, int]]) -> str:
    befores, afters = zip(*added, strict=True)
    return emit("Pad", x, emit.integers([0, 0, *befores, 0, 0, *afters]))


@writes(Dense)
def dense(node: Node, emit: Emitter) -> str:
    """Gemm for rows with a bias, else MatMul and Add."""
    x, bias = node.inputs[0], node.inputs[2:]
    weights = _dense_kernel(node, emit)
    if x.rank == 2 and bias:
        kind = kernel_dtype("Gemm", x.dtype)
        result = emit(
            "Gemm", emit.cast(emit.input(), x.dtype, kind), *_weights(node, emit, weights, kind)
        )
        return emit.cast(result, kind, node.output.dtype)
    kind = kernel_dtype("MatMul", x.dtype)
    names = _weights(node, emit, weights, kind)
    result = emit("MatMul", emit.cast(emit.input(), x.dtype, kind), names[0])
    if bias:
        result = emit("Add", result, names[1])
    return emit.cast(result, kind, node.output.dtype)


def _dense_kernel(node: Node, emit: Emitter) -> str:
    """The kernel, its rows in the order in which the input was flattened."""
    x, kernel = node.inputs[:2]
    sizes = emit.flattened_first.get(x)
    if sizes is None:
        return emit.value(kernel, Layout.LAST)
    rank = len(sizes)
    blocks = kernel.array.reshape(*sizes, -1).transpose(rank - 1, *range(rank - 1), rank)
    return emit.weights.variant(kernel, blocks, ("rows", sizes), kernel.array.shape)


@writes(MatMul)
def matmul(node: Node, emit: Emitter) -> str:
    """MatMul; an operand to be transposed is so by a node that onnxruntime fuses into it."""
    operation = node.operation
    assert isinstance(operation, MatMul)
    kind = kernel_dtype("MatMul", node.output.dtype)
    names = []
    for index, swap in enumerate((operation.transpose_a, operation.transpose_b)):
        value = node.inputs[index]
        axes = (*range(value.rank - 2), value.rank - 1, value.rank - 2)
        name = emit.permuted(value, axes) if swap else emit.input(index)
        names.append(emit.cast(name, value.dtype, kind))
    return emit.cast(emit("MatMul", *names), kind, node.output.dtype)
