"""What all subcommands share: ``-v``, examples, errors as one message, exit codes, quiet."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from typing import IO, Any

import click

from hornbeam.cli.surroundings import surroundings
from hornbeam.errors import HornbeamError, UsageError

__all__ = ["Command", "Commands", "Failure", "verbose_option"]

#: The key in ``ctx.meta`` where -v is noted, wherever on the command line it stood.
_VERBOSE = "hornbeam.verbose"
_INTERRUPTED = 130


def _note(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given:
        context.meta[_VERBOSE] = True


def verbose_option(function: Any) -> Any:
    """Add ``-v``, which may stand before and after the subcommand."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_note,
        help="Show tracebacks and everything that is logged.",
    )(function)


class Failure(click.ClickException):
    """An error of Hornbeam's own tree on its way to the user; the exit code is 1."""

    def __init__(self, error: HornbeamError, verbose: bool) -> None:
        super().__init__(str(error))
        self._error = error
        self._verbose = verbose

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message, behind the traceback if that was asked for."""
        if self._verbose:
            click.echo("".join(traceback.format_exception(self._error)), file=file, err=True)
        super().show(file)


class _WrongUsage(Failure):
    """The same for a command line that makes no sense."""

    exit_code = 2


class _WithExamples(click.Command):
    """A command whose help ends with examples, each in a line of its own."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, as they are."""
        with formatter.section("Examples"):
            for example in self._examples:
                formatter.write(f"  {example}\n")
        super().format_epilog(ctx, formatter)


class Commands(_WithExamples, click.Group):
    """The command that holds the others."""


class Command(_WithExamples):
    """A subcommand. An error that it raises is shown in one message, and decides the exit code.

    ``log_level`` is from where up Hornbeam's own log is shown without ``-v``.
    """

    def __init__(self, *args: Any, log_level: int = logging.WARNING, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._log_level = log_level
        verbose_option(self)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand, with libraries kept quiet."""
        verbose = bool(ctx.meta.get(_VERBOSE))
        try:
            with surroundings(verbose, self._log_level):
                return super().invoke(ctx)
        except UsageError as error:
            raise _WrongUsage(error, verbose) from error
        except HornbeamError as error:
            raise Failure(error, verbose) from error
        except KeyboardInterrupt:
            click.echo("Interrupted", err=True)
            ctx.exit(_INTERRUPTED)
