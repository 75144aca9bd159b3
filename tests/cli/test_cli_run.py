"""``hornbeam run``: arrays in, arrays out, with no library but the engine."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from command_harness import RUNTIME_DATA, Invoke, refused

ENGINES = {".onnx": "onnxruntime", ".tflite": "ai_edge_litert"}


@pytest.fixture(params=[".onnx", ".tflite"])
def suffix(request: pytest.FixtureRequest) -> str:
    """Each format whose engine is installed."""
    pytest.importorskip(ENGINES[request.param])
    return str(request.param)


@pytest.fixture
def one(suffix: str) -> Path:
    """A model from x (batch, 4) to y (batch, 3)."""
    return RUNTIME_DATA / f"affine{suffix}"


@pytest.fixture
def two(suffix: str) -> Path:
    """A model from a and b (batch, 3) to their sum and product."""
    return RUNTIME_DATA / f"pair{suffix}"


def save(name: str, *shape: int, dtype: str = "float32") -> np.ndarray:
    array = np.random.default_rng(len(name)).uniform(-1, 1, shape).astype(dtype)
    np.save(name, array)
    return array


@pytest.mark.usefixtures("folder")
def test_one_array(invoke: Invoke, one: Path) -> None:
    x = save("x.npy", 5, 4)
    result = invoke("run", one, "--input", "x.npy", "-o", "y.npy")
    assert result.exit_code == 0, result.stderr
    weights = (np.arange(12, dtype=np.float32).reshape(4, 3) - 5) / 4
    expected = np.maximum(x @ weights + np.array([1, 0, -1], np.float32), 0)
    np.testing.assert_allclose(np.load("y.npy"), expected, atol=1e-6)
    assert "(5, 3)" in result.stdout


@pytest.mark.usefixtures("folder")
def test_arrays_by_name(invoke: Invoke, two: Path) -> None:
    a, b = save("a.npy", 2, 3), save("b.npy", 2, 3)
    given = ["--input", "b=b.npy", "--input", "a=a.npy"]
    assert invoke("run", two, *given, "-o", "y.npz").exit_code == 0
    np.savez("ab.npz", a=a, b=b)
    assert invoke("run", two, "-i", "ab.npz", "-o", "z.npz", "--device", "cpu").exit_code == 0
    for name in ("y.npz", "z.npz"):
        with np.load(name) as found:
            assert sorted(found.files) == ["product", "sum"]
            np.testing.assert_allclose(found["sum"], a + b, atol=1e-6)
            np.testing.assert_allclose(found["product"], a * b, atol=1e-6)
    assert Path("y.npz").read_bytes() == Path("z.npz").read_bytes()


@pytest.mark.usefixtures("folder")
def test_a_path_with_an_equals_sign(invoke: Invoke, one: Path) -> None:
    save("n=1.npy", 1, 4)
    assert invoke("run", one, "-i", "n=1.npy", "-o", "y.npy").exit_code == 0
    assert invoke("run", one, "-i", "x=n=1.npy", "-o", "z.npy").exit_code == 0
    assert Path("y.npy").read_bytes() == Path("z.npy").read_bytes()


@pytest.mark.usefixtures("folder")
def test_strings_come_out_as_plain_arrays(invoke: Invoke) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    make = onnx.helper
    ports = [make.make_tensor_value_info(n, onnx.TensorProto.STRING, ["n"]) for n in "xy"]
    node = make.make_node("Identity", ["x"], ["y"])
    graph = make.make_graph([node], "same", ports[:1], ports[1:])
    opsets = [make.make_opsetid("", 17)]
    onnx.save(make.make_model(graph, opset_imports=opsets, ir_version=8), "same.onnx")
    np.save("x.npy", np.array(["a", "böse"]))
    result = invoke("run", "same.onnx", "-i", "x.npy", "-o", "y.npz")
    assert result.exit_code == 0, result.stderr
    assert np.load("y.npz")["y"].tolist() == ["a", "böse"]


@pytest.mark.parametrize(
    ("given", "code", "complaint"),
    [
        ([], 2, "Give it: --input"),
        (["-i", "x.npy", "-i", "x=x.npy"], 2, 'Input "x" was given twice'),
        (["-i", "missing.npy"], 1, "There is no such file"),
        (["-i", "y=x.npy"], 1, "There is no such file"),
        (["-i", "folder"], 1, "Is a directory"),
        (["-i", "empty.npy"], 1, "They cannot be"),
        (["-i", "cut.npy"], 1, "They cannot be"),
        (["-i", "cut.npz"], 1, "They cannot be"),
        (["-i", "text.npy"], 1, "no plain array"),
        (["-i", "pickled.npy"], 1, "no plain array"),
        (["-i", "names.npz"], 1, '"z" not among them'),
        (["-i", "x=names.npz"], 1, "It holds 2"),
        (["-i", "wide.npy"], 1, "Found 5 where dimension 1 must be 4"),
        (["-i", "whole.npy"], 1, "int64"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("folder")
def test_inputs_that_do_not_fit(
    invoke: Invoke, one: Path, given: list[str], code: int, complaint: str
) -> None:
    x = save("x.npy", 2, 4)
    np.savez("names.npz", x=x, z=x)
    save("wide.npy", 2, 5)
    save("whole.npy", 2, 4, dtype="int64")
    Path("folder").mkdir()
    Path("empty.npy").touch()
    Path("cut.npy").write_bytes(Path("x.npy").read_bytes()[:-3])
    Path("cut.npz").write_bytes(Path("names.npz").read_bytes()[:-30])
    Path("text.npy").write_text("1, 2, 3, 4")
    Path("pickled.npy").write_bytes(pickle.dumps(x))
    Path("y.npy").write_bytes(b"before")
    assert complaint in refused(invoke("run", one, *given, "-o", "y.npy"), code)
    assert Path("y.npy").read_bytes() == b"before"


@pytest.mark.usefixtures("folder")
def test_a_pickle_is_not_run(invoke: Invoke, one: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (Path("marker"),)

    np.save("x.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    refused(invoke("run", one, "-i", "x.npy", "-o", "y.npy"))
    assert not Path("marker").exists()
    np.load("x.npy", allow_pickle=True)
    assert Path("marker").exists(), "the trap itself does not work"


@pytest.mark.usefixtures("folder")
def test_inputs_for_none_in_particular(invoke: Invoke, two: Path) -> None:
    save("a.npy", 2, 3)
    message = refused(invoke("run", two, "-i", "a.npy", "-o", "y.npz"), 2)
    assert "NAME=PATH" in message
    assert "b: float32" in message


@pytest.mark.usefixtures("folder")
def test_two_outputs_need_npz(invoke: Invoke, two: Path) -> None:
    assert "Use .npz" in refused(invoke("run", two, "-i", "a.npy", "-o", "y.npy"), 2)


@pytest.mark.usefixtures("folder")
def test_a_device_that_does_not_exist(invoke: Invoke, one: Path) -> None:
    save("x.npy", 2, 4)
    result = invoke("run", one, "-i", "x.npy", "-o", "y.npy", "--device", "abacus")
    assert "abacus" in refused(result, 2)
