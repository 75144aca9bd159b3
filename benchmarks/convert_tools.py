"""The converters under measurement, and how each one's processes are started.

Each tool is measured two ways. *step*: ``convert_worker.py`` imports, loads and converts, and
reports every stage. *command*: what a user types for a .keras file, from interpreter start to
exit. A peer without a command line is used through a script that loads and exports, which is
what its step process does: its command is that same process.
"""

from __future__ import annotations

import dataclasses
import os
import sysconfig
from pathlib import Path

__all__ = ["TOOLS", "Environment", "Tool", "own_result"]

_HERE = Path(__file__).resolve().parent


@dataclasses.dataclass(frozen=True)
class Environment:
    """Where processes run: Hornbeam's interpreter, the peers', and a home for Keras's settings."""

    own_python: str
    peers_python: str
    keras_home: Path

    def variables(self, backend: str | None) -> dict[str, str]:
        """Return a child's environment; ``backend`` None leaves Keras's backend unset."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("KERAS_BACKEND", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        }
        # CPU only: a GPU's start-up time says nothing about a converter.
        kept |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
        # An empty home of its own: nobody's keras.json may choose the backend.
        kept["KERAS_HOME"] = str(self.keras_home / (backend or "unset"))
        return kept | ({"KERAS_BACKEND": backend} if backend else {})


@dataclasses.dataclass(frozen=True)
class Tool:
    """One converter to one format.

    ``command`` is its command line with ``{python}``, ``{scripts}``, ``{model}`` and
    ``{output}`` to be filled in, or empty where the step process is the command.
    """

    name: str
    title: str
    suffix: str
    own: bool
    command: tuple[str, ...] = ()

    def step(self, where: Environment, model: Path, output: Path, report: Path) -> list[str]:
        """Return the command of the process that reports its stages into ``report``."""
        python = where.own_python if self.own else where.peers_python
        return [
            python,
            str(_HERE / "convert_worker.py"),
            self.name,
            *map(str, (model, output, report)),
        ]

    def step_variables(self, where: Environment) -> dict[str, str]:
        """Return the environment of the step process: the extra's own backend, or TensorFlow."""
        return where.variables("jax" if self.own else "tensorflow")

    def typed(self, where: Environment, model: Path, output: Path) -> list[str]:
        """Return the command that a user types; empty where the step process is the command."""
        parts = {
            "python": where.own_python if self.own else where.peers_python,
            "scripts": sysconfig.get_path("scripts"),
            "model": str(model),
            "output": str(output),
        }
        return [word.format(**parts) for word in self.command]

    def typed_variables(self, where: Environment) -> dict[str, str]:
        """Return the environment of the typed command: Hornbeam chooses its backend itself."""
        return where.variables(None if self.own else "tensorflow")


_HORNBEAM = ("{scripts}/hornbeam", "convert", "{model}", "-o", "{output}", "--no-verify")
_TF2ONNX = ("{python}", "-m", "tf2onnx.convert", "--keras", "{model}", "--output", "{output}")

TOOLS = {
    tool.name: tool
    for tool in (
        Tool("hornbeam-onnx", "Hornbeam", ".onnx", True, _HORNBEAM),
        Tool("tf2onnx-keras", "tf2onnx `from_keras`", ".onnx", False, _TF2ONNX),
        Tool("tf2onnx-function", "tf2onnx `from_function`", ".onnx", False),
        Tool("keras-onnx", 'Keras `export("onnx")`', ".onnx", False),
        Tool("hornbeam-tflite", "Hornbeam", ".tflite", True, _HORNBEAM),
        Tool("tflite-converter", "`TFLiteConverter`", ".tflite", False),
        Tool("keras-litert", 'Keras `export("litert")`', ".tflite", False),
    )
}


def own_result(tool: Tool) -> str:
    """Return the name of Hornbeam's tool that writes the same format as ``tool``."""
    return "hornbeam-onnx" if tool.suffix == ".onnx" else "hornbeam-tflite"
