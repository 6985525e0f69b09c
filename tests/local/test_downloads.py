"""Presigned URLs: signature, expiry, ranges."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local.conftest import Clock
from tests.local.responses import good, problem
from tests.local.test_middleware import request
from tests.service import AnyService, running_service


@pytest.fixture(scope="module")
def ticking() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def filled(ticking: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyService]:
    data = tmp_path_factory.mktemp("downloads") / "data"
    with running_service(in_process=True, sample=True, clock=ticking, url_ttl=60, data_dir=data) as service:
        yield service


@pytest.fixture(scope="module")
def checkpoint(filled: AnyService) -> dict[str, Any]:
    with httpx.Client(base_url=filled.url, headers=filled.headers) as client:
        found = good(client.get("/v1/loops/checkpoints", params={"base_model": "Qwen/Qwen3-8B"}))["checkpoints"]
    return next(item for item in found if item["target"] == "trainer")


@pytest.fixture
def file(filled: AnyService, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The weights, freshly listed."""
    answer = httpx.get(f"{filled.url}/v1/loops/checkpoints/{checkpoint['id']}/files", headers=filled.headers)
    found: dict[str, Any] = good(answer)["presigned_urls"][1]
    return found


def test_a_file_needs_no_key(filled: AnyService, checkpoint: dict[str, Any], file: dict[str, Any]) -> None:
    answer = httpx.get(file["url"])
    on_disk = (filled.data_dir / "checkpoints" / checkpoint["id"] / file["relative_file_name"]).read_bytes()
    assert answer.status_code == 200
    assert answer.content == on_disk
    assert len(on_disk) == file["size_bytes"] == int(answer.headers["content-length"])
    assert answer.headers["etag"] == f'"{hashlib.sha256(on_disk).hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"]
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=0-9"}])
def test_the_checksum_of_the_whole_file_is_said(asked: dict[str, str], file: dict[str, Any]) -> None:
    answer = httpx.get(file["url"], headers=asked)
    assert (
        base64.b64decode(answer.headers["x-amz-checksum-sha256"])
        == hashlib.sha256(httpx.get(file["url"]).content).digest()
    )
    assert answer.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_head_has_the_same_headers_and_no_body(file: dict[str, Any]) -> None:
    head, get = httpx.head(file["url"]), httpx.get(file["url"])
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "etag", "last-modified", "accept-ranges"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=5-5", 5, 6), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
)
def test_ranges(file: dict[str, Any], header: str, start: int, end: int | None) -> None:
    whole = httpx.get(file["url"]).content
    part = httpx.get(file["url"], headers={"Range": header})
    assert part.status_code == 206
    assert part.content == whole[start:end]
    first = start % len(whole)
    assert part.headers["content-range"] == f"bytes {first}-{first + len(part.content) - 1}/{len(whole)}"


