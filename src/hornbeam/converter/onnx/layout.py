"""The layout that each operation works in, chosen so that the fewest elements are transposed.

Each operation gets a side of a cut: channels-first with the source, channels-last with the sink.
A value that is read on the other side than it is made is transposed once, whoever and however
many read it there; this is one edge of the network, with the value's size as its capacity, behind
a vertex that stands for "somebody reads it there". So a minimum cut is a cheapest choice, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

from hornbeam.converter.onnx.freedom import (
    Freedom,
    Layout,
    Surroundings,
    Tie,
    freedom,
    value_cost,
)
from hornbeam.converter.onnx.mincut import Network
from hornbeam.graph import Graph, Node, Value

__all__ = ["Plan", "choose_layouts"]

#: More than any sum of real costs.
_FOREVER = 1 << 62


@dataclass(frozen=True)
class Plan:
    """The layout of each operation, and with it of each value."""

    layouts: dict[Node, Layout]
    freedoms: dict[Node, Freedom]
    near: Surroundings

    def of_input(self, node: Node, index: int) -> Layout | None:
        """The layout in which ``node`` reads an input; None where it takes either."""
        tie = self.freedoms[node].input_tie(index)
        if tie is Tie.ANY:
            return None
        return Layout.LAST if tie is Tie.LAST else self.layouts[node]

    def of_output(self, node: Node, index: int) -> Layout:
        """The layout in which ``node`` makes an output."""
        tie = self.freedoms[node].output_tie(index)
        return Layout.LAST if tie is Tie.LAST else self.layouts[node]


def choose_layouts(graph: Graph) -> Plan:
    """The cheapest layouts for ``graph``; the same for the same graph."""
    near = Surroundings(graph)
    freedoms = {node: freedom(node, near) for node in graph.nodes}
    network = _LayoutNetwork(near, freedoms)
    first = network.source_side(network.first, network.last)
    layouts = {
        node: Layout.FIRST if first[network.side[node]] else Layout.LAST for node in graph.nodes
    }
    return Plan(layouts, freedoms, near)


class _LayoutNetwork(Network):
    """The network of a graph: terminals ``first`` and ``last``, and a side for each node."""

    def __init__(self, near: Surroundings, freedoms: dict[Node, Freedom]) -> None:
        super().__init__()
        graph = near.graph
        self.first, self.last = self.vertex(), self.vertex()
        self.side = {node: self._node(freedoms[node]) for node in graph.nodes}
        makers: dict[Value, int] = dict.fromkeys(graph.inputs, self.last)
        for node in graph.nodes:
            for index, value in enumerate(node.outputs):
                tie = freedoms[node].output_tie(index)
                makers[value] = self.last if tie is Tie.LAST else self.side[node]
        readers: dict[Value, list[int]] = {}
        for node in graph.nodes:
            for index, value in enumerate(node.inputs):
                tie = freedoms[node].input_tie(index)
                if tie is not Tie.ANY:
                    reader = self.last if tie is Tie.LAST else self.side[node]
                    readers.setdefault(value, []).append(reader)
        for value in graph.outputs.values():
            readers.setdefault(value, []).append(self.last)
        for value, maker in makers.items():
            if near.has_layouts(value) and value in readers:
                self._value(value_cost(value, near), maker, readers[value])

    def _node(self, terms: Freedom) -> int:
        if terms.bound is not None:
            return self.first if terms.bound is Layout.FIRST else self.last
        vertex = self.vertex()
        if terms.last_cost:
            self.connect(self.first, vertex, terms.last_cost)
        if terms.first_cost:
            self.connect(vertex, self.last, terms.first_cost)
        return vertex

    def _value(self, cost: int, maker: int, readers: list[int]) -> None:
        others = [reader for reader in dict.fromkeys(readers) if reader != maker]
        if len(others) == 1:
            self.connect(maker, others[0], cost, cost)
        elif others:
            read_first, read_last = self.vertex(), self.vertex()
            self.connect(read_first, maker, cost)
            self.connect(maker, read_last, cost)
            for reader in others:
                self.connect(reader, read_first, _FOREVER)
                self.connect(read_last, reader, _FOREVER)
