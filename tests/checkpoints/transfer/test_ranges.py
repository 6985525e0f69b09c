"""One file in many ranges at once: the same faults, and those that only ranges have."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from loops_nb.checkpoints.transfer import executor, partial_disk_file, work_queue
from loops_nb.errors import DownloadIncompleteError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import Fault, Reply
from tests.checkpoints.transfer.scenario import WEIGHTS, DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import Asked, KiB, Stored, noise, safetensors
from tests.checkpoints.transfer.test_faults import CASES, Case, assert_reported

CHUNK = 32 * KiB
WORKERS = 4


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DownloadScenario]:
    """One large file, for the sizes that count as large here."""
    for module in (work_queue, executor):
        monkeypatch.setattr(module, "MIN_SPLIT_BYTES", CHUNK)
    monkeypatch.setattr(work_queue, "MAX_SEGMENT_BYTES", CHUNK)
    monkeypatch.setattr(partial_disk_file, "RECORD_BYTES", 8 * KiB)
    with download_scenario(tmp_path, [Stored(WEIGHTS, safetensors(10 * KiB))]) as made:
        yield made


def at_number(number: int, fault: Fault) -> Fault:
    return lambda asked, reply: fault(asked, reply) if asked.number == number else reply


def from_number(number: int, fault: Fault) -> Fault:
    return lambda asked, reply: fault(asked, reply) if asked.number >= number else reply


def test_large_file_is_fetched_over_several_connections(wide: DownloadScenario) -> None:
    """The second request is answered only when a third one has come: they run side by side."""
    others = threading.Event()

    def together(asked: Asked, reply: Reply) -> Reply:
        if asked.number == 3:
            others.set()
        return replace(reply, held=others) if asked.number == 2 else reply

    wide.server.fault = together
    wide.completes(connections=WORKERS)
    ranges = sorted(asked.range for asked in wide.server.asked if asked.range)
    assert len(ranges) > WORKERS
    assert others.is_set()


def test_connections_never_exceed_the_limit(wide: DownloadScenario) -> None:
    wide.completes(connections=3)
    assert wide.server.most_open <= 3 + 1, "one is for the listing"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_fault_in_one_range_is_retried_or_reported(wide: DownloadScenario, case: Case) -> None:
    wide.server.fault = at_number(3, case.fault)
    told = wide.attempt(connections=WORKERS, silence=case.silence)
    if told is None:
        wide.check_whole()
    else:
        assert case.kind == "told" or case.part.kind == "told"
    wide.completes_with_a_good_server()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_fault_in_all_ranges_but_the_first_is_reported(wide: DownloadScenario, case: Case) -> None:
    wide.server.fault = from_number(2, case.fault)
    if case.part.kind == "harmless":
        wide.completes(connections=WORKERS)
    else:
        assert_reported(wide.fails(DownloadIncompleteError, connections=WORKERS, silence=case.silence), case)
    wide.completes_with_a_good_server()


def test_finished_ranges_are_not_fetched_again(wide: DownloadScenario) -> None:
    """Some ranges came whole, some half, some not at all; the next command asks for the gaps."""
    wide.server.fault = from_number(4, responses.hang_up)
    wide.fails(DownloadIncompleteError, connections=WORKERS)
    before = wide.server.sent
    done = wide.completes_with_a_good_server()
    assert done.fetched_bytes < len(wide.weights.body)
    assert wide.server.sent - before < len(wide.weights.body)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_object_replaced_during_parallel_ranges_is_fetched_from_the_start(wide: DownloadScenario, number: int) -> None:
    old, new = wide.weights, Stored(WEIGHTS, safetensors(10 * KiB, 5))

    def replaced(asked: Asked, reply: Reply) -> Reply:
        if asked.file is old and asked.number >= number:
            wide.server.files[0] = new
            return responses.honest(replace(asked, file=new))
        return reply

    wide.server.fault = replaced
    wide.completes(connections=WORKERS)
    assert wide.there() == {WEIGHTS: new.body}


@pytest.mark.parametrize("number", [2, 4])
def test_server_that_stops_sending_ranges_is_read_from_the_start(wide: DownloadScenario, number: int) -> None:
    wide.server.fault = from_number(number, responses.ignores_ranges)
    wide.completes(connections=WORKERS)


def test_ranges_without_an_etag_are_never_mixed(tmp_path: Path, wide: DownloadScenario) -> None:
    """No ETag and no date: nothing tells that two ranges are of the same file, and yet it gets here."""
    wide.server.files[0] = Stored(WEIGHTS, safetensors(10 * KiB), etag="")
    wide.completes(connections=WORKERS)


def test_large_and_small_files_download_together(wide: DownloadScenario) -> None:
    wide.server.files += [Stored(f"optimizer/{i}.bin", noise((i % 7) * 20 * KiB, i)) for i in range(20)]
    wide.completes(connections=WORKERS)
    wide.server.files += [Stored(f"later/{i}.bin", noise(70 * KiB, i)) for i in range(3)]
    wide.completes_with_a_good_server()
    assert {asked.file.name.split("/")[0] for asked in wide.server.asked} == {"later"}
