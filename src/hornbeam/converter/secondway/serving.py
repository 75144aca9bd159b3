"""The child's side of the line: limits that it sets itself, and one answer for each request.

Nothing here knows TensorFlow. A request is a JSON object that names a handler and its arguments;
the answer holds its result, or an error of Hornbeam's tree, or one of the system. Anything else
that is raised is told to the parent and ends the process, with a traceback in its log.
"""

from __future__ import annotations

import json
import math
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hornbeam.errors import ConversionError, HornbeamError

__all__ = ["serve"]

#: Seconds after its limit when a child ends by itself, because nobody else ended it.
_GRACE = 15


def serve(handlers: Mapping[str, Callable[..., Any]]) -> None:
    """Answer requests until the parent hangs up.

    The command line holds the line's file descriptor, the bytes of memory that may be taken, and
    the folder to work in, which is removed where the parent died and could not do it.
    """
    descriptor, memory = map(int, sys.argv[1:3])
    _set_limits(memory)
    line = Connection(descriptor)
    while True:
        try:
            request = json.loads(line.recv_bytes())
        except (EOFError, ConnectionError):
            shutil.rmtree(sys.argv[3], ignore_errors=True)
            return
        # Ends the process even where the parent was killed while native code is at work.
        signal.alarm(math.ceil(request["seconds"]) + _GRACE)
        try:
            answer = _answer(handlers[request["what"]], request["arguments"], memory)
        except Exception as error:
            _send(line, _told(ConversionError("", _summary(error))))
            raise
        signal.alarm(0)
        _send(line, answer)


def _answer(handler: Callable[..., Any], arguments: dict[str, Any], memory: int) -> dict[str, Any]:
    try:
        return {"result": handler(**arguments)}
    except HornbeamError as error:
        return _told(error)
    except MemoryError:
        found = f"It needed more than the {memory / 1e9:.1f} GB of memory that it may take"
        return _told(ConversionError("", found))
    except OSError as error:
        return {"system": [error.errno, error.strerror or str(error)]}


def _told(error: HornbeamError) -> dict[str, Any]:
    return {"error": [type(error).__name__, error.asked, error.found, error.advice]}


def _send(line: Connection, answer: dict[str, Any]) -> None:
    line.send_bytes(json.dumps(answer).encode())


def _summary(error: BaseException) -> str:
    lines = [text.strip() for text in str(error).splitlines() if text.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."


def _set_limits(memory: int) -> None:
    """Bound memory, leave no core dump, and be the first that the system ends when memory is short.

    The memory limit is that of private data, which Linux enforces and macOS only accepts.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    badness = Path("/proc/self/oom_score_adj")
    if badness.exists():
        badness.write_text("1000", encoding="ascii")
