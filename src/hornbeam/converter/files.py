"""Files that appear whole or not at all.

A file is written under a temporary name in the folder where it is wanted, and moved into place
when it is complete, so that neither a full disk nor Ctrl-C leaves half a model behind, and a
model that was there before stays as it was until the new one takes its name.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hornbeam.errors import OutputError

__all__ = ["replacing", "staging"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, and move it to ``path`` when the block succeeds.

    The temporary file does not exist yet; it has the suffix of ``path``. When the block raises,
    whatever it wrote is removed and an existing ``path`` stays untouched. An `OSError` (also one
    raised inside the block: no space, no permission) becomes an `OutputError`.
    """
    temporary: Path | None = None
    try:
        with _explained(path):
            # A link stays a link: what it points to is replaced.
            final = Path(os.path.realpath(path))
            _refuse_unwritable(final)
            temporary = final.with_name(f"{_hidden()}{final.suffix}")
            yield temporary
            temporary.replace(final)
    finally:
        if temporary is not None:
            _remove(temporary)


@contextmanager
def staging(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path of the same name in a hidden folder beside ``path``, to try the file out.

    When the block succeeds, whatever lies in that folder moves beside ``path``: the weights of a
    model first, the model itself last. When it raises, all of it is removed, and what was there
    before stays untouched. An `OSError` becomes an `OutputError`, as in `replacing`.
    """
    folder: Path | None = None
    try:
        with _explained(path):
            final = Path(os.path.realpath(path))
            _refuse_unwritable(final)
            folder = final.with_name(_hidden())
            folder.mkdir()
            staged = folder / final.name
            yield staged
            for companion in sorted(folder.iterdir()):
                if companion != staged:
                    companion.replace(final.with_name(companion.name))
            staged.replace(final)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _hidden() -> str:
    return f".hornbeam-{uuid.uuid4().hex[:12]}"


@contextmanager
def _explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` that says what was to be written."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"The file {os.fspath(path)} was to be written",
            f"The system says: {error.strerror or error}",
            _advice(error),
        ) from error


def _refuse_unwritable(path: Path) -> None:
    """Raise the `OSError` that opening ``path`` for writing would raise, without opening it.

    Moving a file over another asks for no permission on the other, and would turn a device such
    as /dev/null into a plain file.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(22, "it is a device, not a file")
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "the file that is there is write-protected")


def _remove(path: Path) -> None:
    # Gone already when it was moved into place or never made. If it cannot be removed, the
    # error on its way, which says why, matters more.
    try:
        path.unlink()
    except OSError:
        return


def _advice(error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "Create the folder first, or choose another"
    if isinstance(error, PermissionError):
        return "Choose a folder that you may write to"
    if error.errno in (27, 28, 122):  # file too large, no space, quota exceeded
        return "Free some space, or choose another disk"
    return "Choose another path"
