"""Bytes changed in transit are caught by any checksum that the server gives, and never blamed where there is none."""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loops_nb.checkpoints.transfer import checksums, verify
from loops_nb.errors import DownloadIncompleteError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import Reply, once
from tests.checkpoints.transfer.scenario import WEIGHTS, DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import Asked, Stored, md5_tag, multipart_tag, noise, safetensors

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


def test_reference_checksums_match_their_standards() -> None:
    """The values of the standards for the nine digits."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888


#: From the bytes to the headers that vouch for them; the ETag is given too, since it can be the only one.
VOUCHERS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "ETag": lambda body: {"etag": md5_tag(body)},
    "ETag of an object encrypted with S3's own key": lambda body: {
        "etag": md5_tag(body),
        "x-amz-server-side-encryption": "AES256",
    },
    "ETag of one part": lambda body: {"etag": multipart_tag(body, len(body))},
    "Content-MD5": lambda body: {
        "etag": '"opaque"',
        "content-md5": base64_of(hashlib.md5(body, usedforsecurity=False).digest()),
    },
    "sha256": lambda body: {"etag": '"opaque"', "x-amz-checksum-sha256": base64_of(hashlib.sha256(body).digest())},
    "sha1": lambda body: {
        "etag": '"opaque"',
        "x-amz-checksum-sha1": base64_of(hashlib.sha1(body, usedforsecurity=False).digest()),
    },
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
    return Stored(
        name, body, etag=headers["etag"], headers={key: value for key, value in headers.items() if key != "etag"}
    )


@pytest.mark.parametrize("voucher", VOUCHERS.values(), ids=VOUCHERS.keys())
def test_corrupt_file_is_fetched_twice_and_reported(voucher: Callable[[bytes], dict[str, str]], tmp_path: Path) -> None:
    with download_scenario(tmp_path, [vouched(voucher(BODY))]) as scenario:
        scenario.server.fault = responses.corrupt
        told = scenario.fails(DownloadIncompleteError)
        (what,) = told.failures.values()
        assert "is not the one that the server gives" in what
        assert len(scenario.server.asked) == 2, "once more from the start, then no more"
        assert scenario.there() == {}
        scenario.completes_with_a_good_server()


@pytest.mark.parametrize("voucher", VOUCHERS.values(), ids=VOUCHERS.keys())
def test_file_corrupt_once_is_fetched_again(voucher: Callable[[bytes], dict[str, str]], tmp_path: Path) -> None:
    with download_scenario(tmp_path, [vouched(voucher(BODY))]) as scenario:
        scenario.server.fault = once(responses.corrupt)
        scenario.completes()
        assert len(scenario.server.asked) == 2


def test_a_checksum_that_needs_a_missing_package_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "anycrc", None)
    checksums._has_anycrc.cache_clear()
    files = [vouched(VOUCHERS["crc64nvme"](BODY), name=name) for name in ("a", "b")]
    with download_scenario(tmp_path, files) as scenario:
        scenario.completes()
    (said,) = [record.getMessage() for record in caplog.records if record.name == checksums.__name__]
    assert said.startswith("The storage server states CRC64NVME checksums")
    assert said.endswith('%pip install "loops_nb[checksums]"')
    checksums._has_anycrc.cache_clear()


def test_multipart_etag_is_verified(tmp_path: Path) -> None:
    """Sizes that uploading programs use, and whole numbers that they could, the last part shorter."""
    body = noise(11 * 1024 * 1024 + 5, 3)
    files = [vouched({"etag": multipart_tag(body, size * 1024 * 1024)}, body, f"{size}.bin") for size in (5, 7, 8)]
    with download_scenario(tmp_path, files) as scenario:
        scenario.completes()
    with download_scenario(tmp_path / "again", files) as scenario:
        scenario.server.fault = responses.corrupt
        told = scenario.fails(DownloadIncompleteError)
        assert len(told.failures) == 3
        scenario.completes_with_a_good_server()


#: Headers that vouch for nothing that can be compared, or for something else: no reason to refuse good bytes.
SILENT = {
    "KMS": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption": "aws:kms"},
    "KMS, twice": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption": "aws:kms:dsse"},
    "KMS, in parts": {"etag": multipart_tag(OTHER, 10_000), "x-amz-server-side-encryption": "aws:kms"},
    "the customer's key": {"etag": md5_tag(OTHER), "x-amz-server-side-encryption-customer-algorithm": "AES256"},
    "parts of an unknown size": {"etag": multipart_tag(BODY, 17_123)},
    "more parts than bytes": {"etag": f'"{"0" * 32}-99999999"'},
    "no parts at all": {"etag": f'"{"0" * 32}-0"'},
    "another kind of ETag": {"etag": f'"{hashlib.sha256(OTHER).hexdigest()}"'},
    "a weak ETag": {"etag": f"W/{md5_tag(OTHER)}"},
    "an ETag without quotes that is no MD5": {"etag": "v17"},
    "no ETag": {"etag": ""},
    "a composite checksum": {
        "etag": '"opaque"',
        "x-amz-checksum-sha256": base64_of(hashlib.sha256(OTHER).digest()) + "-3",
    },
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
def test_unusable_checksums_are_ignored(headers: dict[str, str], tmp_path: Path) -> None:
    with download_scenario(tmp_path, [vouched(headers)]) as scenario:
        scenario.completes()
        assert len(scenario.server.asked) == 1


def test_checksum_of_a_part_is_not_compared_with_the_file(tmp_path: Path) -> None:
    """S3 gives a range that is a part of the upload that part's own checksum."""

    def of_the_part(asked: Asked, reply: Reply) -> Reply:
        return (
            reply.with_headers(x_amz_checksum_sha256=base64_of(hashlib.sha256(reply.body).digest()))
            if reply.status == 206
            else reply
        )

    with download_scenario(tmp_path, [vouched({"etag": '"opaque"'})]) as scenario:
        scenario.server.fault = lambda asked, reply: (
            responses.cut_in_the_body(asked, reply) if asked.number == 1 else of_the_part(asked, reply)
        )
        scenario.completes()
        assert scenario.server.asked[1].range is not None


