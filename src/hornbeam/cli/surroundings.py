"""What is heard around a command: its own log, and of other libraries only what is asked for."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["surroundings"]

_STANDARD_ERROR = 2


@contextmanager
def surroundings(verbose: bool, level: int = logging.WARNING) -> Iterator[None]:
    """Show the log of Hornbeam from ``level`` up; all of it, and that of others, if ``verbose``.

    Everything is put back as it was.
    """
    with ExitStack() as stack:
        if not verbose:
            stack.enter_context(_quiet_native_code())
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            # Root's last resort would print what has no handler of its own.
            stack.enter_context(_logging("", logging.ERROR, logging.NullHandler()))
            stack.enter_context(_logging("absl", logging.ERROR, logging.NullHandler()))
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        stack.enter_context(_logging("hornbeam", logging.DEBUG if verbose else level, handler))
        yield


@contextmanager
def _logging(name: str, level: int, handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def _quiet_native_code() -> Iterator[None]:
    """Send what native libraries print on standard error nowhere; Python's ``sys.stderr`` stays.

    LiteRT announces each delegate there and has no switch for it. Where somebody else has put
    something into the place of ``sys.stderr`` (a test), nothing is touched.
    """
    ours = sys.stderr
    if not _is_standard_error(ours):
        yield
        return
    ours.flush()
    kept = os.dup(_STANDARD_ERROR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STANDARD_ERROR)
    os.close(nowhere)
    with open(kept, "w", encoding=ours.encoding, errors=ours.errors, buffering=1) as stream:  # noqa: PTH123
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(kept, _STANDARD_ERROR)


def _is_standard_error(stream: object) -> bool:
    if not isinstance(stream, io.TextIOWrapper):
        return False
    try:
        return stream.fileno() == _STANDARD_ERROR
    except (OSError, ValueError):
        return False
