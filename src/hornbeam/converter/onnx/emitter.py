"""The ONNX graph while it grows: nodes, weights, and the memory layout of each value.

A writer (see `registry`) asks for its inputs by number, adds ONNX nodes by calling the emitter,
and returns the names of its results. The emitter transposes what a node wants in the other layout,
once per value, and constants on the spot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.converter.onnx.dtypes import onnx_dtype
from hornbeam.converter.onnx.freedom import (
    Layout,
    axis_in,
    has_layouts,
    is_trivial,
    permutation,
)
from hornbeam.converter.onnx.layout import Plan
from hornbeam.converter.onnx.shapes import ShapeWriter
from hornbeam.converter.onnx.weights import Names, Weights
from hornbeam.graph import Graph, Node, Shape, Value

__all__ = ["Emitter", "Step"]


@dataclass
class Step:
    """One ONNX node; ``body`` is what a loop repeats."""

    op_type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    body: Emitter | None = None

    def reads(self) -> Iterator[str]:
        """Every name that it needs, those that its body takes from around it among them."""
        yield from self.inputs
        for step in self.body.steps if self.body else ():
            yield from step.reads()


class Emitter:
    """Collects the ONNX nodes and initializers of one graph, or of the body of a loop in it.

    Of a body, ``around`` is the emitter of the graph that the loop is in, and ``known`` the values
    that it takes from there.
    """

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        opset: int,
        around: Emitter | None = None,
        known: Mapping[Value, str] | None = None,
    ) -> None:
        self.graph = graph
        self.opset = opset
        self.around = around
        self.near = plan.near
        self.steps: list[Step] = []
        self.shapes = ShapeWriter(self)
        #: Flattened rows that lie channels-first: what they were flattened from, without batch.
        self.flattened_first: dict[Value, tuple[int, ...]] = {}
        self._plan = plan
        if around is None:
            self._names = Names([*(value.name for value in graph.inputs), *graph.outputs])
            self._node_names = Names()
            self.weights = Weights(self._names)
            self.input_names = [value.name for value in graph.inputs]
            self.output_names = list(graph.outputs)
        else:
            self._names, self._node_names = around._names, around._node_names
            self.weights = around.weights
            stem = f"{around.node.outputs[0].name}/"
            unique = self._names.unique
            self.input_names = [unique(stem + value.name) for value in graph.inputs]
            self.output_names = [unique(stem + key) for key in graph.outputs]
        given = {**dict(zip(graph.inputs, self.input_names, strict=True)), **(known or {})}
        self._places = {(value, Layout.LAST): name for value, name in given.items()}
        self._keys: dict[Value, str] = {}
        for value, name in zip(graph.outputs.values(), self.output_names, strict=True):
            self._keys.setdefault(value, name)
        self._stems = {
            value: self._names.unique(value.name) for node in graph.nodes for value in node.outputs
        }
        self._lifted: dict[tuple[Value, int], str] = {}
        self._node: Node | None = None
        self._read: set[str] = set()
        self._fresh: dict[str, tuple[Step, int]] = {}

    # What writers use

    def __call__(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX node with one result, and return the result's name.

        An attribute of None is left out, as are inputs "" at the end.
        """
        return self.several(op_type, inputs, 1, **attributes)[0]

    def several(
        self, op_type: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """Add an ONNX node with ``count`` results, and return their names."""
        stem = self._node.outputs[0].name if self._node else op_type
        outputs = [self._names.unique(f"{stem}/{op_type}") for _ in range(count)]
        step = self._add(op_type, inputs, outputs, attributes)
        self._fresh.update((output, (step, i)) for i, output in enumerate(outputs))
        return outputs

    def keep(self, name: str) -> str:
        """``name``, which others will use later, and which therefore may not be renamed."""
        self._fresh.pop(name, None)
        return name

    def input(self, index: int = 0) -> str:
        """The current node's input at ``index``, in the layout that the node wants it in."""
        return self.value(self.node.inputs[index], self.input_layout(index))

    def input_layout(self, index: int = 0) -> Layout:
        """The layout in which the current node gets an input."""
        layout = self._plan.of_input(self.node, index)
        if layout is None:  # it takes either: the one that is there
            place = (self.node.inputs[index], Layout.FIRST)
            layout = Layout.FIRST if place in self._places else Layout.LAST
        return layout

    def operand(self, index: int) -> str:
        """Like `input`, for a node that broadcasts: of lower rank, it is aligned as need be."""
        value, rank = self.node.inputs[index], self.node.output.rank
        if self.layout is Layout.LAST or value.rank == rank or not has_layouts(rank):
            return self.input(index)
        if value.type.size == 1:
            return self.value(value, Layout.LAST)
        return self._aligned(value, rank)

    @property
    def node(self) -> Node:
        """The graph node that is being written."""
        assert self._node is not None
        return self._node

    @property
    def layout(self) -> Layout:
        """The layout that the current node works in."""
        return self._plan.layouts[self.node]

    def axis(self, axis: int, rank: int | None = None) -> int:
        """The place in memory of a channels-last axis of the current node's first input."""
        return axis_in(axis, self.node.inputs[0].rank if rank is None else rank, self.layout)

    def ordered(self, per_axis: Sequence[Any]) -> list[Any]:
        """One item per channels-last axis, put in the order of memory."""
        return [per_axis[axis] for axis in permutation(len(per_axis), self.layout)]

    def shape(self, value: Value, layout: Layout | None = None) -> Shape:
        """The shape of a value as it lies in memory."""
        axes = self.near.permutation(value, layout or self.layout)
        return tuple(value.shape[axis] for axis in axes)

    def output_layout(self, index: int = 0) -> Layout:
        """The layout in which the current node has to make an output."""
        return self._plan.of_output(self.node, index)

    def cast(self, name: str, dtype: str, wanted: str) -> str:
        """``name``, which has ``dtype``, as ``wanted``; both are Keras dtype names."""
        return name if dtype == wanted else self("Cast", name, to=onnx_dtype(wanted))

    def constant(self, data: npt.ArrayLike, dtype: str) -> str:
        """A small constant of a Keras dtype; equal ones are written once."""
        return self.weights.constant(data, dtype)

    def integers(self, numbers: Sequence[int]) -> str:
        """A vector of int64: axes, sizes, pads."""
        return self.constant(np.asarray(numbers, np.int64), "int64")

    def reversed(self, x: str, axes: Sequence[int]) -> str:
        """``x`` with the order of elements reversed along ``axes``, which are places in memory."""
        count = len(axes)
        ends = self.integers([np.iinfo(np.int64).min] * count)
        begins, steps = self.integers([-1] * count), self.integers([-1] * count)
        return self("Slice", x, begins, ends, self.integers(axes), steps)

    def permuted(
        self, value: Value, axes: Sequence[int], shape: tuple[int, ...] | None = None
    ) -> str:
        """A weight with its axes in another order, and then in another shape.

        A constant is put in order when it is written; it is never copied before.
        """
        if not value.is_constant:
            result = self("Transpose", self.value(value, Layout.LAST), perm=list(axes))
            return result if shape is None else self("Reshape", result, self.integers(shape))
        return self.weights.variant(value, value.array.transpose(axes), (tuple(axes), shape), shape)

    def value(self, value: Value, layout: Layout) -> str:
        """The name of a value in a layout; it is brought there where it is not yet."""
        place = (value, layout if self.near.has_layouts(value) else Layout.LAST)
        if place not in self._places:
            if value.is_constant:
                axes = permutation(value.rank, place[1])
                self._places[place] = self.weights.variant(value, value.array.transpose(axes), axes)
            else:
                self._places[place] = self._converted(value, layout)
        return self._places[place]

    # What the writer of the whole graph uses

    def begin(self, node: Node | None) -> None:
        """Start to write a node; None when all are written."""
        self._node = node
        self._read.clear()
        self._fresh.clear()

    def bind(self, results: Sequence[str]) -> None:
        """Let the current node's outputs be the given ONNX values."""
        renamed: dict[str, str] = {}
        for index, (value, result) in enumerate(zip(self.node.outputs, results, strict=True)):
            layout = self.output_layout(index) if self.near.has_layouts(value) else Layout.LAST
            name = renamed.get(result, result)
            if result in self._fresh and result not in self._read:
                step, position = self._fresh.pop(result)
                self._names.release(result)
                name = step.outputs[position] = self._name_of(value, layout)
                renamed[result] = name
            self._places[(value, layout)] = name

    def finish(self) -> None:
        """Give the outputs the names that they must have, and drop what nobody needs."""
        self.begin(None)
        for name, value in zip(self.output_names, self.graph.outputs.values(), strict=True):
            result = self.value(value, Layout.LAST)
            if result != name:
                self._add("Identity", [result], [name], {})
        needed = set(self.output_names)
        kept: list[Step] = []
        for step in reversed(self.steps):
            if needed.intersection(step.outputs):
                needed.update(step.reads())
                kept.append(step)
        self.steps = kept[::-1]
        if self.around is None:
            # onnxruntime warns of each initializer that nobody reads.
            tensors = self.weights.tensors
            self.weights.tensors = [tensor for tensor in tensors if tensor.name in needed]

    def loop(
        self, op_type: str, inputs: Sequence[str], body: Emitter, **attributes: Any
    ) -> list[str]:
        """Add an ONNX node that repeats ``body``, and return the names of its results."""
        names = self.several(op_type, inputs, len(self.node.outputs), **attributes)
        self.steps[-1].body = body
        return names

    # Inside

    def _add(
        self, op_type: str, inputs: Sequence[str], outputs: list[str], attributes: dict[str, Any]
    ) -> Step:
        path = self._node.path if self._node else ""
        name = self._node_names.unique(f"{path}/{op_type}" if path else op_type)
        given = {key: item for key, item in attributes.items() if item is not None}
        names = list(inputs)
        while names and not names[-1]:
            names.pop()
        step = Step(op_type, name, names, outputs, given)
        self.steps.append(step)
        self._read.update(names)
        return step

    def _converted(self, value: Value, layout: Layout) -> str:
        other = Layout.FIRST if layout is Layout.LAST else Layout.LAST
        source = self._places[(value, other)]
        result = self._name_of(value, layout)
        if is_trivial(value.shape) and value not in self.near.channel_axes:
            shape = self.shapes.reshape_target(self.shape(value, other), self.shape(value, layout))
            self._add("Reshape", [source, shape], [result], {})
            return result
        axes = self.near.permutation(value, Layout.FIRST)
        if layout is Layout.LAST:
            axes = tuple(int(axis) for axis in np.argsort(axes))
        self._add("Transpose", [source], [result], {"perm": list(axes)})
        return result

    def _aligned(self, value: Value, rank: int) -> str:
        """A value of lower rank for use among channels-first values of ``rank``."""
        axes = permutation(rank, Layout.FIRST)
        ones = (1,) * (rank - value.rank)
        if value.is_constant:
            array = value.array.reshape(ones + value.array.shape).transpose(axes)
            return self.weights.variant(value, array, ("aligned", rank))
        key = (value, rank)
        if key not in self._lifted:
            source, shape = self.value(value, Layout.LAST), (*ones, *value.shape)
            target = tuple(shape[axis] for axis in axes)
            if not is_trivial(shape):
                unsqueezed = self("Unsqueeze", source, self.integers(range(len(ones))))
                self._lifted[key] = self.keep(self("Transpose", unsqueezed, perm=list(axes)))
            else:
                wanted = self.shapes.reshape_target(value.shape, target)
                self._lifted[key] = self.keep(self("Reshape", source, wanted))
        return self._lifted[key]

    def _name_of(self, value: Value, layout: Layout) -> str:
        """The name for a value in a layout: an output's key, the value's own, or its twin's."""
        key, stem = self._keys.get(value), self._stems.get(value, value.name)
        if key is not None and layout is Layout.LAST:
            return key
        if key is not None or any((value, other) in self._places for other in Layout):
            return self._names.unique(f"{stem}/{layout.value}")
        return stem
