"""Bits of integers: BitwiseAnd and its like."""

from __future__ import annotations

from hornbeam.converter.onnx.elementwise import operands
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.registry import writes
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Node
from hornbeam.graph.operations import Bitwise

__all__: list[str] = []

_OPERATORS = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}
#: The opset that brought them.
_SINCE = 18


@writes(Bitwise)
def bitwise(node: Node, emit: Emitter) -> str:
    """One operator."""
    operation = node.operation
    assert isinstance(operation, Bitwise)
    op_type = _OPERATORS[operation.function]
    if emit.opset < _SINCE:
        raise UnsupportedFormatError(
            f"{node.path or 'The model'} was to be written with opset {emit.opset}",
            f"{op_type} is there from opset {_SINCE} on",
            f"Ask for opset {_SINCE} or higher",
        )
    (a, b), _ = operands(node, emit, op_type)
    return emit(op_type, a, b)
