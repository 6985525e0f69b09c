"""Listings that lie, repeat themselves or do not end, and checkpoints without URLs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loops_nb.errors import (
    DownloadIncompleteError,
    EndlessPagesError,
    InvalidArgumentError,
    LoopsError,
    NoSpaceError,
    NotFoundError,
    UnreadableAnswerError,
    UnsafeNameError,
    VolumeBackedError,
)
from tests.downloads.hostile_server import Json
from tests.downloads.scene import Scene, scene
from tests.downloads.stored import SECRET, KiB, Stored, noise

Listing = Callable[[int, int], tuple[int, Json]]


def page(rows: list[Json], token: Any = None, total: Any = None) -> tuple[int, Json]:
    return 200, {"presigned_urls": rows, "next_page_token": token, "total_count": total}


def test_a_listing_of_several_pages(tmp_path: Path) -> None:
    with scene(tmp_path, [Stored(f"{i:04}.txt", str(i).encode()) for i in range(1003)]) as lab:
        lab.finishes(connections=8)
        assert len([call for call in lab.server.api_calls if call.endswith("/files")]) == 2


def test_new_files_for_ever(lab: Scene) -> None:
    """Every page has other names and points to another one, beyond the total."""
    row = lab.server.rows()[0]

    def endless(token: int, size: int) -> tuple[int, Json]:
        return page([{**row, "relative_file_name": f"{token + i}.json"} for i in range(size)], token + size, 5)

    lab.server.listing = endless
    lab.fails(EndlessPagesError)
    assert lab.server.asked == []
    assert not lab.into.exists()
    lab.then_a_good_server_finishes_it()


CIRCLES: dict[str, Callable[[list[Json]], Listing]] = {
    "the same token": lambda rows: lambda _token, _size: page(rows, 3),
    "back to the start": lambda rows: lambda _token, _size: page(rows, 0),
    "an empty page": lambda rows: lambda token, _size: page([] if token else rows, token + 1),
    "below zero": lambda rows: lambda _token, _size: page(rows, -1),
}


@pytest.mark.parametrize("circle", CIRCLES.values(), ids=CIRCLES.keys())
def test_pages_in_circles(lab: Scene, circle: Callable[[list[Json]], Listing]) -> None:
    lab.server.listing = circle(lab.server.rows())
    lab.fails(EndlessPagesError)
    assert lab.server.asked == []
    lab.then_a_good_server_finishes_it()


def test_a_page_that_comes_twice(lab: Scene) -> None:
    """The second page has the files of the first: the same name twice is refused, not fetched twice."""
    rows = lab.server.rows()
    lab.server.listing = lambda token, _size: page(rows, None if token else 1)
    assert "twice" in str(lab.fails(UnsafeNameError).refused)
    assert lab.server.asked == []
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("total", [10**9, None])
def test_a_total_that_is_too_large_or_missing(lab: Scene, total: int | None) -> None:
    """Only what is listed can be fetched; a total beyond it is either told or of no account, and nothing is invented."""
    rows = lab.server.rows()
    lab.server.listing = lambda _token, _size: page(rows, None, total)
    if lab.attempt() is not None:
        assert total is not None
        assert lab.there() == {}
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("total", [0, 1, -5])
def test_a_total_that_is_too_small(lab: Scene, total: int) -> None:
    rows = lab.server.rows()
    lab.server.listing = lambda _token, _size: page(rows, None, total)
    if lab.attempt() is not None:
        assert lab.there() == {}
    lab.then_a_good_server_finishes_it()


UNREADABLE: dict[str, Listing] = {
    "an object": lambda _token, _size: (200, {"files": []}),
    "no rows": lambda _token, _size: page([{"url": 7}]),
    "a row without a name": lambda _token, _size: page([{"url": f"http://127.0.0.1/{SECRET}"}]),
    "a size of words": lambda _token, _size: page([{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": "x", "size_bytes": "many"}]),
    "a size of half a byte": lambda _token, _size: page(
        [{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": "x", "size_bytes": 0.5}]
    ),
    "a name that is none": lambda _token, _size: page([{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": None}]),
}


@pytest.mark.parametrize("listing", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_listing_that_cannot_be_read(lab: Scene, listing: Listing) -> None:
    lab.server.listing = listing
    lab.fails(UnreadableAnswerError)
    assert not lab.into.exists()
    lab.then_a_good_server_finishes_it()


def test_a_listing_without_sizes(lab: Scene) -> None:
    rows = [{**row, "size_bytes": None} for row in lab.server.rows()]
    lab.server.listing = lambda _token, _size: page(rows)
    lab.finishes()


def test_a_listing_with_sizes_below_zero(lab: Scene) -> None:
    rows = [{**row, "size_bytes": -1} for row in lab.server.rows()]
    lab.server.listing = lambda _token, _size: page(rows)
    if lab.attempt() is not None:
        assert lab.there() == {}
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("size", [1 << 62, 10**30])
def test_a_file_larger_than_any_disk_is_refused_before_the_first_byte(lab: Scene, size: int) -> None:
    rows = [{**row, "size_bytes": size} for row in lab.server.rows()]
    lab.server.listing = lambda _token, _size: page(rows)
    error = lab.fails(NoSpaceError)
    assert "missing" in str(error)
    assert lab.server.asked == []
    lab.then_a_good_server_finishes_it()


def test_a_listing_that_says_nothing_but_a_size_that_is_wrong(lab: Scene) -> None:
    """The file is consistent in itself; the listing says otherwise: not complete."""
    rows = [{**row, "size_bytes": row["size_bytes"] + 1} for row in lab.server.rows()]
    lab.server.listing = lambda _token, _size: page(rows)
    assert len(lab.fails(DownloadIncompleteError).failures) == len(rows)
    assert lab.there() == {}
    lab.then_a_good_server_finishes_it()


def test_a_service_that_fails_once(lab: Scene) -> None:
    answers = [(503, {"message": "busy"}), page(lab.server.rows())]
    lab.server.listing = lambda _token, _size: answers.pop(0) if len(answers) > 1 else answers[0]
    lab.finishes()


def test_a_checkpoint_that_is_not_there(lab: Scene) -> None:
    lab.server.listing = lambda _token, _size: (404, {"code": "NOT_FOUND", "message": f"no such checkpoint, {SECRET}?"})
    with pytest.raises(NotFoundError):
        lab.download()
    assert not lab.into.exists()
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_files_without_urls(lab: Scene, status: int) -> None:
    lab.server.source = {"kind": "volume", "volume_ref": "bdn:team/vol:tag", "path": "step-100"}
    lab.server.listing = lambda _token, _size: (
        status,
        {"code": "VALIDATION_ERROR", "message": "not presignable", "details": {"reason": "NOT_PRESIGNABLE"}},
    )
    error = lab.fails(VolumeBackedError)
    assert error.volume_ref == "bdn:team/vol:tag"
    assert "volume" in str(error)
    assert error.hint
    assert not lab.into.exists()


def test_files_without_urls_that_are_not_listed_either(lab: Scene) -> None:
    lab.server.source = {"kind": "volume", "volume_ref": "bdn:team/vol:tag", "path": "step-100"}
    lab.server.listing = lambda _token, _size: page([], None, 0)
    lab.fails(VolumeBackedError)


def test_files_without_urls_whose_source_cannot_be_asked(lab: Scene) -> None:
    lab.server.source = {"kind": 7}
    lab.server.listing = lambda _token, _size: (400, {"message": "x", "details": {"reason": "NOT_PRESIGNABLE"}})
    lab.fails(VolumeBackedError)


def test_no_files_at_all(lab: Scene) -> None:
    lab.server.listing = lambda _token, _size: page([], None, 0)
    error = lab.fails(LoopsError)
    assert "no files" in str(error)
    assert not lab.folder.exists()
    lab.then_a_good_server_finishes_it()


def test_patterns_that_take_nothing(lab: Scene) -> None:
    with pytest.raises(InvalidArgumentError, match=r"adapter_config\.json"):
        lab.download(include=["*.gguf"])
    assert lab.server.asked == []


def test_many_small_files_over_few_connections(tmp_path: Path) -> None:
    with scene(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(200)]) as lab:
        lab.finishes(connections=4)
        assert lab.server.connections <= 4 + 3, "connections are used again (the client of the API has some too)"
