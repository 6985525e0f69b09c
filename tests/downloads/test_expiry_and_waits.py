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
from tests.client.scripted_server import closed_port
from tests.downloads import replies
from tests.downloads.hostile_server import HostileServer, Json
from tests.downloads.replies import Reply, once, only
from tests.downloads.scene import QUICK, WEIGHTS, Scene, scene
from tests.downloads.stored import SECRET, Asked, KiB, Stored, noise


def the_only_failure(error: DownloadIncompleteError) -> str:
    (what,) = error.failures.values()
    return what


# Expiry.


def test_urls_that_expire_in_the_middle_are_listed_again(lab: Scene) -> None:
    def expire(asked: Asked, reply: Reply) -> Reply:
        lab.server.expire()
        return replies.cut_in_the_body(asked, reply)

    lab.server.fault = only(WEIGHTS, once(expire))
    lab.finishes()
    assert lab.server.listings == 2
    assert lab.server.asked_for(WEIGHTS)[-1].range is not None, "the first half was fetched twice"


def test_one_new_listing_serves_all_files(tmp_path: Path) -> None:
    with scene(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(60)]) as lab:

        def expire(asked: Asked, reply: Reply) -> Reply:
            if asked.file.name == "7.bin" and lab.server.listings == 1:
                lab.server.expire()
            return reply

        lab.server.fault = expire
        lab.finishes(connections=8)
        assert lab.server.listings == 2


def test_urls_that_work_once_only(lab: Scene) -> None:
    """Each request ends the validity of all that was listed until then."""

    def expire(asked: Asked, reply: Reply) -> Reply:
        lab.server.expire()
        return replace(reply, cut=len(reply.head) + 16 * KiB, ending="close")

    lab.server.fault = only(WEIGHTS, expire)
    lab.finishes(connections=1)


def test_a_url_that_is_refused_for_ever_is_told(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, replies.status(403))
    error = lab.fails(DownloadIncompleteError)
    assert "403" in the_only_failure(error)
    assert len(lab.server.asked_for(WEIGHTS)) == 2, "once, and once with a fresh URL"
    assert lab.server.listings == 2
    lab.then_a_good_server_finishes_it()


def test_all_urls_refused_for_ever_do_not_end_in_a_storm_of_listings(tmp_path: Path) -> None:
    with scene(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(40)]) as lab:
        lab.server.fault = replies.status(403)
        error = lab.fails(DownloadIncompleteError)
        assert len(error.failures) == 40
        assert lab.server.listings <= 5
        assert len(lab.server.asked) <= 80
        lab.then_a_good_server_finishes_it()


def test_the_key_is_refused_when_urls_are_listed_again(lab: Scene) -> None:
    def revoke(asked: Asked, reply: Reply) -> Reply:
        lab.server.listing = lambda _token, _size: (401, {"code": "UNAUTHORIZED", "message": f"key-{SECRET} is revoked"})
        return replies.status(403)(asked, reply)

    lab.server.fault = only(WEIGHTS, revoke)
    error = lab.fails(LoopsError)
    said = str(error) + str(getattr(error, "failures", ""))
    assert "401" in said
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("what", ["gone", "of another size", "another one of its name"])
def test_the_file_is_another_one_when_urls_are_listed_again(lab: Scene, what: str) -> None:
    weights = lab.weights

    def change(asked: Asked, reply: Reply) -> Reply:
        rows = [row for row in lab.server.rows() if row["relative_file_name"] != WEIGHTS]
        row = next(row for row in lab.server.rows() if row["relative_file_name"] == WEIGHTS)
        if what == "of another size":
            rows.append({**row, "size_bytes": 17})
        elif what == "another one of its name":
            rows.append({**row, "node_rank": 9})
        lab.server.listing = lambda _token, _size: (200, {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)})
        return replies.status(403)(asked, reply)

    lab.server.fault = only(WEIGHTS, once(change))
    assert the_only_failure(lab.fails(DownloadIncompleteError))
    assert lab.weights is weights
    lab.then_a_good_server_finishes_it()


# Patience.


