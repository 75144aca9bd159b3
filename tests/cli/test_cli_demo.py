"""``hornbeam demo``: one table, and the files where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_harness import Invoke, refused
from test_cli_convert import GOLDEN, masked

pytest.importorskip("keras")


def test_table(invoke: Invoke, folder: Path) -> None:
    result = invoke("demo")
    assert result.exit_code == 0, result.stderr
    assert masked(result.stdout) == (GOLDEN / "demo.txt").read_text(encoding="utf-8")
    assert result.stderr.splitlines()[-2:] == ["score", "time"]
    assert not list(folder.iterdir()), "the demo leaves nothing behind"


def test_keep_and_json(invoke: Invoke, folder: Path) -> None:
    result = invoke("demo", "--keep", folder / "new" / "kept", "--json")
    assert result.exit_code == 0, result.stderr
    kept = sorted(path.name for path in (folder / "new" / "kept").iterdir())
    assert kept == ["digits.onnx", "digits.tflite"]
    report = json.loads(result.stdout)
    assert [run["name"] for run in report["runs"]] == ["digits.keras", *kept]


def test_keep_where_a_file_is(invoke: Invoke, folder: Path) -> None:
    (folder / "kept").write_text("before")
    assert "The folder kept was to be made" in refused(invoke("demo", "--keep", "kept"))
    assert (folder / "kept").read_text() == "before"
