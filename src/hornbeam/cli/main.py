"""The command ``hornbeam``: its subcommands, and what happens to an error that nobody expected."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from types import TracebackType

import click

import hornbeam
from hornbeam.cli.command import Commands, verbose_option
from hornbeam.cli.convert import convert
from hornbeam.cli.demo import demo
from hornbeam.cli.inspect import inspect
from hornbeam.cli.run import run
from hornbeam.cli.verify import verify

__all__ = ["hornbeam_command", "main"]


@click.group(
    name="hornbeam",
    cls=Commands,
    examples=[
        "hornbeam demo",
        "hornbeam convert model.keras -o model.onnx -o model.tflite",
        "hornbeam run model.onnx --input x.npy -o y.npz",
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(hornbeam.__version__, prog_name="hornbeam")
@verbose_option
def hornbeam_command() -> None:
    """Carry a trained Keras model onto a device: convert, prove, run, measure.

    'hornbeam COMMAND --help' has more. The exit code is 0, 1 for a failure and 2 for wrong usage.
    """


for subcommand in (convert, verify, run, inspect, demo):
    hornbeam_command.add_command(subcommand)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command on ``arguments`` (by default those of the process), and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = bool({"-v", "--verbose"} & set(given))
    sys.excepthook = partial(_unexpected, verbose)
    if not verbose:
        # Read by TensorFlow when it is imported: errors only.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    hornbeam_command.main(given, prog_name="hornbeam")


def _unexpected(
    verbose: bool, kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say a defect in one line; Python then exits with code 1."""
    if verbose or not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    lines = str(error).strip().splitlines()
    text = f"{kind.__name__}: {lines[0]}" if lines else kind.__name__
    click.echo(
        f"Error: unexpected {text} (run with -v for the traceback, and please report it)", err=True
    )
