"""Inspection: the figures of known models, agreement between formats, and files of others."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam.errors import UsageError
from hornbeam.pipeline import digits
from hornbeam.pipeline.inspect import Inspection, inspect
from hornbeam.pipeline.inspection.products import Call, onnx_products, tflite_products

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")
onnx = pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

ZOO = Path(__file__).parents[3] / "shared" / "zoo"
DIGITS = digits.locate().model


@pytest.fixture
def zoo() -> Callable[[str], Path]:
    """Find a real model outside the project; skip where there is none."""

    def find(name: str) -> Path:
        path = ZOO / name
        if not path.exists():
            pytest.skip(f"the zoo of trained models is not here: {path}")
        return path

    return find


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits model in every format, by suffix."""
    folder = tmp_path_factory.mktemp("digits")
    files = {suffix: folder / f"digits{suffix}" for suffix in (".onnx", ".tflite")}
    hornbeam.convert(DIGITS, *files.values(), verify=False)
    return {".keras": DIGITS, **files}


def rows(found: Inspection) -> dict[str, tuple[Any, ...]]:
    return {
        row.name: (row.operation, row.shape, row.parameters, row.multiply_adds)
        for row in found.rows
    }


def test_layers_of_a_keras_file() -> None:
    found = inspect(DIGITS)
    by_name = rows(found)
    assert by_name["image"] == ("InputLayer", ("batch", 8, 8, 1), 0, 0)
    assert by_name["stem_conv"] == ("Conv2D", ("batch", 8, 8, 20), 180, 8 * 8 * 20 * 9)
    assert by_name["stem_norm"] == ("BatchNormalization", ("batch", 8, 8, 20), 80, 0)
    # One row for a layer of two convolutions.
    separable = 4 * 4 * 20 * 9 + 4 * 4 * 36 * 20
    assert by_name["separable"] == ("SeparableConv2D", ("batch", 4, 4, 36), 900, separable)
    assert by_name["digit"] == ("Dense", ("batch", 10), 370, 360)
    assert found.parameters == keras.saving.load_model(DIGITS).count_params()
    assert found.weight_bytes == 4 * found.parameters
    assert found.bytes == DIGITS.stat().st_size
    assert not found.notes


def test_formats_agree(converted: dict[str, Path]) -> None:
    found = {suffix: inspect(path) for suffix, path in converted.items()}
    assert {suffix: one.multiply_adds for suffix, one in found.items()} == {
        ".keras": 110_056, ".onnx": 110_056, ".tflite": 110_056,
    }  # fmt: skip
    assert [one.inputs[0].name for one in found.values()] == ["image"] * 3
    assert [one.outputs[0].name for one in found.values()] == ["digit"] * 3
    # Batch norm is folded, and then a convolution has a bias: four numbers a channel become one.
    channels = 20 + 20 + 20 + 36 + 36
    # What is left of the one that cannot be folded differs: a scale and an offset, or none.
    assert found[".tflite"].parameters <= found[".keras"].parameters - 3 * channels + 60
    for suffix in (".onnx", ".tflite"):
        assert 4 * found[suffix].parameters <= found[suffix].weight_bytes < found[suffix].bytes
        assert found[suffix].metadata["model"] == "digits"


def test_everything_is_in_the_json(converted: dict[str, Path]) -> None:
    for path in converted.values():
        found = inspect(path)
        plain = json.loads(json.dumps(found.as_dict()))
        assert plain["multiply_adds"] == found.multiply_adds
        assert len(plain["rows"]) == len(found.rows)
        assert plain["rows"][0]["name"] == found.rows[0].name


def saved(model: Any, path: Path) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def test_nested_and_shared_layers(tmp_path: Path) -> None:
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5, name="deep")], name="inner")
    x = keras.Input((6,), name="x")
    shared = layers.Dense(6, name="shared")
    y = layers.Dense(2, name="last")(inner(shared(shared(x))))
    found = inspect(saved(keras.Model(x, y), tmp_path / "nested.keras"))
    by_name = rows(found)
    assert by_name["shared"][2:] == (42, 2 * 36), "its weights count once, its work twice"
    assert by_name["inner/deep"] == ("Dense", ("batch", 5), 35, 30)
    assert found.parameters == 42 + 35 + 12
    assert found.multiply_adds == 72 + 30 + 10


