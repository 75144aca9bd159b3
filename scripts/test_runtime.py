"""Runs the runtime's tests on every Python that it supports, and on the oldest versions.

::

    python scripts/test_runtime.py [--require 3.10] [--junitxml FILE] [pytest arguments]

For each supported Python that this machine has, an environment under
``.cache/runtime-envs`` gets the built wheel and its engines, pytest, and onnx to write small
models with, and nothing else: no Keras, no converter. One more, on the oldest Python found,
gets the lowest versions that the bounds in ``pyproject.toml`` allow. A table closes the run;
a Python that cannot be had is named there, and makes the run fail only where ``--require``
asks for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from junit import Counts, read
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".cache" / "runtime-envs"
SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
ENGINES = ("onnxruntime", "ai-edge-litert")
SHOWN = ("numpy", *ENGINES)
# What the tests need beside the wheel; their versions are no promise of the runtime.
TOOLS = ("onnx", "pytest")


@dataclass(frozen=True)
class Plan:
    """One environment to test in: what it is called, its Python, and what goes into it."""

    name: str
    python: Path
    version: str
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def own_python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def report(self) -> Path:
        return self.folder / "junit.xml"

    @property
    def stamp(self) -> str:
        """Changes when the environment has to be made anew."""
        told = json.dumps([str(self.python), full_version(self.python), self.requirements])
        return hashlib.sha256(told.encode()).hexdigest()


def capture(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; what it prints and its exit status are the caller's to read."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def full_version(python: Path | str) -> str:
    """The version of an interpreter as ``3.12.1``, or an empty string if it does not start."""
    try:
        done = capture(python, "-c", "import platform; print(platform.python_version())")
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find_python(version: str) -> Path | None:
    """Looks on the PATH, among pyenv's and uv's interpreters, and at the Python running this."""
    candidates = [shutil.which(f"python{version}") or "", sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    # A minor version may be there several times: the newest patch comes first.
    installed = (pyenv / "versions").glob(f"{version}.*/bin/python")
    candidates += sorted(map(str, installed), key=patch_number, reverse=True)
    if uv := shutil.which("uv"):
        found = capture(uv, "python", "find", "--system", "--no-python-downloads", version)
        candidates.append(found.stdout.strip())
    for candidate in candidates:
        if candidate and full_version(candidate).startswith(f"{version}."):
            return Path(base_python(candidate))
    return None


def patch_number(path: str) -> int:
    numbers = re.findall(r"\d+", Path(path).parent.parent.name)
    return int(numbers[2]) if len(numbers) > 2 else 0


def base_python(python: str) -> str:
    """The interpreter behind a shim or a virtual environment."""
    show = "import sys; print(getattr(sys, '_base_executable', sys.executable))"
    return capture(python, "-c", show).stdout.strip()


def declared() -> list[Requirement]:
    """What the wheel needs to run models (the base and both engines), and the tests' tools."""
    import tomllib  # New in 3.11: this script runs where the converter does.

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = project["dependencies"] + extras["cpu"] + extras["litert"]
    tools = [r for r in extras["convert"] + extras["dev"] if Requirement(r).name in TOOLS]
    return [Requirement(line) for line in lines + tools]


def plan(versions: dict[str, Path]) -> list[Plan]:
    """One environment for each Python found, and the oldest versions on the oldest Python."""
    plans = [
        Plan(version, python, version, tuple(map(str, applicable(version))))
        for version, python in versions.items()
    ]
    if versions:
        oldest = min(versions, key=lambda version: int(version.split(".")[1]))
        pins = tuple(lowest(requirement) for requirement in applicable(oldest))
        plans.append(Plan(f"{oldest}-oldest", versions[oldest], oldest, pins))
    return plans


def applicable(version: str) -> list[Requirement]:
    """The declared requirements that hold on this Python."""
    environment = {"python_version": version, "python_full_version": f"{version}.0"}
    needed = [r for r in declared() if r.marker is None or r.marker.evaluate(environment)]
    for requirement in needed:
        requirement.marker = None
    return needed


