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

from loops_nb.downloads.marks import OURS
from loops_nb.errors import DownloadError
from tests.downloads import replies
from tests.downloads.hostile_server import LONGEST_WAIT, Json
from tests.downloads.replies import only
from tests.downloads.scene import WEIGHTS, Scene, assert_fit_to_read, scene
from tests.downloads.stored import SECRET, KiB, Stored, noise, safetensors

PROJECT = Path(__file__).parents[2]


@contextmanager
def a_person(lab: Scene, *, before: Sequence[str] = (), **job: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a download in a process of its own."""
    told = json.dumps({"url": lab.server.url, "into": str(lab.into), **job})
    command = [*before, sys.executable, "-m", "tests.downloads.person", "once", told]
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


def hold_the_weights(lab: Scene) -> threading.Event:
    """Stop the weights half way until the event, and let all others pass."""
    gate = threading.Event()
    lab.server.fault = only(WEIGHTS, lambda _asked, reply: replace(reply, held=gate))
    return gate


def half_of_the_weights_and_all_others(lab: Scene) -> bool:
    names = {asked.file.name for asked in lab.server.asked}
    return (
        names >= {f.name for f in lab.server.files if f.body}
        and lab.server.sent >= sum(len(f.body) for f in lab.server.files if f.name != WEIGHTS) + len(lab.weights.body) // 2
    )


def wait_until_some_is_written(lab: Scene) -> None:
    """Wait for the first of the weights on the disk: what a buffer still gathers is not kept."""
    until = time.monotonic() + LONGEST_WAIT
    while not any(path.stat().st_size > len(lab.weights.body) // 4 for path in lab.folder.glob(f"{OURS}*")):
        assert time.monotonic() < until, "nothing was written"
        time.sleep(0.01)


def test_ctrl_c_in_the_middle_of_a_body(lab: Scene) -> None:
    gate = hold_the_weights(lab)
    with a_person(lab) as process:
        lab.server.wait_for(lambda: half_of_the_weights_and_all_others(lab))
        wait_until_some_is_written(lab)
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
    gate.set()
    assert came["outcome"] == "interrupted"
    assert "again" in came["text"], "how it goes on"
    assert any(c.isdigit() for c in came["text"]), "how much is kept"
    lab.check()
    lab.then_a_good_server_finishes_it()
    (went_on,) = lab.server.asked_for(WEIGHTS)
    assert went_on.range is not None, "what was there came again"
    assert went_on.range[0] > 0


def asked_to_wait(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, replies.status(503, retry_after="30"))


def nothing_comes(lab: Scene) -> None:
    lab.server.fault = only(WEIGHTS, replies.silence)


@pytest.mark.parametrize("waiting", [asked_to_wait, nothing_comes], ids=lambda f: f.__name__)
def test_ctrl_c_ends_every_wait(lab: Scene, waiting: Any) -> None:
    """The waits are of half a minute and more, so an end within ten seconds is one that was not waited for."""
    waiting(lab)
    with a_person(lab) as process:
        lab.server.wait_for(lambda: bool(lab.server.asked_for(WEIGHTS)))
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
        assert time.monotonic() - began < 10
    assert came["outcome"] == "interrupted"
    lab.check()
    lab.then_a_good_server_finishes_it()


def test_ctrl_c_while_the_listing_is_awaited(lab: Scene) -> None:
    gate = threading.Event()

    def slow(token: int, size: int) -> tuple[int, Json]:
        gate.wait(LONGEST_WAIT)
        return 503, {}

    lab.server.listing = slow
    with a_person(lab) as process:
        lab.server.wait_for(lambda: bool(lab.server.api_calls))
        process.send_signal(signal.SIGINT)
        (came,) = said(process)
        gate.set()
    assert came["outcome"] == "interrupted"
    assert not lab.into.exists()
    lab.then_a_good_server_finishes_it()


# Two at once.


def assert_refused_because_of_another(lab: Scene) -> None:
    with pytest.raises(DownloadError, match="another") as caught:
        lab.download()
    assert_fit_to_read(caught.value)


def test_a_second_process_is_told_and_the_first_one_finishes(lab: Scene) -> None:
    gate = hold_the_weights(lab)
    with a_person(lab) as process:
        lab.server.wait_for(lambda: half_of_the_weights_and_all_others(lab))
        assert_refused_because_of_another(lab)
        gate.set()
        (came,) = said(process)
    assert came["outcome"] == "done"
    lab.check_whole()
    assert len(lab.server.asked_for(WEIGHTS)) == 1


def test_a_second_thread_is_told_and_the_first_one_finishes(lab: Scene) -> None:
    gate = hold_the_weights(lab)
    first = threading.Thread(target=lab.download)
    first.start()
    try:
        lab.server.wait_for(lambda: half_of_the_weights_and_all_others(lab))
        assert_refused_because_of_another(lab)
    finally:
        gate.set()
        first.join(LONGEST_WAIT)
    lab.check_whole()


# Disks.


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a small disk")


def with_disk(lab: Scene, options: str) -> list[str]:
    """Return what to put before a command so that the folder of all checkpoints is a disk of its own."""
    lab.into.mkdir()
    mount = 'mount -t tmpfs -o "$0" none "$1" && shift && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", mount, options, str(lab.into)]


def assert_refused_then_done(lab: Scene, came: list[dict[str, Any]]) -> dict[str, Any]:
    first, second = came
    truth = {(lab.ref.folder / f.name).as_posix(): f.body for f in lab.server.files}
    assert first["outcome"] == "refused"
    for name, data in first["there"].items():
        if not Path(name).name.startswith(".loops-"):
            assert bytes.fromhex(data) == truth[name]
    assert second["outcome"] == "done", second
    assert {name: bytes.fromhex(data) for name, data in second["there"].items() if not Path(name).name.startswith(".loops-")} == truth
    return first


@needs_mounts
def test_a_disk_that_is_too_small_is_told_before_the_first_byte(lab: Scene) -> None:
    larger = [["mount", "-o", "remount,size=8m", str(lab.into)]]
    with a_person(lab, before=with_disk(lab, "size=128k"), between=larger) as process:
        lab.server.wait_for(lambda: len(lab.server.api_calls) >= 1)
        first = assert_refused_then_done(lab, said(process))
    assert first["kind"] == "NoSpaceError"
    assert first["there"] == {}


@needs_mounts
def test_a_disk_that_becomes_full_is_told_and_what_came_is_kept(lab: Scene) -> None:
    """Nobody knew the sizes before."""
    for stored in lab.server.files:
        stored.listed = {"size_bytes": None}
    lab.server.fault = replies.chunked
    larger = [["mount", "-o", "remount,size=8m", str(lab.into)]]
    with a_person(lab, before=with_disk(lab, "size=128k"), between=larger) as process:
        first = assert_refused_then_done(lab, said(process))
    assert first["kind"] == "NoSpaceError"
    assert "again" in first["text"]


@needs_mounts
def test_a_disk_that_cannot_be_written_to_is_told(lab: Scene) -> None:
    writable = [["mount", "-o", "remount,rw", str(lab.into)]]
    with a_person(lab, before=with_disk(lab, "ro,size=8m"), between=writable) as process:
        first = assert_refused_then_done(lab, said(process))
    assert first["there"] == {}
    assert "read-only" in (first["text"] + str(first["failures"])).lower()


def test_a_file_that_may_not_grow_so_large_is_told(lab: Scene) -> None:
    with a_person(lab, largest=64 * KiB, between=[["true"]]) as process:
        first = assert_refused_then_done(lab, said(process))
    assert "too large" in (first["text"] + str(first["failures"])).lower()


# kill -9.


class Killable:
    """A process that forks a person for each job."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.downloads.person", "many"], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, lab: Scene) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"url": lab.server.url, "into": str(lab.into)}) + "\n")
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