def test_a_range_beyond_the_end_is_416(file: dict[str, Any]) -> None:
    answer = httpx.get(file["url"], headers={"Range": f"bytes={file['size_bytes']}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{file['size_bytes']}"


@pytest.mark.parametrize(
    "header", ["lines=0-9", "bytes=", "bytes=a-b", "bytes=9-5", "bytes=0-9,x", "bytes", "bytes=--5", "bytes=,"]
)
def test_a_range_that_says_nothing_is_ignored(file: dict[str, Any], header: str) -> None:
    answer = httpx.get(file["url"], headers={"Range": header})
    assert answer.status_code == 200
    assert len(answer.content) == file["size_bytes"]


@pytest.mark.parametrize(
    "header", ["bytes=0-9,5-5,20-24", "bytes=20-24 , 0-9", "BYTES=0-9,20-24,99999999-", "bytes=-0,0-9,20-24"]
)
def test_several_ranges_come_in_parts(file: dict[str, Any], header: str) -> None:
    whole = httpx.get(file["url"]).content
    answer = httpx.get(file["url"], headers={"Range": header})
    assert answer.status_code == 206
    kind = answer.headers["content-type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    parts = answer.content.split(b"--" + kind.partition("boundary=")[2].encode())[1:-1]
    found = {}
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        found[head.partition(b"bytes ")[2].partition(b"/")[0].decode()] = data.removesuffix(b"\r\n")
    assert found == {"0-9": whole[:10], "20-24": whole[20:25]}


def test_the_one_range_inside_the_file_is_sent(file: dict[str, Any]) -> None:
    answer = httpx.get(file["url"], headers={"Range": "bytes=0-1,99999999-"})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes 0-1/{file['size_bytes']}"


def test_if_range_gives_the_part_only_of_the_same_file(file: dict[str, Any]) -> None:
    headers = httpx.head(file["url"]).headers
    for same in (headers["etag"], headers["last-modified"]):
        assert httpx.get(file["url"], headers={"Range": "bytes=0-9", "If-Range": same}).status_code == 206
    for other in ('"other"', "Thu, 01 Jan 1970 00:00:00 GMT"):
        answer = httpx.get(file["url"], headers={"Range": "bytes=0-9", "If-Range": other})
        assert answer.status_code == 200
        assert len(answer.content) == file["size_bytes"]


def test_a_url_expires(file: dict[str, Any], ticking: Clock) -> None:
    ticking.forward(59)
    assert httpx.get(file["url"]).status_code == 200
    ticking.forward(1)
    assert problem(httpx.get(file["url"]), 403)["code"] == "URL_EXPIRED"


def test_an_altered_url_is_refused(file: dict[str, Any], checkpoint: dict[str, Any]) -> None:
    url = httpx.URL(file["url"])
    signature, expires = url.params["signature"], url.params["expires"]
    wrong = [
        url.copy_set_param("expires", str(int(expires) + 1000)),
        url.copy_set_param("expires", ""),
        url.copy_set_param("expires", "never"),
        url.copy_set_param("signature", "0" * len(signature)),
        url.copy_set_param("signature", "\xff"),
        url.copy_remove_param("signature"),
        url.copy_remove_param("expires"),
        url.copy_with(path=url.path.replace("adapter_model.safetensors", "adapter_config.json")),
        url.copy_with(path=url.path.replace(checkpoint["id"], "other12")),
        url.copy_with(path="/files/debug/x/events.jsonl"),
    ]
    for altered in wrong:
        assert problem(httpx.get(altered), 403)["code"] == "SIGNATURE_MISMATCH", altered
    assert httpx.get(url).status_code == 200


def test_path_traversal_is_refused(filled: AnyService, checkpoint: dict[str, Any], file: dict[str, Any]) -> None:
    query = file["url"].partition("?")[2]
    for climb in ("../../records.sqlite3", "%2e%2e/%2e%2e/signing.key", "..%2f..%2fsigning.key", "/etc/passwd", "%00"):
        target = f"/files/checkpoints/{checkpoint['id']}/{climb}?{query}"
        assert request(filled.url, target, "127.0.0.1")[0] == 403
    key = httpx.get(f"{filled.url}/files/debug/%2e%2e/signing.key?{query}")
    assert key.status_code in {403, 404}


def test_a_file_that_is_gone_is_a_clear_404(
    filled: AnyService, checkpoint: dict[str, Any], file: dict[str, Any]
) -> None:
    path = filled.data_dir / "checkpoints" / checkpoint["id"] / file["relative_file_name"]
    aside = path.rename(path.with_suffix(".aside"))
    try:
        assert problem(httpx.get(file["url"]), 404)["code"] == "FILE_MISSING"
    finally:
        aside.rename(path)


def test_urls_outlive_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with running_service(in_process=True, sample=True, clock=clock, data_dir=tmp_path / "data") as service:
        listed = httpx.get(
            f"{service.url}/v1/loops/checkpoints", params={"base_model": "Qwen/Qwen3-8B"}, headers=service.headers
        )
        key = good(listed)["checkpoints"][0]["id"]
        files = httpx.get(f"{service.url}/v1/loops/checkpoints/{key}/files", headers=service.headers)
        url = httpx.URL(good(files)["presigned_urls"][0]["url"])
    with running_service(in_process=True, clock=clock, data_dir=tmp_path / "data") as service:
        assert httpx.get(url.copy_with(port=httpx.URL(service.url).port)).status_code == 200


def test_only_the_owner_can_read_the_folder(filled: AnyService) -> None:
    assert filled.data_dir.stat().st_mode & 0o077 == 0
    for name in ("records.sqlite3", "signing.key"):
        assert (filled.data_dir / name).stat().st_mode & 0o077 == 0
