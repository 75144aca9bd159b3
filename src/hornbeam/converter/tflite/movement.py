"""Reshapes, joins, padding, resampling, look-ups."""

from __future__ import annotations

from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import transposed, unsupported
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import (
    MOST_AXES,
    around,
    broadcast_to,
    reshape,
    shape_tensor,
)
from hornbeam.converter.tflite.slices import part
from hornbeam.converter.tflite.tensors import storage_dtype
from hornbeam.converter.tflite.windows import pad
from hornbeam.graph import Dim, Node, TensorType
from hornbeam.graph.operations import (
    Broadcast,
    Concat,
    Gather,
    OneHot,
    Pad,
    Reshape,
    Resize,
    Reverse,
    Tile,
    Transpose,
)

__all__ = ["concatenated"]

#: XNNPACK joins no more tensors than this.
_MOST_PARTS = 5


@writes(Reshape)
def write_reshape(ctx: Context, node: Node) -> Tensor:
    """RESHAPE."""
    return reshape(ctx, ctx.read(node.inputs[0]), cast(Reshape, node.operation).shape)


@writes(Transpose)
def write_transpose(ctx: Context, node: Node) -> Tensor:
    """TRANSPOSE."""
    return transposed(ctx, ctx.read(node.inputs[0]), cast(Transpose, node.operation).axes)


@writes(Broadcast)
def write_broadcast(ctx: Context, node: Node) -> Tensor:
    """BROADCAST_TO."""
    return broadcast_to(ctx, ctx.read(node.inputs[0]), cast(Broadcast, node.operation).shape)


@writes(Tile)
def tile(ctx: Context, node: Node) -> Tensor:
    """TILE."""
    repeats = cast(Tile, node.operation).repeats
    x = ctx.read(node.inputs[0])
    if all(count == 1 for count in repeats):
        return x
    shape = tuple(dim * count for dim, count in zip(x.shape, repeats, strict=True))
    inputs = [x, ctx.constant(repeats, "int32")]
    return ctx.emit("TILE", inputs, TensorType(shape, x.dtype), schema.TileOptionsT())


@writes(Concat)
def concat(ctx: Context, node: Node) -> Tensor:
    """CONCATENATION."""
    return concatenated(ctx, ctx.reads(node), cast(Concat, node.operation).axis)


def concatenated(ctx: Context, inputs: list[Tensor], axis: int) -> Tensor:
    """The tensors joined along ``axis``."""
    if len(inputs) == 1:
        return inputs[0]
    if len(inputs) > _MOST_PARTS and inputs[0].dtype == "float32":
        # The fewest that must be copied twice.
        last = concatenated(ctx, inputs[_MOST_PARTS - 1 :], axis)
        return concatenated(ctx, [*inputs[: _MOST_PARTS - 1], last], axis)
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    total: Dim = 0
    for x in inputs:
        total = x.shape[axis] + total
    first = inputs[0]
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    if first.rank > MOST_AXES:
        return reshape(ctx, concatenated(ctx, [around(ctx, x, axis) for x in inputs], 1), shape)
    return ctx.emit("CONCATENATION", inputs, TensorType(shape, first.dtype), options)


@writes(Pad)
def write_pad(ctx: Context, node: Node) -> Tensor:
    """PAD, PADV2, MIRROR_PAD; edges are joined on, axis by axis."""
    operation = cast(Pad, node.operation)
    x = ctx.read(node.inputs[0])
    if operation.mode == "constant":
        return pad(ctx, x, operation.paddings, operation.value)
    if operation.mode == "edge":
        for axis, amounts in enumerate(operation.paddings):
            x = _edge_padded(ctx, x, axis, amounts)
        return x
    reflect = operation.mode == "reflect"
    for dim, amounts in zip(x.shape, operation.paddings, strict=True):
        if isinstance(dim, int) and max(amounts) > dim - reflect:
            raise unsupported(
                node,
                f"TFLite mirrors an axis once, and {max(amounts)} elements are too many for {dim}.",
                "Pad less, or in two steps, or write ONNX.",
            )
    known = [isinstance(dim, int) for dim in x.shape]
    if any(max(amounts) and not k for k, amounts in zip(known, operation.paddings, strict=True)):
        # MIRROR_PAD asks for enough elements even before a free axis has its size.
        for axis, amounts in enumerate(operation.paddings):
            x = _mirrored(ctx, x, axis, amounts, int(reflect))
        return x
    options = schema.MirrorPadOptionsT()
    modes = schema.MirrorPadMode
    options.mode = modes.REFLECT if reflect else modes.SYMMETRIC
    inputs = [x, ctx.constant(operation.paddings, "int32")]
    return ctx.emit("MIRROR_PAD", inputs, node.output.type.with_shape(node.output.shape), options)