def test_retry_after_is_respected(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, once(replies.status(429, retry_after="1")))
    began = time.monotonic()
    lab.finishes()
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "asked", ["86400", "1e300", format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True), "9" * 400], ids=str.__len__
)
def test_nobody_waits_for_a_day(lab: Scene, asked: str) -> None:
    lab.server.fault = only(WEIGHTS, replies.status(503, retry_after=asked))
    error = lab.fails(DownloadIncompleteError)
    assert "503" in the_only_failure(error)
    assert len(lab.server.asked_for(WEIGHTS)) <= QUICK.attempts
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("asked", ["-5", "soon", "nan", "inf", "", "Wed, 99 Nov 2026 99:99:99 GMT", "0.0001"])
def test_a_wait_that_cannot_be_read_is_none(lab: Scene, asked: str) -> None:
    lab.server.fault = only(WEIGHTS, once(replies.status(503, retry_after=asked)))
    lab.finishes()


def test_a_connection_that_always_breaks_but_always_brings_something(tmp_path: Path) -> None:
    """Many more breaks than attempts: who comes nearer does not give up."""
    with scene(tmp_path, [Stored("data.bin", noise(20 * 16 * KiB))]) as lab:
        lab.server.fault = lambda _asked, reply: replace(reply, cut=len(reply.head) + 16 * KiB, ending="close")
        lab.finishes()
        firsts = [asked.range[0] for asked in lab.server.asked if asked.range]
        assert len(lab.server.asked) >= 20
        assert firsts == sorted(set(firsts)), "nothing came twice"


def test_a_server_that_is_away(lab: Scene) -> None:
    row = {**lab.server.rows()[1], "url": f"http://127.0.0.1:{closed_port()}/{SECRET}?X-Amz-Signature={SECRET}"}
    lab.server.listing = lambda _token, _size: (200, {"presigned_urls": [row], "next_page_token": None, "total_count": 1})
    assert "nobody listens" in the_only_failure(lab.fails(DownloadIncompleteError))
    lab.then_a_good_server_finishes_it()


# Redirects.


def test_a_redirect_on_the_same_server_is_followed(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, once(replies.redirect(lambda asked: asked.target + "&moved=1")))
    lab.finishes()
    assert lab.server.asked_for(WEIGHTS)[-1].target.endswith("&moved=1")


@pytest.mark.parametrize("number", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_server_is_refused(tmp_path: Path, number: int) -> None:
    with scene(tmp_path) as lab, HostileServer(lab.server.files) as other:
        other.listings = 1
        lab.server.fault = only(WEIGHTS, replies.redirect(lambda asked: other.url + asked.target, number))
        assert "redirect" in the_only_failure(lab.fails(DownloadIncompleteError))
        assert other.connections == 0
        lab.then_a_good_server_finishes_it()


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
def test_a_redirect_to_nowhere_is_told(lab: Scene, place: str) -> None:
    lab.server.fault = only(WEIGHTS, once(replies.redirect(lambda _: place)))
    lab.attempt()
    lab.then_a_good_server_finishes_it()


def test_redirects_in_circles_end(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, replies.redirect(lambda asked: asked.target))
    assert "redirect" in the_only_failure(lab.fails(DownloadIncompleteError))
    assert len(lab.server.asked_for(WEIGHTS)) <= 6 * QUICK.attempts
    lab.then_a_good_server_finishes_it()


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
def test_a_url_that_is_no_web_address_is_told(lab: Scene, url: str) -> None:
    def listing(token: int, size: int) -> tuple[int, Json]:
        rows = [{**row, "url": url} if row["relative_file_name"] == WEIGHTS else row for row in lab.server.rows()]
        return 200, {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)}

    lab.server.listing = listing
    assert the_only_failure(lab.fails(DownloadIncompleteError, retry=RetryPolicy(attempts=1)))
    assert lab.server.asked_for(WEIGHTS) == []
    lab.then_a_good_server_finishes_it()


def test_a_line_end_in_a_url_makes_no_second_header(lab: Scene) -> None:
    def listing(token: int, size: int) -> tuple[int, Json]:
        rows = [{**row, "url": row["url"] + "&x=\r\nX-Evil: 1\r\n\r\nGET /other HTTP/1.1&y= \tä\x00"} for row in lab.server.rows()]
        return 200, {"presigned_urls": rows, "next_page_token": None, "total_count": len(rows)}

    lab.server.listing = listing
    lab.attempt()
    assert all("x-evil" not in asked.headers for asked in lab.server.asked)
    assert {asked.target.split("?")[0].rpartition("/")[0] for asked in lab.server.asked} <= {f"/bucket-{SECRET}"}
    lab.then_a_good_server_finishes_it()
