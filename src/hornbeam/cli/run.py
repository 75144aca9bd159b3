"""``hornbeam run``: compute once, from arrays in files to arrays in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hornbeam.cli.arrays import read_arrays, write_npy, write_npz
from hornbeam.cli.command import Command
from hornbeam.cli.show import shape_text, table
from hornbeam.errors import InputError, UsageError

if TYPE_CHECKING:
    from hornbeam.runtime import Session

__all__ = ["run"]


@click.command(
    cls=Command,
    short_help="Run an ONNX or TFLite file once.",
    examples=[
        "hornbeam run model.onnx --input x.npy -o y.npy",
        "hornbeam run model.tflite --input inputs.npz -o outputs.npz",
        "hornbeam run model.onnx --input image=a.npy --input mask=b.npy -o outputs.npz",
    ],
)
@click.argument("file", type=click.Path())
@click.option(
    "-i",
    "--input",
    "inputs",
    metavar="[NAME=]PATH",
    multiple=True,
    help="An .npy array, for the input NAME where there are several; or an .npz of all by name.",
)
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="File to write: .npz, or .npy for one."
)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, onnxruntime or litert."
)
def run(file: str, inputs: tuple[str, ...], output: str, device: str) -> None:
    """Run FILE (.onnx or .tflite) once."""
    suffix = Path(output).suffix.lower()
    if suffix not in (".npy", ".npz"):
        raise UsageError(f"The results were to be written to {output}",
                         f"Its suffix is {suffix!r}" if suffix else "It has no suffix",
                         "Use .npz, or .npy for a single output")  # fmt: skip
    from hornbeam.runtime import load

    with load(file, device) as session:
        names = [info.name for info in session.outputs]
        if suffix == ".npy" and len(names) != 1:
            raise UsageError(
                f"The results were to be written to {output}",
                f"The model has {len(names)} outputs, and an .npy file holds one",
                "Use .npz",
            )
        result = session.run(_feeds(session, inputs))
    outputs = result if isinstance(result, dict) else {names[0]: result}
    if suffix == ".npy":
        write_npy(output, outputs[names[0]])
    else:
        write_npz(output, outputs)
    rows = [(name, str(array.dtype), shape_text(array.shape)) for name, array in outputs.items()]
    click.echo(f"{output}\n\n{table(('output', 'dtype', 'shape'), rows)}")


def _feeds(session: Session, given: tuple[str, ...]) -> dict[str, Any]:
    """What was given on the command line as arrays by input name."""
    names = [info.name for info in session.inputs]
    feeds: dict[str, Any] = {}
    for item in given:
        name, equals, path = item.partition("=")
        if equals and name in names:
            _add(feeds, name, _single(read_arrays(path), path))
            continue
        arrays = read_arrays(item)
        if isinstance(arrays, dict):
            for key, array in arrays.items():
                _add(feeds, key, array)
        elif len(names) == 1:
            _add(feeds, names[0], arrays)
        else:
            raise UsageError(
                f"{item} was given as an input", _takes(session), "Say for which: NAME=PATH"
            )
    if names and not feeds:
        raise UsageError(
            f"{session.path.name} was to be run", _takes(session), "Give it: --input x.npy"
        )
    return feeds


def _add(feeds: dict[str, Any], name: str, array: Any) -> None:
    if name in feeds:
        raise UsageError(f'Input "{name}" was given twice', "", "Give each input once")
    feeds[name] = array


def _single(arrays: Any, path: str) -> Any:
    if not isinstance(arrays, dict):
        return arrays
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise InputError(
        f"One array was to be read from {path}",
        f"It holds {len(arrays)}",
        "Give the .npz file without NAME=, with the input names as keys",
    )


def _takes(session: Session) -> str:
    return f"The model takes {'; '.join(map(str, session.inputs))}"