def test_work_outside_layers_and_free_sizes(tmp_path: Path) -> None:
    x = keras.Input((None, 4), name="x")
    y = keras.ops.matmul(x, keras.ops.transpose(x, (0, 2, 1)))
    found = inspect(saved(keras.Model(x, y), tmp_path / "outside.keras"))
    assert rows(found)["(outside layers)"][3] == 4
    assert found.notes == ("Multiply-adds are for sizes of 1 where the size is free: time",)
    hornbeam.convert(tmp_path / "outside.keras", tmp_path / "outside.onnx", verify=False)
    other = inspect(tmp_path / "outside.onnx")
    assert other.multiply_adds == 4
    assert other.notes == found.notes


def test_a_model_that_cannot_be_traced_still_shows_its_layers(tmp_path: Path) -> None:
    x = keras.Input((4, 4), name="x")
    y = keras.ops.eigh(keras.layers.Dense(4, name="dense")(x))[0]
    found = inspect(saved(keras.Model(x, y), tmp_path / "values.keras"))
    assert rows(found)["dense"] == ("Dense", None, 20, None)
    assert found.multiply_adds is None
    assert "keras.ops.eigh" in found.notes[0]


KNOWN = {
    # parameters, multiply-adds, rows; the figures of the two formats of a model were compared.
    "pairs/model_1.onnx": (363_393, 361_088, 36),
    "pairs/model_1.tflite": (362_369, 361_088, 43),
    "pairs/model_quant_1.tflite": (362_369, 361_088, 43),
    "pairs/model_2.onnx": (624_385, 622_592, 78),
    "pairs/model_2.tflite": (625_153, 622_592, 60),
    "pairs/basic_pitch/nmp.onnx": (35_741, 524_079_648, 248),
    "pairs/basic_pitch/nmp.tflite": (35_739, 524_079_648, 222),
    # 300 million and 3.47 million (batch norm apart) in the paper of MobileNetV2.
    "tflite/tf2_mobilenet_v2_1.0_224_ptq.tflite": (3_489_097, 300_775_552, 68),
    "tflite/mobilenet_v1_0.25_128_quant.tflite": (467_593, 13_570_304, 31),
    # An LSTM of 20 units over 28 rows of 28 pixels: 28 * 4 * 20 * (28 + 20), and 560 * 10.
    "tflite/trained_lstm_int8.tflite": (9_530, 113_120, 4),
    "mlperf_tiny/ad01_int8.tflite": (265_864, 264_192, 10),
    "mlperf_tiny/vww_96_int8.tflite": (210_850, 7_489_664, 31),
    "mlperf_tiny/pretrainedResnet_quant.tflite": (77_706, 12_501_632, 16),
}


@pytest.mark.parametrize("name", KNOWN)
def test_files_of_others(zoo: Callable[[str], Path], name: str) -> None:
    path = zoo(name)
    found = inspect(path)
    assert (found.parameters, found.multiply_adds, len(found.rows)) == KNOWN[name]
    assert found.bytes == path.stat().st_size
    assert all(row.shape is not None for row in found.rows)
    assert not found.notes


@pytest.mark.parametrize(
    ("keras_file", "other"),
    [
        ("mlperf_tiny/ad01.h5", "mlperf_tiny/ad01_fp32.tflite"),
        ("mlperf_tiny/vww_96.h5", "mlperf_tiny/vww_96_float.tflite"),
        ("mlperf_tiny/pretrainedResnet.h5", "mlperf_tiny/pretrainedResnet.tflite"),
        ("mlperf_tiny/str_ww_ref_model.h5", "mlperf_tiny/str_ww_ref_model.tflite"),
    ],
)
def test_a_keras_file_and_what_others_made_of_it_agree(
    zoo: Callable[[str], Path], keras_file: str, other: str
) -> None:
    found = inspect(zoo(keras_file))
    assert found.multiply_adds == inspect(zoo(other)).multiply_adds
    assert any(note.startswith("Repaired: ") for note in found.notes)


