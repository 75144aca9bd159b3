"""What the documentation shows does what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def test_the_lowering_in_ten_lines_computes(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    import hornbeam
    from hornbeam.converter.load import ensure_backend

    ensure_backend()
    from hornbeam.converter import onnx
    from hornbeam.converter.lowering.builder import Builder
    from hornbeam.graph import Graph, Value
    from hornbeam.graph.dims import known

    page = (ROOT / "docs" / "architecture.md").read_text()
    (code,) = re.findall(r"```python\n(@lowers.*?)```", page, re.DOTALL)
    assert code.count("\n") <= 10
    names: dict[str, Any] = {
        "lowers": lambda *_: lambda function: function,
        "Builder": Builder,
        "Value": Value,
        "Any": Any,
        "known": known,
    }
    exec(code, names)
    graph = Graph("swap")
    x = graph.add_input("x", (2, 4), "float32")
    graph.outputs = {"y": names["swap"](Builder(graph, keras=None), None, x)}  # type: ignore[arg-type]
    onnx.write(graph, tmp_path / "swap.onnx")
    data = np.arange(8, dtype="float32").reshape(2, 4)
    with hornbeam.load(tmp_path / "swap.onnx") as session:
        np.testing.assert_array_equal(session.run(data), data[:, [2, 3, 0, 1]])
