"""A member of a zip archive as a file to seek in, without a copy of it in memory.

Keras stores the weights in its archives uncompressed, so they lie there as they are: only the place
where they begin must be known (PKWARE's APPNOTE, 4.3.7: a local header of 30 bytes, whose last two
16-bit numbers are the lengths of the name and of the extra field that follow it).
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

__all__ = ["open_member"]

_HEADER = 30
_LENGTHS_AT = 26
_CHUNK = 1 << 20


def open_member(archive: zipfile.ZipFile, name: str) -> io.BytesIO:
    """The member ``name``, checked against its checksum.

    A compressed member is unpacked in memory. Raises ``zipfile.BadZipFile`` for a damaged one.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or not archive.filename:
        return io.BytesIO(archive.read(name))
    member = _Window(Path(archive.filename), info)
    checksum = 0
    while chunk := member.read(_CHUNK):
        checksum = zlib.crc32(chunk, checksum)
    if checksum != info.CRC:
        member.close()
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {name!r}")
    member.seek(0)
    return member


class _Window(io.BytesIO):
    """The bytes of a stored member, read from the archive's file where they lie.

    A `io.BytesIO` by name only, because Keras takes no other kind of open file.
    """

    def __init__(self, path: Path, info: zipfile.ZipInfo) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        self._size = info.file_size
        self._at = 0
        header = os.pread(self._file.fileno(), _HEADER, info.header_offset)
        if len(header) < _HEADER:
            self.close()
            raise zipfile.BadZipFile("Truncated file header")
        lengths = struct.unpack_from("<HH", header, _LENGTHS_AT)
        self._start = info.header_offset + _HEADER + sum(lengths)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._at)
        count = left if size is None or size < 0 else min(size, left)
        data = os.pread(self._file.fileno(), count, self._start + self._at)
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
