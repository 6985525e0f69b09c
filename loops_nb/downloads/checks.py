"""What a server says about the content of a file, to hold the bytes against."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loops_nb.downloads.digests import OF_HEADERS, Digest, PartsMd5, md5

_MD5_ETAG = re.compile(r'"([0-9a-fA-F]{32})"')
_PARTS_ETAG = re.compile(r'"([0-9a-fA-F]{32})-([0-9]{1,5})"')
_MIB = 1 << 20
_MB = 1_000_000
#: The part sizes that uploaders use; with another one nothing can be said.
_PART_SIZES = tuple(
    n * _MIB for n in (5, 6, 8, 10, 12, 15, 16, 20, 24, 25, 32, 48, 50, 64, 96, 100, 128, 200, 250, 256, 500, 512, 1024)
) + tuple(n * _MB for n in (5, 8, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 250, 500, 1000))
#: Each costs a pass over the bytes, which is nothing for a small file.
_MOST_CANDIDATES, _MOST_CANDIDATES_SMALL, _SMALL = 4, 16, 256 * _MIB
_MD5_BYTES = 16
#: How much is read to find a part size that is seldom used: some seconds, once in a blue moon.
_MOST_READ_AGAIN = 8 * 1024 * _MIB


@dataclass(frozen=True, slots=True)
class Check:
    """A checksum that the server gave.

    Parameters
    ----------
    label
        What it is called in sentences.
    expected
        Its value.
    make
        What computes it; with several, one of them has to come to that value.
    parts
        The number of parts that it was made of; 0 if it was made of the whole.
    """

    label: str
    expected: bytes
    make: tuple[Callable[[], Digest], ...]
    parts: int = 0


def checks_of(headers: Mapping[str, str], *, status: int, size: int | None) -> list[Check]:
    """Return the checksums of the whole object that an answer's headers give.

    Parameters
    ----------
    headers
        Names in lower case.
    status
        With 206 some of them are of the part that was sent, and left out.
    size
        Of the object; parts can only be told from it.
    """
    found: list[Check] = []
    is_whole = status == 200  # noqa: PLR2004 - HTTP statuses are their own names
    kind = headers.get("x-amz-checksum-type", "").strip().upper()
    if kind != "COMPOSITE" and (is_whole or kind == "FULL_OBJECT"):
        for name, (make, width) in OF_HEADERS.items():
            expected = _decoded(headers.get(f"x-amz-checksum-{name}"), width)
            if expected is not None:
                found.append(Check(name.upper(), expected, (make,)))
    expected = _decoded(headers.get("content-md5"), _MD5_BYTES) if is_whole else None
    if expected is not None:
        found.append(Check("MD5", expected, (md5,)))
    return found + _of_etag(headers, size)


def _of_etag(headers: Mapping[str, str], size: int | None) -> list[Check]:
    etag = headers.get("etag", "").strip()
    # With these keys an ETag is of the encrypted bytes.
    if headers.get("x-amz-server-side-encryption", "").lower().startswith("aws:kms") or any(
        name.startswith("x-amz-server-side-encryption-customer") for name in headers
    ):
        return []
    if single := _MD5_ETAG.fullmatch(etag):
        return [Check("MD5", bytes.fromhex(single[1]), (md5,))]
    if parts := _PARTS_ETAG.fullmatch(etag):
        sizes = part_sizes(size, int(parts[2]))
        if sizes:
            return [Check("MD5 of parts", bytes.fromhex(parts[1]), tuple(_of_parts(part) for part in sizes), int(parts[2]))]
    return []


def part_sizes(size: int | None, count: int) -> list[int]:
    """Return the usual part sizes with which an object has that many parts; none where they cannot be told."""
    if not size or count < 1:
        return []
    if count == 1:
        return [size]
    fitting = [part for part in _PART_SIZES if -(-size // part) == count]
    return fitting if len(fitting) <= (_MOST_CANDIDATES_SMALL if size <= _SMALL else _MOST_CANDIDATES) else []


def is_of_other_parts(path: Path, size: int, check: Check) -> bool:
    """Tell whether a checksum of parts fits a file with a part size that is seldom used.

    Parameters
    ----------
    path, size
        The file.
    check
        What did not fit with the usual ones.
    """
    if check.parts < 2:  # noqa: PLR2004 - one part is the whole file
        return False
    least, most = -(-size // check.parts), (size - 1) // (check.parts - 1)
    seldom = {least, *(unit * n for unit in (_MIB, _MB) for n in range(-(-least // unit), most // unit + 1))} - set(_PART_SIZES)
    if len(seldom) * size > _MOST_READ_AGAIN:
        return False
    return any(_md5_of_parts(path, part) == check.expected for part in sorted(seldom))


def _md5_of_parts(path: Path, part_bytes: int) -> bytes:
    digest, buffer = PartsMd5(part_bytes), memoryview(bytearray(_MIB))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.digest()


def _of_parts(part_bytes: int) -> Callable[[], Digest]:
    return lambda: PartsMd5(part_bytes)


def _decoded(text: str | None, width: int) -> bytes | None:
    """Return a Base64 value; None if it is none of that width, for example one of parts."""
    if text is None:
        return None
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == width else None


class Digests:
    """All that is computed of one file while its bytes pass in order.

    Parameters
    ----------
    checks
        What the server said; SHA-256 is computed anyway, for the manifest.
    """

    def __init__(self, checks: list[Check]) -> None:
        self._sha256 = OF_HEADERS["sha256"][0]()
        self._checks = [(check, self._of(check)) for check in checks]
        #: Each one only once, however many checks stand on it.
        self._all = list({id(digest): digest for digest in (self._sha256, *(d for _, ds in self._checks for d in ds))}.values())

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        for digest in self._all:
            digest.update(data)

    @property
    def sha256(self) -> str:
        """The SHA-256 of all bytes so far, in hexadecimal."""
        return self._sha256.digest().hex()

    def mismatch(self) -> Check | None:
        """Return which checksum is not the server's."""
        return next((check for check, digests in self._checks if all(d.digest() != check.expected for d in digests)), None)

    def _of(self, check: Check) -> list[Digest]:
        if check.make == (OF_HEADERS["sha256"][0],):
            return [self._sha256]
        return [make() for make in check.make]
