"""One benchmark at work: build the models, run every tool in turns, check what they wrote.

The result is a record that JSON can hold: raw figures of every process, nothing derived.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import machine
import measure
import peers
from convert_models import RECIPES
from convert_tools import Environment, Tool

__all__ = ["Bench", "collect", "say"]

_HERE = Path(__file__).resolve().parent
_OWN_PACKAGES = (
    "hornbeam", "keras", "jax", "numpy", "onnx", "onnxruntime", "flatbuffers", "ai-edge-litert",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Bench:
    """One benchmark at work: its folder of models and outputs, its interpreters, its limit."""

    folder: Path
    where: Environment
    timeout_s: float

    def model(self, name: str) -> Path:
        return self.folder / f"{name}.keras"

    def output(self, model: str, tool: Tool, kind: str) -> Path:
        return self.folder / f"{model}-{tool.name}-{kind}{tool.suffix}"

    def build_models(self, names: Sequence[str]) -> None:
        """Write every model's .keras file; without them there is nothing to measure."""
        command = [
            self.where.own_python,
            str(_HERE / "convert_models.py"),
            str(self.folder),
            *names,
        ]
        cost = measure.run(
            command,
            env=self.where.variables("numpy"),
            log=self.folder / "models.log",
            timeout_s=self.timeout_s,
        )
        if not cost.ok:
            raise SystemExit(f"The models could not be built: {cost.complaint}")

    def measure(self, model: str, tool: Tool, round_: int) -> list[dict[str, Any]]:
        """Run the tool's step process, and its command where it has one of its own."""
        report = self.folder / "stages.json"
        written = self.output(model, tool, "step")
        output = self.output(model, tool, "command")
        for left in (report, written, output):
            left.unlink(missing_ok=True)
        step = tool.step(self.where, self.model(model), written, report)
        runs = [self._run("step", step, tool.step_variables(self.where))]
        if runs[0]["ok"]:
            runs[0]["stages"] = json.loads(report.read_text("utf-8"))
        if typed := tool.typed(self.where, self.model(model), output):
            runs.append(self._run("command", typed, tool.typed_variables(self.where)))
        else:
            runs.append(runs[0] | {"kind": "command"})
        return [{"model": model, "tool": tool.name, "round": round_} | run for run in runs]

    def _run(self, kind: str, command: list[str], variables: dict[str, str]) -> dict[str, Any]:
        log = self.folder / "process.log"
        try:
            cost = measure.run(command, env=variables, log=log, timeout_s=self.timeout_s)
        except OSError as error:
            return {"kind": kind, "ok": False, "note": f"cannot be started: {error}"}
        return {
            "kind": kind,
            "ok": cost.ok,
            "note": cost.complaint,
            "cpu_s": cost.cpu_s,
            "wall_s": cost.wall_s,
            "peak_bytes": cost.peak_bytes,
        }

    def check(self, model: str, tools: Iterable[Tool]) -> list[dict[str, Any]]:
        """Say of every file that was written for ``model`` whether it computes the same."""
        files = {
            str(self.output(model, tool, kind)): (tool.name, kind)
            for tool in tools
            for kind in ("step", "command")
            if self.output(model, tool, kind).exists()
        }
        low, high = RECIPES[model].pixels
        script = [str(_HERE / "convert_check.py"), str(self.model(model)), str(low), str(high)]
        answer = subprocess.run(
            [self.where.own_python, *script, *files],
            env=self.where.variables("jax"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        return [
            {"model": model, "tool": files[path][0], "kind": files[path][1]}
            | {"bytes": Path(path).stat().st_size}
            | verdict
            for path, verdict in json.loads(answer.stdout).items()
        ]


def collect(
    bench: Bench, models: Sequence[str], tools: Sequence[Tool], repeat: int
) -> dict[str, Any]:
    """Build, warm up, measure in interleaved rounds, check; return the benchmark's record."""
    say("building the models")
    bench.build_models(models)
    # The first start of an interpreter's libraries reads them from disk and compiles them.
    for tool in {tool.own: tool for tool in reversed(tools)}.values():
        say(f"warming up with {tool.name}")
        bench.measure(models[0], tool, 0)
    load_before = machine.load_average()
    runs = []
    for round_ in range(1, repeat + 1):
        for model in models:
            for tool in tools:
                say(f"round {round_} of {repeat}: {model}, {tool.name}")
                runs += bench.measure(model, tool, round_)
    record = {
        "schema": 1,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "load_average": [load_before, machine.load_average()],
        "versions": _versions(bench.where, tools),
        "repeat": repeat,
        "runs": runs,
    }
    say("checking the files")
    return record | {"files": [file for model in models for file in bench.check(model, tools)]}


def say(text: str) -> None:
    """Tell whoever waits what is going on; standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def _versions(where: Environment, tools: Sequence[Tool]) -> dict[str, dict[str, str]]:
    found = {"hornbeam": peers.versions(Path(where.own_python), _OWN_PACKAGES)}
    if not all(tool.own for tool in tools):
        found["peers"] = peers.versions(Path(where.peers_python), peers.pinned())
    return found
