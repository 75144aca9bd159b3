"""Run one child process and say what it cost: CPU seconds, wall seconds, peak memory.

The figures come from the kernel's own books: ``wait4`` returns what the child and every
descendant that it waited for have used. The peak is the resident set of the largest single
process among them, not their sum.

A process starts its life with the peak of the one that spawned it (Linux keeps the high-water
mark across ``exec``), so whoever measures must stay small: this module and its callers import
the standard library and nothing else before the last child has ended.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Cost", "Spread", "run", "spread"]

_TAIL_BYTES = 4000
# The kernel counts kibibytes; macOS counts bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one process used: seconds of CPU (user and system), of wall time, peak in bytes.

    ``returncode`` is negative for a process that a signal ended; ``tail`` is the end of what
    it printed.
    """

    cpu_s: float
    wall_s: float
    peak_bytes: int
    returncode: int
    timed_out: bool
    tail: str

    @property
    def ok(self) -> bool:
        """Whether the process ended by itself, with exit code 0."""
        return self.returncode == 0 and not self.timed_out

    @property
    def complaint(self) -> str:
        """Why the process failed, in one line; empty if it did not."""
        if self.ok:
            return ""
        if self.timed_out:
            return f"stopped after {self.wall_s:.0f} s"
        lines = [line.strip() for line in self.tail.splitlines() if line.strip()]
        last = lines[-1] if lines else "it printed nothing"
        return f"exit code {self.returncode}: {last[:200]}"


def run(
    command: Sequence[str], *, env: Mapping[str, str], log: Path, timeout_s: float = 600.0
) -> Cost:
    """Run ``command`` to its end, its output into ``log``, and return its cost.

    It gets a process group of its own, which is killed as a whole after ``timeout_s`` seconds.
    A command that cannot be started raises ``OSError``.
    """
    expired = threading.Event()

    def stop() -> None:
        expired.set()
        os.killpg(process.pid, signal.SIGKILL)

    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            # Ctrl-C must not leave a converter with 7 GB behind.
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - start
    # wait4 has reaped it: tell Popen, which would otherwise look for it again.
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=wall,
        peak_bytes=used.ru_maxrss * _PEAK_UNIT,
        returncode=process.returncode,
        timed_out=expired.is_set(),
        tail=_tail(log),
    )


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _TAIL_BYTES))
        return stream.read().decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of some samples, the smallest and the largest, and how many there were."""

    median: float
    low: float
    high: float
    count: int

    def text(self, digits: int = 2, unit: str = "") -> str:
        """``4.05 (3.98–4.20)``; a single sample stands alone."""
        middle = f"{self.median:.{digits}f}{unit}"
        if self.count == 1:
            return middle
        return f"{middle} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def spread(samples: Sequence[float]) -> Spread | None:
    """Return the spread of ``samples``; None if there are none."""
    if not samples:
        return None
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))
