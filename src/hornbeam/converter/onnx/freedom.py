"""Which memory layouts each operation can work in, and what each would cost it.

The graph is channels-last, ``[n, *spatial, c]``; onnxruntime's convolutions and pools want
channels-first, ``[n, c, *spatial]``. A value of rank 3, 4 or 5 can lie in memory either way, all
others only one way. An operation is bound to one layout, or follows whichever its neighbours
have; this table says which, and `layout` chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from hornbeam.graph import Graph, Node, Shape, Value
from hornbeam.graph.dims import evaluate, product, symbols
from hornbeam.graph.operations import (
    Affine,
    ArgReduce,
    Binary,
    Broadcast,
    Cast,
    Clip,
    Compare,
    Concat,
    Conv,
    ConvTranspose,
    Cumulate,
    Dense,
    DepthwiseConv,
    Elu,
    Gather,
    LeakyRelu,
    LogSoftmax,
    MatMul,
    Operation,
    Pad,
    Pool,
    Prelu,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Select,
    Slice,
    Softmax,
    Split,
    Tile,
    Transpose,
    Unary,
)

__all__ = [
    "Freedom",
    "Layout",
    "Surroundings",
    "Tie",
    "axis_in",
    "flattens_into_dense",
    "freedom",
    "has_layouts",
    "is_trivial",
    "nominal_size",
    "permutation",
]

#: What a free size counts for when costs are compared.
NOMINAL_SIZE = 32


class Layout(Enum):
    """Where the channels lie in memory."""

    LAST = "channels_last"
    FIRST = "channels_first"


class Tie(Enum):
    """How the layout of an operation's input or output depends on that of the operation."""

    OWN = "the operation's own"
    LAST = "channels-last, whatever the operation's own"
    ANY = "either (inputs only)"


@dataclass(frozen=True)
class Freedom:
    """What an operation asks of layouts.

    ``bound`` is its only layout, or None if it can take either; ``first_cost`` and ``last_cost``
    are what working in a layout costs, in elements moved. An absent tie is `Tie.OWN`.
    """

    bound: Layout | None = None
    inputs: tuple[Tie, ...] = ()
    outputs: tuple[Tie, ...] = ()
    first_cost: int = 0
    last_cost: int = 0

    def input_tie(self, index: int) -> Tie:
        """How the input at ``index`` is tied."""
        return self.inputs[index] if index < len(self.inputs) else Tie.OWN

    def output_tie(self, index: int) -> Tie:
        """How the output at ``index`` is tied."""
        return self.outputs[index] if index < len(self.outputs) else Tie.OWN


FIXED_LAST = Freedom(bound=Layout.LAST)
FIXED_FIRST = Freedom(bound=Layout.FIRST)
FREE = Freedom()


def has_layouts(rank: int) -> bool:
    """Whether values of this rank can lie in memory in more than one way."""
    return 3 <= rank <= 5


def permutation(rank: int, layout: Layout, channel_axes: int | None = None) -> tuple[int, ...]:
    """The channels-last axis that is at each place in memory.

    How many of the last axes are channels, and of which ranks, see `Surroundings.channel_axes`.
    """
    if layout is Layout.LAST or (channel_axes is None and not has_layouts(rank)):
        return tuple(range(rank))
    spatial_end = rank - (channel_axes or 1)
    return (0, *range(spatial_end, rank), *range(1, spatial_end))


def axis_in(axis: int, rank: int, layout: Layout) -> int:
    """The place in memory of a channels-last axis."""
    return permutation(rank, layout).index(axis)


def is_trivial(shape: Shape) -> bool:
    """Whether both layouts are the same bytes: one channel, or nothing but channels."""
    return shape[-1] == 1 or all(dim == 1 for dim in shape[1:-1])


def nominal_size(shape: Shape) -> int:
    """The number of elements, each free size counted as `NOMINAL_SIZE`."""
    total = 1
    for dim in shape:
        total *= evaluate(dim, dict.fromkeys(symbols(dim), NOMINAL_SIZE))
    return max(total, 0)


