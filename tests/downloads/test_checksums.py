"""Bytes that were changed on the way: caught by whatever checksum the server gives, and never blamed where there is none."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loops_nb.downloads import verify
from loops_nb.errors import DownloadIncompleteError
from tests.downloads import replies
from tests.downloads.replies import Reply, once
from tests.downloads.scene import WEIGHTS, Scene, scene
from tests.downloads.stored import Asked, Stored, md5_tag, multipart_tag, noise, safetensors

BODY = noise(50_000, 7)
OTHER = noise(50_000, 8)


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def crc32c(data: bytes) -> int:
    table = []
    for n in range(256):
        value = n
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc64nvme(data: bytes) -> int:
    table = []
    for n in range(256):
        value = n
        for _ in range(8):
            value = (value >> 1) ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
        table.append(value)
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFFFFFFFFFF


def test_these_checksums_are_the_real_ones() -> None:
    """The values of the standards for the nine digits."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888


#: From the bytes to the headers that vouch for them; the ETag is given too, since it can be the only one.
VOUCHERS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "ETag": lambda body: {"etag": md5_tag(body)},
    "ETag of an object encrypted with S3's own key": lambda body: {"etag": md5_tag(body), "x-amz-server-side-encryption": "AES256"},
    "ETag of one part": lambda body: {"etag": multipart_tag(body, len(body))},
    "Content-MD5": lambda body: {"etag": '"opaque"', "content-md5": base64_of(hashlib.md5(body, usedforsecurity=False).digest())},
    "sha256": lambda body: {"etag": '"opaque"', "x-amz-checksum-sha256": base64_of(hashlib.sha256(body).digest())},
    "sha1": lambda body: {"etag": '"opaque"', "x-amz-checksum-sha1": base64_of(hashlib.sha1(body, usedforsecurity=False).digest())},
    "crc32": lambda body: {"etag": '"opaque"', "x-amz-checksum-crc32": base64_of(zlib.crc32(body).to_bytes(4, "big"))},
    "crc32c": lambda body: {"etag": '"opaque"', "x-amz-checksum-crc32c": base64_of(crc32c(body).to_bytes(4, "big"))},
    "crc64nvme": lambda body: {
        "etag": '"opaque"',
        "x-amz-checksum-crc64nvme": base64_of(crc64nvme(body).to_bytes(8, "big")),
        "x-amz-checksum-type": "FULL_OBJECT",
    },
    "no ETag at all": lambda body: {"etag": "", "x-amz-checksum-sha256": base64_of(hashlib.sha256(body).digest())},
}


def vouched(headers: dict[str, str], body: bytes = BODY, name: str = "data.bin") -> Stored:
    return Stored(name, body, etag=headers["etag"], headers={key: value for key, value in headers.items() if key != "etag"})


@pytest.mark.parametrize("voucher", VOUCHERS.values(), ids=VOUCHERS.keys())
def test_a_changed_byte_is_caught(voucher: Callable[[bytes], dict[str, str]], tmp_path: Path) -> None:
    with scene(tmp_path, [vouched(voucher(BODY))]) as lab:
        lab.server.fault = replies.corrupt
        told = lab.fails(DownloadIncompleteError)
        (what,) = told.failures.values()
        assert "is not the one that the server gives" in what
        assert len(lab.server.asked) == 2, "once more from the start, then no more"
        assert lab.there() == {}
        lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("voucher", VOUCHERS.values(), ids=VOUCHERS.keys())
def test_a_byte_that_was_changed_once_is_fetched_again(voucher: Callable[[bytes], dict[str, str]], tmp_path: Path) -> None:
    with scene(tmp_path, [vouched(voucher(BODY))]) as lab:
        lab.server.fault = once(replies.corrupt)
        lab.finishes()
        assert len(lab.server.asked) == 2


