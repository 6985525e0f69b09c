"""Downloads that are interrupted, killed, doubled, or that meet a full disk: in processes of their own."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loops_nb.checkpoints.transfer.filenames import OURS
from loops_nb.errors import DownloadError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.hostile_server import LONGEST_WAIT, Json
from tests.checkpoints.transfer.responses import only
from tests.checkpoints.transfer.scenario import WEIGHTS, DownloadScenario, assert_readable, download_scenario
from tests.checkpoints.transfer.stored_file import SECRET, KiB, Stored, noise, safetensors

PROJECT = Path(__file__).parents[3]


@contextmanager
def download_process_of(
    scenario: DownloadScenario, *, before: Sequence[str] = (), **job: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a download in a process of its own."""
    told = json.dumps({"url": scenario.server.url, "into": str(scenario.into), **job})
    command = [*before, sys.executable, "-m", "tests.checkpoints.transfer.download_process", "once", told]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Wait for the end and return what was said; no secret in any of it."""
    out, err = process.communicate(timeout=LONGEST_WAIT)
    assert SECRET not in out + err
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


# Ctrl-C.


def hold_the_weights(scenario: DownloadScenario) -> threading.Event:
    """Stop the weights half way until the event, and let all others pass."""
    gate = threading.Event()
    scenario.server.fault = only(WEIGHTS, lambda _asked, reply: replace(reply, held=gate))
    return gate


def half_of_the_weights_and_all_others(scenario: DownloadScenario) -> bool:
    names = {asked.file.name for asked in scenario.server.asked}
    return (
        names >= {f.name for f in scenario.server.files if f.body}
        and scenario.server.sent
        >= sum(len(f.body) for f in scenario.server.files if f.name != WEIGHTS) + len(scenario.weights.body) // 2
    )


def size_of(path: Path) -> int:
    """Return the size of a file; 0 if it was finished, and got its own name, since it was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def wait_until_some_is_written(scenario: DownloadScenario) -> None:
    """Wait for the first of the weights on the disk: what a buffer still gathers is not kept."""
    until = time.monotonic() + LONGEST_WAIT
    while not any(size_of(path) > len(scenario.weights.body) // 4 for path in scenario.folder.glob(f"{OURS}*")):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)


def test_ctrl_c_during_a_body_keeps_what_arrived(scenario: DownloadScenario) -> None:
    gate = hold_the_weights(scenario)
    with download_process_of(scenario) as process:
        scenario.server.wait_for(lambda: half_of_the_weights_and_all_others(scenario))
        wait_until_some_is_written(scenario)
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
    gate.set()
    assert came["outcome"] == "interrupted"
    assert "again" in came["text"], "how it goes on"
    assert any(c.isdigit() for c in came["text"]), "how much is kept"
    scenario.check()
    scenario.completes_with_a_good_server()
    (went_on,) = scenario.server.asked_for(WEIGHTS)
    assert went_on.range is not None, "what was there came again"
    assert went_on.range[0] > 0


def asked_to_wait(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, responses.status(503, retry_after="30"))


def nothing_comes(scenario: DownloadScenario) -> None:
    scenario.server.fault = only(WEIGHTS, responses.silence)


@pytest.mark.parametrize("waiting", [asked_to_wait, nothing_comes], ids=lambda f: f.__name__)
def test_ctrl_c_ends_a_wait_at_once(scenario: DownloadScenario, waiting: Any) -> None:
    """The waits are of half a minute and more, so an end within ten seconds is one that was not waited for."""
    waiting(scenario)
    with download_process_of(scenario) as process:
        scenario.server.wait_for(lambda: bool(scenario.server.asked_for(WEIGHTS)))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
        assert time.monotonic() - began < 10
    assert came["outcome"] == "interrupted"
    scenario.check()
    scenario.completes_with_a_good_server()


def test_ctrl_c_during_the_listing_leaves_no_folder(scenario: DownloadScenario) -> None:
    gate = threading.Event()

    def slow(token: int, size: int) -> tuple[int, Json]:
        gate.wait(LONGEST_WAIT)
        return 503, {}

    scenario.server.listing = slow
    with download_process_of(scenario) as process:
        scenario.server.wait_for(lambda: bool(scenario.server.api_calls))
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
        gate.set()
    assert came["outcome"] == "interrupted"
    assert not scenario.into.exists()
    scenario.completes_with_a_good_server()


# Two at once.


def assert_refused_because_of_another(scenario: DownloadScenario) -> None:
    with pytest.raises(DownloadError, match="another") as caught:
        scenario.download()
    assert_readable(caught.value)


def test_second_process_is_refused_while_the_first_downloads(scenario: DownloadScenario) -> None:
    gate = hold_the_weights(scenario)
    with download_process_of(scenario) as process:
        scenario.server.wait_for(lambda: half_of_the_weights_and_all_others(scenario))
        assert_refused_because_of_another(scenario)
        gate.set()
        (came,) = said(process)
    assert came["outcome"] == "done"
    scenario.check_whole()
    assert len(scenario.server.asked_for(WEIGHTS)) == 1


def test_second_thread_is_refused_while_the_first_downloads(scenario: DownloadScenario) -> None:
    gate = hold_the_weights(scenario)
    first = threading.Thread(target=scenario.download)
    first.start()
    try:
        scenario.server.wait_for(lambda: half_of_the_weights_and_all_others(scenario))
        assert_refused_because_of_another(scenario)
    finally:
        gate.set()
        first.join(LONGEST_WAIT)
    scenario.check_whole()


# Disks.


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="a small disk cannot be mounted on this system")


