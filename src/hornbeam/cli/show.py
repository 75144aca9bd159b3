"""How figures and tables look, in every command alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
from tabulate import tabulate

__all__ = [
    "bytes_text",
    "count_text",
    "error_text",
    "print_json",
    "seconds_text",
    "shape_text",
    "shorten",
    "table",
]

_UNKNOWN = "?"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under column titles; a title that starts with ``>`` puts its column to the right."""
    titles = [column.lstrip(">") for column in columns]
    sides = ["right" if column.startswith(">") else "left" for column in columns]
    cells = [list(row) for row in rows]
    if not cells:
        return ""
    text = tabulate(cells, titles, tablefmt="simple", disable_numparse=True, colalign=sides)
    return "\n".join(line.rstrip() for line in text.splitlines())


def print_json(value: Any) -> None:
    """Print ``value`` alone on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def bytes_text(size: int) -> str:
    """A size in bytes with three digits, in decimal units as disks are labelled."""
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{amount:.{2 if amount < 9.995 else 1 if amount < 99.95 else 0}f} {unit}"


def count_text(count: int | None) -> str:
    """A whole number with separators, or a question mark."""
    return _UNKNOWN if count is None else f"{count:,}"


def error_text(error: float) -> str:
    """A relative error with two digits."""
    return "0" if error == 0 else f"{error:.1e}"


def seconds_text(seconds: float) -> str:
    """A time with three digits."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        amount = seconds * factor
        if amount >= 1 or unit == "µs":
            break
    return f"{amount:.{2 if amount < 9.995 else 1 if amount < 99.95 else 0}f} {unit}"


def shape_text(shape: Sequence[int | str | None] | None) -> str:
    """A shape as Python writes it, with question marks for free sizes without a name."""
    if shape is None:
        return _UNKNOWN
    sizes = ", ".join(_UNKNOWN if size is None else str(size) for size in shape)
    return f"({sizes}{',' if len(shape) == 1 else ''})"


def shorten(text: str, most: int = 48) -> str:
    """``text``, without its middle where it is long: names differ at their ends."""
    if len(text) <= most:
        return text
    head = (most - 1) // 3
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
