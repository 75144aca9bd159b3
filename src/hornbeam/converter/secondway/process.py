"""A process of our own in which others' native code works, and may hang or die.

The parent's side of the line. Whatever the child does (crash, abort, hang, run out of memory), the
parent gets an error that names the signal and quotes the child's last lines; child, log and
temporary files are gone afterwards.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from hornbeam import errors
from hornbeam.errors import ConversionError, HornbeamError

__all__ = ["Child"]

_NOISE = ("I0000", "W0000", "WARNING: All log messages", "Instructions for updating")
_QUOTED_LINES = 3
_QUOTED_WIDTH = 200
_KEPT_LOG = 20_000


class Child:
    """One child process, from ``with`` to its end: ``ask`` it, as often as needed.

    ``program`` is a module that calls `serving.serve`. ``seconds`` bounds each request, and
    ``memory`` (in bytes, by default what the machine has) the data of the process. ``folder`` is
    where the child works; it is removed with everything in it.
    """

    def __init__(self, program: str, *, seconds: float, memory: int | None = None) -> None:
        self.folder = Path()
        self._program = program
        self._seconds = seconds
        self._memory = memory or _machine_memory()
        self._stack = ExitStack()

    def __enter__(self) -> Child:
        temporary = tempfile.TemporaryDirectory(prefix="hornbeam-", ignore_cleanup_errors=True)
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(temporary)).resolve()
            self._line, theirs = multiprocessing.Pipe()
            stack.callback(self._line.close)
            with theirs, self._log.open("wb") as log:
                command = [sys.executable, "-W", "ignore", "-m", self._program]
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(self._memory), str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=self._environment(),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def ask(self, asked: str, what: str, **arguments: Any) -> Any:
        """The result of the handler ``what``; ``asked`` is the first sentence of any error.

        Raises the error of Hornbeam's tree that the child sent, `OSError` where the system failed
        it, and `ConversionError` where it hung or died.
        """
        request = {"what": what, "arguments": arguments, "seconds": self._seconds}
        try:
            self._line.send_bytes(json.dumps(request).encode())
            if not self._line.poll(self._seconds):
                self._end()
                raise ConversionError(
                    asked,
                    f"It did not end within {self._seconds:g} seconds, and was stopped",
                    "Allow it more time (time_limit), if the machine is slow or the model large",
                )
            answer = json.loads(self._line.recv_bytes())
        except (EOFError, ConnectionError):
            raise self._death(asked) from None
        if "system" in answer:
            raise OSError(*answer["system"])
        if "error" in answer:
            raise _rebuilt(asked, *answer["error"])
        return answer["result"]

    @property
    def _log(self) -> Path:
        return self.folder / "log.txt"

    def _environment(self) -> dict[str, str]:
        """As the parent's, with its import path, and the device left alone: CPUs serve."""
        paths = [entry or str(Path.cwd()) for entry in sys.path]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(self.folder),
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }

    def _end(self) -> None:
        """Stop the child and whatever it started; without harm where it has ended already."""
        if self._process.returncode is None:
            # It leads its group, which lives until we have waited for it.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _death(self, asked: str) -> ConversionError:
        """What to say of a child that is gone."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._end()
            code = 0
        advice = ""
        if code < 0:
            name = signal.Signals(-code).name
            found = f"The process that did it died of {name}"
            if name == "SIGKILL":
                found += ", as happens where memory runs out"
                advice = "Free some memory, or convert on a larger machine"
        else:
            found = f"The process that did it ended with code {code}"
        last = self._last_lines()
        return ConversionError(asked, f"{found}; its last lines: {last}" if last else found, advice)

    def _last_lines(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _KEPT_LOG))
            lines = log.read().decode(errors="replace").splitlines()
        telling = [line.strip() for line in lines if line.strip() and not line.startswith(_NOISE)]
        return " | ".join(line[:_QUOTED_WIDTH] for line in telling[-_QUOTED_LINES:])


def _rebuilt(asked: str, kind: str, own: str, found: str, advice: str) -> HornbeamError:
    tree = getattr(errors, kind, ConversionError)
    error: HornbeamError = tree(own or asked, found, advice)
    return error


def _machine_memory() -> int:
    """The bytes of memory of this machine, or of the container that we are in."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return machine
    return min(machine, int(allowed)) if allowed.isdigit() else machine