class Surroundings:
    """Who makes and who reads each value of a graph, and which have unusual channels.

    Between a Reshape and a Transpose, as in a channel or pixel shuffle, a value of any rank can lie
    channels-first, and with several axes of channels: ``channel_axes`` says how many. Nobody else
    gets to see such a value.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.consumers()
        self.makers = graph.producers()
        self.outputs = set(graph.outputs.values())
        self.channel_axes: dict[Value, int] = {}
        for node in graph.nodes:
            if isinstance(node.operation, Reshape):
                self._find_channel_axes(node)

    def has_layouts(self, value: Value) -> bool:
        """Whether a value can lie in memory in more than one way."""
        return has_layouts(value.rank) or value in self.channel_axes

    def permutation(self, value: Value, layout: Layout) -> tuple[int, ...]:
        """The channels-last axis of a value that is at each place in memory."""
        return permutation(value.rank, layout, self.channel_axes.get(value))

    def _find_channel_axes(self, node: Node) -> None:
        x, result = node.inputs[0], node.output
        if has_layouts(x.rank) and self._only_transposed(result):
            self._set_channel_axes(result, x.shape)
        elif has_layouts(result.rank) and self._only_reshaped(x):
            self._set_channel_axes(x, result.shape)

    def _set_channel_axes(self, value: Value, plain: Shape) -> None:
        if value.shape[0] != plain[0]:
            return
        for count in range(2 if has_layouts(value.rank) else 1, value.rank - 1):
            spatial, channels = value.shape[1:-count], value.shape[-count:]
            if product(channels) == plain[-1] and product(spatial) == product(plain[1:-1]):
                self.channel_axes[value] = count
                return

    def _only_transposed(self, value: Value) -> bool:
        readers = self.readers.get(value, [])
        transposed = all(isinstance(reader.operation, Transpose) for reader in readers)
        return transposed and value not in self.outputs

    def _only_reshaped(self, value: Value) -> bool:
        maker = self.makers.get(value)
        transposed = maker is not None and isinstance(maker.operation, Transpose)
        return transposed and len(self.readers[value]) == 1 and value not in self.outputs


_Rule = Callable[[Node, Surroundings], Freedom]
_R = TypeVar("_R", bound=_Rule)
_RULES: dict[type[Operation], _Rule] = {}


def freedom(node: Node, near: Surroundings) -> Freedom:
    """What ``node`` asks of layouts; an operation without a rule is bound to channels-last."""
    rule = _RULES.get(type(node.operation))
    return rule(node, near) if rule else FIXED_LAST


def _rule(*operations: type[Operation]) -> Callable[[_R], _R]:
    def register(function: _R) -> _R:
        _RULES.update(dict.fromkeys(operations, function))
        return function

    return register


@_rule(Conv, ConvTranspose, DepthwiseConv, Pool, Resize)
def _channels_first(_node: Node, _near: Surroundings) -> Freedom:
    return FIXED_FIRST


@_rule(Unary, LeakyRelu, Elu, Clip, Cast, Concat, Split, Slice, Pad, Tile, Reverse, Cumulate)
def _follows(_node: Node, _near: Surroundings) -> Freedom:
    return FREE


@_rule(Affine)
def _affine(node: Node, _near: Surroundings) -> Freedom:
    # Channels-first is one BatchNormalization, channels-last a Mul and an Add.
    return Freedom(last_cost=nominal_size(node.output.shape) // 4)


@_rule(Softmax, LogSoftmax)
def _softmax(node: Node, _near: Surroundings) -> Freedom:
    # onnxruntime transposes, and transposes back, unless it works along the last axis in memory.
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Softmax | LogSoftmax)
    cost = 2 * nominal_size(x.shape)
    first = axis_in(operation.axis, x.rank, Layout.FIRST) == x.rank - 1
    last = operation.axis == x.rank - 1
    return Freedom(first_cost=0 if first else cost, last_cost=0 if last else cost)


@_rule(Binary, Compare, Select, Prelu, Broadcast)
def _broadcasts(node: Node, _near: Surroundings) -> Freedom:
    # An operand of lower rank has no layout that the result could share: it is brought to the
    # result's rank, and transposed there where the operation works channels-first.
    rank = node.output.rank
    lower = [not value.is_constant and value.rank < rank for value in node.inputs]
    return Freedom(
        inputs=tuple(Tie.LAST if is_lower else Tie.OWN for is_lower in lower),
        first_cost=sum(
            conversion_cost(_aligned(value.shape, rank), value.dtype)
            for value, is_lower in zip(node.inputs, lower, strict=True)
            if is_lower
        ),
    )


@_rule(Reduce, ArgReduce)
def _reduces(node: Node, _near: Surroundings) -> Freedom:
    operation, rank = node.operation, node.inputs[0].rank
    assert isinstance(operation, Reduce | ArgReduce)
    axes = operation.axes if isinstance(operation, Reduce) else (operation.axis,)
    if operation.keepdims:
        return FREE
    if 0 in axes:
        return FIXED_LAST
    # Without its channels the result is [n, *spatial], in this order either way.
    return Freedom(outputs=(Tie.LAST if rank - 1 in axes else Tie.OWN,))


@_rule(Gather)
def _gather(node: Node, _near: Surroundings) -> Freedom:
    return FREE if node.inputs[1].rank == 1 and not node.inputs[0].is_constant else FIXED_LAST


@_rule(Transpose)
def _transpose(_node: Node, _near: Surroundings) -> Freedom:
    # Its permutation takes in any change of layout, before or after.
    return Freedom(inputs=(Tie.ANY,))


@_rule(Reshape)
def _reshape(node: Node, near: Surroundings) -> Freedom:
    x, result = node.inputs[0], node.output
    if x in near.channel_axes or result in near.channel_axes:
        return FREE
    x_varies, result_varies = has_layouts(x.rank), has_layouts(result.rank)
    if flattens_into_dense(node, near) or (x_varies and is_trivial(x.shape)):
        inputs: tuple[Tie, ...] = (Tie.ANY,)
    else:
        inputs = ()
    if result_varies and is_trivial(result.shape):
        return Freedom(inputs=inputs or (Tie.LAST,))
    if inputs or not (x_varies and result_varies):
        return Freedom(bound=Layout.LAST, inputs=inputs)
    # Spatial axes that are merged or split among themselves are so in both layouts.
    among_themselves = x.shape[0] == result.shape[0] and x.shape[-1] == result.shape[-1]
    return FREE if among_themselves else FIXED_LAST


def flattens_into_dense(node: Node, near: Surroundings) -> bool:
    """Whether a Reshape only makes rows ``[n, h * w * c]`` for Dense layers.

    Then the rows of their kernels can be put in the order that lies in memory.
    """
    x, result = node.inputs[0], node.output
    if not (has_layouts(x.rank) and result.rank == 2 and x.shape[0] == result.shape[0]):
        return False
    if not all(isinstance(dim, int) for dim in x.shape[1:]) or result in near.outputs:
        return False
    return all(
        isinstance(reader.operation, Dense)
        and reader.inputs[0] is result
        and reader.inputs[1].is_constant
        for reader in near.readers.get(result, [])
    )


def conversion_cost(shape: Shape, dtype: str) -> int:
    """What changing the layout of such a value costs, in float32 elements moved.

    A node costs something even when it moves nothing: about a thousand elements' worth, by
    measurement, and half of that for a Reshape.
    """
    if is_trivial(shape):
        return 512
    size = nominal_size(shape)
    return 1024 + size * _ITEM_SIZES.get(dtype, 4) // 4


_ITEM_SIZES = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2,
    "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip


def _aligned(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + tuple(shape)


def value_cost(value: Value, near: Surroundings) -> int:
    """What changing the layout of ``value`` costs, in float32 elements moved."""
    maker = near.makers.get(value)
    # What follows a convolution or product directly, onnxruntime can make part of it.
    is_fused = maker is not None and isinstance(maker.operation, _FUSED_WITH_NEXT)
    return conversion_cost(value.shape, value.dtype) + (64 if is_fused else 0)


_FUSED_WITH_NEXT = (Conv, ConvTranspose, Dense, DepthwiseConv, MatMul)
