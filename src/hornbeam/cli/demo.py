"""``hornbeam demo``: everything at once, on a model that comes along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hornbeam.cli.command import Command
from hornbeam.cli.progress import Progress
from hornbeam.cli.requirements import require
from hornbeam.cli.show import bytes_text, error_text, print_json, seconds_text, table

if TYPE_CHECKING:
    from hornbeam.pipeline.demo import DemoReport

__all__ = ["demo"]


@click.command(
    cls=Command,
    short_help="Convert, prove, score and time a small model.",
    examples=[
        "hornbeam demo",
        "hornbeam demo --keep .",
        "hornbeam demo --json",
    ],
)
@click.option(
    "--keep", type=click.Path(), metavar="DIR", help="Write the two files into DIR and leave them."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(keep: str | None, as_json: bool) -> None:
    """Convert a small digits model to both formats, prove it, score it and time it.

    The model and the handwritten digits come with Hornbeam; nothing is downloaded.
    """
    require("keras", "onnx", "flatbuffers", "onnxruntime", "ai_edge_litert")
    from hornbeam.pipeline.demo import STEPS
    from hornbeam.pipeline.demo import demo as show

    with Progress(STEPS) as progress:
        report = show(keep, progress=progress)
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(demo_text(report))


def demo_text(report: DemoReport) -> str:
    """The demonstration's table, and a line on how to read it."""
    rows = [
        (
            run.name,
            run.engine,
            bytes_text(run.bytes),
            "" if run.error is None else error_text(run.error),
            f"{run.correct / report.pictures:.1%}",
            seconds_text(run.seconds),
        )
        for run in report.runs
    ]
    columns = ("file", "runs on", ">size", ">worst error", ">accuracy", ">time for one")
    return (
        f"{table(columns, rows)}\n\n"
        f"Accuracy on {report.pictures} digits that the model has never seen. Worst error against "
        "Keras,\nas a share of the output's scale. Time: median of "
        f"{report.rounds} runs of one picture each, taken in turns."
    )
