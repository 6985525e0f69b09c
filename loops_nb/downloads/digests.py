"""Checksums of a stream of bytes, of the kinds that storage servers give."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Any, Protocol


class Digest(Protocol):
    """Takes the bytes of a file in order, and tells their checksum."""

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        ...

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        ...


class Crc32:
    """CRC-32 as in zip files, most significant byte first."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        return self._value.to_bytes(4, "big")


class ModelledCrc:
    """A CRC that the standard library does not have.

    Parameters
    ----------
    model
        Its name in the catalogue of such.
    width
        Its bytes.
    """

    def __init__(self, model: str, width: int) -> None:
        import anycrc  # type: ignore[import-untyped] # noqa: PLC0415 - only for servers that give one

        self._model: Any = anycrc.Model(model)
        self._value: int | None = None
        self._width = width

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        self._value = self._model.calc(data) if self._value is None else self._model.calc(data, self._value)

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        value = self._model.calc(b"") if self._value is None else self._value
        return int(value).to_bytes(self._width, "big")


class PartsMd5:
    """The ``ETag`` of an object that was uploaded in parts: the MD5 of the MD5s of its parts.

    Parameters
    ----------
    part_bytes
        The size of each part but the last.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._left = part_bytes
        self._part = hashlib.md5(usedforsecurity=False)
        self._digests = bytearray()

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        while data:
            if not self._left:
                self._digests += self._part.digest()
                self._part, self._left = hashlib.md5(usedforsecurity=False), self._part_bytes
            taken = data[: self._left]
            self._part.update(taken)
            self._left -= len(taken)
            data = data[len(taken) :]

    def digest(self) -> bytes:
        """Return the checksum of all bytes so far."""
        return hashlib.md5(bytes(self._digests) + self._part.digest(), usedforsecurity=False).digest()


#: From the last word of an ``x-amz-checksum-…`` header to what computes it, and its bytes.
OF_HEADERS: dict[str, tuple[Callable[[], Digest], int]] = {
    "sha256": (hashlib.sha256, 32),
    "sha1": (lambda: hashlib.sha1(usedforsecurity=False), 20),
    "crc32": (Crc32, 4),
    "crc32c": (lambda: ModelledCrc("CRC32C", 4), 4),
    "crc64nvme": (lambda: ModelledCrc("CRC64-NVME", 8), 8),
}


def md5() -> Digest:
    """Return a fresh MD5."""
    return hashlib.md5(usedforsecurity=False)
