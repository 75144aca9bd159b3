"""What passes ask of a graph: who makes a value, and who alone reads it."""

from __future__ import annotations

from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.operations import Operation

__all__ = ["Neighbours"]


class Neighbours:
    """Producers and readers of values, as they were when this was made, kept up by `become`.

    The usual edit: a node takes over the work of the node before it (`become`), keeping its own
    result, so that nobody behind has to be told; the other is pruned when nobody reads it any more.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._producers = graph.producers()
        self._readers = {value: len(nodes) for value, nodes in graph.consumers().items()}
        for value in graph.outputs.values():
            self._readers[value] = self._readers.get(value, 0) + 1

    def producer(self, value: Value) -> Node | None:
        """The node that makes ``value``; None for inputs and constants."""
        return self._producers.get(value)

    def only_reader(self, value: Value) -> bool:
        """Whether just one node reads ``value`` and the model does not return it."""
        return self._readers.get(value, 0) == 1

    def sole_producer(self, value: Value, *kinds: type[Operation]) -> Node | None:
        """The node that makes ``value``, if it is of one of ``kinds`` and has no other reader."""
        node = self.producer(value)
        if node is None or not isinstance(node.operation, kinds) or not self.only_reader(value):
            return None
        return node

    def become(self, node: Node, operation: Operation, inputs: list[Value], path: str) -> None:
        """Let ``node`` compute ``operation`` on ``inputs`` from now on, on behalf of ``path``."""
        before = list(dict.fromkeys(node.inputs))
        for value in before:
            self._readers[value] = self._readers.get(value, 1) - 1
        for value in dict.fromkeys(inputs):
            self._readers[value] = self._readers.get(value, 0) + 1
        node.operation, node.inputs, node.path = operation, inputs, path
        for value in before:
            self._let_go(value)

    def _let_go(self, value: Value) -> None:
        """Free the weights of a node that nobody reads any more, not only when it is pruned.

        A pass that folds every kernel would otherwise hold the weights of the model twice.
        """
        producer = self.producer(value)
        if producer is not None and not any(self._readers.get(v, 0) for v in producer.outputs):
            producer.inputs = [v for v in producer.inputs if not v.is_constant]
