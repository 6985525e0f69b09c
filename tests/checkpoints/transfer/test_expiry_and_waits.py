"""URLs that expire, servers that ask for patience, redirects, and URLs that are none."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from loops_nb import RetryPolicy
from loops_nb.errors import DownloadIncompleteError, LoopsError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.hostile_server import HostileServer, Json
from tests.checkpoints.transfer.responses import Reply, once, only
from tests.checkpoints.transfer.scenario import QUICK, WEIGHTS, DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import SECRET, Asked, KiB, Stored, noise
from tests.client.scripted_server import closed_port


def only_failure(error: DownloadIncompleteError) -> str:
    (what,) = error.failures.values()
    return what


# Expiry.


def test_url_expiring_during_a_file_is_renewed(scenario: DownloadScenario) -> None:
    def expire(asked: Asked, reply: Reply) -> Reply:
        scenario.server.expire()
        return responses.cut_in_the_body(asked, reply)

    scenario.server.fault = only(WEIGHTS, once(expire))
    scenario.completes()
    assert scenario.server.listings == 2
    assert scenario.server.asked_for(WEIGHTS)[-1].range is not None, "the first half was fetched twice"


def test_one_new_listing_renews_all_urls(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(60)]) as scenario:

        def expire(asked: Asked, reply: Reply) -> Reply:
            if asked.file.name == "7.bin" and scenario.server.listings == 1:
                scenario.server.expire()
            return reply

        scenario.server.fault = expire
        scenario.completes(connections=8)
        assert scenario.server.listings == 2


def test_urls_valid_for_one_request_are_renewed(scenario: DownloadScenario) -> None:
    """Each request ends the validity of all that was listed until then."""

    def expire(asked: Asked, reply: Reply) -> Reply:
        scenario.server.expire()
        return replace(reply, cut=len(reply.head) + 16 * KiB, ending="close")

    scenario.server.fault = only(WEIGHTS, expire)
    scenario.completes(connections=1)


def test_permanently_refused_url_is_reported(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, responses.status(403))
    error = scenario.fails(DownloadIncompleteError)
    assert "403" in only_failure(error)
    assert len(scenario.server.asked_for(WEIGHTS)) == 2, "once, and once with a fresh URL"
    assert scenario.server.listings == 2
    scenario.completes_with_a_good_server()


def test_permanently_refused_urls_cause_few_listings(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(40)]) as scenario:
        scenario.server.fault = responses.status(403)
        error = scenario.fails(DownloadIncompleteError)
        assert len(error.failures) == 40
        assert scenario.server.listings <= 5
        assert len(scenario.server.asked) <= 80
        scenario.completes_with_a_good_server()


def test_key_refused_while_renewing_urls_is_reported(scenario: DownloadScenario) -> None:
    def revoke(asked: Asked, reply: Reply) -> Reply:
        scenario.server.listing = lambda _token, _size: (
            401,
            {"code": "UNAUTHORIZED", "message": f"key-{SECRET} is revoked"},
        )
        return responses.status(403)(asked, reply)

    scenario.server.fault = only(WEIGHTS, revoke)
    error = scenario.fails(LoopsError)
    said = str(error) + str(getattr(error, "failures", ""))
    assert "401" in said
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("what", ["gone", "of another size", "another one of its name"])
def test_file_changed_while_renewing_urls_is_reported(scenario: DownloadScenario, what: str) -> None:
    weights = scenario.weights

    def change(asked: Asked, reply: Reply) -> Reply:
        rows = [row for row in scenario.server.rows() if row["relative_file_name"] != WEIGHTS]
        row = next(row for row in scenario.server.rows() if row["relative_file_name"] == WEIGHTS)
        if what == "of another size":
            rows.append({**row, "size_bytes": 17})
        elif what == "another one of its name":
            rows.append({**row, "node_rank": 9})
        scenario.server.listing = lambda _token, _size: (
            200,
            {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)},
        )
        return responses.status(403)(asked, reply)

    scenario.server.fault = only(WEIGHTS, once(change))
    assert only_failure(scenario.fails(DownloadIncompleteError))
    assert scenario.weights is weights
    scenario.completes_with_a_good_server()


# Patience.


def test_retry_after_is_respected(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, once(responses.status(429, retry_after="1")))
    began = time.monotonic()
    scenario.completes()
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "asked",
    ["86400", "1e300", format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True), "9" * 400],
    ids=str.__len__,
)
def test_too_long_retry_after_is_reported(scenario: DownloadScenario, asked: str) -> None:
    scenario.server.fault = only(WEIGHTS, responses.status(503, retry_after=asked))
    error = scenario.fails(DownloadIncompleteError)
    assert "503" in only_failure(error)
    assert len(scenario.server.asked_for(WEIGHTS)) <= QUICK.attempts
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("asked", ["-5", "soon", "nan", "inf", "", "Wed, 99 Nov 2026 99:99:99 GMT", "0.0001"])
def test_invalid_retry_after_is_ignored(scenario: DownloadScenario, asked: str) -> None:
    scenario.server.fault = only(WEIGHTS, once(responses.status(503, retry_after=asked)))
    scenario.completes()


def test_breaking_connection_with_progress_completes(tmp_path: Path) -> None:
    """Many more breaks than attempts: who comes nearer does not give up."""
    with download_scenario(tmp_path, [Stored("data.bin", noise(20 * 16 * KiB))]) as scenario:
        scenario.server.fault = lambda _asked, reply: replace(reply, cut=len(reply.head) + 16 * KiB, ending="close")
        scenario.completes()
        firsts = [asked.range[0] for asked in scenario.server.asked if asked.range]
        assert len(scenario.server.asked) >= 20
        assert firsts == sorted(set(firsts)), "nothing came twice"


def test_unreachable_file_server_is_reported(scenario: DownloadScenario) -> None:
    row = {**scenario.server.rows()[1], "url": f"http://127.0.0.1:{closed_port()}/{SECRET}?X-Amz-Signature={SECRET}"}
    scenario.server.listing = lambda _token, _size: (
        200,
        {"presigned_urls": [row], "next_page_token": None, "total_count": 1},
    )
    assert "nothing listens" in only_failure(scenario.fails(DownloadIncompleteError))
    scenario.completes_with_a_good_server()


# Redirects.


def test_redirect_on_the_same_server_is_followed(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, once(responses.redirect(lambda asked: asked.target + "&moved=1")))
    scenario.completes()
    assert scenario.server.asked_for(WEIGHTS)[-1].target.endswith("&moved=1")


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_redirect_to_another_server_is_refused(tmp_path: Path, number: int) -> None:
    with download_scenario(tmp_path) as scenario, HostileServer(scenario.server.files) as other:
        other.listings = 1
        scenario.server.fault = only(WEIGHTS, responses.redirect(lambda asked: other.url + asked.target, number))
        assert "redirect" in only_failure(scenario.fails(DownloadIncompleteError))
        assert other.connections == 0
        scenario.completes_with_a_good_server()


PLACES = {
    "a file": "file:///etc/hostname",
    "another scheme": "ftp://127.0.0.1/x",
    "no scheme": "//localhost/x",
    "nothing": "",
    "no place": "http://",
    "no port": "http://127.0.0.1:no/x",
    "a broken address": "http://[::1/x",
    "a second header": f"/x\rX-Evil: {SECRET}",
    "no letters": "/\udcff\udcfe",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_redirect_without_a_usable_target_is_reported(scenario: DownloadScenario, place: str) -> None:
    scenario.server.fault = only(WEIGHTS, once(responses.redirect(lambda _: place)))
    scenario.attempt()
    scenario.completes_with_a_good_server()


def test_redirect_loop_ends(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, responses.redirect(lambda asked: asked.target))
    assert "redirect" in only_failure(scenario.fails(DownloadIncompleteError))
    assert len(scenario.server.asked_for(WEIGHTS)) <= 6 * QUICK.attempts
    scenario.completes_with_a_good_server()


# URLs of the listing.

URLS = {
    "a file": f"file:///etc/passwd?{SECRET}",
    "another scheme": f"ftp://127.0.0.1/{SECRET}",
    "data": f"data:text/plain,{SECRET}",
    "a path": f"/v1/{SECRET}",
    "nothing": "",
    "no host": f"http:///{SECRET}",
    "a port of words": f"http://127.0.0.1:{SECRET}/x",
    "a port beyond": f"http://127.0.0.1:99999/{SECRET}",
    "a broken address": f"http://[::1/{SECRET}",
    "a name and a password": f"http://me:{SECRET}@127.0.0.1/x",
    "a host of many letters": f"http://{'a' * 300}.example/{SECRET}",
    "an empty part of a host": f"http://a..b.example/{SECRET}",
    "a line end in the host": f"http://127.0.0.1\r\nX-Evil: 1/{SECRET}",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
def test_invalid_url_is_reported(scenario: DownloadScenario, url: str) -> None:
    def listing(token: int, size: int) -> tuple[int, Json]:
        rows = [{**row, "url": url} if row["relative_file_name"] == WEIGHTS else row for row in scenario.server.rows()]
        return 200, {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)}

    scenario.server.listing = listing
    assert only_failure(scenario.fails(DownloadIncompleteError, retry=RetryPolicy(attempts=1)))
    assert scenario.server.asked_for(WEIGHTS) == []
    scenario.completes_with_a_good_server()


def test_url_with_a_line_end_adds_no_header(scenario: DownloadScenario) -> None:
    def listing(token: int, size: int) -> tuple[int, Json]:
        rows = [
            {**row, "url": row["url"] + "&x=\r\nX-Evil: 1\r\n\r\nGET /other HTTP/1.1&y= \tä\x00"}
            for row in scenario.server.rows()
        ]
        return 200, {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)}

    scenario.server.listing = listing
    scenario.attempt()
    assert all("x-evil" not in asked.headers for asked in scenario.server.asked)
    assert {asked.target.split("?")[0].rpartition("/")[0] for asked in scenario.server.asked} <= {f"/bucket-{SECRET}"}
    scenario.completes_with_a_good_server()
