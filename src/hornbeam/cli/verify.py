"""``hornbeam verify``: the proof that a file computes what the Keras model computes."""

from __future__ import annotations

import logging

import click

from hornbeam.cli.arrays import read_npz
from hornbeam.cli.command import Command
from hornbeam.cli.requirements import require
from hornbeam.cli.show import error_text, print_json, table

__all__ = ["verify"]


@click.command(
    cls=Command,
    short_help="Prove a file that is there already.",
    examples=[
        "hornbeam verify model.keras model.onnx",
        "hornbeam verify model.keras model.tflite --data samples.npz",
    ],
    log_level=logging.INFO,
)
@click.argument("model", type=click.Path())
@click.argument("file", type=click.Path())
@click.option(
    "--data",
    type=click.Path(),
    help="Inputs by name in an .npz file, samples along axis 0; else inputs are made up.",
)
@click.option("--trust", is_flag=True, help="Let code in the model file run (Lambda layers).")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def verify(model: str, file: str, data: str | None, trust: bool, as_json: bool) -> None:
    """Prove that FILE (.onnx or .tflite) computes what the Keras file MODEL computes.

    The worst error is a share of the output's scale, the largest magnitude that Keras gives.
    """
    require("keras")
    from hornbeam.pipeline.verify import verify as prove

    samples = None if data is None else read_npz(data)
    result = prove(model, file, data=samples, trust=trust)
    if as_json:
        print_json(result.as_dict())
        return
    click.echo(f"{file} computes what {model} computes ({result.engine}, {result.machine})\n")
    rows = [(a.output, error_text(a.error), f"{a.scale:.3g}") for a in result.agreements]
    click.echo(table(("output", ">worst error", ">scale"), rows))
    click.echo(f"\nruns: {'; '.join(result.runs)}")
