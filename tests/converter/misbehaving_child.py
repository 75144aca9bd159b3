"""A child that answers, refuses, fails, hangs and dies on request, as TensorFlow may."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

from hornbeam.converter.secondway.serving import serve
from hornbeam.errors import UnsupportedFormatError


def _refuse() -> None:
    raise UnsupportedFormatError("", "It lacks Svd", "Try the other")


def _full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _die(name: str) -> None:
    print("I0000 noise of a library", file=sys.stderr)
    print("Check failed: size >= 0 (-1 vs. 0)", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.Signals[name])
    time.sleep(60)


def _leave(code: int) -> None:
    os._exit(code)


def _eat() -> int:
    return len(bytearray(3_000_000_000))


def _stumble() -> None:
    raise ZeroDivisionError("a size of 0\nin the second line")


if __name__ == "__main__":
    serve(
        {
            "echo": lambda text: text,
            "where": lambda: [os.getpid(), str(Path.cwd())],
            "chatter": lambda: print("x" * 100_000),
            "refuse": _refuse,
            "full": _full,
            "die": _die,
            "leave": _leave,
            "eat": _eat,
            "stumble": _stumble,
            "sleep": lambda: time.sleep(60),
        }
    )
