"""``hornbeam inspect``: what is inside a model file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hornbeam.cli.command import Command
from hornbeam.cli.requirements import require
from hornbeam.cli.show import bytes_text, count_text, print_json, shape_text, shorten, table

if TYPE_CHECKING:
    from hornbeam.pipeline.inspect import Inspection, Port

__all__ = ["inspect"]

_LIBRARIES = {
    ".h5": "keras", ".hdf5": "keras", ".keras": "keras",
    ".onnx": "onnx", ".tflite": "ai_edge_litert",
}  # fmt: skip


@click.command(
    cls=Command,
    short_help="Show what is inside a model file.",
    examples=[
        "hornbeam inspect model.keras",
        "hornbeam inspect model.tflite",
        "hornbeam inspect model.onnx --json",
    ],
)
@click.argument("file", type=click.Path())
@click.option("--trust", is_flag=True, help="Let code in the model file run (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def inspect(file: str, trust: bool, as_json: bool) -> None:
    """Show what is inside FILE (.keras, .h5, .hdf5, .onnx or .tflite), whoever wrote it.

    Multiply-adds are those of convolutions, matrix products and recurrent layers, for one sample.
    """
    library = _LIBRARIES.get(Path(file).suffix.lower())
    if library:
        require(library)
    from hornbeam.pipeline.inspect import inspect as look

    found = look(file, trust=trust)
    if as_json:
        print_json(found.as_dict())
    else:
        click.echo(inspection_text(found))


def inspection_text(found: Inspection) -> str:
    """An inspection, as a person reads it."""
    title = f"{found.path}: {found.format}, {found.version}, {bytes_text(found.bytes)}"
    rows = [
        (
            shorten(row.name),
            row.operation,
            shape_text(row.shape),
            count_text(row.parameters),
            count_text(row.bytes),
            count_text(row.multiply_adds),
        )
        for row in found.rows
    ]
    totals = map(count_text, (found.parameters, found.weight_bytes, found.multiply_adds))
    cells: list[tuple[str, ...]] = [*rows, ("total", "", "", *totals)]
    what = "layer" if found.format == "keras" else "operation"
    columns = ("name", what, "shape", ">parameters", ">bytes", ">multiply-adds")
    lines = [title, "", *_ports("input", found.inputs), *_ports("output", found.outputs)]
    lines += ["", table(columns, cells)]
    if found.metadata:
        lines += ["", *(f"{key}: {shorten(value, 90)}" for key, value in found.metadata.items())]
    lines += ["", *found.notes] if found.notes else []
    return "\n".join(lines)


def _ports(side: str, ports: Iterable[Port]) -> list[str]:
    return [f"{side:<7} {port.name}: {port.dtype} {shape_text(port.shape)}" for port in ports]