def test_fifty_kills_at_random_moments(tmp_path: Path, killable: Killable) -> None:
    """Each time the process dies at a byte drawn by lot; the next one goes on, until all is there and right."""
    moments = random.Random(20_260_501)  # noqa: S311 - no secret
    kills = folders = 0
    while kills < 50:
        folders += 1
        with scene(tmp_path / str(folders), larger_files(folders)) as lab:
            total = sum(len(f.body) for f in lab.server.files)
            lab.server.fault = lambda _asked, reply: replace(reply, pieces=8 * KiB)
            lab.server.pause = 0.001
            while True:
                child = killable.start(lab)
                until = lab.server.sent + moments.randrange(total // 4)
                died = lab_dies(lab, killable, child, until)
                lab.check()
                if not died:
                    break
                kills += 1
            lab.check_whole()
            assert lab.then_a_good_server_finishes_it().fetched_bytes == 0
            assert lab.server.asked == []
    assert folders < 50, "nobody ever went on where the last one died"


def lab_dies(lab: Scene, killable: Killable, child: int, until: int) -> bool:
    """Kill at the byte; tell whether it was still alive then."""
    ended = threading.Event()
    codes: list[int] = []

    def wait() -> None:
        codes.append(killable.end())
        ended.set()
        with lab.server._changed:
            lab.server._changed.notify_all()

    waiting = threading.Thread(target=wait)
    waiting.start()
    lab.server.wait_for(lambda: ended.is_set() or lab.server.sent >= until)
    if not ended.is_set():
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    waiting.join(LONGEST_WAIT)
    assert codes in ([0], [-signal.SIGKILL])
    return codes != [0]
