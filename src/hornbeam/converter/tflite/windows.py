"""Padding of sliding windows: what SAME and VALID can say, and a PAD before for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.sizes import around, reshape
from hornbeam.graph import Dim, Shape, TensorType
from hornbeam.graph.operations import Padding

__all__ = ["Window", "enter", "is_builtin", "pad", "same_padding"]

#: PAD's own limit.
_MOST_AXES = 5


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes: its (dilated) size, its strides, its padding."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def after_row(self) -> Window:
        """The same window over one more axis before the others, over which it does not slide."""
        padding = self.padding
        return Window(
            (1, *self.size),
            (1, *self.strides),
            padding if isinstance(padding, str) else ((0, 0), *padding),
        )


def same_padding(size: Dim, window: int, stride: int) -> tuple[int, int] | None:
    """What "same" adds before and after ``size`` elements; None where that is not known yet."""
    if stride == 1:
        total = window - 1
    elif isinstance(size, int):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
    else:
        return None
    return total // 2, total - total // 2


def is_builtin(x: Tensor, window: Window) -> bool:
    """Whether SAME or VALID says what the padding of ``window`` over ``x`` is."""
    padding = window.padding
    if isinstance(padding, str) or not any(map(any, padding)):
        return True
    return tuple(map(same_padding, x.shape[1:-1], window.size, window.strides)) == padding


def enter(ctx: Context, x: Tensor, window: Window, fill: float = 0.0) -> tuple[Tensor, int]:
    """``x``, padded if need be, and the schema's padding with which ``window`` slides over it."""
    padding = window.padding
    if is_builtin(x, window):
        valid = padding == "valid" or (padding != "same" and not any(map(any, padding)))
        return x, schema.Padding.VALID if valid else schema.Padding.SAME
    pairs = cast("tuple[tuple[int, int], ...]", padding)
    return pad(ctx, x, ((0, 0), *pairs, (0, 0)), fill), schema.Padding.VALID


def pad(
    ctx: Context, x: Tensor, paddings: tuple[tuple[int, int], ...], fill: float = 0.0
) -> Tensor:
    """``x`` with ``paddings[i]`` elements of value ``fill`` before and after axis ``i``."""
    if not any(map(any, paddings)):
        return x
    shape: Shape = tuple(
        dim + before + after for dim, (before, after) in zip(x.shape, paddings, strict=True)
    )
    if x.dtype == "bool":
        # Runtimes before 2.20 pad numbers only.
        return ctx.cast(pad(ctx, ctx.cast(x, "int32"), paddings, fill), "bool")
    if x.rank > _MOST_AXES:
        for axis, amounts in enumerate(paddings):
            whole = (*shape[: axis + 1], *x.shape[axis + 1 :])
            padded = pad(ctx, around(ctx, x, axis), ((0, 0), amounts, (0, 0)), fill)
            x = reshape(ctx, padded, whole)
        return x
    result = TensorType(shape, x.dtype)
    table = ctx.constant(paddings, "int32")
    if fill == 0:
        return ctx.emit("PAD", [x, table], result, schema.PadOptionsT())
    value = ctx.constant([fill], x.dtype)
    return ctx.emit("PADV2", [x, table, value], result, schema.PadV2OptionsT())
