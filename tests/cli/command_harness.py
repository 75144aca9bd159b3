"""The command, called in this process, and what a failure of it has to look like."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hornbeam.cli.main import hornbeam_command

os.environ.setdefault("KERAS_BACKEND", "jax")

Invoke = Callable[..., Result]
RUNTIME_DATA = Path(__file__).parents[1] / "runtime" / "data"
ZOO = Path(__file__).parents[3] / "shared" / "zoo"


@dataclass(frozen=True)
class Models:
    """One small trained model in each kind of file."""

    keras: Path
    h5: Path
    onnx: Path
    tflite: Path


def call(*arguments: str | Path) -> Result:
    """Run the command; an error that is not one of Hornbeam's own is raised here."""
    result = CliRunner().invoke(hornbeam_command, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(result: Result, code: int = 1) -> str:
    """Check that the command failed as it should, in one clear message; return the message."""
    assert result.exit_code == code, f"exit code {result.exit_code}: {result.output}"
    assert "Traceback" not in result.stderr
    assert result.stdout == "", "a failure prints nothing on standard output"
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, f"not one message: {result.stderr}"
    assert result.stderr.rstrip().endswith(lines[0]), f"something follows: {result.stderr}"
    return lines[0]


def save(model: Any, path: Path) -> None:
    """Save a Keras model; what Keras says about numpy while it saves is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
