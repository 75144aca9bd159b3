"""Loops over sequences, and recurrent layers as such loops.

The fused sequence kernels of TFLite keep their state from one run to the next and refuse another
batch size, so they are not used. What goes round in the loop is the step's number, the states, and
for each result of the steps a tensor of its final size, into which each step writes its slice; the
sequences are handed through.

Writing a slice copies the tensor that it is written into: time squared, for long sequences. So
those are made in chunks, by a loop in a loop: a step copies a chunk, and a chunk is copied into the
whole once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.loops import as_loop
from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.loops import repeat_while
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import insert_axis, shape_tensor, size_tensor
from hornbeam.converter.tflite.tensors import storage_dtype
from hornbeam.converter.tflite.walk import write_nodes
from hornbeam.graph import Dim, Node, Shape, TensorType
from hornbeam.graph.dims import ceil_div
from hornbeam.graph.operations import Gru, Lstm, Scan, SimpleRnn

__all__: list[str] = []

#: Steps in a chunk, and the longest fixed sequence that is made in one piece.
_CHUNK = 64
_ONE_PIECE = 96


@writes(Gru, Lstm, SimpleRnn)
def recurrence(ctx: Context, node: Node) -> list[Tensor]:
    """A recurrent layer, its input projected before the loop."""
    graph = as_loop(node)
    given = [value for value in node.inputs if not value.is_constant]
    for inner, value in zip(graph.inputs, given, strict=True):
        ctx.tensors[inner] = ctx.read(value)
    write_nodes(ctx, graph)
    return [ctx.read(value) for value in graph.outputs.values()]


@writes(Scan)
def scan(ctx: Context, node: Node) -> list[Tensor]:
    """WHILE, or WHILE in WHILE where steps give results and may be many."""
    operation = cast(Scan, node.operation)
    walk = _Walk(node, operation, len(node.outputs) - operation.states)
    given = ctx.reads(node)
    length = operation.length
    if not walk.results or (isinstance(length, int) and length <= _ONE_PIECE):
        return walk.in_one(ctx, given)
    return walk.in_chunks(ctx, given)


@dataclass(frozen=True)
class _Walk:
    """A `Scan` on its way into the file.

    The variables of its loop are, in this order: the step's number, the states, the results, and
    what stays as it is: sequences, the rest, sizes.
    """

    node: Node
    operation: Scan
    results: int

    def in_one(self, ctx: Context, given: list[Tensor]) -> list[Tensor]:
        """All steps in one loop."""
        operation, states = self.operation, self.operation.states
        length = size_tensor(ctx, operation.length)
        totals = [self._empty(ctx, i, operation.length) for i in range(self.results)]
        first = ctx.binary("SUB", length, 1) if operation.reverse else ctx.constant(0, "int32")
        stop = ctx.constant(-1, "int32") if operation.reverse else length
        begin = [first, *given[:states], *totals, *given[states:]]
        return self._steps(ctx, begin, stop, None)[1 : 1 + states + self.results]

    def in_chunks(self, ctx: Context, given: list[Tensor]) -> list[Tensor]:
        """A loop over chunks, each a loop over its steps."""
        operation, states = self.operation, self.operation.states
        chunks = ceil_div(operation.length, _CHUNK)
        totals = [self._empty(ctx, i, chunks * _CHUNK) for i in range(self.results)]
        length, count = size_tensor(ctx, operation.length), size_tensor(ctx, chunks)
        first = ctx.binary("SUB", count, 1) if operation.reverse else ctx.constant(0, "int32")
        begin = [first, *given[:states], *totals, *given[states:], length, count]

        def chunk(inner: Context, variables: list[Tensor]) -> list[Tensor]:
            number, *rest = variables
            *kept, last, _ = rest[states + self.results :]
            base = inner.binary("MUL", number, _CHUNK)
            end = inner.binary("MINIMUM", inner.binary("ADD", base, _CHUNK), last)
            pieces = [self._empty(inner, i, _CHUNK) for i in range(self.results)]
            start, stop = base, end
            if operation.reverse:
                start, stop = inner.binary("SUB", end, 1), inner.binary("SUB", base, 1)
            made = self._steps(inner, [start, *rest[:states], *pieces, *kept], stop, base)
            new = made[1 : 1 + states]
            wholes = [
                _write(inner, whole, piece, base, operation.axis)
                for whole, piece in zip(rest[states:], made[1 + states :], strict=False)
            ][: self.results]
            after = inner.binary("ADD", number, -1 if operation.reverse else 1)
            return [after, *new, *wholes, *rest[states + self.results :]]

        def more(inner: Context, variables: list[Tensor]) -> Tensor:
            if operation.reverse:
                return inner.compare("GREATER_EQUAL", variables[0], 0)
            return inner.compare("LESS", variables[0], variables[-1])

        name = f"{operation.body.name}s"
        made = repeat_while(ctx, name, more, chunk, begin)[1 : 1 + states + self.results]
        return [
            *made[:states],
            *(self._cut(ctx, x, i) for i, x in enumerate(made[states:])),
        ]

    def _steps(
        self, ctx: Context, begin: list[Tensor], stop: Tensor, base: Tensor | None
    ) -> list[Tensor]:
        """The loop over single steps, until ``stop``; results begin at the step ``base``."""
        operation, body = self.operation, self.operation.body
        states, slices, axis = operation.states, operation.slices, operation.axis
        extra = [stop] if base is None else [stop, base]

        def step(inner: Context, variables: list[Tensor]) -> list[Tensor]:
            number = variables[0]
            kept = variables[1 + states + self.results : len(begin)]
            sliced = [_at(inner, x, number, axis) for x in kept[:slices]]
            inputs = [*variables[1 : 1 + states], *sliced, *kept[slices:]]
            for value, tensor in zip(body.inputs, inputs, strict=True):
                inner.inputs[value] = inner.tensors[value] = tensor
            write_nodes(inner, body)
            made = [inner.read(value) for value in body.outputs.values()]
            place = number if base is None else inner.binary("SUB", number, variables[-1])
            totals = [
                _write(inner, total, insert_axis(inner, slice_, axis), place, axis)
                for total, slice_ in zip(variables[1 + states :], made[states:], strict=False)
            ]
            after = inner.binary("ADD", number, -1 if operation.reverse else 1)
            return [after, *made[:states], *totals, *variables[1 + states + self.results :]]

        def more(inner: Context, variables: list[Tensor]) -> Tensor:
            code = "GREATER" if operation.reverse else "LESS"
            return inner.compare(code, variables[0], variables[len(begin)])

        return repeat_while(ctx, body.name, more, step, [*begin, *extra])[: len(begin)]

    def _shape(self, index: int, length: Dim) -> Shape:
        shape = self.node.outputs[self.operation.states + index].shape
        axis = self.operation.axis
        return (*shape[:axis], length, *shape[axis + 1 :])

    def _empty(self, ctx: Context, index: int, length: Dim) -> Tensor:
        """Room for a result of ``length`` steps."""
        value = self.node.outputs[self.operation.states + index]
        kind = TensorType(self._shape(index, length), storage_dtype(value.dtype))
        sizes, zero = shape_tensor(ctx, kind.shape), ctx.constant(0, kind.dtype)
        return ctx.emit("FILL", [sizes, zero], kind, schema.FillOptionsT())

    def _cut(self, ctx: Context, x: Tensor, index: int) -> Tensor:
        """``x`` without the steps that fill its last chunk."""
        shape = self._shape(index, self.operation.length)
        if x.shape == shape:
            return x
        begin, sizes = ctx.constant([0] * x.rank, "int32"), shape_tensor(ctx, shape)
        kind = TensorType(shape, x.dtype)
        return ctx.emit("SLICE", [x, begin, sizes], kind, schema.SliceOptionsT())


def _at(ctx: Context, x: Tensor, number: Tensor, axis: int) -> Tensor:
    """The slice of ``x`` at one step."""
    options = schema.GatherOptionsT()
    options.axis = axis
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return ctx.emit("GATHER", [x, number], TensorType(shape, x.dtype), options)


def _write(ctx: Context, whole: Tensor, part: Tensor, place: Tensor, axis: int) -> Tensor:
    """``whole`` with ``part`` written into it at ``place`` along ``axis``."""
    zero = ctx.constant(0, "int32")
    options = schema.PackOptionsT()
    options.valuesCount, options.axis = whole.rank, 0
    where = ctx.emit(
        "PACK",
        [place if i == axis else zero for i in range(whole.rank)],
        TensorType((whole.rank,), "int32"),
        options,
    )
    update = schema.DynamicUpdateSliceOptionsT()
    return ctx.emit("DYNAMIC_UPDATE_SLICE", [whole, part, where], whole.type, update)
