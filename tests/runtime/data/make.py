"""Write the model files beside this script, so that tests need no library to make them.

Run it where onnx, flatbuffers and ai-edge-litert are installed: python make.py.
Each model exists in both formats and computes the same:

affine   x (batch, 4) -> y (batch, 3), y = relu(x @ W + b), W and b as in ``WEIGHTS``
pair     a, b (batch, 3) -> sum, product
conv     x (batch, height, width, 1) -> y, the sum of each 3 by 3 window; ONNX channels first
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
METADATA = {"labels": '["a", "b", "c"]', "note": "für Tests"}
WEIGHTS = (np.arange(12, dtype=np.float32).reshape(4, 3) - 5) / 4
BIAS = np.array([1, 0, -1], np.float32)
WINDOW = np.ones((3, 3), np.float32)


def _onnx(
    name: str,
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    constants: dict[str, np.ndarray],
) -> None:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, n) for n, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {f"hornbeam.{k}": v for k, v in METADATA.items()})
    onnx.checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


class _TFLite:
    """A model of float32 tensors, its first dimension free, under construction."""

    def __init__(self) -> None:
        self.buffers = [schema.BufferT()]
        self.tensors: list[Any] = []
        self.codes: list[Any] = []
        self.operators: list[Any] = []

    def tensor(self, name: str, signature: list[int], data: np.ndarray | None = None) -> int:
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.type = schema.TensorType.FLOAT32
        tensor.shape = [max(1, size) for size in signature]
        if min(signature) < 0:
            tensor.shapeSignature = signature
        tensor.buffer = 0 if data is None else self.buffer(data.astype("<f4").tobytes())
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def buffer(self, content: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = list(content)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def operator(self, code: int, options: Any, inputs: list[int], output: int) -> None:
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
        operator_code.version = 1
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType = getattr(
            schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
        operator.builtinOptions = options
        self.codes.append(operator_code)
        self.operators.append(operator)

    def write(self, name: str, inputs: dict[str, int], outputs: dict[str, int]) -> None:
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = b"serving_default"
        # Sorted, as TensorFlow writes them: the order of the graph is another.
        signature.inputs = [_entry(n, i) for n, i in sorted(inputs.items())]
        signature.outputs = [_entry(n, i) for n, i in sorted(outputs.items())]
        metadata = schema.MetadataT()
        metadata.name = b"hornbeam"
        metadata.buffer = self.buffer(json.dumps(METADATA, ensure_ascii=False).encode())
        model = schema.ModelT()
        model.version = 3
        model.operatorCodes, model.subgraphs = self.codes, [subgraph]
        model.buffers, model.signatureDefs, model.metadata = self.buffers, [signature], [metadata]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        (HERE / f"{name}.tflite").write_bytes(bytes(builder.Output()))


def _entry(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), index
    return entry


def affine() -> None:
    """Write ``affine`` in both formats."""
    _onnx(
        "affine",
        [helper.make_node("Gemm", ["x", "w", "b"], ["z"]), helper.make_node("Relu", ["z"], ["y"])],
        {"x": ["batch", 4]},
        {"y": ["batch", 3]},
        {"w": WEIGHTS, "b": BIAS},
    )
    model = _TFLite()
    x, y = model.tensor("tensor_x", [-1, 4]), model.tensor("tensor_y", [-1, 3])
    w, b = model.tensor("w", [3, 4], WEIGHTS.T), model.tensor("b", [3], BIAS)
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    model.operator(schema.BuiltinOperator.FULLY_CONNECTED, options, [x, w, b], y)
    model.write("affine", {"x": x}, {"y": y})


def pair() -> None:
    """Write ``pair`` in both formats."""
    shape = ["batch", 3]
    _onnx(
        "pair",
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("Mul", ["a", "b"], ["product"]),
        ],
        {"a": shape, "b": shape},
        {"sum": shape, "product": shape},
        {},
    )
    model = _TFLite()
    a, b, total, product = (
        model.tensor(f"tensor_{name}", [-1, 3]) for name in ("a", "b", "sum", "product")
    )
    model.operator(schema.BuiltinOperator.ADD, schema.AddOptionsT(), [a, b], total)
    model.operator(schema.BuiltinOperator.MUL, schema.MulOptionsT(), [a, b], product)
    model.write("pair", {"a": a, "b": b}, {"sum": total, "product": product})


def conv() -> None:
    """Write ``conv`` in both formats."""
    free = ["batch", 1, "height", "width"]
    _onnx(
        "conv",
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": free},
        {"y": ["batch", 1, "rows", "columns"]},
        {"w": WINDOW.reshape(1, 1, 3, 3)},
    )
    model = _TFLite()
    x, y = model.tensor("tensor_x", [-1, -1, -1, 1]), model.tensor("tensor_y", [-1, -1, -1, 1])
    w = model.tensor("w", [1, 3, 3, 1], WINDOW)
    b = model.tensor("b", [1], np.zeros(1, np.float32))
    model.tensors[x].shape, model.tensors[y].shape = [1, 3, 3, 1], [1, 1, 1, 1]
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    model.operator(schema.BuiltinOperator.CONV_2D, options, [x, w, b], y)
    model.write("conv", {"x": x}, {"y": y})


if __name__ == "__main__":
    affine()
    pair()
    conv()
