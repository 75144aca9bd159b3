"""What a path holds, judged by its content: the suffix is only what somebody called it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from hornbeam.converter.loading.messages import refusal, summary
from hornbeam.errors import ModelLoadError

__all__ = ["FileKind", "identify"]


class FileKind(Enum):
    """The two containers that Keras writes."""

    ARCHIVE = "a .keras archive"
    HDF5 = "an HDF5 file"


_SUFFIXES = {".keras": FileKind.ARCHIVE, ".h5": FileKind.HDF5, ".hdf5": FileKind.HDF5}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_SAVE = "Save the model with model.save('model.keras') and convert that file"


def identify(path: Path) -> tuple[FileKind, str | None]:
    """Return what ``path`` holds, and a repair sentence where its suffix says otherwise.

    Raises ``ModelLoadError`` for a path that is missing, a folder, unreadable, empty, of an
    unknown suffix, or of a content that is neither an archive nor HDF5.
    """
    asked = f"{path} was to be loaded as a Keras model"
    if path.is_dir():
        raise _folder(asked, path)
    head = _head(asked, path)
    if not head:
        raise refusal(asked, "the file is empty", "Copy or save it again")
    found = _content(head)
    named = _SUFFIXES.get(path.suffix.lower())
    if named is None:
        raise _unknown_suffix(asked, path, found)
    if found is None:
        raise refusal(asked, _foreign(head, named), _SAVE)
    if found is named:
        return found, None
    return found, f"{path.name}: read as {found.value}, which it is whatever its suffix says"


def _head(asked: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except FileNotFoundError as error:
        raise refusal(asked, "there is no such file", "Check the path") from error
    except PermissionError as error:
        raise refusal(asked, "the file may not be read", "Check the file's permissions") from error
    except (OSError, ValueError) as error:
        raise refusal(
            asked, f"the file cannot be opened ({summary(error)})", "Check the path"
        ) from error


def _content(head: bytes) -> FileKind | None:
    if head.startswith(_ZIP_MAGIC):
        return FileKind.ARCHIVE
    # HDF5 may start after a user block of 512, 1024, 2048, ... bytes.
    if any(head[offset : offset + 8] == _HDF5_MAGIC for offset in (0, 512, 1024, 2048)):
        return FileKind.HDF5
    return None


def _foreign(head: bytes, named: FileKind) -> str:
    if head[4:8] == b"TFL3":
        return "the file is a TFLite model already"
    # An ONNX file is a protobuf whose first field, ir_version, is a small number.
    if head[:1] == b"\x08" and b"\x12" in head[2:4]:
        return "the file looks like an ONNX model"
    if head.startswith(b"\x80") and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "the file is a Python pickle"
    return f"the file is not {named.value}; its content is neither a zip archive nor HDF5"


def _folder(asked: str, path: Path) -> ModelLoadError:
    if (path / "saved_model.pb").is_file():
        return refusal(
            asked,
            "the folder is a TensorFlow SavedModel, which holds a graph and no Keras layers",
            "Convert it: hornbeam convert FOLDER -o model.onnx; or load it with the Keras that "
            f"wrote it, then {_SAVE[0].lower()}{_SAVE[1:]}",
        )
    if (path / "config.json").is_file():
        return refusal(asked, "the folder is an unpacked Keras archive, which is not read", _SAVE)
    return refusal(asked, "it is a folder that holds no model", _SAVE)


def _unknown_suffix(asked: str, path: Path, found: FileKind | None) -> ModelLoadError:
    suffix = f"the suffix {path.suffix!r} is" if path.suffix else "a name without a suffix is"
    known = f"{suffix} none of .keras, .h5, .hdf5"
    if found is None:
        return refusal(asked, known, _SAVE)
    right = ".keras" if found is FileKind.ARCHIVE else ".h5"
    return refusal(
        asked,
        f"{known}, though the content could be one",
        f"If it is a Keras model, rename it to {path.stem}{right}",
    )
