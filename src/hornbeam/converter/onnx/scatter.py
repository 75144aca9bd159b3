"""Writing to places known at run time: ScatterND."""

from __future__ import annotations

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.registry import writes
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Node
from hornbeam.graph.operations import Scatter

__all__: list[str] = []

#: What each function is called, and the opset that brought it.
_REDUCTIONS = {"update": ("none", 13), "add": ("add", 16), "multiply": ("mul", 16),
               "max": ("max", 18), "min": ("min", 18)}  # fmt: skip


@writes(Scatter)
def scatter(node: Node, emit: Emitter) -> str:
    """ScatterND, whose indices are int64."""
    operation = node.operation
    assert isinstance(operation, Scatter)
    x, indices, updates = node.inputs
    reduction, since = _REDUCTIONS[operation.function]
    if emit.opset < since:
        raise UnsupportedFormatError(
            f"{node.path or 'The model'} was to be written with opset {emit.opset}",
            f"ScatterND can {reduction} from opset {since} on",
            f"Ask for opset {since} or higher",
        )
    kind = kernel_dtype("Add", x.dtype) if reduction != "none" else x.dtype
    names = [
        emit.cast(emit.input(0), x.dtype, kind),
        emit.cast(emit.input(1), indices.dtype, "int64"),
        emit.cast(emit.input(2), updates.dtype, kind),
    ]
    options = {} if reduction == "none" else {"reduction": reduction}
    return emit.cast(emit("ScatterND", *names, **options), kind, x.dtype)
