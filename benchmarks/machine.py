"""What machine a figure was measured on: processor, cores, memory, system, other load.

Everything is read from /proc where there is one; what cannot be read is "unknown".
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["describe", "load_average"]

# Instruction sets that decide how fast a model runs, newest last.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm", "sve")


def describe(root: Path = Path("/")) -> dict[str, object]:
    """Return ``cpu``, ``instructions``, ``cores``, ``memory_gb`` and ``system``.

    ``root`` is where ``proc`` is looked for. ``cores`` are those that this process may use.
    """
    facts = _proc_table(root / "proc" / "cpuinfo")
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    memory = _proc_table(root / "proc" / "meminfo").get("MemTotal", "").split()
    model = facts.get("model name") or platform.processor() or "unknown"
    if "model" in facts and "cpu family" in facts:
        model += f" (family {facts['cpu family']}, model {facts['model']})"
    return {
        "cpu": model,
        "instructions": [flag for flag in _FLAGS if flag in flags],
        "cores": _cores(),
        "memory_gb": round(int(memory[0]) / 2**20, 1) if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
    }


def load_average() -> float | str:
    """Return how many processes wanted a core over the last minute, on average."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return "unknown"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _proc_table(path: Path) -> dict[str, str]:
    """Return the first value of every ``key : value`` line of ``path``."""
    table: dict[str, str] = {}
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return table
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            table.setdefault(key.strip(), value.strip())
    return table
