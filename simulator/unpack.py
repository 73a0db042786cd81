"""Files as they were before they were packed: gzip and zstd are read on the fly, also from a pipe.

Python 3.14 reads zstd by itself; for the versions before it needs the package zstandard.
"""

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading raises where packed data are cut off or wrong."""

_CHUNK = 256  # packed bytes at once: at worst 64 blocks, each of 128 KiB
_NAMED = {".gz": (GZIP_MAGIC, "gzip"), ".zst": (ZSTD_MAGIC, "zstd")}


class NotPacked(ValueError):
    """The file is not what its name says, or nothing here can unpack it: what, and what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; fix: {fix}")
        self.what, self.fix = what, fix


def unpacked(path: Path, file: io.BufferedReader) -> io.BufferedIOBase:
    """What is in the file, whether it begins as packed data does or not. Raises NotPacked.

    Reading it raises one of DAMAGE. O(1) memory.
    """
    magic = file.peek(len(ZSTD_MAGIC))[: len(ZSTD_MAGIC)]
    if magic.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=file)
    if magic == ZSTD_MAGIC:
        return io.BufferedReader(_Zstd(file))
    if magic and path.suffix in _NAMED:
        what = f"it is named {path.suffix} and does not begin as {_NAMED[path.suffix][1]} does"
        raise NotPacked(what, f"rename it without {path.suffix}, or copy it again")
    return file


def zstandard() -> Any:
    """The package. Raises NotPacked where it is not installed."""
    try:
        import zstandard as found
    except ModuleNotFoundError:
        fix = "pip install 'aimass[sim]', or use gzip"
        raise NotPacked("zstd needs the package zstandard", fix) from None
    return found


class _Zstd(io.RawIOBase):
    """Frame after frame. The package's own reader takes a frame that is cut off for a whole one."""

    def __init__(self, file: io.BufferedReader) -> None:
        package = zstandard()
        self._file, self._error = file, package.ZstdError
        self._begin = package.ZstdDecompressor().decompressobj
        self._frame = self._begin()
        self._is_open = False  # a frame has begun and not ended
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            packed = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame, self._is_open = self._begin(), False
            packed = packed or self._file.read1(_CHUNK)
            if not packed:
                if self._is_open:
                    raise EOFError("it ends inside a frame")
                return 0
            self._is_open = True
            try:
                self._ready = memoryview(self._frame.decompress(packed))
            except self._error as error:
                raise EOFError(str(error)) from None
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