def test_parts_of_an_upload(tmp_path: Path) -> None:
    """Sizes that uploading programs use, and whole numbers that they could, the last part shorter."""
    body = noise(11 * 1024 * 1024 + 5, 3)
    files = [vouched({"etag": multipart_tag(body, size * 1024 * 1024)}, body, f"{size}.bin") for size in (5, 7, 8)]
    with scene(tmp_path, files) as lab:
        lab.finishes()
    with scene(tmp_path / "again", files) as lab:
        lab.server.fault = replies.corrupt
        told = lab.fails(DownloadIncompleteError)
        assert len(told.failures) == 3
        lab.then_a_good_server_finishes_it()


#: Headers that vouch for nothing that can be compared, or for something else: no reason to refuse good bytes.
SILENT = {
    "KMS": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption": "aws:kms"},
    "KMS, twice": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption": "aws:kms:dsse"},
    "KMS, in parts": {"etag": multipart_tag(OTHER, 10_000), "x-amz-server-side-encryption": "aws:kms"},
    "the customer's key": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption-customer-algorithm": "AES256"},
    "parts of a size that nobody can know": {"etag": multipart_tag(BODY, 17_123)},
    "more parts than bytes": {"etag": f'"{"0" * 32}-99999999"'},
    "no parts at all": {"etag": f'"{"0" * 32}-0"'},
    "another kind of ETag": {"etag": f'"{hashlib.sha256(OTHER).hexdigest()}"'},
    "a weak ETag": {"etag": f"W/{md5_tag(OTHER)}"},
    "an ETag without quotes that is no MD5": {"etag": "v17"},
    "no ETag": {"etag": ""},
    "a composite checksum": {"etag": '"opaque"', "x-amz-checksum-sha256": base64_of(hashlib.sha256(OTHER).digest()) + "-3"},
    "a composite checksum by its type": {
        "etag": '"opaque"',
        "x-amz-checksum-crc32": base64_of(zlib.crc32(OTHER).to_bytes(4, "big")),
        "x-amz-checksum-type": "COMPOSITE",
    },
    "a checksum that is no base64": {"etag": '"opaque"', "x-amz-checksum-sha256": "%%%"},
    "a checksum of the wrong length": {"etag": '"opaque"', "x-amz-checksum-crc32": base64_of(b"123456789")},
    "a checksum of tomorrow": {"etag": '"opaque"', "x-amz-checksum-crc1024": "AAAA"},
    "no letters of this alphabet": {"etag": '"\udce9\udcff"', "content-md5": "é"},
}


@pytest.mark.parametrize("headers", SILENT.values(), ids=SILENT.keys())
def test_what_vouches_for_nothing_refuses_nothing(headers: dict[str, str], tmp_path: Path) -> None:
    with scene(tmp_path, [vouched(headers)]) as lab:
        lab.finishes()
        assert len(lab.server.asked) == 1


def test_a_checksum_of_the_part_is_not_one_of_the_file(tmp_path: Path) -> None:
    """S3 gives a range that is a part of the upload that part's own checksum."""

    def of_the_part(asked: Asked, reply: Reply) -> Reply:
        return reply.with_headers(x_amz_checksum_sha256=base64_of(hashlib.sha256(reply.body).digest())) if reply.status == 206 else reply

    with scene(tmp_path, [vouched({"etag": '"opaque"'})]) as lab:
        lab.server.fault = lambda asked, reply: replies.cut_in_the_body(asked, reply) if asked.number == 1 else of_the_part(asked, reply)
        lab.finishes()
        assert lab.server.asked[1].range is not None


def test_without_any_checksum_a_changed_byte_is_found_later(tmp_path: Path) -> None:
    """Nothing says that it is wrong when it comes; the manifest keeps what came, and what changes after that is seen."""
    with scene(tmp_path, [vouched({"etag": ""})]) as lab:
        lab.server.fault = replies.corrupt
        lab.download()
        assert verify(lab.folder).ok
        (lab.folder / "data.bin").write_bytes(BODY)
        found = verify(lab.folder)
        assert not found.ok
        assert list(found.differences) == ["data.bin"]


