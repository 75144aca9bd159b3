"""Says which step is being done: on a terminal in one line that moves, else line by line."""

from __future__ import annotations

import os
import shutil
import sys
from types import TracebackType

from tqdm import tqdm

__all__ = ["Progress"]

_BAR = "{desc} |{bar:20}| {n_fmt}/{total_fmt}  {elapsed}"


class Progress:
    """Called with the name of each step as it begins, of ``steps`` in all."""

    def __init__(self, steps: int) -> None:
        self._stream = sys.stderr
        self._bar: tqdm[None] | None = None
        if self._stream.isatty():
            # 80 by 24 where a terminal does not know its size: tqdm would show nothing.
            size = shutil.get_terminal_size()
            self._bar = tqdm(
                total=steps,
                file=self._stream,
                leave=False,
                bar_format=_BAR,
                ncols=size.columns,
                nrows=size.lines,
            )
        self._begun = 0

    def __call__(self, step: str) -> None:
        """Say that ``step`` begins; whatever was going on is done."""
        if self._bar is not None:
            self._bar.set_description_str(f"{step:<28}", refresh=False)
            self._bar.n = min(self._begun, self._bar.total)
            self._bar.refresh()
        else:
            self._print(step)
        self._begun += 1

    def _print(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            # Nobody reads any more, which is no reason to leave the work undone.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
