"""The ground floor: a typed graph in Keras's own terms, which every other room reads or writes.

Values are channels-last and carry Keras dtypes and symbolic dimensions; operations are
frozen dataclasses with their own shape inference; a node remembers the Keras layer it came
from. Nothing here knows of Keras, ONNX or TFLite.
"""

from __future__ import annotations

from hornbeam.graph.dims import Dim, Expression, Shape
from hornbeam.graph.graph import Graph, GraphError, Node, Value
from hornbeam.graph.types import Quantization, TensorType

__all__ = [
    "Dim",
    "Expression",
    "Graph",
    "GraphError",
    "Node",
    "Quantization",
    "Shape",
    "TensorType",
    "Value",
]