HEADERS_THAT_LIE = {
    "longer than the file": lambda body: (1 << 40).to_bytes(8, "little") + body[8:],
    "no JSON": lambda body: body[:8] + b"#" + body[9:],
    "tensors beyond the end": lambda body: body[:-64],
    "something behind the last tensor": lambda body: body + bytes(64),
    "too short for a length": lambda _: b"\x01\x02\x03",
}


@pytest.mark.parametrize("spoil", HEADERS_THAT_LIE.values(), ids=HEADERS_THAT_LIE.keys())
def test_weights_whose_header_disagrees_with_their_length(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Neither a size nor a length nor a checksum: the file's own header tells."""
    body = safetensors(500)
    with scene(tmp_path, [Stored(WEIGHTS, body, etag="", listed={"size_bytes": None})]) as lab:
        lab.server.fault = lambda asked, reply: replies.chunked(asked, replace(reply, body=spoil(reply.body)))
        told = lab.fails(DownloadIncompleteError)
        (what,) = told.failures.values()
        assert "safetensors" in what
        lab.then_a_good_server_finishes_it()


def test_an_object_that_is_replaced_between_two_ranges(lab: Scene) -> None:
    """The first half is of one version, the rest of another: begun again, and whole."""
    lab.server.files[:] = [Stored("data.bin", BODY)]
    (old,) = lab.server.files

    def replaced(asked: Asked, reply: Reply) -> Reply:
        if asked.number == 1:
            return replies.cut_in_the_body(asked, reply)
        if asked.file is old:
            lab.server.files[0] = Stored("data.bin", OTHER)
            return replies.honest(replace(asked, file=lab.server.files[0]))
        return reply

    lab.server.fault = replaced
    lab.finishes()
    assert lab.there() == {"data.bin": OTHER}
    assert lab.server.asked[1].headers["if-range"] == old.etag


def test_an_etag_with_a_line_end_makes_no_second_header(tmp_path: Path) -> None:
    with scene(tmp_path, [vouched({"etag": '"x\nx-evil: 1"'})]) as lab:
        lab.server.fault = once(replies.cut_in_the_body)
        lab.attempt()
        assert all("x-evil" not in asked.headers for asked in lab.server.asked)
        lab.server.files[0].etag = md5_tag(BODY)
        lab.then_a_good_server_finishes_it()


def test_an_object_that_is_replaced_again_and_again(lab: Scene) -> None:
    lab.server.files[:] = [Stored("data.bin", BODY)]

    def replaced(asked: Asked, reply: Reply) -> Reply:
        return replies.cut_in_the_body(asked, reply.with_headers(etag=f'"{asked.number:032x}"'))

    lab.server.fault = replaced
    told = lab.fails(DownloadIncompleteError)
    (what,) = told.failures.values()
    assert "chang" in what or "version" in what
    lab.then_a_good_server_finishes_it()


def test_an_object_that_is_replaced_between_two_commands(lab: Scene) -> None:
    lab.server.files[:] = [Stored("data.bin", BODY)]
    lab.server.fault = replies.cut_in_the_body
    lab.fails(DownloadIncompleteError)
    lab.server.files[:] = [Stored("data.bin", OTHER)]
    lab.then_a_good_server_finishes_it()
    assert lab.there() == {"data.bin": OTHER}


def test_an_object_without_an_etag_cannot_be_continued_blindly(lab: Scene) -> None:
    """Two versions of the same size and no word about which is which: what is not sure to be the same is not put together."""
    lab.server.files[:] = [Stored("data.bin", BODY, etag="")]
    lab.server.fault = replies.cut_in_the_body
    lab.fails(DownloadIncompleteError)
    lab.server.files[:] = [Stored("data.bin", OTHER, etag="")]
    lab.then_a_good_server_finishes_it()
