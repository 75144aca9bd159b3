"""What a benchmark's record says: medians, ratios to Hornbeam, requirements met or not.

A ratio is taken within a round, between two processes that ran minutes apart, and then the
median over the rounds; the ratio of two medians would mix quiet and busy minutes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from convert_tools import TOOLS, Tool, own_result
from measure import Spread, spread

__all__ = ["Verdict", "ratio", "render", "verdicts", "write_section"]

Record = dict[str, Any]

BEGIN = "<!-- convert:begin -->"
END = "<!-- convert:end -->"
# The largest difference, over the output's scale, at which a file counts as right.
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured quantity: which of a tool's two processes it is of, and where it stands."""

    kind: str
    path: tuple[str, ...]
    unit: float = 1.0

    def samples(self, record: Record, model: str, tool: str) -> dict[int, float]:
        """Return round → value of the runs that succeeded."""
        found: dict[int, float] = {}
        for run in record["runs"]:
            if run["ok"] and (run["model"], run["tool"], run["kind"]) == (model, tool, self.kind):
                value: Any = run
                for key in self.path:
                    value = value[key]
                found[run["round"]] = value * self.unit
        return found


STEP_CPU = Figure("step", ("stages", "convert", "cpu_s"))
STEP_WALL = Figure("step", ("stages", "convert", "wall_s"))
COMMAND_CPU = Figure("command", ("cpu_s",))
COMMAND_WALL = Figure("command", ("wall_s",))
PEAK_MB = Figure("command", ("peak_bytes",), 1e-6)


@dataclasses.dataclass(frozen=True)
class Requirement:
    """By what factor every peer's figure must exceed Hornbeam's, model by model."""

    title: str
    figure: Figure
    factor: float
    exceptions: dict[str, float] = dataclasses.field(default_factory=dict)

    def wanted(self, model: str) -> float:
        return self.exceptions.get(model, self.factor)


