"""The command as a whole: help, version, -v, quiet libraries, interruptions, missing libraries."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_harness import RUNTIME_DATA, Invoke, Models, refused

import hornbeam

COMMANDS = ("convert", "verify", "run", "inspect", "demo")
HEAVY = ("ai_edge_litert", "flatbuffers", "h5py", "jax", "keras", "onnx", "onnxruntime", "scipy")


def shell(*arguments: str | Path, **options: object) -> subprocess.Popen[str]:
    """``python -m hornbeam`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hornbeam", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(hornbeam.__file__).parents[1])},
        **options,  # type: ignore[call-overload]
    )


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout.split()[-1] == hornbeam.__version__


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_of_its_own_command(invoke: Invoke, command: str, flag: str) -> None:
    shown = invoke(command, flag)
    assert shown.exit_code == 0
    examples = shown.stdout.partition("Examples:\n")[2].strip().splitlines()
    assert len(examples) >= 2
    assert all(line.strip().startswith(f"hornbeam {command}") for line in examples), examples


@pytest.mark.parametrize("command", COMMANDS)
def test_options_in_examples_exist(invoke: Invoke, command: str) -> None:
    shown = invoke(command, "--help").stdout
    options, _, examples = shown.partition("Examples:\n")
    used = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", examples))
    known = set(re.findall(r"--?[a-z][a-z-]*", options))
    assert used <= known


def test_help_lists_the_commands_with_whole_sentences(invoke: Invoke) -> None:
    shown = invoke("--help").stdout
    for command in COMMANDS:
        # Where click has to cut a sentence off, it ends in three dots.
        assert re.search(rf"^  {command} +[A-Z].*[a-z]\.$", shown, re.MULTILINE), command


def test_help_needs_the_base_dependencies_alone() -> None:
    blocked = f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\n"
    for arguments in ([], *([name] for name in COMMANDS)):
        code = f"{blocked}from hornbeam.cli.main import main\nmain({[*arguments, '--help']!r})"
        shown = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert shown.returncode == 0, shown.stderr
        assert "Usage: hornbeam" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "library"),
    [
        (["convert", "m.keras", "-o", "m.onnx"], "keras"),
        (["convert", "m.keras", "-o", "m.onnx"], "onnx"),
        (["convert", "m.keras", "-o", "m.tflite"], "flatbuffers"),
        (["convert", "m.keras", "-o", "m.onnx", "-o", "m.TFLITE"], "ai_edge_litert"),
        (["verify", "m.keras", "m.onnx"], "keras"),
        (["inspect", "m.h5"], "keras"),
        (["inspect", "m.onnx"], "onnx"),
        (["inspect", "m.tflite"], "ai_edge_litert"),
        (["demo"], "onnxruntime"),
    ],
)
def test_a_missing_library_is_named_with_the_way_to_get_it(
    invoke: Invoke,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    library: str,
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    message = refused(invoke(*arguments))
    assert library in message
    assert 'pip install "hornbeam[convert]"' in message
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["convert"],
        ["convert", "model.keras"],
        ["convert", "model.keras", "-o", "model.onnx", "--batch", "0"],
        ["convert", "model.keras", "-o", "model.onnx", "--batch", "three"],
        ["convert", "model.keras", "-o", "model.pt"],
        ["convert", "model.keras", "-o", "model"],
        ["convert", "model.keras", "-o", "model.tflite", "--opset", "17"],
        ["convert", "model.keras", "-o", "model.onnx", "-o", "./model.onnx"],
        ["verify", "model.keras"],
        ["run", "model.onnx", "--input", "x.npy"],
        ["run", "model.onnx", "--input", "x.npy", "-o", "y.csv"],
        ["inspect"],
        ["inspect", "model.pt"],
        ["demo", "digits"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(invoke: Invoke, folder: Path, arguments: list[str]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert "Error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_shows_the_traceback_and_the_message(invoke: Invoke, place: str) -> None:
    arguments = ["inspect", "nothing.onnx"]
    result = invoke(*(["-v", *arguments] if place == "before" else [*arguments, "-v"]))
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert "ModelFileError" in result.stderr
    last = result.stderr.rstrip().splitlines()[-1]
    assert last.startswith("Error: Loading nothing.onnx failed. It does not exist")


def test_log_and_warnings_are_as_they_were_afterwards(invoke: Invoke) -> None:
    import logging
    import warnings

    before = [logging.getLogger(name) for name in ("", "absl", "hornbeam")]
    state = [(logger.level, list(logger.handlers)) for logger in before], list(warnings.filters)
    invoke("inspect", "nothing.onnx")
    after = [(logger.level, list(logger.handlers)) for logger in before], list(warnings.filters)
    assert after == state


def test_python_m_hornbeam_prints_json_alone_and_libraries_are_quiet(
    models: Models, tmp_path: Path
) -> None:
    process = shell("convert", models.keras, "-o", tmp_path / "a.tflite", "--json")
    stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["files"][0]["bytes"] == (tmp_path / "a.tflite").stat().st_size
    # LiteRT announces its delegate from native code; Keras, JAX and absl warn.
    assert stderr.splitlines() == ["load", "trace", "improve", "write a.tflite", "verify a.tflite"]


def test_interrupted(models: Models, tmp_path: Path) -> None:
    with shell("convert", models.keras, "-o", tmp_path / "a.onnx", cwd=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("verify"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert stderr.split() == ["Interrupted"]
    assert stdout == ""
    assert not list(tmp_path.iterdir()), "half a file was left behind"


def test_nobody_reads_the_output() -> None:
    with shell("inspect", RUNTIME_DATA / "affine.onnx") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_nobody_reads_the_progress(models: Models, tmp_path: Path) -> None:
    with shell("convert", models.keras, "-o", tmp_path / "a.onnx", "--no-verify") as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.stdout is not None
        assert "a.onnx" in process.stdout.read()
    assert process.returncode == 0
    assert (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("verbose", [False, True])
def test_a_defect_is_said_in_one_line(verbose: bool) -> None:
    code = (
        "import hornbeam.runtime\n"
        "def load(*_): raise ZeroDivisionError('division by zero\\nand more')\n"
        "hornbeam.runtime.load = load\n"
        "from hornbeam.cli.main import main\n"
        f"main(['run', 'm.onnx', '-i', 'x.npy', '-o', 'y.npy', *{['-v'] * verbose!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    if verbose:
        assert "Traceback (most recent call last)" in done.stderr
    else:
        assert done.stderr == (
            "Error: unexpected ZeroDivisionError: division by zero "
            "(run with -v for the traceback, and please report it)\n"
        )