def onnx_model(tmp_path: Path, nodes: list[Any], constants: dict[str, np.ndarray]) -> Path:
    """A model from x (batch, 4) to y, written as others write them."""
    make = onnx.helper
    kind = onnx.TensorProto.FLOAT
    graph = make.make_graph(
        nodes,
        "made",
        [make.make_tensor_value_info("x", kind, ["batch", 4])],
        [make.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [make.make_opsetid("", 17), make.make_opsetid("com.example", 1)]
    path = tmp_path / "made.onnx"
    onnx.save(make.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_onnx_weights_are_counted_once_and_as_stored(tmp_path: Path) -> None:
    make = onnx.helper.make_node
    nodes = [
        make("DequantizeLinear", ["w", "scale", "zero"], ["wf"], name="weights"),
        make("MatMul", ["x", "wf"], ["a"], name="first"),
        make("Gemm", ["a", "g"], ["b"], name="second", transB=1),
        make("Gemm", ["b", "g"], ["c"], name="third", transB=1),
        make("Reshape", ["c", "shape"], ["d"], name="shaped"),
        make("Constant", [], ["one"], value=onnx.numpy_helper.from_array(np.float32([1, 2, 3, 4]))),
        make("Add", ["d", "one"], ["y"], name="shifted"),
    ]
    constants = {
        "w": np.zeros((4, 4), np.int8),
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "g": np.zeros((4, 4), np.float32),
        "shape": np.array([-1, 4], np.int64),
    }
    found = inspect(onnx_model(tmp_path, nodes, constants))
    figures = {row.name: (row.parameters, row.bytes, row.multiply_adds) for row in found.rows}
    assert figures == {
        "weights": (16, 16 + 4 + 1, 0),
        "first": (0, 0, 16),
        "second": (16, 64, 16),
        "third": (0, 0, 16),
        "shaped": (0, 16, 0),
        "shifted": (4, 16, 0),
    }


def test_onnx_operations_of_others_are_unknown(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Magic", ["x"], ["y"], name="m", domain="com.example")
    found = inspect(onnx_model(tmp_path, [node], {}))
    (row,) = found.rows
    assert (row.operation, row.shape, row.multiply_adds) == ("com.example.Magic", None, None)
    assert found.multiply_adds is None
    assert found.notes == ("The multiply-adds of 1 operations are unknown",)


def test_onnx_graphs_inside_operations_are_shown(tmp_path: Path) -> None:
    make = onnx.helper
    kind = onnx.TensorProto.FLOAT
    branches = {}
    for name in ("then", "else"):
        weights = onnx.numpy_helper.from_array(np.ones((4, 2), np.float32), f"w_{name}")
        result = make.make_tensor_value_info(f"r_{name}", kind, None)
        node = make.make_node("MatMul", ["x", f"w_{name}"], [f"r_{name}"], name=f"mm_{name}")
        branches[f"{name}_branch"] = make.make_graph([node], name, [], [result], [weights])
    node = make.make_node("If", ["yes"], ["y"], name="choice", **branches)
    found = inspect(onnx_model(tmp_path, [node], {"yes": np.array(True)}))
    inside = {r.name: (r.parameters, r.multiply_adds) for r in found.rows}
    assert inside == {"choice": (0, 0), "choice/mm_then": (8, 8), "choice/mm_else": (8, 8)}


def test_onnx_weights_beside_the_file_count_as_its_bytes(tmp_path: Path) -> None:
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    path = onnx_model(tmp_path, [node], {"w": np.zeros((4, 500), np.float32)})
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(path), apart, save_as_external_data=True, location="w.bin", size_threshold=0
    )
    found = inspect(apart)
    assert found.bytes == apart.stat().st_size + (tmp_path / "w.bin").stat().st_size
    assert found.weight_bytes == 8000
    assert found.multiply_adds == 2000


def test_another_suffix_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="Its suffix is"):
        inspect("model.pt")


ONNX_CALLS = {
    "Conv": (Call("Conv", [(1, 4, 8, 8), (6, 2, 3, 3)], [(1, 6, 8, 8)]), 6 * 64 * 2 * 9),
    "QLinearConv": (
        Call("QLinearConv", [(1, 4, 8, 8), (), (), (6, 4, 1, 1)], [(1, 6, 8, 8)]), 6 * 64 * 4
    ),
    "ConvTranspose": (
        Call("ConvTranspose", [(1, 4, 8, 8), (4, 3, 2, 2)], [(1, 3, 16, 16)]), 4 * 64 * 3 * 4
    ),
    "Gemm": (Call("Gemm", [(2, 4), (4, 5)], [(2, 5)]), 40),
    "Gemm transposed": (Call("Gemm", [(4, 2), (4, 5)], [(2, 5)], {"transA": 1}), 40),
    "LSTM": (Call("LSTM", [(7, 1, 3), (1, 20, 3), (1, 20, 5)], [(7, 1, 1, 5)]), 7 * 20 * 8),
    "GRU, two ways": (Call("GRU", [(7, 1, 3), (2, 15, 3), (2, 15, 5)], [None]), 7 * 30 * 8),
    "Einsum": (
        Call("Einsum", [(2, 3, 4), (4, 5)], [(2, 3, 5)], {"equation": "bij, jk -> bik"}), 120
    ),
    "Einsum without a sum": (
        Call("Einsum", [(2, 3)], [(3, 2)], {"equation": "ij->ji"}), 0
    ),
    "Einsum with dots": (
        Call("Einsum", [(2, 3), (3,)], [(2,)], {"equation": "...i,i->..."}), None
    ),
    "MatMul of the unknown": (Call("MatMul", [None, (4, 5)], [(2, 5)]), None),
    "Conv without weights": (Call("Conv", [(1, 4, 8, 8)], [(1, 6, 8, 8)]), None),
    "Relu": (Call("Relu", [None], [None]), 0),
}  # fmt: skip

TFLITE_CALLS = {
    "CONV_2D": (Call("CONV_2D", [(1, 8, 8, 4), (6, 3, 3, 2)], [(1, 8, 8, 6)]), 6 * 64 * 2 * 9),
    "CONV_3D": (Call("CONV_3D", [None, (2, 2, 2, 4, 6)], [(1, 3, 3, 3, 6)]), 27 * 6 * 8 * 4),
    "DEPTHWISE_CONV_2D": (
        Call("DEPTHWISE_CONV_2D", [None, (1, 3, 3, 6)], [(1, 8, 8, 6)]), 64 * 6 * 9
    ),
    "TRANSPOSE_CONV": (
        Call("TRANSPOSE_CONV", [(4,), (3, 2, 2, 4), (1, 8, 8, 4)], [None]), 64 * 4 * 3 * 4
    ),
    "FULLY_CONNECTED": (Call("FULLY_CONNECTED", [(2, 4), (5, 4)], [(2, 5)]), 40),
    "BATCH_MATMUL": (Call("BATCH_MATMUL", [(3, 2, 4), (3, 4, 5)], [(3, 2, 5)]), 120),
    "BATCH_MATMUL transposed": (
        Call("BATCH_MATMUL", [(3, 4, 2), (3, 4, 5)], [(3, 2, 5)], {"adjX": True}), 120
    ),
    "LSTM": (
        Call("UNIDIRECTIONAL_SEQUENCE_LSTM", [(1, 7, 3), *[(5, 3)] * 4, *[(5, 5)] * 4], [None]),
        7 * 20 * 8,
    ),
    "LSTM with tied gates": (
        Call(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            [(1, 7, 3), None, *[(5, 3)] * 3, None, *[(5, 5)] * 3],
            [None],
        ),
        7 * 15 * 8,
    ),
    "ADD": (Call("ADD", [None, None], [None]), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", ONNX_CALLS)
def test_products_of_onnx_operations(name: str) -> None:
    call, expected = ONNX_CALLS[name]
    assert onnx_products(call) == expected


@pytest.mark.parametrize("name", TFLITE_CALLS)
def test_products_of_tflite_operations(name: str) -> None:
    call, expected = TFLITE_CALLS[name]
    assert tflite_products(call) == expected