# MobileNetV2 is small enough that Keras and its backend are most of the process.
REQUIREMENTS = (
    Requirement("conversion step, CPU time", STEP_CPU, 10.0),
    Requirement("whole process, peak memory", PEAK_MB, 3.0, {"MobileNetV2": 2.0}),
    Requirement("whole command, CPU time", COMMAND_CPU, 3.0, {"MobileNetV2": 2.0}),
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether one requirement holds on one model, and by the ratio to which peer it is closest."""

    requirement: Requirement
    model: str
    least: Spread | None
    peer: str
    missing: tuple[str, ...]
    own_files_right: bool

    @property
    def met(self) -> bool:
        """Every peer was measured and exceeds the factor, and Hornbeam's own files are right."""
        if self.least is None or self.missing or not self.own_files_right:
            return False
        return self.least.median >= self.requirement.wanted(self.model)

    def line(self) -> str:
        """Return the verdict as one line of text."""
        wanted = f"{self.requirement.wanted(self.model):g}×"
        head = f"{'met' if self.met else 'not met'}: {self.model}, {self.requirement.title}: "
        if self.least is None:
            return head + f"not measured (wanted: {wanted} less than each peer)"
        text = f"{self.least.text(1)}× less than {self.peer}, the closest peer (wanted: {wanted})"
        text += "" if self.own_files_right else "; Hornbeam's own file is not right"
        return head + text + "".join(f"; {name}: not measured" for name in self.missing)


def ratio(record: Record, model: str, tool: Tool, figure: Figure) -> Spread | None:
    """Return the spread over the rounds of ``tool``'s figure over Hornbeam's, same format."""
    peer = figure.samples(record, model, tool.name)
    own = figure.samples(record, model, own_result(tool))
    return spread([peer[round_] / own[round_] for round_ in sorted(peer.keys() & own.keys())])


def verdicts(record: Record) -> Iterator[Verdict]:
    """Judge every requirement on every model of the record, against every peer in it."""
    others = [tool for tool in _tools(record) if not tool.own]
    for requirement in REQUIREMENTS:
        for model in _models(record):
            ratios = {tool: ratio(record, model, tool, requirement.figure) for tool in others}
            known = {tool: value for tool, value in ratios.items() if value is not None}
            missing = tuple(_plain(tool.title) for tool in others if tool not in known)
            right = all(
                _verdict_on_file(record, model, tool) == "right"
                for tool in _tools(record)
                if tool.own
            )
            if known:
                closest = min(known, key=lambda tool: known[tool].median)
                peer = _plain(closest.title)
                yield Verdict(requirement, model, known[closest], peer, missing, right)
            else:
                yield Verdict(requirement, model, None, "", missing, right)


def render(record: Record, style: str = "table") -> str:
    """Return the report as text: ``table`` for a terminal, ``markdown``, or ``docs``.

    ``docs`` is the markdown between the marker comments that ``write_section`` looks for.
    """
    # Not before the last child has ended: see measure.py.
    import tabulate

    marked = style != "table"
    preamble = _preamble(record)
    blocks = [preamble if marked else preamble.replace("*", "")]
    for suffix, heading in ((".onnx", "ONNX"), (".tflite", "TFLite")):
        rows = [_row(record, model, tool) for model, tool in _pairs(record, suffix)]
        if rows:
            table = tabulate.tabulate(
                [[cell if marked else _plain(cell) for cell in row] for row in rows],
                headers=_HEADERS,
                tablefmt="pipe" if marked else "simple",
                disable_numparse=True,
            )
            blocks.append(f"{'### ' if marked else ''}Keras to {heading}\n\n{table}")
    blocks.extend(_faults(record))
    blocks.append("\n".join(f"- {verdict.line()}" for verdict in verdicts(record)))
    text = "\n\n".join(blocks)
    return f"{BEGIN}\n{text}\n{END}" if style == "docs" else text


def write_section(page: Path, record: Record) -> None:
    """Replace what stands between the marker comments in ``page``; ``SystemExit`` without them."""
    content = page.read_text("utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(
            f"{page} was to hold the table. It has no {BEGIN} … {END}. Add both lines."
        )
    page.write_text(before + render(record, "docs") + after, encoding="utf-8")


_HEADERS = (
    "Model", "Converter", "step CPU s", "step wall s", "peak MB", "command CPU s",
    "step CPU ×", "peak ×", "command CPU ×", "file",
)  # fmt: skip


def _row(record: Record, model: str, tool: Tool) -> list[str]:
    cells = [model, tool.title]
    for figure, digits in ((STEP_CPU, 2), (STEP_WALL, 2), (PEAK_MB, 0), (COMMAND_CPU, 2)):
        found = spread(list(figure.samples(record, model, tool.name).values()))
        cells.append(found.text(digits) if found else "failed")
    for requirement in REQUIREMENTS:
        found = None if tool.own else ratio(record, model, tool, requirement.figure)
        cells.append(found.text(1) if found else "")
    return [*cells, _verdict_on_file(record, model, tool)]


def _verdict_on_file(record: Record, model: str, tool: Tool) -> str:
    """Return "right", or what is wrong with the files; both kinds where they differ."""
    words = {
        file["kind"]: _word(file)
        for file in record["files"]
        if (file["model"], file["tool"]) == (model, tool.name)
    }
    if len(set(words.values())) > 1:
        return ", ".join(f"{kind}: {word}" for kind, word in words.items())
    return next(iter(words.values()), "none")


def _word(file: dict[str, Any]) -> str:
    if "fault" in file:
        return "does not run"
    return "right" if file["error"] <= _TOLERANCE else f"wrong by {file['error']:.1g}"


def _faults(record: Record) -> list[str]:
    """Return a block that says why runs failed and files do not run; nothing if all went well."""
    lines = [
        f"- {file['model']}, {_plain(TOOLS[file['tool']].title)}, {file['kind']}: {file['fault']}"
        for file in record["files"]
        if "fault" in file
    ]
    lines += [
        f"- {run['model']}, {_plain(TOOLS[run['tool']].title)}, {run['kind']}, "
        f"round {run['round']}: {run['note']}"
        for run in record["runs"]
        if not run["ok"]
    ]
    return ["What failed:\n\n" + "\n".join(lines)] if lines else []


def _preamble(record: Record) -> str:
    where = record["machine"]
    flags = ", ".join(where["instructions"]) or "unknown"
    before, after = record["load_average"]
    lines = [
        f"{record['date']}, {where['cpu']} ({flags}), {where['cores']} cores, "
        f"{where['memory_gb']} GB, {where['system']}; load average {before} before, {after} after.",
        *(f"{_WHO[name]}: {_version_list(found)}." for name, found in record["versions"].items()),
        f"Rounds: {record['repeat']}; each figure is the median (lowest–highest). "
        "*Step* is model in memory to file on disk, unverified; *command* is the whole process, "
        "from a .keras file, imports and loading included; × is that peer's figure over Hornbeam's "
        "in the same round.",
    ]
    return "\n\n".join(lines)


_WHO = {"hornbeam": "Hornbeam's environment", "peers": "The peers' environment"}


def _version_list(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _models(record: Record) -> list[str]:
    return list(dict.fromkeys(run["model"] for run in record["runs"]))


def _tools(record: Record) -> list[Tool]:
    return [TOOLS[name] for name in dict.fromkeys(run["tool"] for run in record["runs"])]


def _pairs(record: Record, suffix: str) -> Iterator[tuple[str, Tool]]:
    tools: Sequence[Tool] = [tool for tool in _tools(record) if tool.suffix == suffix]
    for model in _models(record):
        for tool in tools:
            yield model, tool


def _plain(text: str) -> str:
    return text.replace("`", "")
