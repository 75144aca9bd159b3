"""The environment of the converters that Hornbeam is measured against.

TensorFlow and Hornbeam's own dependencies do not share one: neither may choose the other's
versions, and no TensorFlow may be within reach of Hornbeam while it is measured. The
environment is made on first use, from ``peers-requirements.txt``, and made good when the
versions in it are others than the file's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["ensure", "pinned", "versions"]

_ROOT = Path(__file__).resolve().parent.parent
_REQUIREMENTS = Path(__file__).resolve().parent / "peers-requirements.txt"
# TensorFlow's wheels exist for these interpreters.
_PYTHONS = ("3.13", "3.12", "3.11", "3.10")

_ASK_VERSIONS = """
import importlib.metadata as metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def ensure(folder: Path = _ROOT / ".venv-peers", requirements: Path = _REQUIREMENTS) -> Path:
    """Return the interpreter of the peers' environment in ``folder``, making it if need be.

    Raises ``SystemExit`` with a message when no interpreter fits, and
    ``subprocess.CalledProcessError`` when the installer fails.
    """
    wanted = pinned(requirements)
    python = folder / "bin" / "python"
    if python.exists():
        have = versions(python, wanted)
        if all(have.get(name) == version for name, version in wanted.items()):
            return python
    print(f"Installing the peers into {folder} (about 2 GB, once) …", file=sys.stderr)
    if not python.exists():
        _call(*_creator(), str(folder))
    _call(*_installer(python), "-r", str(requirements))
    return python


def pinned(requirements: Path = _REQUIREMENTS) -> dict[str, str]:
    """Return package → version from a file of ``name==version`` lines."""
    lines = (line.split("#")[0].strip() for line in requirements.read_text("utf-8").splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {name.strip(): version.strip() for name, version in pairs}


def versions(python: Path, packages: Iterable[str]) -> dict[str, str]:
    """Ask ``python`` for its own version and those of ``packages``; absent ones are left out."""
    answer = subprocess.run(
        [python, "-c", _ASK_VERSIONS, *packages], check=True, capture_output=True, text=True
    )
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def _creator() -> list[str]:
    base = _base_python()
    # --seed puts pip in, for the day when uv is no longer there.
    return (
        ["uv", "venv", "--seed", "--python", base] if shutil.which("uv") else [base, "-m", "venv"]
    )


def _installer(python: Path) -> list[str]:
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--python", str(python)]
    return [str(python), "-m", "pip", "install", "--quiet"]


def _call(*command: str) -> None:
    # Standard output is for the benchmark's result.
    subprocess.run(command, check=True, stdout=sys.stderr)


def _base_python() -> str:
    if f"{sys.version_info[0]}.{sys.version_info[1]}" in _PYTHONS:
        return sys.executable
    for version in _PYTHONS:
        if found := shutil.which(f"python{version}"):
            return found
    raise SystemExit(
        "The peers need a Python for which TensorFlow has wheels. "
        f"None of python{', python'.join(_PYTHONS)} was found. "
        "Install one of them, or measure without peers: --tools hornbeam-onnx,hornbeam-tflite."
    )
