"""One file in many ranges at once: the same faults, and those that only ranges have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loops_nb.downloads import board, carrying, growth
from loops_nb.errors import DownloadIncompleteError
from tests.downloads import replies
from tests.downloads.replies import Fault, Reply
from tests.downloads.scene import WEIGHTS, Scene, scene
from tests.downloads.stored import Asked, KiB, Stored, noise, safetensors
from tests.downloads.test_faults import CASES, Case, assert_told

CHUNK = 32 * KiB
WORKERS = 4


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """One large file, for the sizes that count as large here."""
    for module in (board, carrying):
        monkeypatch.setattr(module, "LEAST_CHUNK", CHUNK)
    monkeypatch.setattr(board, "MOST_CHUNK", CHUNK)
    monkeypatch.setattr(growth, "NOTE_BYTES", 8 * KiB)
    with scene(tmp_path, [Stored(WEIGHTS, safetensors(10 * KiB))]) as made:
        yield made


def at_number(number: int, fault: Fault) -> Fault:
    return lambda asked, reply: fault(asked, reply) if asked.number == number else reply


def from_number(number: int, fault: Fault) -> Fault:
    return lambda asked, reply: fault(asked, reply) if asked.number >= number else reply


def test_one_file_comes_over_several_connections(wide: Scene) -> None:
    """The second request is answered only when a third one has come: they run side by side."""
    others = threading.Event()

    def together(asked: Asked, reply: Reply) -> Reply:
        if asked.number == 3:
            others.set()
        return replace(reply, held=others) if asked.number == 2 else reply

    wide.server.fault = together
    wide.finishes(connections=WORKERS)
    ranges = sorted(asked.range for asked in wide.server.asked if asked.range)
    assert len(ranges) > WORKERS
    assert others.is_set()


def test_never_more_connections_than_allowed(wide: Scene) -> None:
    wide.finishes(connections=3)
    assert wide.server.most_open <= 3 + 1, "one is for the listing"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_fault_in_one_of_many_ranges(wide: Scene, case: Case) -> None:
    wide.server.fault = at_number(3, case.fault)
    told = wide.attempt(connections=WORKERS, silence=case.silence)
    if told is None:
        wide.check_whole()
    else:
        assert case.kind == "told" or case.part.kind == "told"
    wide.then_a_good_server_finishes_it()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_fault_in_all_ranges_but_the_first(wide: Scene, case: Case) -> None:
    wide.server.fault = from_number(2, case.fault)
    if case.part.kind == "harmless":
        wide.finishes(connections=WORKERS)
    else:
        assert_told(wide.fails(DownloadIncompleteError, connections=WORKERS, silence=case.silence), case)
    wide.then_a_good_server_finishes_it()


def test_what_came_in_ranges_is_not_fetched_again(wide: Scene) -> None:
    """Some ranges came whole, some half, some not at all; the next command asks for the gaps."""
    wide.server.fault = from_number(4, replies.hang_up)
    wide.fails(DownloadIncompleteError, connections=WORKERS)
    before = wide.server.sent
    done = wide.then_a_good_server_finishes_it()
    assert done.fetched_bytes < len(wide.weights.body)
    assert wide.server.sent - before < len(wide.weights.body)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_an_object_that_is_replaced_while_its_ranges_come(wide: Scene, number: int) -> None:
    old, new = wide.weights, Stored(WEIGHTS, safetensors(10 * KiB, 5))

    def replaced(asked: Asked, reply: Reply) -> Reply:
        if asked.file is old and asked.number >= number:
            wide.server.files[0] = new
            return replies.honest(replace(asked, file=new))
        return reply

    wide.server.fault = replaced
    wide.finishes(connections=WORKERS)
    assert wide.there() == {WEIGHTS: new.body}


@pytest.mark.parametrize("number", [2, 4])
def test_a_server_that_stops_sending_ranges(wide: Scene, number: int) -> None:
    wide.server.fault = from_number(number, replies.ignores_ranges)
    wide.finishes(connections=WORKERS)


def test_a_server_whose_versions_have_no_names(tmp_path: Path, wide: Scene) -> None:
    """No ETag and no date: nothing tells that two ranges are of the same file, and yet it gets here."""
    wide.server.files[0] = Stored(WEIGHTS, safetensors(10 * KiB), etag="")
    wide.finishes(connections=WORKERS)


def test_several_large_and_many_small_files(wide: Scene) -> None:
    wide.server.files += [Stored(f"optimizer/{i}.bin", noise((i % 7) * 20 * KiB, i)) for i in range(20)]
    wide.finishes(connections=WORKERS)
    wide.server.files += [Stored(f"later/{i}.bin", noise(70 * KiB, i)) for i in range(3)]
    wide.then_a_good_server_finishes_it()
    assert {asked.file.name.split("/")[0] for asked in wide.server.asked} == {"later"}
