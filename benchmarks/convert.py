"""Measure what a conversion costs: Hornbeam beside the converters that exist today.

Every conversion is a fresh process, one at a time; the tools take turns, round by round, so
that a slow minute of the machine hits all of them. CPU seconds (user and system, all threads)
are the figure to compare; wall time depends on who else is at work.

Run it with the interpreter of an environment in which Hornbeam and its ``convert`` extra are
installed::

    python benchmarks/convert.py --repeat 3 --json convert.json --write docs/performance.md

The first run installs the peers into ``.venv-peers``. With ``--check`` the exit code is 1 when
a requirement is not met.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import convert_report
import peers
from convert_bench import Bench, collect
from convert_models import RECIPES
from convert_tools import TOOLS, Environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or read an earlier record; print it; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.record:
        record = json.loads(options.record.read_text("utf-8"))
    else:
        record = _measure(options)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.output == "json":
        print(json.dumps(record, indent=1))
    else:
        print(convert_report.render(record, options.output))
    if options.write:
        convert_report.write_section(options.write, record)
    failed = [verdict for verdict in convert_report.verdicts(record) if not verdict.met]
    return 1 if options.check and failed else 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    tools = [TOOLS[name] for name in options.tools]
    os.nice(options.nice)
    only_own = all(tool.own for tool in tools)
    peers_python = "" if only_own else str(peers.ensure())
    with tempfile.TemporaryDirectory(prefix="hornbeam-benchmark-") as folder:
        where = Environment(sys.executable, peers_python, Path(folder) / "keras")
        bench = Bench(Path(folder), where, options.timeout)
        return collect(bench, options.models, tools, options.repeat)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure what a conversion costs: CPU time, wall time and peak memory of "
        "Hornbeam and of the converters that exist today, each in fresh processes.",
    )
    _add_measuring(parser.add_argument_group("what to measure"))
    _add_showing(parser.add_argument_group("what to do with it"))
    return parser


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    add = functools.partial(group.add_argument, metavar="A,B")
    models, tools = list(RECIPES), list(TOOLS)
    add("--models", type=_names(models), default=models, help=f"some of {', '.join(models)}")
    add("--tools", type=_names(tools), default=tools, help=f"some of {', '.join(tools)}")
    add = functools.partial(group.add_argument, metavar="N")
    add("--repeat", type=_count, default=3, help="rounds to measure (default: %(default)s)")
    add("--timeout", type=float, default=600.0, help="seconds a process may take (%(default)s)")
    add("--nice", type=int, default=5, help="run at this much lower priority (%(default)s)")
    add = functools.partial(group.add_argument, type=Path, metavar="FILE")
    add("--record", help="measure nothing: show what an earlier --json wrote")


def _add_showing(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output",
        choices=["table", "markdown", "docs", "json"],
        default="table",
        help="what to print; docs is markdown between its marker comments",
    )
    add = functools.partial(group.add_argument, type=Path, metavar="FILE")
    add("--json", help="write every raw figure here")
    add("--write", help="replace the section between the marker comments in this page")
    group.add_argument(
        "--check",
        action="store_true",
        help="exit with code 1 when a requirement is not met or not measured",
    )


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least one round is needed")
    return int(text)


def _names(known: Iterable[str]) -> Any:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        if not names:
            raise argparse.ArgumentTypeError("at least one name is needed")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
