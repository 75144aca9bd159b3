"""Transposed convolutions.

TRANSPOSE_CONV wants its output's shape as a tensor, batch included; where the batch is free that is
a run-time shape, which XNNPACK does not take. So the usual case is written as an ordinary
convolution instead: each of the ``s * s`` phases of the enlarged picture is a convolution of the
small one with every ``s``-th weight, all of them one CONV_2D, whose channels DEPTH_TO_SPACE
spreads out. (Shi et al., Is the deconvolution layer the same as a convolutional layer?, 2016.)

Along an axis, with stride ``s`` and ``c`` elements cut off before: place ``y = q * s + r`` of the
result is the sum of ``x[q + c // s - j] * kernel[r + c % s + j * s]`` over ``j``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import bias_of, unsupported
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.rows import as_row
from hornbeam.converter.tflite.sizes import drop_axis, insert_axis, reshape, shape_tensor
from hornbeam.converter.tflite.slices import sliced
from hornbeam.converter.tflite.windows import pad
from hornbeam.graph import Dim, Node, Quantization, Shape, TensorType
from hornbeam.graph.dims import ceil_div
from hornbeam.graph.operations import ConvTranspose


@writes(ConvTranspose)
def conv_transpose(ctx: Context, node: Node) -> Tensor:
    """CONV_2D with DEPTH_TO_SPACE, TRANSPOSE_CONV or CONV_3D_TRANSPOSE."""
    operation = cast(ConvTranspose, node.operation)
    if not node.inputs[1].is_constant:
        raise unsupported(
            node,
            "the kernel of a transposed convolution is computed at run time.",
            "Make the kernel a weight of the layer, or write ONNX.",
        )
    x = ctx.read(node.inputs[0])
    phases = _phases(node, x)
    fixed = ctx.known(node.output.shape) and max(operation.strides) > 1
    if x.rank < 5 and phases is not None and not fixed:
        return _by_phases(ctx, node, x, phases)
    if any(step != 1 for step in operation.dilation):
        raise unsupported(
            node,
            "TFLite has no transposed convolution that is both dilated and strided.",
            "Write ONNX, or use the layer with one of the two.",
        )
    return _builtin(ctx, node, x)


@dataclass(frozen=True)
class _Phases:
    """How one axis is written as phases.

    ``taps[r][t]`` is the weight at tap ``t`` of phase ``r`` (None: no weight). ``pads`` are added
    to the axis; negative ones cut it. Of the result, ``size`` elements from ``begin`` are kept.
    """

    taps: tuple[tuple[int | None, ...], ...]
    dilation: int
    pads: tuple[int, int]
    begin: int
    size: Dim

    @property
    def stride(self) -> int:
        return len(self.taps)


def _phases(node: Node, x: Tensor) -> list[_Phases] | None:
    """The phases of each axis; None where it cannot be done so."""
    operation = cast(ConvTranspose, node.operation)
    if len(operation.strides) == 2 and operation.strides[0] != operation.strides[1]:
        return None
    found = []
    for i, (stride, dilation) in enumerate(zip(operation.strides, operation.dilation, strict=True)):
        if stride > 1 and dilation > 1:
            return None
        window = cast(int, node.inputs[1].shape[i])
        before = operation.cropping[i][0]
        size = node.output.shape[1 + i]
        axis = _axis(x.shape[1 + i], window, stride, before, size, dilation)
        if axis is None:
            return None
        found.append(axis)
    return found


def _axis(
    n: Dim, window: int, stride: int, before: int, size: Dim, dilation: int
) -> _Phases | None:
    if stride == 1:
        taps = (tuple(reversed(range(window))),)
        reach = (window - 1) * dilation
        after = size + before - n
        if not isinstance(after, int):
            return None
        return _Phases(taps, dilation, (reach - before, after), 0, size)
    direct = _window_phases(n, window, stride, before, size)
    whole = _window_phases(n, window, stride, 0, size + before)
    if direct is None or whole is None:
        return None
    # Cutting off after the fact costs a copy; shifted phases may need another tap, which is more.
    if before < 0 or len(direct.taps[0]) <= len(whole.taps[0]):
        return direct
    return replace(whole, begin=before, size=size)


def _window_phases(n: Dim, window: int, stride: int, before: int, size: Dim) -> _Phases | None:
    shift, rest = before // stride, before % stride
    first = -((stride - 1 + rest) // stride)
    last = max((window - 1 - rest) // stride, first)
    taps = tuple(
        tuple(
            index if 0 <= (index := phase + rest + j * stride) < window else None
            for j in range(last, first - 1, -1)
        )
        for phase in range(stride)
    )
    places = ceil_div(size, stride)
    after = places + shift - first - n
    if not isinstance(after, int):
        return None
    return _Phases(taps, 1, (last - shift, after), 0, size)


def _by_phases(ctx: Context, node: Node, x: Tensor, phases: list[_Phases]) -> Tensor:
    flat = x.rank == 3
    if flat:
        x = as_row(ctx, x)
        phases = [_Phases(((0,),), 1, (0, 0), 0, 1), *phases]
    pads = [axis.pads for axis in phases]
    begin = (0, *(max(-before, 0) for before, _ in pads), 0)
    ends = (0, *(max(-after, 0) for _, after in pads), 0)
    x = pad(ctx, x, ((0, 0), *((max(b, 0), max(a, 0)) for b, a in pads), (0, 0)))
    kept = tuple(dim - b - e for dim, b, e in zip(x.shape, begin, ends, strict=True))
    x = sliced(ctx, x, begin, kept, (1, 1, 1, 1))
    y = _convolved(ctx, node, x, phases)
    filters = cast(int, node.inputs[1].shape[-2])
    if flat:
        places, stride = y.shape[2], phases[1].stride
        line = reshape(ctx, y, (y.shape[0], places * stride, filters))
        cut = (y.shape[0], phases[1].size, filters)
        return sliced(ctx, line, (0, phases[1].begin, 0), cut, (1, 1, 1))
    stride = phases[0].stride
    if stride > 1:
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = stride
        shape = (y.shape[0], y.shape[1] * stride, y.shape[2] * stride, filters)
        y = ctx.emit("DEPTH_TO_SPACE", [y], TensorType(shape, y.dtype), options)
    begin = (0, phases[0].begin, phases[1].begin, 0)
    return sliced(ctx, y, begin, (y.shape[0], phases[0].size, phases[1].size, filters), (1,) * 4)


def _convolved(ctx: Context, node: Node, x: Tensor, phases: list[_Phases]) -> Tensor:
    """All phases of ``x`` as channels, phase by phase, each with all filters."""
    rows, columns = phases
    kernel = node.inputs[1]
    filters, depth = cast("tuple[int, int]", kernel.shape[-2:])
    channels = rows.stride * columns.stride * filters
    shape = (channels, len(rows.taps[0]), len(columns.taps[0]), depth)

    def weights(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        # An extra plane of zeros stands for the weights that are not there.
        data = data.reshape(-1, *data.shape[-3:]) if data.ndim == 4 else data[None]
        data = np.pad(data, ((0, 1), (0, 1), (0, 0), (0, 0)))
        picked = data[np.ix_(_indices(rows), _indices(columns))]
        picked = picked.reshape(rows.stride, shape[1], columns.stride, shape[2], filters, depth)
        result: npt.NDArray[Any] = picked.transpose(0, 2, 4, 1, 3, 5).reshape(shape)
        return result

    copies = rows.stride * columns.stride
    kernels = ctx.derived(kernel, shape, weights, _repeated(kernel.quantization, copies))
    if len(node.inputs) > 2:
        bias = node.inputs[2]
        spread = _repeated(bias.quantization, copies)
        biases = ctx.derived(bias, (channels,), lambda data: np.tile(data, copies), spread)
    else:
        biases = bias_of(ctx, node, channels)
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    options.dilationHFactor, options.dilationWFactor = rows.dilation, columns.dilation
    options.fusedActivationFunction = ctx.take_activation()
    size: Shape = tuple(
        dim - (len(axis.taps[0]) - 1) * axis.dilation
        for dim, axis in zip(x.shape[1:3], phases, strict=True)
    )
    type_ = TensorType((x.shape[0], *size, channels), x.dtype)
    return ctx.emit("CONV_2D", [x, kernels, biases], type_, options)


def _indices(axis: _Phases) -> list[int]:
    """The rows of the kernel, phase by phase and tap by tap; -1 is the row of zeros."""
    return [-1 if index is None else index for phase in axis.taps for index in phase]


def _repeated(quantization: Quantization | None, copies: int) -> Quantization | None:
    """The quantization of filters that are written ``copies`` times over, as first axis."""
    if quantization is None or quantization.axis is None:
        return quantization
    return replace(
        quantization,
        scale=quantization.scale * copies,
        zero_point=quantization.zero_point * copies,
        axis=0,
    )


def _builtin(ctx: Context, node: Node, x: Tensor) -> Tensor:
    """The kernels of TFLite, made to give the full result, which is then cut."""
    operation = cast(ConvTranspose, node.operation)
    kernel, strides = node.inputs[1], operation.strides
    flat = x.rank == 3
    windows = cast("tuple[int, ...]", kernel.shape[:-2])
    if flat:
        x, windows, strides = insert_axis(ctx, x, 1), (1, *windows), (1, *strides)
    filters = cast(int, kernel.shape[-2])
    full: Shape = tuple(
        (dim - 1) * s + k for dim, s, k in zip(x.shape[1:-1], strides, windows, strict=True)
    )
    shape = (x.shape[0], *full, filters)
    inputs = [shape_tensor(ctx, shape), _kernel(ctx, node), x]
    type_ = TensorType(shape, x.dtype)
    if len(full) == 3:
        y = ctx.emit("CONV_3D_TRANSPOSE", inputs, type_, _options_3d(strides))
    else:
        options = schema.TransposeConvOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH, options.strideW = strides
        y = ctx.emit("TRANSPOSE_CONV", inputs, type_, options)
    if flat:
        y = drop_axis(ctx, y, 1)
    return _cut(ctx, node, y)


def _options_3d(strides: tuple[int, ...]) -> Any:
    options = schema.Conv3DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideD, options.strideH, options.strideW = strides
    return options


def _kernel(ctx: Context, node: Node) -> Tensor:
    kernel = node.inputs[1]
    if kernel.rank == 5:
        return ctx.read(kernel)
    if kernel.rank == 4:
        return ctx.weight(kernel, (2, 0, 1, 3))
    width, filters, depth = cast("tuple[int, int, int]", kernel.shape)
    return ctx.weight(kernel, (1, 0, 2), (filters, 1, width, depth))


def _cut(ctx: Context, node: Node, y: Tensor) -> Tensor:
    """``y`` without what the node crops, and with the zeros and the bias that it adds."""
    cropping = cast(ConvTranspose, node.operation).cropping
    begin = (0, *(max(before, 0) for before, _ in cropping), 0)
    ends = (0, *(max(after, 0) for _, after in cropping), 0)
    y = pad(ctx, y, ((0, 0), *((max(-b, 0), max(-a, 0)) for b, a in cropping), (0, 0)))
    kept = tuple(dim - b - e for dim, b, e in zip(y.shape, begin, ends, strict=True))
    y = sliced(ctx, y, begin, kept, (1,) * y.rank)
    if len(node.inputs) > 2:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = ctx.take_activation()
        y = ctx.binary("ADD", y, ctx.read(node.inputs[2]), options)
    return y