def with_disk(scenario: DownloadScenario, options: str) -> list[str]:
    """Return what to put before a command so that the folder of all checkpoints is a disk of its own."""
    scenario.into.mkdir()
    mount = 'mount -t tmpfs -o "$0" none "$1" && shift && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, options, str(scenario.into)]


def assert_refused_then_done(scenario: DownloadScenario, came: list[dict[str, Any]]) -> dict[str, Any]:
    first, second = came
    truth = {(scenario.ref.folder / f.name).as_posix(): f.body for f in scenario.server.files}
    assert first["outcome"] == "refused"
    for name, data in first["there"].items():
        if not Path(name).name.startswith(".loops-"):
            assert bytes.fromhex(data) == truth[name]
    assert second["outcome"] == "done", second
    assert {
        name: bytes.fromhex(data) for name, data in second["there"].items() if not Path(name).name.startswith(".loops-")
    } == truth
    return first


@needs_mounts
def test_too_small_disk_is_reported_before_the_first_byte(scenario: DownloadScenario) -> None:
    larger = [["mount", "-o", "remount,size=8m", str(scenario.into)]]
    with download_process_of(scenario, before=with_disk(scenario, "size=128k"), between=larger) as process:
        scenario.server.wait_for(lambda: len(scenario.server.api_calls) >= 1)
        first = assert_refused_then_done(scenario, said(process))
    assert first["kind"] == "NoSpaceError"
    assert first["there"] == {}


@needs_mounts
def test_full_disk_is_reported_and_download_resumes(scenario: DownloadScenario) -> None:
    """The sizes were not known before."""
    for stored in scenario.server.files:
        stored.listed = {"size_bytes": None}
    scenario.server.fault = responses.chunked
    larger = [["mount", "-o", "remount,size=8m", str(scenario.into)]]
    with download_process_of(scenario, before=with_disk(scenario, "size=128k"), between=larger) as process:
        first = assert_refused_then_done(scenario, said(process))
    assert first["kind"] == "NoSpaceError"
    assert "again" in first["text"]


@needs_mounts
def test_read_only_disk_is_reported(scenario: DownloadScenario) -> None:
    writable = [["mount", "-o", "remount,rw", str(scenario.into)]]
    with download_process_of(scenario, before=with_disk(scenario, "ro,size=8m"), between=writable) as process:
        first = assert_refused_then_done(scenario, said(process))
    assert first["there"] == {}
    assert "read-only" in (first["text"] + str(first["failures"])).lower()


def test_file_size_limit_is_reported(scenario: DownloadScenario) -> None:
    with download_process_of(scenario, largest=64 * KiB, between=[["true"]]) as process:
        first = assert_refused_then_done(scenario, said(process))
    assert "too large" in (first["text"] + str(first["failures"])).lower()


# kill -9.


class Killable:
    """A process that forks a child for each job."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.checkpoints.transfer.download_process", "many"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, scenario: DownloadScenario) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"url": scenario.server.url, "into": str(scenario.into)}) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def end(self) -> int:
        """Wait for the end of the one that was started; a signal is below zero."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def killable() -> Iterator[Killable]:
    made = Killable()
    yield made
    made.close()


def larger_files(seed: int) -> list[Stored]:
    return [
        Stored("adapter_config.json", b'{"r": 8}'),
        Stored(WEIGHTS, safetensors(12 * KiB, seed)),
        *(Stored(f"optimizer/rank_{i}.bin", noise((40 + 30 * i) * KiB, seed + i)) for i in range(6)),
    ]


def test_download_resumes_after_fifty_random_kills(tmp_path: Path, killable: Killable) -> None:
    """Each time the process dies at a byte drawn by lot; the next one goes on, until all is there and right."""
    moments = random.Random(20_260_501)  # noqa: S311 - no secret
    kills = folders = 0
    while kills < 50:
        folders += 1
        with download_scenario(tmp_path / str(folders), larger_files(folders)) as scenario:
            total = sum(len(f.body) for f in scenario.server.files)
            scenario.server.fault = lambda _asked, reply: replace(reply, pieces=8 * KiB)
            scenario.server.pause = 0.001
            while True:
                child = killable.start(scenario)
                until = scenario.server.sent + moments.randrange(total // 4)
                died = lab_dies(scenario, killable, child, until)
                scenario.check()
                if not died:
                    break
                kills += 1
            scenario.check_whole()
            assert scenario.completes_with_a_good_server().fetched_bytes == 0
            assert scenario.server.asked == []
    assert folders < 50, "no download resumed where the last one died"


def lab_dies(scenario: DownloadScenario, killable: Killable, child: int, until: int) -> bool:
    """Kill at the byte; tell whether it was still alive then."""
    ended = threading.Event()
    codes: list[int] = []

    def wait() -> None:
        codes.append(killable.end())
        ended.set()
        with scenario.server._changed:
            scenario.server._changed.notify_all()

    waiting = threading.Thread(target=wait)
    waiting.start()
    scenario.server.wait_for(lambda: ended.is_set() or scenario.server.sent >= until)
    if not ended.is_set():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    waiting.join(LONGEST_WAIT)
    assert codes in ([0], [-signal.SIGKILL])
    return codes != [0]