def _mirrored(ctx: Context, x: Tensor, axis: int, amounts: tuple[int, int], skipped: int) -> Tensor:
    """One axis continued by its own ends turned around, without the outermost if ``skipped``."""
    before, after = amounts
    pieces = [x]
    if before:
        pieces.insert(0, _turned(ctx, part(ctx, x, axis, skipped, before), axis))
    if after:
        begin = x.shape[axis] - after - skipped
        pieces.append(_turned(ctx, part(ctx, x, axis, begin, after), axis))
    return concatenated(ctx, pieces, axis)


def _turned(ctx: Context, x: Tensor, axis: int) -> Tensor:
    inputs = [x, ctx.constant([axis], "int32")]
    return ctx.emit("REVERSE_V2", inputs, x.type, schema.ReverseV2OptionsT())


def _edge_padded(ctx: Context, x: Tensor, axis: int, amounts: tuple[int, int]) -> Tensor:
    before, after = amounts
    pieces = [x]
    if before:
        pieces = [part(ctx, x, axis, 0, 1)] * before + pieces
    if after:
        pieces += [part(ctx, x, axis, x.shape[axis] - 1, 1)] * after
    return concatenated(ctx, pieces, axis)


@writes(Reverse)
def reverse(ctx: Context, node: Node) -> Tensor:
    """REVERSE_V2, which takes neighbouring axes only: one axis at a time."""
    x = ctx.read(node.inputs[0])
    for axis in cast(Reverse, node.operation).axes:
        x = _turned(ctx, x, axis)
    return x


@writes(Gather)
def gather(ctx: Context, node: Node) -> Tensor:
    """GATHER."""
    x, indices = ctx.reads(node)
    options = schema.GatherOptionsT()
    options.axis = axis = cast(Gather, node.operation).axis
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return ctx.emit("GATHER", [x, indices], TensorType(shape, x.dtype), options)


@writes(OneHot)
def one_hot(ctx: Context, node: Node) -> Tensor:
    """ONE_HOT."""
    operation = cast(OneHot, node.operation)
    indices = ctx.read(node.inputs[0])
    dtype = storage_dtype(operation.dtype)
    options = schema.OneHotOptionsT()
    options.axis = -1
    on_off = [ctx.constant(1, dtype), ctx.constant(0, dtype)]
    inputs = [indices, ctx.constant(operation.depth, "int32"), *on_off]
    shape = (*indices.shape, operation.depth)
    return ctx.emit("ONE_HOT", inputs, TensorType(shape, dtype), options)


@writes(Resize)
def resize(ctx: Context, node: Node) -> Tensor:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    operation = cast(Resize, node.operation)
    x = ctx.read(node.inputs[0])
    if x.dtype != "float32" and operation.interpolation == "bilinear":
        raise unsupported(
            node, f"bilinear resizing of {x.dtype}.", "Cast the picture to float32 before it."
        )
    if x.dtype != "float32":
        # Only newer runtimes resize integers; floats hold them exactly up to 2**24.
        return ctx.cast(_resized(ctx, ctx.cast(x, "float32"), operation), x.dtype)
    return _resized(ctx, x, operation)


def _resized(ctx: Context, x: Tensor, operation: Resize) -> Tensor:
    bilinear = operation.interpolation == "bilinear"
    options = (
        schema.ResizeBilinearOptionsT() if bilinear else schema.ResizeNearestNeighborOptionsT()
    )
    options.halfPixelCenters = True
    code = "RESIZE_BILINEAR" if bilinear else "RESIZE_NEAREST_NEIGHBOR"
    inputs = [x, shape_tensor(ctx, operation.size)]
    shape = (x.shape[0], *operation.size, x.shape[-1])
    return ctx.emit(code, inputs, TensorType(shape, x.dtype), options)
