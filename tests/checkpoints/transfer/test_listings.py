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
from tests.checkpoints.transfer.hostile_server import Json
from tests.checkpoints.transfer.scenario import DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import SECRET, KiB, Stored, noise

Listing = Callable[[int, int], tuple[int, Json]]


def page(rows: list[Json], token: Any = None, total: Any = None) -> tuple[int, Json]:
    return 200, {"presigned_urls": rows, "next_page_token": token, "total_count": total}


def test_listing_of_several_pages_is_read_completely(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [Stored(f"{i:04}.txt", str(i).encode()) for i in range(1003)]) as scenario:
        scenario.completes(connections=8)
        assert len([call for call in scenario.server.api_calls if call.endswith("/files")]) == 2


def test_endless_listing_raises(scenario: DownloadScenario) -> None:
    """Every page has other names and points to another one, beyond the total."""
    row = scenario.server.rows()[0]

    def endless(token: int, size: int) -> tuple[int, Json]:
        return page([{**row, "relative_file_name": f"{token + i}.json"} for i in range(size)], token + size, 5)

    scenario.server.listing = endless
    scenario.fails(EndlessPagesError)
    assert scenario.server.asked == []
    assert not scenario.into.exists()
    scenario.completes_with_a_good_server()


CIRCLES: dict[str, Callable[[list[Json]], Listing]] = {
    "the same token": lambda rows: lambda _token, _size: page(rows, 3),
    "back to the start": lambda rows: lambda _token, _size: page(rows, 0),
    "an empty page": lambda rows: lambda token, _size: page([] if token else rows, token + 1),
    "below zero": lambda rows: lambda _token, _size: page(rows, -1),
}


@pytest.mark.parametrize("circle", CIRCLES.values(), ids=CIRCLES.keys())
def test_circular_pages_raise(scenario: DownloadScenario, circle: Callable[[list[Json]], Listing]) -> None:
    scenario.server.listing = circle(scenario.server.rows())
    scenario.fails(EndlessPagesError)
    assert scenario.server.asked == []
    scenario.completes_with_a_good_server()


def test_repeated_page_is_refused(scenario: DownloadScenario) -> None:
    """The second page has the files of the first: the same name twice is refused, not fetched twice."""
    rows = scenario.server.rows()
    scenario.server.listing = lambda token, _size: page(rows, None if token else 1)
    assert "twice" in str(scenario.fails(UnsafeNameError).refused)
    assert scenario.server.asked == []
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("total", [10**9, None])
def test_total_too_large_or_missing_adds_no_files(scenario: DownloadScenario, total: int | None) -> None:
    """Only what is listed can be fetched; a larger total is either reported or ignored, and nothing is invented."""
    rows = scenario.server.rows()
    scenario.server.listing = lambda _token, _size: page(rows, None, total)
    if scenario.attempt() is not None:
        assert total is not None
        assert scenario.there() == {}
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("total", [0, 1, -5])
def test_total_too_small_leaves_no_partial_result(scenario: DownloadScenario, total: int) -> None:
    rows = scenario.server.rows()
    scenario.server.listing = lambda _token, _size: page(rows, None, total)
    if scenario.attempt() is not None:
        assert scenario.there() == {}
    scenario.completes_with_a_good_server()