def lowest(requirement: Requirement) -> str:
    """The lower bound as a pin; a tool of the tests is left as it is."""
    bounds = [s.version for s in requirement.specifier if s.operator == ">="]
    if requirement.name in TOOLS:
        return str(requirement)
    if len(bounds) != 1:
        raise SystemExit(f"pyproject.toml gives no single lower bound for {requirement}")
    return f"{requirement.name}=={bounds[0]}"


def build_wheel() -> Path:
    """Builds the wheel of this checkout, alone in its folder."""
    folder = ROOT / ".cache" / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--no-isolation", "--wheel", "--outdir", str(folder)]
    done = capture(sys.executable, "-m", "build", *options, ROOT)
    if done.returncode:
        raise SystemExit(f"The wheel could not be built:\n{done.stdout}{done.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def prepare(plan: Plan, wheel: Path) -> str:
    """Makes the environment unless its stamp fits; gives an error, or an empty string."""
    stamp = plan.folder / "stamp"
    python = str(plan.own_python)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = []
    if not stamp.exists() or stamp.read_text() != plan.stamp:
        shutil.rmtree(plan.folder, ignore_errors=True)
        steps += [[str(plan.python), "-m", "venv", str(plan.folder)]]
        steps += [[*pip, *plan.requirements]]
    # The wheel is new each time, and its dependencies are there already.
    steps += [[*pip, "--no-deps", "--force-reinstall", str(wheel)]]
    for step in steps:
        done = capture(*step)
        if done.returncode:
            print(done.stdout + done.stderr)
            return f"{' '.join(step[2:4])} failed with {done.returncode}"
    stamp.write_text(plan.stamp)
    return ""


def installed(plan: Plan) -> dict[str, str]:
    """The versions that the environment really holds, by name."""
    show = (
        "import importlib.metadata as m, json, sys\n"
        "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    )
    versions: dict[str, str] = json.loads(capture(plan.own_python, "-c", show, *SHOWN).stdout)
    return versions


def test(plan: Plan, arguments: list[str]) -> Counts:
    """Runs the runtime's tests against the installed wheel, not against the source tree."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    options = ["-q", "-p", "no:cacheprovider", f"--junitxml={plan.report}"]
    command = [str(plan.own_python), "-I", "-m", "pytest", *options, *arguments, "tests/runtime"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    counts = read(plan.report)
    if done.returncode and not counts.failed:
        return counts + Counts(failed=1)
    return counts


def run(plan: Plan, wheel: Path, arguments: list[str]) -> tuple[list[str], Counts]:
    """One row of the table, and what it counts."""
    print(f"\n== Python {plan.version} ({plan.name}): {plan.python}", flush=True)
    plan.report.unlink(missing_ok=True)
    error = prepare(plan, wheel)
    if error:
        return [plan.name, full_version(plan.python), f"not tested: {error}"], Counts(failed=1)
    versions = installed(plan)
    counts = test(plan, arguments)
    shown = ", ".join(f"{name} {versions[name]}" for name in SHOWN)
    return [plan.name, full_version(plan.python), f"{shown}: {counts}"], counts


def merge(reports: list[Path], path: Path) -> None:
    """Writes one JUnit file that holds the suites of all environments that got to testing."""
    merged = ElementTree.Element("testsuites")
    for report in reports:
        if report.exists():
            merged.extend(ElementTree.parse(report).getroot().iter("testsuite"))
    ElementTree.ElementTree(merged).write(path, encoding="utf-8", xml_declaration=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--require", action="append", default=[], metavar="3.X", choices=SUPPORTED)
    parser.add_argument("--junitxml", type=Path, metavar="FILE")
    known, arguments = parser.parse_known_args()
    found = {version: path for version in SUPPORTED if (path := find_python(version))}
    missing = [version for version in SUPPORTED if version not in found]
    wheel = build_wheel()
    rows, total = [], Counts()
    plans = plan(found)
    for each in plans:
        row, counts = run(each, wheel, arguments)
        rows.append(row)
        total += counts
    if known.junitxml:
        merge([each.report for each in plans], known.junitxml)
    rows += [[version, "none", "no such Python on this machine: not tested"] for version in missing]
    print()
    for name, version, outcome in rows:
        print(f"{name:<12} {version:<9} {outcome}")
    print(total)
    return 1 if total.failed or not found or set(missing) & set(known.require) else 0


if __name__ == "__main__":
    sys.exit(main())
