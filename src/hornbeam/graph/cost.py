"""What a node costs: the multiply-adds of the products that it computes.

Only sums of products count (convolutions and matrix products), which is what others count, too:
elementwise arithmetic, pooling and normalization are left at zero. A convolution makes each
element of its result from ``window * input channels / groups`` products; the transposed one
spreads each element of its input over ``window * filters``. A recurrent operation multiplies the
sample with its kernel and the state with its recurrent kernel at every step; a loop costs its body
at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from hornbeam.graph.dims import Dim, evaluate, product, symbols
from hornbeam.graph.graph import Node
from hornbeam.graph.operations import (
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Gru,
    Lstm,
    MatMul,
    Operation,
    Scan,
    SimpleRnn,
)

__all__ = ["count", "free_sizes", "multiply_adds"]


def multiply_adds(node: Node) -> Dim:
    """The multiply-adds of one run of ``node``, symbolic where its sizes are."""
    rule = _RULES.get(type(node.operation))
    return 0 if rule is None else rule(node)


def count(amount: Dim, sizes: Mapping[str, int] | None = None) -> int:
    """``amount`` as a number, with the ``sizes`` given and 1 for every other free size."""
    known = dict.fromkeys(symbols(amount), 1) | dict(sizes or {})
    # A window does not fit into a picture of one pixel, and then computes nothing.
    return max(evaluate(amount, known), 0)


def free_sizes(nodes: Iterable[Node]) -> list[str]:
    """The names of the free sizes that the cost of ``nodes`` depends on."""
    return sorted({name for node in nodes for name in symbols(multiply_adds(node))})


def _conv(node: Node) -> Dim:
    _, kernel = node.inputs[:2]
    return node.output.type.size * product(kernel.shape[:-1])


def _depthwise_conv(node: Node) -> Dim:
    _, kernel = node.inputs[:2]
    return node.output.type.size * product(kernel.shape[:-2])


def _conv_transpose(node: Node) -> Dim:
    x, kernel = node.inputs[:2]
    return x.type.size * product(kernel.shape[:-1])


def _dense(node: Node) -> Dim:
    _, kernel = node.inputs[:2]
    return node.output.type.size * kernel.shape[0]


def _matmul(node: Node) -> Dim:
    operation, a = node.operation, node.inputs[0]
    swapped = isinstance(operation, MatMul) and operation.transpose_a
    return node.output.type.size * a.shape[-2 if swapped else -1]


def _recurrent(node: Node) -> Dim:
    x, kernel, recurrent_kernel = node.inputs[:3]
    return product(x.shape[:2]) * (kernel.type.size + recurrent_kernel.type.size)


def _scan(node: Node) -> Dim:
    operation = node.operation
    assert isinstance(operation, Scan)
    step: Dim = 0
    for inner in operation.body.nodes:
        step = multiply_adds(inner) + step
    return step * operation.length


_RULES: dict[type[Operation], Callable[[Node], Dim]] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Dense: _dense,
    DepthwiseConv: _depthwise_conv,
    Gru: _recurrent,
    Lstm: _recurrent,
    MatMul: _matmul,
    Scan: _scan,
    SimpleRnn: _recurrent,
}