UNREADABLE: dict[str, Listing] = {
    "an object": lambda _token, _size: (200, {"files": []}),
    "no rows": lambda _token, _size: page([{"url": 7}]),
    "a row without a name": lambda _token, _size: page([{"url": f"http://127.0.0.1/{SECRET}"}]),
    "a size of words": lambda _token, _size: page(
        [{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": "x", "size_bytes": "many"}]
    ),
    "a size of half a byte": lambda _token, _size: page(
        [{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": "x", "size_bytes": 0.5}]
    ),
    "a name that is none": lambda _token, _size: page(
        [{"url": f"http://127.0.0.1/{SECRET}", "relative_file_name": None}]
    ),
}


@pytest.mark.parametrize("listing", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_listing_raises(scenario: DownloadScenario, listing: Listing) -> None:
    scenario.server.listing = listing
    scenario.fails(UnreadableAnswerError)
    assert not scenario.into.exists()
    scenario.completes_with_a_good_server()


def test_listing_without_sizes_is_downloaded(scenario: DownloadScenario) -> None:
    rows = [{**row, "size_bytes": None} for row in scenario.server.rows()]
    scenario.server.listing = lambda _token, _size: page(rows)
    scenario.completes()


def test_negative_sizes_leave_no_partial_result(scenario: DownloadScenario) -> None:
    rows = [{**row, "size_bytes": -1} for row in scenario.server.rows()]
    scenario.server.listing = lambda _token, _size: page(rows)
    if scenario.attempt() is not None:
        assert scenario.there() == {}
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("size", [1 << 62, 10**30])
def test_file_larger_than_the_disk_is_refused_before_the_first_byte(scenario: DownloadScenario, size: int) -> None:
    rows = [{**row, "size_bytes": size} for row in scenario.server.rows()]
    scenario.server.listing = lambda _token, _size: page(rows)
    error = scenario.fails(NoSpaceError)
    assert "missing" in str(error)
    assert scenario.server.asked == []
    scenario.completes_with_a_good_server()


def test_wrong_listed_size_is_reported(scenario: DownloadScenario) -> None:
    """The file is consistent in itself; the listing says otherwise: not complete."""
    rows = [{**row, "size_bytes": row["size_bytes"] + 1} for row in scenario.server.rows()]
    scenario.server.listing = lambda _token, _size: page(rows)
    assert len(scenario.fails(DownloadIncompleteError).failures) == len(rows)
    assert scenario.there() == {}
    scenario.completes_with_a_good_server()


def test_listing_is_retried_after_a_503(scenario: DownloadScenario) -> None:
    answers = [(503, {"message": "busy"}), page(scenario.server.rows())]
    scenario.server.listing = lambda _token, _size: answers.pop(0) if len(answers) > 1 else answers[0]
    scenario.completes()


def test_missing_checkpoint_raises_not_found(scenario: DownloadScenario) -> None:
    scenario.server.listing = lambda _token, _size: (
        404,
        {"code": "NOT_FOUND", "message": f"no such checkpoint, {SECRET}?"},
    )
    with pytest.raises(NotFoundError):
        scenario.download()
    assert not scenario.into.exists()
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_volume_backed_checkpoint_raises_with_its_volume(scenario: DownloadScenario, status: int) -> None:
    scenario.server.source = {"kind": "volume", "volume_ref": "bdn:team/vol:tag", "path": "step-100"}
    scenario.server.listing = lambda _token, _size: (
        status,
        {"code": "VALIDATION_ERROR", "message": "not presignable", "details": {"reason": "NOT_PRESIGNABLE"}},
    )
    error = scenario.fails(VolumeBackedError)
    assert error.volume_ref == "bdn:team/vol:tag"
    assert "volume" in str(error)
    assert error.hint
    assert not scenario.into.exists()


def test_volume_backed_checkpoint_without_files_raises(scenario: DownloadScenario) -> None:
    scenario.server.source = {"kind": "volume", "volume_ref": "bdn:team/vol:tag", "path": "step-100"}
    scenario.server.listing = lambda _token, _size: page([], None, 0)
    scenario.fails(VolumeBackedError)


def test_volume_backed_checkpoint_with_unreadable_source_raises(scenario: DownloadScenario) -> None:
    scenario.server.source = {"kind": 7}
    scenario.server.listing = lambda _token, _size: (400, {"message": "x", "details": {"reason": "NOT_PRESIGNABLE"}})
    scenario.fails(VolumeBackedError)


def test_checkpoint_without_files_raises(scenario: DownloadScenario) -> None:
    scenario.server.listing = lambda _token, _size: page([], None, 0)
    error = scenario.fails(LoopsError)
    assert "no files" in str(error)
    assert not scenario.folder.exists()
    scenario.completes_with_a_good_server()


def test_patterns_without_a_match_raise(scenario: DownloadScenario) -> None:
    with pytest.raises(InvalidArgumentError, match=r"adapter_config\.json"):
        scenario.download(include=["*.gguf"])
    assert scenario.server.asked == []


def test_small_files_reuse_few_connections(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [Stored(f"{i}.bin", noise(KiB, i)) for i in range(200)]) as scenario:
        scenario.completes(connections=4)
        assert scenario.server.connections <= 4 + 3, "connections are used again (the client of the API has some too)"