def test_change_after_download_without_checksum_is_found_by_verify(tmp_path: Path) -> None:
    """Nothing says that the bytes are wrong on arrival; the manifest keeps what came, and later changes are seen."""
    with download_scenario(tmp_path, [vouched({"etag": ""})]) as scenario:
        scenario.server.fault = responses.corrupt
        scenario.download()
        assert verify(scenario.folder).ok
        (scenario.folder / "data.bin").write_bytes(BODY)
        found = verify(scenario.folder)
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
def test_safetensors_file_with_inconsistent_header_is_reported(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Neither a size nor a length nor a checksum: the file's own header tells."""
    body = safetensors(500)
    with download_scenario(tmp_path, [Stored(WEIGHTS, body, etag="", listed={"size_bytes": None})]) as scenario:
        scenario.server.fault = lambda asked, reply: responses.chunked(asked, replace(reply, body=spoil(reply.body)))
        told = scenario.fails(DownloadIncompleteError)
        (what,) = told.failures.values()
        assert "safetensors" in what
        scenario.completes_with_a_good_server()


def test_object_replaced_between_ranges_is_fetched_from_the_start(scenario: DownloadScenario) -> None:
    """The first half is of one version, the rest of another: begun again, and whole."""
    scenario.server.files[:] = [Stored("data.bin", BODY)]
    (old,) = scenario.server.files

    def replaced(asked: Asked, reply: Reply) -> Reply:
        if asked.number == 1:
            return responses.cut_in_the_body(asked, reply)
        if asked.file is old:
            scenario.server.files[0] = Stored("data.bin", OTHER)
            return responses.honest(replace(asked, file=scenario.server.files[0]))
        return reply

    scenario.server.fault = replaced
    scenario.completes()
    assert scenario.there() == {"data.bin": OTHER}
    assert scenario.server.asked[1].headers["if-range"] == old.etag


def test_etag_with_a_line_end_adds_no_header(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [vouched({"etag": '"x\nx-evil: 1"'})]) as scenario:
        scenario.server.fault = once(responses.cut_in_the_body)
        scenario.attempt()
        assert all("x-evil" not in asked.headers for asked in scenario.server.asked)
        scenario.server.files[0].etag = md5_tag(BODY)
        scenario.completes_with_a_good_server()


def test_repeatedly_replaced_object_is_reported(scenario: DownloadScenario) -> None:
    scenario.server.files[:] = [Stored("data.bin", BODY)]

    def replaced(asked: Asked, reply: Reply) -> Reply:
        return responses.cut_in_the_body(asked, reply.with_headers(etag=f'"{asked.number:032x}"'))

    scenario.server.fault = replaced
    told = scenario.fails(DownloadIncompleteError)
    (what,) = told.failures.values()
    assert "chang" in what or "version" in what
    scenario.completes_with_a_good_server()


def test_object_replaced_between_downloads_is_fetched_from_the_start(scenario: DownloadScenario) -> None:
    scenario.server.files[:] = [Stored("data.bin", BODY)]
    scenario.server.fault = responses.cut_in_the_body
    scenario.fails(DownloadIncompleteError)
    scenario.server.files[:] = [Stored("data.bin", OTHER)]
    scenario.completes_with_a_good_server()
    assert scenario.there() == {"data.bin": OTHER}


def test_partial_file_without_an_etag_is_never_mixed(scenario: DownloadScenario) -> None:
    """Two versions of the same size and no sign of which is which: what may differ is not put together."""
    scenario.server.files[:] = [Stored("data.bin", BODY, etag="")]
    scenario.server.fault = responses.cut_in_the_body
    scenario.fails(DownloadIncompleteError)
    scenario.server.files[:] = [Stored("data.bin", OTHER, etag="")]
    scenario.completes_with_a_good_server()
