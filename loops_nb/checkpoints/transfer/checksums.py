"""Checksums: those that a server states for a file, and running digests to compare with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from loops_nb.checkpoints.http.ranges import OK

_logger = logging.getLogger(__name__)
_MD5_ETAG = re.compile(r'"([0-9a-fA-F]{32})"')
_MULTIPART_ETAG = re.compile(r'"([0-9a-fA-F]{32})-([0-9]{1,5})"')
_MIB = 1 << 20
_MB = 1_000_000
#: Part sizes that uploaders use; with another one a multipart checksum cannot be computed on the way.
_PART_SIZES = tuple(
    n * _MIB for n in (5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 32, 48, 50, 64, 96, 100, 128, 200, 250, 256, 500, 512, 1024)
) + tuple(n * _MB for n in (5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 500, 1000))
#: Each candidate costs a pass over the bytes, which is nothing for a small file.
_MAX_CANDIDATES, _MAX_CANDIDATES_SMALL, _SMALL_BYTES = 4, 16, 256 * _MIB
_MD5_BYTES = 16
#: How much is read to find an unusual part size.
_MAX_READ_AGAIN = 8 * 1024 * _MIB


class Digest(Protocol):
    """Takes the bytes of a file in order, and returns their checksum."""

    def update(self, data: memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """CRC-32 as in zip files, most significant byte first."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class CrcModel:
    """A CRC that the standard library does not have.

    Parameters
    ----------
    model : str
        Its name in the catalogue of CRC models.
    width : int
        Its bytes.
    """

    def __init__(self, model: str, width: int) -> None:
        import anycrc  # type: ignore[import-untyped]  # an extra, and only for servers that state one

        self._model: Any = anycrc.Model(model)
        self._value: int | None = None
        self._width = width

    def update(self, data: memoryview, /) -> None:
        if self._value is None:
            self._value = self._model.calc(data)
        else:
            self._value = self._model.calc(data, self._value)

    def digest(self) -> bytes:
        value = self._model.calc(b"") if self._value is None else self._value
        return int(value).to_bytes(self._width, "big")


class MultipartMd5:
    """The ``ETag`` of an object that was uploaded in parts: the MD5 of the MD5s of its parts.

    Parameters
    ----------
    part_bytes : int
        The size of each part but the last.
    """

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._left = part_bytes
        self._part = hashlib.md5(usedforsecurity=False)
        self._digests = bytearray()

    def update(self, data: memoryview, /) -> None:
        while data:
            if not self._left:
                self._digests += self._part.digest()
                self._part, self._left = hashlib.md5(usedforsecurity=False), self._part_bytes
            taken = data[: self._left]
            self._part.update(taken)
            self._left -= len(taken)
            data = data[len(taken) :]

    def digest(self) -> bytes:
        return hashlib.md5(bytes(self._digests) + self._part.digest(), usedforsecurity=False).digest()


def _md5() -> Digest:
    return hashlib.md5(usedforsecurity=False)


#: From the last word of an ``x-amz-checksum-…`` header to what computes it, and its bytes.
_OF_HEADERS: dict[str, tuple[Callable[[], Digest], int]] = {
    "sha256": (hashlib.sha256, 32),
    "sha1": (lambda: hashlib.sha1(usedforsecurity=False), 20),
    "crc32": (Crc32, 4),
    "crc32c": (lambda: CrcModel("CRC32C", 4), 4),
    "crc64nvme": (lambda: CrcModel("CRC64-NVME", 8), 8),
}


_NEED_ANYCRC = frozenset({"crc32c", "crc64nvme"})


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """A checksum that the server stated.

    Parameters
    ----------
    label : str
        Its name in messages.
    expected : bytes
        Its value.
    make : tuple of callable
        Constructors of digests; one of them has to give that value.
    parts : int, default 0
        The number of parts of a multipart checksum; 0 for one of the whole file.
    """

    label: str
    expected: bytes
    make: tuple[Callable[[], Digest], ...]
    parts: int = 0


