"""The file as a whole: names, signature, metadata, fusion, sharing, dtypes, refusals."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from litert_harness import BATCH, ENGINES, HEIGHT, TIME, Arg, Model, add_arg, constant

import hornbeam.graph.operations as operations
from hornbeam.converter.tflite import to_bytes, write
from hornbeam.converter.tflite.elementwise import BINARY
from hornbeam.converter.tflite.reduction import REDUCTIONS
from hornbeam.converter.tflite.registry import WRITERS
from hornbeam.converter.tflite.streaming import in_order
from hornbeam.converter.tflite.unary import UNARY
from hornbeam.errors import OutputError, UnsupportedFormatError
from hornbeam.graph import Graph, Quantization, Value
from hornbeam.graph.operations import (
    Binary,
    BinaryFunction,
    Cast,
    Clip,
    Conv,
    Dense,
    Gather,
    Operation,
    Pool,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    Unary,
    UnaryFunction,
)


def _parse(contents: bytes | memoryview) -> Any:
    return schema.ModelT.InitFromPackedBuf(bytes(contents))


def _apply(graph: Graph, operation: Operation, *inputs: Value, path: str = "layer") -> Value:
    return graph.emit(operation, inputs, path)[0]


def _image(graph: Graph, name: str = "image") -> Value:
    return add_arg(graph, name, Arg((BATCH, 8, 8, 3)))


def _weights(graph: Graph, *shape: int) -> Value:
    return graph.constant("weights", constant(*shape))


def _network() -> Graph:
    """Convolution, activation, pool, dense."""
    graph = Graph("network")
    x = _image(graph)
    kernel, bias = _weights(graph, 3, 3, 3, 4), _weights(graph, 4)
    x = _apply(graph, Conv((1, 1), "same", (1, 1)), x, kernel, bias, path="stem/conv")
    x = _apply(graph, Unary("relu"), x, path="stem/activation")
    x = _apply(graph, Reduce("mean", (1, 2), False), x, path="pool")
    x = _apply(graph, Dense(), x, _weights(graph, 4, 5), _weights(graph, 5), path="head")
    graph.outputs["scores"] = x
    return graph


# The registry


def test_every_operation_has_a_writer() -> None:
    known = {
        thing
        for thing in vars(operations).values()
        if isinstance(thing, type) and issubclass(thing, Operation) and not thing.__subclasses__()
    }
    assert known == set(WRITERS)


def test_every_function_has_a_writer() -> None:
    assert set(UNARY) == set(get_args(UnaryFunction))
    assert set(BINARY) == set(get_args(BinaryFunction))
    assert set(REDUCTIONS) == set(get_args(get_type_hints(Reduce)["function"]))


# Names


def test_the_signature_has_the_names_of_the_graph_in_its_order() -> None:
    graph = Graph("names")
    second, first = _image(graph, "second"), _image(graph, "first")
    graph.outputs["z"] = _apply(graph, Binary("add"), second, first)
    graph.outputs["a"] = _apply(graph, Binary("subtract"), second, first)
    model = Model(to_bytes(graph))
    assert set(model.inputs) == {"second", "first"}
    assert set(model.outputs) == {"z", "a"}
    parsed = _parse(to_bytes(graph))
    assert [entry.name for entry in parsed.signatureDefs[0].inputs] == [b"second", b"first"]
    assert [entry.name for entry in parsed.signatureDefs[0].outputs] == [b"z", b"a"]
    assert parsed.signatureDefs[0].signatureKey == b"serving_default"
    details = model.interpreter.get_input_details()
    assert [entry["name"] for entry in details] == ["second", "first"]


def test_tensors_are_named_after_values_and_operators_after_layers() -> None:
    parsed = _parse(to_bytes(_network()))
    subgraph = parsed.subgraphs[0]
    names = [tensor.name.decode() for tensor in subgraph.tensors]
    assert len(names) == len(set(names)), f"names are not unique: {names}"
    results = [subgraph.tensors[entry.outputs[0]].name.decode() for entry in subgraph.operators]
    assert [name.split("/")[0] for name in results] == ["stem", "pool", "head"]
    (entry,) = parsed.metadata
    assert entry.name == b"hornbeam"
    stored = json.loads(bytes(parsed.buffers[entry.buffer].data))
    assert json.loads(stored["operators"]) == ["stem/conv", "pool", "head"]


def test_metadata_is_sorted_json() -> None:
    parsed = _parse(to_bytes(_network(), metadata={"b": "two", "a": "eins ü"}))
    text = bytes(parsed.buffers[parsed.metadata[0].buffer].data).decode()
    assert list(json.loads(text)) == ["a", "b", "operators"]
    assert json.loads(text)["a"] == "eins ü"


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert bytes(to_bytes(_network())) == bytes(to_bytes(_network()))
    assert bytes(to_bytes(_network()))[4:8] == b"TFL3"


def test_old_runtimes_find_the_operator_too() -> None:
    graph = Graph("codes")
    x = _image(graph)
    graph.outputs["y"] = _apply(graph, Unary("gelu"), _apply(graph, Unary("relu"), x))
    codes = _parse(to_bytes(graph)).operatorCodes
    assert [(code.deprecatedBuiltinCode, code.builtinCode) for code in codes] == [
        (schema.BuiltinOperator.RELU, schema.BuiltinOperator.RELU),
        (127, schema.BuiltinOperator.GELU),
    ]


# Outputs that are something else already


def test_outputs_that_are_inputs_constants_or_each_other() -> None:
    graph = Graph("same")
    x = _image(graph)
    words = add_arg(graph, "words", Arg((BATCH, TIME), "int32", 0, 9))
    y = _apply(graph, Unary("relu"), x)
    fixed = graph.constant("fixed", constant(2, 3))
    graph.outputs = {"x": x, "y": y, "again": y, "fixed": fixed, "words": words, "copy": words}
    model = Model(to_bytes(graph))
    for batch in (1, 3):
        image = np.random.default_rng(0).normal(size=(batch, 8, 8, 3)).astype(np.float32)
        ids = np.arange(batch * 5, dtype=np.int32).reshape(batch, 5)
        found = model.run({"image": image, "words": ids})
        np.testing.assert_array_equal(found["x"], image)
        np.testing.assert_array_equal(found["again"], np.maximum(image, 0))
        np.testing.assert_array_equal(found["fixed"], constant(2, 3))
        np.testing.assert_array_equal(found["copy"], ids)
    assert len(set(model.outputs.values()) | set(model.inputs.values())) == 8


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "int8", "int16", "int64", "uint8", "uint16", "uint32", "bool"]
)
@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_and_outputs_keep_their_dtype(dtype: str, engine: str) -> None:
    graph = Graph("dtypes")
    x = add_arg(graph, "x", Arg((BATCH, 4), dtype, 0, 9))
    graph.outputs["same"] = x
    if dtype != "bool":
        graph.outputs["twice"] = _apply(graph, Binary("add"), x, x)
    data = np.array([[0, 1, 2, 3], [4, 5, 6, 7]]).astype(dtype)
    found = Model(to_bytes(graph), engine).run({"x": data})
    for array in found.values():
        assert array.dtype == dtype
    np.testing.assert_array_equal(found["same"], data)
    if dtype != "bool":
        np.testing.assert_array_equal(found["twice"], data + data)


def test_pictures_of_bytes_are_cast_once() -> None:
    graph = Graph("bytes")
    x = add_arg(graph, "x", Arg((BATCH, 4, 4, 1), "uint8"))
    x = _apply(graph, Cast("float32"), x)
    graph.outputs["y"] = _apply(graph, Binary("multiply"), x, graph.constant("c", np.float32(2)))
    assert Model(to_bytes(graph)).operators() == ["CAST", "MUL"]


# What is fused, shared and left out


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (Unary("relu"), schema.ActivationFunctionType.RELU),
        (Unary("relu6"), schema.ActivationFunctionType.RELU6),
        (Clip(0, 6), schema.ActivationFunctionType.RELU6),
        (Clip(-1, 1), schema.ActivationFunctionType.RELU_N1_TO_1),
        (Clip(0, None), schema.ActivationFunctionType.RELU),
        (Clip(0, 5), None),
        (Unary("tanh"), None),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "carrier",
    [Conv((1, 1), "same", (1, 1)), Dense(), Binary("add"), Pool("max", (2, 2), (2, 2), "same")],
    ids=str,
)
def test_activations_are_fused(operation: Operation, code: int | None, carrier: Operation) -> None:
    graph = Graph("fusion")
    x = _image(graph)
    others = {
        Conv: [(3, 3, 3, 3)],
        Dense: [(3, 3)],
        Binary: [(3,)],
        Pool: [],
    }[type(carrier)]
    y = _apply(graph, carrier, x, *(_weights(graph, *shape) for shape in others))
    graph.outputs["y"] = _apply(graph, operation, y)
    parsed = _parse(to_bytes(graph)).subgraphs[0].operators
    fused = parsed[0].builtinOptions.fusedActivationFunction
    if code is None:
        assert len(parsed) > 1
        assert fused == schema.ActivationFunctionType.NONE
    else:
        assert len(parsed) == 1
        assert fused == code


def test_an_activation_that_is_not_the_only_reader_is_not_fused() -> None:
    graph = Graph("twice")
    x = _apply(graph, Conv((1, 1), "same", (1, 1)), _image(graph), _weights(graph, 3, 3, 3, 4))
    graph.outputs["relu"] = _apply(graph, Unary("relu"), x)
    graph.outputs["tanh"] = _apply(graph, Unary("tanh"), x)
    assert Model(to_bytes(graph)).operators() == ["CONV_2D", "RELU", "TANH"]
    graph.outputs = {"relu": graph.outputs["relu"], "conv": x}
    graph.prune()
    assert Model(to_bytes(graph)).operators() == ["CONV_2D", "RELU"]


@pytest.mark.parametrize(("function", "code"), [("relu", "PAD"), ("tanh", "PADV2")])
def test_a_maximum_over_padding(function: Any, code: str) -> None:
    """XNNPACK pads with zeros, which do for what is never negative."""
    graph = Graph("padding")
    x = _apply(graph, Conv((1, 1), "same", (1, 1)), _image(graph), _weights(graph, 3, 3, 3, 4))
    x = _apply(graph, Unary(function), x)
    before = graph.outputs["before"] = _apply(graph, Binary("multiply"), x, x)
    graph.outputs["y"] = _apply(graph, Pool("max", (3, 3), (2, 2), ((1, 1), (1, 1))), x)
    model = Model(to_bytes(graph))
    assert code in model.operators()
    image = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    found = model.run({"image": image})
    corner = np.sqrt(found["before"][:, :2, :2]).max((1, 2))
    if function == "relu":
        np.testing.assert_allclose(found["y"][:, 0, 0], corner, rtol=1e-5)
    assert before.shape[1] == 8


def test_shared_weights_are_stored_once() -> None:
    graph = Graph("shared")
    kernel = graph.constant("kernel", constant(64, 64))
    x = add_arg(graph, "x", Arg((BATCH, 64)))
    for _ in range(3):
        x = _apply(graph, Dense(), x, kernel)
    graph.outputs["y"] = x
    assert len(to_bytes(graph)) < 2 * kernel.array.nbytes


def test_one_dimensional_convolutions_in_a_row_reshape_once() -> None:
    graph = Graph("series")
    x = add_arg(graph, "x", Arg((BATCH, TIME, 4)))
    for _ in range(3):
        x = _apply(graph, Conv((1,), "same", (1,)), x, _weights(graph, 3, 4, 4))
        x = _apply(graph, Unary("tanh"), x)
        x = _apply(graph, Pool("max", (2,), (1,), "same"), x)
    skip = _apply(graph, Conv((1,), "same", (1,)), x, _weights(graph, 1, 4, 4))
    x = _apply(graph, Binary("add"), x, skip)
    graph.outputs["y"] = x
    assert Model(to_bytes(graph)).operators() == [
        "EXPAND_DIMS",
        *["CONV_2D", "TANH", "MAX_POOL_2D"] * 3,
        "CONV_2D",
        "ADD",
        "SQUEEZE",
    ]


# Free sizes


def test_free_sizes_are_in_the_signature_of_shapes() -> None:
    graph = Graph("free")
    x = add_arg(graph, "x", Arg((BATCH, HEIGHT, HEIGHT * 2, 3)))
    x = _apply(graph, Conv((1, 1), "valid", (1, 1)), x, _weights(graph, 5, 5, 3, 4))
    graph.outputs["y"] = x
    tensors = _parse(to_bytes(graph)).subgraphs[0].tensors
    shapes = {t.name.decode(): (list(t.shape), list(t.shapeSignature)) for t in tensors[:1]}
    # Placeholders are large enough that the file can be opened as it is.
    assert shapes == {"x": ([1, 8, 16, 3], [-1, -1, -1, 3])}
    model = Model(to_bytes(graph))
    model.interpreter.allocate_tensors()
    assert model.run({"x": np.zeros((3, 6, 12, 3), np.float32)})["y"].shape == (3, 2, 8, 4)


def test_sizes_are_read_once() -> None:
    graph = Graph("tokens")
    x = add_arg(graph, "x", Arg((BATCH, TIME, 4)))
    for _ in range(3):
        x = _apply(graph, Reshape((BATCH, TIME, 2, 2)), x)
        x = _apply(graph, Transpose((0, 2, 1, 3)), x)
        x = _apply(graph, Unary("tanh"), x)
        x = _apply(graph, Transpose((0, 2, 1, 3)), x)
        x = _apply(graph, Reshape((BATCH, TIME, 4)), x)
    graph.outputs["y"] = x
    model = Model(to_bytes(graph))
    assert model.operators().count("SHAPE") == 1
    data = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    found = model.run({"x": data})["y"]
    np.testing.assert_allclose(found, np.tanh(np.tanh(np.tanh(data))), rtol=1e-5)


def test_xnnpack_takes_a_whole_network() -> None:
    model = Model(to_bytes(_network()))
    model.run({"image": np.zeros((3, 8, 8, 3), np.float32)})
    assert model.undelegated() == []


# Quantization


def test_quantization_of_values_reaches_the_tensors() -> None:
    graph = Graph("quantized")
    x = _image(graph)
    x.quantization = Quantization("int8", (0.05,), (-3,))
    kernel = _weights(graph, 3, 3, 3, 4)
    kernel.quantization = Quantization("int8", (0.01, 0.02, 0.03, 0.04), (0, 0, 0, 0), axis=3)
    bias = graph.constant("bias", np.array([1, 2, 3, 4], np.int32), "int32")
    scales = tuple(0.05 * scale for scale in kernel.quantization.scale)
    bias.quantization = Quantization("int32", scales, (0, 0, 0, 0), axis=0)
    y = _apply(graph, Conv((1, 1), "same", (1, 1)), x, kernel, bias)
    y.quantization = Quantization("int8", (0.1,), (4,))
    graph.outputs["y"] = y
    contents = to_bytes(graph)
    tensors = {t.name.decode(): t for t in _parse(contents).subgraphs[0].tensors}
    assert tensors["image"].type == schema.TensorType.INT8
    stored = tensors[kernel.name]
    assert stored.quantization.quantizedDimension == 0
    np.testing.assert_allclose(stored.quantization.scale, kernel.quantization.scale, rtol=1e-6)
    data = np.random.default_rng(0).integers(-128, 127, (3, 8, 8, 3)).astype(np.int8)
    found = Model(contents, "builtin").run({"image": data})["y"]
    levels = np.clip(np.rint(kernel.array / np.array([0.01, 0.02, 0.03, 0.04])), -128, 127)
    assert found.dtype == np.int8
    centre = np.einsum("bhwc,hwcf->bf", data[:, 2:5, 2:5].astype(int) + 3, levels) + bias.array
    expected = np.clip(np.rint(centre * np.array(scales) / 0.1) + 4, -128, 127)
    assert np.abs(found[:, 3, 3] - expected).max() <= 1


# Refusals


def test_more_than_two_gigabytes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    graph = Graph("big")
    # One number in memory, seen as many.
    table = np.broadcast_to(np.float32(0), (1 << 20, 600))
    words = add_arg(graph, "words", Arg((BATCH,), "int32"))
    graph.outputs["y"] = _apply(graph, Gather(), graph.constant("table", table), words)
    with pytest.raises(UnsupportedFormatError, match="2 GiB"):
        write(graph, tmp_path / "big.tflite")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write(_network(), tmp_path / "nowhere" / "model.tflite")


def test_writing_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    write(_network(), path, metadata={"key": "value"})
    assert path.read_bytes() == bytes(to_bytes(_network(), metadata={"key": "value"}))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]


# Costs


def test_writing_takes_the_memory_of_one_constant(tmp_path: Path) -> None:
    graph = Graph("heavy")
    x = add_arg(graph, "x", Arg((BATCH, 1024)))
    for _ in range(8):
        kernel = graph.constant("kernel", np.zeros((1024, 1024), np.float32))
        x = _apply(graph, Dense(), x, kernel)
    graph.outputs["y"] = x
    one = 1024 * 1024 * 4
    tracemalloc.start()
    try:
        write(graph, tmp_path / "heavy.tflite")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "heavy.tflite").stat().st_size > 8 * one
    assert peak < 3 * one, f"{peak / one:.2f} times one constant of eight"


@pytest.mark.parametrize("shape", [(), (5,), (300, 200), (3, 3, 130, 140), (2, 3, 4, 5, 6)])
def test_moved_axes_are_put_in_order(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    for axes in itertools.permutations(range(len(shape))):
        ordered = in_order(array.transpose(axes))
        assert ordered.flags.c_contiguous
        np.testing.assert_array_equal(ordered, array.transpose(axes))


def test_constants_are_aligned_for_the_kernels_that_read_them_in_place() -> None:
    contents = bytes(to_bytes(_network()))
    parsed = schema.Model.GetRootAs(contents)
    for i in range(parsed.BuffersLength()):
        buffer = parsed.Buffers(i)
        if buffer.DataLength():
            field = schema.flatbuffers.number_types.UOffsetTFlags.py_type(buffer._tab.Offset(4))
            assert buffer._tab.Vector(field) % 16 == 0


def test_no_engine_and_no_tensorflow_is_imported() -> None:
    code = (
        "import sys; import hornbeam.converter.tflite; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('tensorflow', 'keras', 'jax', 'onnx') or m == 'ai_edge_litert.interpreter'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys; sys.modules['flatbuffers'] = None\n"
        "from hornbeam.errors import ConversionError\n"
        "try:\n    import hornbeam.converter.tflite\n"
        "except ConversionError as error:\n    print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "flatbuffers, is not installed" in output.stdout


def test_slices_that_take_everything_cost_nothing() -> None:
    graph = Graph("nothing")
    x = _image(graph)
    y = _apply(graph, Slice((0, 0, 0, 0), (BATCH, 8, 8, 3), (1, 1, 1, 1)), x)
    graph.outputs["y"] = _apply(graph, Unary("relu"), y)
    assert Model(to_bytes(graph)).operators() == ["RELU"]
