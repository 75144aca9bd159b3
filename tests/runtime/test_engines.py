"""What is particular to one engine: its dtypes, its options, its absence, its real models."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from small_models import DATA, sample

import hornbeam
from hornbeam.errors import EngineUnavailableError, InputError, ModelFileError

Find = Callable[[str], Path]


@pytest.fixture
def onnx() -> Any:
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("onnx")


@pytest.fixture
def make(tmp_path: Path) -> ModuleType:
    """The script that made the committed models, writing into a folder of its own."""
    for library in ("onnx", "ai_edge_litert", "flatbuffers"):
        pytest.importorskip(library)
    spec = importlib.util.spec_from_file_location("make_small_models", DATA / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HERE = tmp_path
    return module


def _identity(onnx: Any, path: Path, element: str, shape: list[Any], operator: str) -> Path:
    kind = getattr(onnx.TensorProto, element)
    tensors = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    node = onnx.helper.make_node(operator, ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", tensors[:1], tensors[1:])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _with_options(path: Path, options: str) -> Path:
    """Append one more entry of metadata, which protobuf allows at the end of the bytes."""

    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 128
        return bytes([number << 3 | 2, len(content)]) + content

    entry = field(1, b"hornbeam.session_options") + field(2, options.encode())
    path.write_bytes((DATA / "affine.onnx").read_bytes() + field(14, entry))
    return path


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        ("FLOAT", "f4"), ("DOUBLE", "f8"), ("FLOAT16", "f2"), ("BOOL", "?"),
        ("INT8", "i1"), ("INT16", "i2"), ("INT32", "i4"), ("INT64", "i8"),
        ("UINT8", "u1"), ("UINT16", "u2"), ("UINT32", "u4"), ("UINT64", "u8"),
    ],
)  # fmt: skip
def test_every_dtype_of_onnx_comes_back_as_it_went(
    onnx: Any, tmp_path: Path, element: str, dtype: str
) -> None:
    session = hornbeam.load(_identity(onnx, tmp_path / "m.onnx", element, [None, 2], "Identity"))
    assert session.inputs[0].dtype == np.dtype(dtype)
    assert session.inputs[0].shape == (None, 2), "a dimension without a name has none"
    assert session.outputs[0].shape == (None, 2)
    x = np.array([[0, 1], [1, 1]], dtype)
    y = session.run(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)


def test_strings_in_onnx(onnx: Any, tmp_path: Path) -> None:
    session = hornbeam.load(_identity(onnx, tmp_path / "m.onnx", "STRING", ["n"], "Identity"))
    assert str(session.inputs[0]) == "x: string (n,)"
    for given in (["a", "bö"], np.array(["a", "bö"]), np.array(["a", "bö"], object)):
        assert session.run(given).tolist() == ["a", "bö"]
    with pytest.raises(InputError, match="array of str"):
        session.run([1, 2])


def test_scalars_in_onnx(onnx: Any, tmp_path: Path) -> None:
    session = hornbeam.load(_identity(onnx, tmp_path / "m.onnx", "FLOAT", [], "Identity"))
    assert session.inputs[0].shape == ()
    assert session.run(2.5) == 2.5


def test_an_input_that_numpy_cannot_hold(onnx: Any, tmp_path: Path) -> None:
    path = _identity(onnx, tmp_path / "m.onnx", "BFLOAT16", ["n"], "Identity")
    with pytest.raises(ModelFileError, match="bfloat16"):
        hornbeam.load(path)


def test_an_operator_that_nobody_knows(onnx: Any, tmp_path: Path) -> None:
    path = _identity(onnx, tmp_path / "m.onnx", "FLOAT", ["n"], "NoSuchOperator")
    with pytest.raises(ModelFileError, match=r"onnxruntime says: .*NoSuchOperator") as caught:
        hornbeam.load(path)
    assert "\n" not in str(caught.value)


def test_an_operator_that_nobody_knows_in_tflite(make: ModuleType, tmp_path: Path) -> None:
    schema = make.schema
    model = make._TFLite()
    x, y = model.tensor("x", [-1, 4]), model.tensor("y", [-1, 4])
    model.operator(schema.BuiltinOperator.CUSTOM, schema.AddOptionsT(), [x], y)
    model.codes[0].customCode = b"NoSuchOperator"
    model.write("m", {"x": x}, {"y": y})
    with pytest.raises(ModelFileError, match=r"litert says: .*NoSuchOperator"):
        hornbeam.load(tmp_path / "m.tflite")


def test_strings_in_tflite(make: ModuleType, tmp_path: Path) -> None:
    schema = make.schema
    model = make._TFLite()
    x, y, s = model.tensor("x", [2, 1]), model.tensor("y", [2]), model.tensor("s", [1])
    model.tensors[x].type = model.tensors[y].type = schema.TensorType.STRING
    model.tensors[s].type = schema.TensorType.INT32
    model.tensors[s].buffer = model.buffer(np.array([2], "<i4").tobytes())
    options = schema.ReshapeOptionsT()
    options.newShape = [2]
    model.operator(schema.BuiltinOperator.RESHAPE, options, [x, s], y)
    model.write("m", {"x": x}, {"y": y})
    session = hornbeam.load(tmp_path / "m.tflite")
    assert str(session.inputs[0]) == "x: string (2, 1)"
    assert session.run([["a"], ["bö"]]).tolist() == [b"a", "bö".encode()]


@pytest.mark.parametrize(
    ("device", "name", "found"),
    [("cuda", "affine.tflite", "holds a tflite model"), ("litert", "affine.onnx", "onnx model")],
)
def test_a_device_that_does_not_run_the_format(device: str, name: str, found: str) -> None:
    with pytest.raises(EngineUnavailableError, match=found):
        hornbeam.load(DATA / name, device=device)


def test_cuda_is_refused_where_it_is_not() -> None:
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this onnxruntime is built for CUDA")
    with pytest.raises(EngineUnavailableError) as caught:
        hornbeam.load(DATA / "affine.onnx", device="cuda")
    assert "CUDAExecutionProvider" in caught.value.found
    assert 'pip install "hornbeam[cuda]"' in caught.value.advice


def test_an_engine_may_be_chosen_by_its_name(suffix: str) -> None:
    engine = {".onnx": "onnxruntime", ".tflite": "litert"}[suffix]
    session = hornbeam.load(DATA / f"affine{suffix}", device=engine, threads=2)
    assert (session.engine, session.device) == (engine, "cpu")


@pytest.mark.parametrize(
    ("name", "library", "extra"),
    [
        ("affine.onnx", "onnxruntime", "cpu"),
        ("affine.tflite", "ai_edge_litert", "litert"),
    ],
)
def test_an_engine_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, library: str, extra: str
) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(EngineUnavailableError) as caught:
        hornbeam.load(DATA / name)
    assert library in caught.value.asked
    assert f'pip install "hornbeam[{extra}]"' in caught.value.advice
    # A file that is broken is called broken, whatever is installed.
    (tmp_path / name).write_bytes((DATA / name).read_bytes()[:100])
    with pytest.raises(ModelFileError):
        hornbeam.load(tmp_path / name)


def test_a_file_may_choose_how_it_is_computed(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    options = {"session.x64quantprecision": 1}
    path = _with_options(tmp_path / "m.onnx", json.dumps(options))
    session = hornbeam.load(path)
    assert json.loads(session.metadata["session_options"]) == options
    engine: Any = session._engine
    entry = engine._session.get_session_options().get_session_config_entry(*options)
    assert entry == "1"
    x = sample(3)
    np.testing.assert_array_equal(session.run(x), hornbeam.load(DATA / "affine.onnx").run(x))


@pytest.mark.parametrize("options", ['{"ep.context_enable": "1"}', "[1]", "no json", '"text"'])
def test_a_file_may_not_choose_anything_else(tmp_path: Path, options: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelFileError, match="may not set"):
        hornbeam.load(_with_options(tmp_path / "m.onnx", options))


def test_metadata_of_other_tools_is_kept(onnx: Any, tmp_path: Path) -> None:
    model = onnx.load(DATA / "affine.onnx")
    onnx.helper.set_model_props(model, {"author": "they", "hornbeam.note": "we", "note": "they"})
    onnx.save(model, tmp_path / "m.onnx")
    assert dict(hornbeam.load(tmp_path / "m.onnx").metadata) == {"author": "they", "note": "we"}


def test_weights_beside_the_file_must_be_there(onnx: Any, tmp_path: Path) -> None:
    model = onnx.load(DATA / "affine.onnx")
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data",
              size_threshold=0)  # fmt: skip
    x = sample(2)
    expected = hornbeam.load(DATA / "affine.onnx").run(x)
    np.testing.assert_array_equal(hornbeam.load(tmp_path / "m.onnx").run(x), expected)
    (tmp_path / "m.data").unlink()
    with pytest.raises(ModelFileError, match=r"m\.data"):
        hornbeam.load(tmp_path / "m.onnx")


def test_a_deleted_file_still_runs(suffix: str, tmp_path: Path) -> None:
    path = shutil.copy(DATA / f"affine{suffix}", tmp_path / f"m{suffix}")
    session = hornbeam.load(path)
    path.unlink()
    for batch in (1, 2, 1):
        assert session.run(sample(batch)).shape == (batch, 3)


def test_pairs_give_one_answer_on_both_engines(zoo: Find) -> None:
    for name in ("pairs/model_1", "pairs/model_2", "pairs/basic_pitch/nmp"):
        both = [hornbeam.load(zoo(name + suffix)) for suffix in (".onnx", ".tflite")]
        random = np.random.default_rng(0)
        inputs = [
            random.uniform(-0.1, 0.1, [d if isinstance(d, int) else 1 for d in info.shape]).astype(
                info.dtype
            )
            for info in both[0].inputs
        ]
        answers = [list(session.run(*inputs).values()) for session in both]
        for one, other in zip(*answers, strict=True):
            scale = float(np.abs(one).max())
            assert float(np.abs(one - other).max()) <= 1e-4 * scale, name


@pytest.mark.parametrize(
    "name",
    [
        "mlperf_tiny/kws_ref_model.tflite",
        "mlperf_tiny/ad01_fp32.tflite",
        "mlperf_tiny/pretrainedResnet_quant.tflite",
        "mlperf_tiny/str_ww_ref_model.tflite",
        "mlperf_tiny/vww_96_int8.tflite",
    ],
)
def test_a_batch_is_computed_as_its_samples_are(zoo: Find, name: str) -> None:
    session = hornbeam.load(zoo(name))
    (info,) = session.inputs
    random = np.random.default_rng(0)
    x = random.uniform(-100, 100, (3, *info.shape[1:])).astype(info.dtype)  # type: ignore[misc]
    one_by_one = np.concatenate([session.run(x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(session.run(x), one_by_one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(session.run(x[2:]), one_by_one[2:], rtol=1e-4, atol=1e-4)


def test_state_is_kept_between_runs_until_it_is_reset(zoo: Find) -> None:
    session = hornbeam.load(zoo("tflite/trained_lstm.tflite"))
    x = np.random.default_rng(0).uniform(0, 1, (1, 28, 28)).astype(np.float32)
    first = session.run(x)
    assert not np.array_equal(session.run(x), first)
    session.reset()
    np.testing.assert_array_equal(session.run(x), first)


def test_names_are_those_of_the_signature_or_else_of_the_tensors(zoo: Find) -> None:
    session = hornbeam.load(zoo("mlperf_tiny/str_ww_ref_model.tflite"))
    assert (session.inputs[0].name, session.outputs[0].name) == ("input_1", "dense")
    session = hornbeam.load(zoo("mlperf_tiny/ad01_fp32.tflite"))
    assert (session.inputs[0].name, session.outputs[0].name) == ("input_1", "Identity")
    session = hornbeam.load(zoo("pairs/basic_pitch/nmp.tflite"))
    assert [o.name for o in session.outputs] == ["onset", "note", "contour"]
