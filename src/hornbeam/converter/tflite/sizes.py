"""Free sizes at run time, and reshapes that avoid needing them.

A size that is free is read off the shape of the input where it first appears; expressions are
computed from those in int32. Each is emitted once. A reshape with a single free size needs none of
this: TFLite infers one size by itself, and XNNPACK takes only reshapes to constant shapes.
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.graph import Dim, Expression, Shape, TensorType
from hornbeam.graph.dims import Quotient, product

__all__ = [
    "MOST_AXES",
    "_element",
    "around",
    "broadcast_to",
    "copied",
    "drop_axis",
    "insert_axis",
    "reshape",
    "shape_tensor",
    "size_tensor",
]


#: XNNPACK has no more, and fails on operators that it takes with more.
MOST_AXES = 6


def size_tensor(ctx: Context, dim: Dim) -> Tensor:
    """The scalar int32 value of ``dim``."""
    if isinstance(dim, int):
        return ctx.constant(dim, "int32")
    known = ctx.once(dim)
    return known if known is not None else ctx.remember(dim, _expression(ctx, dim))


def shape_tensor(ctx: Context, shape: Shape) -> Tensor:
    """The int32 vector of the sizes in ``shape``."""
    if ctx.known(shape):
        return ctx.constant(shape, "int32")
    known = ctx.once(shape)
    if known is not None:
        return known
    whole = next((value for value in ctx.inputs if value.shape == shape), None)
    if whole is not None:
        return _shape_of(ctx, ctx.inputs[whole])
    options = schema.PackOptionsT()
    options.valuesCount, options.axis = len(shape), 0
    sizes = [size_tensor(ctx, dim) for dim in shape]
    return ctx.remember(shape, ctx.emit("PACK", sizes, TensorType((len(shape),), "int32"), options))


def reshape(ctx: Context, x: Tensor, shape: Shape) -> Tensor:
    """``x`` in another shape; going back to where ``x`` came from costs nothing."""
    shape = tuple(shape)
    source = ctx.origins.get(x)
    while source is not None and source.dtype == x.dtype:
        x, source = source, ctx.origins.get(source)
        if x.shape == shape:
            return x
    if x.shape == shape:
        return x
    free = [i for i, dim in enumerate(shape) if not isinstance(dim, int)]
    options = None
    if len(free) <= 1:
        static = [dim if isinstance(dim, int) else -1 for dim in shape]
        target = ctx.constant(static, "int32")
        options = schema.ReshapeOptionsT()
        options.newShape = static
    else:
        target = shape_tensor(ctx, shape)
    result = ctx.emit("RESHAPE", [x, target], TensorType(shape, x.dtype), options)
    ctx.origins[result] = x
    return result


def copied(ctx: Context, x: Tensor) -> Tensor:
    """The same elements in a tensor of its own."""
    # A reshape is the copy that runs for every dtype; its shape must be one that is known.
    shape = [dim if isinstance(dim, int) else -1 for dim in x.shape]
    if shape.count(-1) <= 1:
        return ctx.emit("RESHAPE", [x, ctx.constant(shape, "int32")], x.type)
    return ctx.emit("CONCATENATION", [x], x.type, schema.ConcatenationOptionsT())


def broadcast_to(ctx: Context, x: Tensor, shape: Shape) -> Tensor:
    """``x`` repeated to fill ``shape``."""
    if x.shape == shape:
        return x
    inputs = [x, shape_tensor(ctx, shape)]
    return ctx.emit(
        "BROADCAST_TO", inputs, TensorType(shape, x.dtype), schema.BroadcastToOptionsT()
    )


def insert_axis(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """``x`` with a new axis of size 1 before ``axis``."""
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return _same_elements(ctx, x, shape, "EXPAND_DIMS", axis)


def drop_axis(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """``x`` without ``axis``, whose size is 1."""
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return _same_elements(ctx, x, shape, "SQUEEZE", axis)


def _same_elements(ctx: Context, x: Tensor, shape: Shape, code: str, axis: int) -> Tensor:
    free = sum(not isinstance(dim, int) for dim in shape)
    origin = ctx.origins.get(x)
    if free <= 1 or (origin is not None and origin.shape == shape and origin.dtype == x.dtype):
        return reshape(ctx, x, shape)
    kind = TensorType(shape, x.dtype)
    if code == "EXPAND_DIMS":
        where = ctx.constant(axis, "int32")
        result = ctx.emit(code, [x, where], kind, schema.ExpandDimsOptionsT())
    else:
        options = schema.SqueezeOptionsT()
        options.squeezeDims = [axis]
        result = ctx.emit(code, [x], kind, options)
    ctx.origins[result] = x
    return result


def _element(ctx: Context, x: Tensor, axis: int, index: int) -> Tensor:
    """The element ``index`` of a vector along ``axis`` as a tensor of one rank less."""
    options = schema.StridedSliceOptionsT()
    options.shrinkAxisMask = 1 << axis
    everything = (1 << x.rank) - 1 - (1 << axis)
    options.beginMask = options.endMask = everything
    begin = [index if i == axis else 0 for i in range(x.rank)]
    end = [index + 1 if i == axis else 0 for i in range(x.rank)]
    inputs = [x, *(ctx.constant(part, "int32") for part in (begin, end, [1] * x.rank))]
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return ctx.emit("STRIDED_SLICE", inputs, TensorType(shape, x.dtype), options)


def _shape_of(ctx: Context, x: Tensor) -> Tensor:
    known = ctx.once(("shape", x))
    if known is not None:
        return known
    options = schema.ShapeOptionsT()
    options.outType = schema.TensorType.INT32
    shape = ctx.emit("SHAPE", [x], TensorType((x.rank,), "int32"), options)
    return ctx.remember(("shape", x), shape)


def _symbol(ctx: Context, name: str) -> Tensor:
    given = ctx.size(name)
    if given is not None:
        return given
    value, axis = ctx.graph.symbols[name]
    return _element(ctx, _shape_of(ctx, ctx.inputs[value]), 0, axis)


def _expression(ctx: Context, dim: Expression) -> Tensor:
    total: Tensor | None = None
    constant = 0
    for monomial, factor in dim.terms:
        if not monomial:
            constant = factor
            continue
        term: Tensor | None = None
        for atom in monomial:
            size = _quotient(ctx, atom) if isinstance(atom, Quotient) else _name(ctx, atom)
            term = size if term is None else ctx.binary("MUL", term, size)
        assert term is not None
        if factor != 1:
            term = ctx.binary("MUL", term, factor)
        total = term if total is None else ctx.binary("ADD", total, term)
    assert total is not None
    return ctx.binary("ADD", total, constant) if constant else total


def _name(ctx: Context, name: str) -> Tensor:
    known = ctx.once(name)
    return known if known is not None else ctx.remember(name, _symbol(ctx, name))


def _quotient(ctx: Context, quotient: Quotient) -> Tensor:
    known = ctx.once(quotient)
    if known is not None:
        return known
    whole = size_tensor(ctx, quotient.numerator)
    return ctx.remember(quotient, ctx.binary("FLOOR_DIV", whole, quotient.denominator))


def around(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """``x`` with three axes: all before ``axis``, itself, and all after it.

    For the kernels that stop at five axes, and for XNNPACK, which claims more than the six it has.
    """
    before, after = product(x.shape[:axis]), product(x.shape[axis + 1 :])
    return reshape(ctx, x, (before, x.shape[axis], after))
