"""Graph, Node and Value: the model between Keras and a file.

A graph is a list of nodes in an order in which they can run. A value is made by one node, or is
an input, or is a constant with data. Passes edit the graph in place through its few methods, and
`Graph.check` holds what must always be true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.graph.dims import Shape
from hornbeam.graph.operations import Operation
from hornbeam.graph.types import Quantization, TensorType

__all__ = ["Graph", "GraphError", "Node", "Value"]


class GraphError(AssertionError):
    """A graph that breaks its own rules: a defect in Hornbeam, never in the user's model."""


@dataclass(eq=False)
class Value:
    """A tensor that flows through the graph, or a constant where ``data`` is set.

    ``name`` is unique within a graph. ``data``, if any, has exactly the shape and dtype of
    ``type``.
    """

    name: str
    type: TensorType
    data: npt.NDArray[Any] | None = None
    quantization: Quantization | None = None

    @property
    def shape(self) -> Shape:
        """The shape, channels-last."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """The Keras dtype name."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)

    @property
    def is_constant(self) -> bool:
        """Whether the value is known now."""
        return self.data is not None

    @property
    def array(self) -> npt.NDArray[Any]:
        """The data of a constant."""
        if self.data is None:
            raise GraphError(f"{self.name} is not a constant")
        return self.data

    def __repr__(self) -> str:
        return f"{'constant ' if self.is_constant else ''}{self.name}: {self.type}"


@dataclass(eq=False)
class Node:
    """One operation at work: on which values, and on behalf of which Keras layer.

    ``path`` is the Keras path of the layer ("encoder/block_1/dense"), which errors, profiles and
    reports speak in.
    """

    operation: Operation
    inputs: list[Value]
    outputs: list[Value]
    path: str

    @property
    def output(self) -> Value:
        """The only result."""
        (value,) = self.outputs
        return value

    def __repr__(self) -> str:
        results = ", ".join(value.name for value in self.outputs)
        return f"{results} = {self.operation}({', '.join(value.name for value in self.inputs)})"


@dataclass
class Graph:
    """Inputs, outputs by name, and the nodes between them in running order."""

    name: str
    inputs: list[Value] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    #: Free sizes by symbol: the input and the axis where each can be read at run time.
    symbols: dict[str, tuple[Value, int]] = field(default_factory=dict)
    #: Inputs that hold state, and the outputs that hold it afterwards, by name.
    states: dict[str, str] = field(default_factory=dict)
    #: What each Keras layer returned, by path; passes may have removed some of the values.
    layers: dict[str, Value] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict, repr=False)

    # Building

    def unique(self, name: str) -> str:
        """``name``, or ``name_1``, ``name_2``… where it is taken already."""
        count = self._names.get(name)
        if count is None:
            self._names[name] = 1
            return name
        self._names[name] = count + 1
        return self.unique(f"{name}_{count}")

    def add_input(self, name: str, shape: Shape, dtype: str) -> Value:
        """A new input of the model."""
        value = Value(self.unique(name), TensorType(tuple(shape), dtype))
        self.inputs.append(value)
        return value

    def constant(self, name: str, data: npt.ArrayLike, dtype: str | None = None) -> Value:
        """A new constant; ``dtype`` is a Keras dtype name, by default that of the array."""
        array = np.asarray(data)
        kind = dtype or ("string" if array.dtype == object else str(array.dtype))
        return Value(self.unique(name), TensorType(array.shape, kind), array)

    def emit(self, operation: Operation, inputs: Iterable[Value], path: str) -> list[Value]:
        """Append a node and return its results; their types are inferred."""
        node = self.make(operation, list(inputs), path)
        self.nodes.append(node)
        return node.outputs

    def make(self, operation: Operation, inputs: list[Value], path: str) -> Node:
        """A node with fresh results that is not yet in the graph."""
        try:
            types = operation.infer(*(value.type for value in inputs))
        except ValueError as error:
            raise GraphError(f"{path}: {operation}: {error}") from error
        stem = f"{path}/{operation.label}" if path else operation.label
        outputs = [Value(self.unique(stem), kind) for kind in types]
        return Node(operation, inputs, outputs, path)

    # Reading

    def producers(self) -> dict[Value, Node]:
        """The node that makes each value."""
        return {value: node for node in self.nodes for value in node.outputs}

    def consumers(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, in running order (values nobody reads: absent)."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in dict.fromkeys(node.inputs):
                found.setdefault(value, []).append(node)
        return found

    def constants(self) -> Iterator[Value]:
        """Each constant that a node reads or that is an output, once, in the order of first use."""
        seen: set[Value] = set()
        readers = [value for node in self.nodes for value in node.inputs]
        for value in (*readers, *self.outputs.values()):
            if value.is_constant and value not in seen:
                seen.add(value)
                yield value

    def is_output(self, value: Value) -> bool:
        """Whether the model returns this value."""
        return any(value is other for other in self.outputs.values())

    # Editing

    def substitute(self, new: Mapping[Value, Value]) -> None:
        """Let everyone who reads a key of ``new`` read what it maps to, along chains."""

        def final(value: Value) -> Value:
            while value in new:
                value = new[value]
            return value

        for node in self.nodes:
            node.inputs = [final(value) for value in node.inputs]
        self.outputs = {name: final(value) for name, value in self.outputs.items()}

    def prune(self) -> bool:
        """Drop the nodes whose results nobody reads; True where there were any."""
        needed = {id(value) for value in self.outputs.values()}
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if any(id(value) in needed for value in node.outputs):
                needed.update(id(value) for value in node.inputs)
                kept.append(node)
        changed = len(kept) < len(self.nodes)
        self.nodes = kept[::-1]
        return changed

    def check(self) -> None:
        """Raise `GraphError` where the graph breaks a rule that everyone relies on."""
        known = set(self.inputs)
        for node in self.nodes:
            for value in node.inputs:
                if value not in known and not value.is_constant:
                    raise GraphError(f"{node} reads {value.name} before it is made")
            types = node.operation.infer(*(value.type for value in node.inputs))
            for value, expected in zip(node.outputs, types, strict=True):
                if value.dtype != expected.dtype or value.rank != expected.rank:
                    raise GraphError(f"{node} makes {expected}, declared {value.type}")
            known.update(node.outputs)
            for body in node.operation.bodies:
                body.check()
        for name, value in self.outputs.items():
            if value not in known and not value.is_constant:
                raise GraphError(f"output {name} is never made")
        names = [value.name for value in known]
        if len(names) != len(set(names)):
            raise GraphError("two values share a name")
