"""``hornbeam convert``: a Keras file into ONNX and TFLite files, proved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hornbeam.cli.command import Command
from hornbeam.cli.progress import Progress
from hornbeam.cli.requirements import require
from hornbeam.cli.show import bytes_text, error_text, print_json, seconds_text, table

if TYPE_CHECKING:
    from hornbeam.pipeline.convert import ConversionReport

__all__ = ["conversion_text", "convert"]

#: What writes each format.
_LIBRARIES = {".onnx": ("onnx",), ".tflite": ("flatbuffers", "ai_edge_litert")}


@click.command(
    cls=Command,
    short_help="Convert a Keras file to ONNX and TFLite, and prove it.",
    examples=[
        "hornbeam convert model.keras -o model.onnx",
        "hornbeam convert model.h5 -o model.onnx -o model.tflite",
        "hornbeam convert model.keras -o model.onnx --opset 17 --batch 1",
        "hornbeam convert model.keras -o model.onnx --json > report.json",
        "hornbeam convert saved_model/ -o model.tflite",
    ],
)
@click.argument("model", type=click.Path())
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(),
    multiple=True,
    required=True,
    help="File to write; .onnx or .tflite says the format. May be given several times.",
)
@click.option("--opset", type=click.IntRange(min=1), help="ONNX opset, from 13 up.")
@click.option("--batch", type=click.IntRange(min=1), help="Fix the batch size; else it is free.")
@click.option("--verify/--no-verify", default=True, help="Run each file beside Keras (default).")
@click.option("--trust", is_flag=True, help="Let code in the model file run (Lambda layers).")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=1800.0,
    show_default=True,
    metavar="SECONDS",
    help="For each step of TensorFlow's own converters, where a model needs them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def convert(model: str, outputs: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Convert the Keras file MODEL (.keras, .h5, .hdf5) to ONNX and TFLite.

    MODEL may also be the folder of a TensorFlow SavedModel. It goes through TensorFlow's own
    converters, as does a model that Hornbeam cannot trace; the report says so.

    Each file is run beside the Keras model before it takes its name; one that does not compute
    the same is an error, and is not written.
    """
    from hornbeam.converter.tensorflow import is_saved_model

    suffixes = {Path(path).suffix.lower() for path in outputs}
    if not is_saved_model(model):
        require("keras", *(name for end in sorted(suffixes) for name in _LIBRARIES.get(end, ())))
    from hornbeam.pipeline.convert import convert as carry

    steps = 3 + len(outputs) * (2 if options["verify"] else 1)
    with Progress(steps) as progress:
        report = carry(model, *outputs, progress=progress, **options)
    if as_json:
        print_json(report.as_dict())
    else:
        click.echo(conversion_text(report))


def conversion_text(report: ConversionReport) -> str:
    """The report of a conversion, as a person reads it."""
    lines = [f"{report.model} from {report.source}"]
    lines += [f"repaired: {repair}" for repair in report.repairs]
    lines += [f"by way of {report.way}: {report.why}"] if report.why else []
    rows = [
        (
            str(file.path),
            file.format,
            bytes_text(file.bytes),
            "not verified" if file.verification is None else error_text(file.verification.worst),
            seconds_text(file.seconds),
        )
        for file in report.files
    ]
    lines += ["", table(("file", "format", ">size", ">worst error", ">time"), rows)]
    return "\n".join(lines)
