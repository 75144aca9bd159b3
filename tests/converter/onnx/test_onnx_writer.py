"""The file around the operations: names, opsets, metadata, bytes, and what goes wrong."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_cases import all_cases
from onnx_harness import BATCH, session

from hornbeam.converter.onnx import DEFAULT_OPSET, newest_opset, serialize, to_model, write
from hornbeam.converter.onnx.registry import writers
from hornbeam.errors import OutputError, UnsupportedFormatError, UsageError
from hornbeam.graph import Graph, Value, dims
from hornbeam.graph import operations as op


def small(name: str = "model") -> Graph:
    """``softmax(relu(conv(x)) @ kernel)`` with inner value ``features``."""
    random = np.random.default_rng(1)
    graph = Graph(name)
    x = graph.add_input("x", (BATCH, 6, 6, 3), "float32")
    graph.symbols["batch"] = (x, 0)
    kernel = graph.constant("kernel", random.normal(size=(3, 3, 3, 16)).astype("float32"))
    maps = graph.emit(op.Conv((1, 1), "same", (1, 1)), [x, kernel], "stem/conv")[0]
    maps = graph.emit(op.Unary("relu"), [maps], "stem/relu")[0]
    features = graph.emit(op.Reduce("mean", (1, 2), False), [maps], "pool")[0]
    weights = graph.constant("weights", random.normal(size=(16, 10)).astype("float32"))
    graph.outputs["scores"] = graph.emit(op.Dense(), [features, weights], "head")[0]
    return graph


def answer(model: onnx.ModelProto | Path, x: np.ndarray) -> list[np.ndarray]:
    if isinstance(model, Path):
        running = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    else:
        running = session(model)
    return running.run(None, {"x": x})


X = np.random.default_rng(2).normal(size=(3, 6, 6, 3)).astype("float32")


# Every operation


def test_every_operation_has_a_writer_and_a_case() -> None:
    operations = {getattr(op, name) for name in op.__all__}
    classes = {
        kind
        for kind in operations
        if isinstance(kind, type) and issubclass(kind, op.Operation) and not kind.__subclasses__()
    }
    assert classes <= set(writers())
    # These have a file of tests to themselves.
    classes -= {op.Bitwise, op.Gru, op.Lstm, op.Scan, op.Scatter, op.SimpleRnn}
    wanted = {(kind, member) for kind in classes for member in members(kind)}
    tried = {
        (type(case.operation), member)
        for case in all_cases()
        for member in (None, *vars(case.operation).values())
        if member is None or isinstance(member, str)
    }
    assert not wanted - tried


def members(kind: type[op.Operation]) -> list[str | None]:
    """None for the operation itself, and every name that one of its fields can be."""
    hints = get_type_hints(kind, localns=vars(dims))
    found: list[str | None] = [None]
    for field in fields(kind):  # type: ignore[arg-type]
        options = get_args(hints[field.name])
        found += [option for option in options if isinstance(option, str)]
    return found


# Names


def test_names_are_those_of_the_graph() -> None:
    model = to_model(small())
    assert [value.name for value in model.graph.input] == ["x"]
    assert [value.name for value in model.graph.output] == ["scores"]
    assert {"kernel", "weights"} <= {tensor.name for tensor in model.graph.initializer}
    made = [name for node in model.graph.node for name in node.output]
    assert {"stem/conv/Conv", "stem/relu/relu", "pool/reduce_mean", "scores"} <= set(made)
    nodes = [node.name for node in model.graph.node]
    assert len(set(nodes)) == len(nodes)
    assert {name.rsplit("/", 1)[0] for name in nodes} == {"stem/conv", "stem/relu", "pool", "head"}


def test_free_sizes_are_named() -> None:
    model = to_model(small())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 6, 6, 3]


def aliases(graph: Graph) -> dict[str, Value]:
    """One value under two names, an input, a constant, and a name that an inner value has."""
    scores, x = graph.outputs["scores"], graph.inputs[0]
    inner = graph.nodes[1].output
    return {
        "scores": scores,
        "again": scores,
        "copy": x,
        "fixed": graph.constant("numbers", np.arange(3, dtype="int32")),
        inner.name: graph.nodes[2].output,
        "maps": inner,
    }


def test_outputs_by_any_name() -> None:
    graph = small()
    graph.outputs = aliases(graph)
    model = to_model(graph)
    onnx.checker.check_model(model, full_check=True)
    found = dict(zip(graph.outputs, answer(model, X), strict=True))
    expected = answer(to_model(small()), X)[0]
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-4)
    np.testing.assert_array_equal(found["again"], found["scores"])
    np.testing.assert_array_equal(found["copy"], X)
    np.testing.assert_array_equal(found["fixed"], [0, 1, 2])
    np.testing.assert_allclose(
        found["maps"].mean((1, 2)), found[graph.nodes[1].output.name], atol=1e-5
    )


def test_an_input_returned_as_it_is() -> None:
    graph = small()
    graph.outputs["x"] = graph.inputs[0]
    np.testing.assert_array_equal(answer(to_model(graph), X)[1], X)


def test_an_output_named_like_another_input() -> None:
    graph = small()
    graph.outputs = {"x": graph.outputs["scores"]}
    with pytest.raises(UnsupportedFormatError, match="same name"):
        to_model(graph)


# Versions and metadata


@pytest.mark.parametrize("opset", [12, newest_opset() + 1])
def test_opsets_out_of_range(opset: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"opset {opset}.*13 to {newest_opset()}"):
        write(small(), tmp_path / "model.onnx", opset=opset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20, 21, newest_opset()])
def test_opsets(opset: int) -> None:
    model = to_model(small(), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == opset
    assert model.ir_version == 10
    assert model.producer_name == "hornbeam"


def test_metadata() -> None:
    model = to_model(small(), metadata={"labels": '["cat"]', "version": "1"})
    found = {item.key: item.value for item in model.metadata_props}
    assert found == {"hornbeam.labels": '["cat"]', "hornbeam.version": "1"}


# Bytes


def test_same_graph_same_bytes(tmp_path: Path) -> None:
    graph, paths = small(), [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    write(graph, paths[0])
    write(graph, paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    write(small(), paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_streamed_file_is_the_model(tmp_path: Path) -> None:
    """What is framed by hand reads as what protocol buffers would have written."""
    path = tmp_path / "model.onnx"
    for case in all_cases()[::9]:
        graph = Graph(case.name)
        graph.add_input("unused", (2,), "float32")
        constants = [item for item in case.inputs if isinstance(item, np.ndarray)]
        for index, array in enumerate([*constants, np.zeros((0, 3), "float32")]):
            graph.outputs[f"c{index}"] = graph.constant(f"k{index}", array)
        write(graph, path)
        read, made = onnx.load(path), to_model(graph)
        order = {tensor.name: tensor for tensor in read.graph.initializer}
        assert [order[tensor.name] for tensor in made.graph.initializer] == list(
            made.graph.initializer
        )
        read.graph.ClearField("initializer")
        made.graph.ClearField("initializer")
        assert read == made


def test_constants_of_every_dtype(tmp_path: Path) -> None:
    import ml_dtypes

    graph, path = Graph("constants"), tmp_path / "model.onnx"
    graph.add_input("x", (1,), "float32")
    kinds = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
             "uint32", "uint64", "bool"]  # fmt: skip
    arrays: dict[str, np.ndarray] = {kind: np.array([[1, 0, 1]], kind) for kind in kinds}
    arrays["string"] = np.array(["a", "é"], object)
    arrays["view"] = np.arange(24, dtype="float32").reshape(2, 3, 4).transpose(2, 0, 1)
    arrays["number"] = np.asarray(3.5, "float32")
    for name, array in arrays.items():
        graph.outputs[name] = graph.constant(f"constant_{name}", array)
    half = np.array([1.5, -2], ml_dtypes.bfloat16)
    value = graph.constant("bfloat", half)
    graph.outputs["bfloat16"] = graph.emit(op.Cast("float32"), [value], "cast")[0]
    write(graph, path)
    running = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = running.run(None, {"x": X[0, 0, 0, :1]})
    for (name, array), result in zip(arrays.items(), found, strict=False):
        np.testing.assert_array_equal(result, array, err_msg=name)
    np.testing.assert_array_equal(found[-1], [1.5, -2])


# Weights outside


@pytest.fixture
def _outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialize, "_EXTERNAL_FROM", 0)


@pytest.mark.usefixtures("_outside")
def test_large_weights_go_to_a_file_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(small(), path)
    data = [other for other in tmp_path.iterdir() if other != path]
    assert len(data) == 1
    assert data[0].name.startswith("model.onnx.")
    assert data[0].suffix == ".data"
    shallow = onnx.load(path, load_external_data=False)
    outside = {tensor.name: bool(tensor.external_data) for tensor in shallow.graph.initializer}
    assert outside == {"kernel": True, "weights": False}
    np.testing.assert_array_equal(answer(path, X)[0], answer(to_model(small()), X)[0])
    onnx.checker.check_model(str(path))


@pytest.mark.usefixtures("_outside")
def test_an_old_model_keeps_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    write(small(), path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    changed = small()
    changed.nodes[0].inputs[1].array[...] += 1

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(serialize, "_stream", full)
    with pytest.raises(OutputError, match="No space left"):
        write(changed, path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    monkeypatch.undo()


@pytest.mark.usefixtures("_outside")
def test_weights_lie_beside_the_file_that_a_link_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "latest.onnx"
    link.symlink_to(tmp_path / "real" / "v1.onnx")
    write(small(), link)
    assert {path.name for path in tmp_path.iterdir()} == {"real", "latest.onnx"}
    assert len(list((tmp_path / "real").iterdir())) == 2
    assert len(answer(tmp_path / "real" / "v1.onnx", X)) == 1


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        write(small(), tmp_path / "missing" / "model.onnx")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    graph = small()
    graph.nodes[0].inputs[1].type = graph.nodes[0].inputs[1].type.with_shape((3, 3, 3, 16))
    graph.inputs[0].type = type(graph.inputs[0].type)(graph.inputs[0].shape, "float8_e4m3fn")
    with pytest.raises(UnsupportedFormatError, match="float8_e4m3fn"):
        write(graph, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.onnx"]  # noqa: PTH208


# Weights that are shared


def test_a_weight_that_is_used_twice_is_written_once() -> None:
    graph = small()
    conv = graph.nodes[0]
    second = graph.emit(conv.operation, list(conv.inputs), "second")[0]
    graph.outputs["second"] = second
    found = Counter(tensor.name for tensor in to_model(graph).graph.initializer)
    assert found == {"kernel": 1, "weights": 1}
    assert DEFAULT_OPSET == 21