class FileDigests:
    """All digests of one file, computed while its bytes pass in order.

    Parameters
    ----------
    checksums : list of ExpectedChecksum
        What the server stated; SHA-256 is computed in any case, for the manifest.
    """

    def __init__(self, checksums: list[ExpectedChecksum]) -> None:
        sha256 = _OF_HEADERS["sha256"][0]
        self._sha256 = sha256()
        self._expected: list[tuple[ExpectedChecksum, list[Digest]]] = []
        #: Each digest only once, however many checksums use it.
        self._all: list[Digest] = [self._sha256]
        for checksum in checksums:
            if checksum.make == (sha256,):
                digests = [self._sha256]
            else:
                digests = [make() for make in checksum.make]
                self._all += digests
            self._expected.append((checksum, digests))

    def update(self, data: memoryview) -> None:
        for digest in self._all:
            digest.update(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hexadecimal."""
        return self._sha256.digest().hex()

    def mismatch(self) -> ExpectedChecksum | None:
        """Return the first checksum that differs from the server's."""
        for checksum, digests in self._expected:
            if all(digest.digest() != checksum.expected for digest in digests):
                return checksum
        return None


def expected_checksums(
    headers: Mapping[str, str], *, status: int, size: int | None, unusual_parts: bool = False
) -> list[ExpectedChecksum]:
    """Return the checksums of the whole object that the headers of a response state.

    Parameters
    ----------
    headers : mapping of str to str
        Names in lower case.
    status : int
        With 206 some checksums are of the part that was sent, and left out.
    size : int or None
        Of the object; part sizes can only be derived from it.
    unusual_parts : bool, default False
        Compute a multipart checksum with unusual part sizes too, where the file cannot be read again.
    """
    found: list[ExpectedChecksum] = []
    kind = headers.get("x-amz-checksum-type", "").strip().upper()
    if kind != "COMPOSITE" and (status == OK or kind == "FULL_OBJECT"):
        for name, (make, width) in _OF_HEADERS.items():
            expected = _decoded(headers.get(f"x-amz-checksum-{name}"), width)
            if expected is not None and (name not in _NEED_ANYCRC or _has_anycrc(name.upper())):
                found.append(ExpectedChecksum(name.upper(), expected, (make,)))
    if status == OK:
        expected = _decoded(headers.get("content-md5"), _MD5_BYTES)
        if expected is not None:
            found.append(ExpectedChecksum("MD5", expected, (_md5,)))
    return found + _of_etag(headers, size, unusual_parts=unusual_parts)


def part_sizes(size: int | None, count: int) -> list[int]:
    """Return the usual part sizes with which an object has that many parts; empty where they cannot be derived."""
    if not size or count < 1:
        return []
    if count == 1:
        return [size]
    fitting = [part for part in _PART_SIZES if -(-size // part) == count]
    limit = _MAX_CANDIDATES_SMALL if size <= _SMALL_BYTES else _MAX_CANDIDATES
    return fitting if len(fitting) <= limit else []


def has_unusual_parts(path: Path, size: int, checksum: ExpectedChecksum) -> bool:
    """Return whether a multipart checksum fits a file with an unusual part size.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Its bytes.
    checksum : ExpectedChecksum
        The one that did not fit with the usual part sizes.
    """
    return any(_md5_of_parts(path, part) == checksum.expected for part in unusual_part_sizes(size, checksum.parts))


def unusual_part_sizes(size: int, count: int) -> list[int]:
    """Return the other part sizes with which an object has that many parts; empty where they are too many."""
    if count < 2:  # noqa: PLR2004 - one part is the whole file
        return []
    smallest, largest = -(-size // count), (size - 1) // (count - 1)
    candidates = {smallest}
    for unit in (_MIB, _MB):
        candidates.update(unit * n for n in range(-(-smallest // unit), largest // unit + 1))
    candidates -= set(_PART_SIZES)
    return sorted(candidates) if len(candidates) * size <= _MAX_READ_AGAIN else []


@cache
def _has_anycrc(name: str) -> bool:
    """Return whether a checksum can be computed that the standard library does not have; say once that it cannot."""
    try:
        import anycrc  # noqa: F401
    except ImportError:
        _logger.warning(
            "The storage server states %s checksums, which cannot be computed here: sizes and other checksums are "
            'checked. To check these too: %%pip install "loops_nb[checksums]"',
            name,
        )
        return False
    return True


def _of_etag(headers: Mapping[str, str], size: int | None, *, unusual_parts: bool) -> list[ExpectedChecksum]:
    etag = headers.get("etag", "").strip()
    # With customer or KMS keys an ETag is of the encrypted bytes.
    if headers.get("x-amz-server-side-encryption", "").lower().startswith("aws:kms") or any(
        name.startswith("x-amz-server-side-encryption-customer") for name in headers
    ):
        return []
    if single := _MD5_ETAG.fullmatch(etag):
        return [ExpectedChecksum("MD5", bytes.fromhex(single[1]), (_md5,))]
    if multipart := _MULTIPART_ETAG.fullmatch(etag):
        count = int(multipart[2])
        sizes = part_sizes(size, count) + (unusual_part_sizes(size, count) if unusual_parts and size else [])
        makers = tuple(partial(MultipartMd5, part) for part in sizes)
        if makers:
            return [ExpectedChecksum("MD5 of parts", bytes.fromhex(multipart[1]), makers, count)]
    return []


def _md5_of_parts(path: Path, part_bytes: int) -> bytes:
    digest, buffer = MultipartMd5(part_bytes), memoryview(bytearray(_MIB))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.digest()


def _decoded(text: str | None, width: int) -> bytes | None:
    """Return a Base64 value; None if it does not have that width, as one of parts does not."""
    if text is None:
        return None
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == width else None
