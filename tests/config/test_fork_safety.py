"""`loops_nb.config.fork_safety`: the one reset around forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from loops_nb.config import fork_safety

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


class Recorder(fork_safety.ForkAware):
    def __init__(self) -> None:
        self.calls: list[str] = []
        fork_safety.reset_on_fork(self)

    def before_fork(self, seconds: float) -> None:
        assert seconds > 0
        self.calls.append(f"before, forking: {fork_safety.is_forking()}")

    def after_fork_in_parent(self) -> None:
        self.calls.append("parent")

    def after_fork_in_child(self) -> None:
        self.calls.append("child")


class Failing(fork_safety.ForkAware):
    def __init__(self) -> None:
        fork_safety.reset_on_fork(self)

    def before_fork(self, seconds: float) -> None:
        raise ValueError(seconds)

    def after_fork_in_child(self) -> None:
        raise ValueError


def exit_code_in_child(check: object) -> int:
    child = os.fork()
    if child == 0:
        code = 9
        try:
            code = 0 if check() else 1  # type: ignore[operator]
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_the_three_methods_are_called_around_a_fork() -> None:
    recorder = Recorder()
    assert exit_code_in_child(lambda: recorder.calls == ["before, forking: True", "child"]) == 0
    assert recorder.calls == ["before, forking: True", "parent"]
    assert not fork_safety.is_forking()


def test_an_object_that_fails_keeps_no_other_from_its_reset(capfd: pytest.CaptureFixture[str]) -> None:
    failing, recorder = Failing(), Recorder()
    assert exit_code_in_child(lambda: recorder.calls[-1] == "child") == 0
    assert recorder.calls[-1] == "parent"
    assert capfd.readouterr().err == ""
    del failing


def test_an_object_made_within_a_fork_of_another_thread_opens_nothing_before_the_child_is_made() -> None:
    forking, opened = threading.Event(), threading.Event()

    class Slow(fork_safety.ForkAware):
        def before_fork(self, seconds: float) -> None:
            forking.set()
            # What would be open in the child.
            opened.wait(0.3)

    slow, made = Slow(), []
    fork_safety.reset_on_fork(slow)

    def make() -> None:
        forking.wait()
        made.append(Recorder())
        opened.set()

    thread = threading.Thread(target=make)
    thread.start()
    assert exit_code_in_child(lambda: not opened.is_set()) == 0
    thread.join()
    assert opened.is_set()
    assert exit_code_in_child(lambda: made[0].calls[-1] == "child") == 0
    del slow


def test_an_object_that_is_gone_is_forgotten() -> None:
    calls = Recorder().calls
    gc.collect()
    assert exit_code_in_child(lambda: True) == 0
    assert calls == []


def fork_in_four_threads() -> None:
    recorder = Recorder()
    threads = [threading.Thread(target=exit_code_in_child, args=(lambda: True,)) for _ in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < fork_safety.MAX_DELAY_SECONDS
    assert recorder.calls.count("parent") == len(threads)


def test_threads_that_fork_at_once_do_not_block_each_other() -> None:
    # In a process of its own: filelock, which other tests import, refuses forks in two threads at once.
    program = "from tests.config.test_fork_safety import fork_in_four_threads as run; run()"
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True, timeout=60)


def test_waiting_for_forks_ends_at_once_without_one() -> None:
    started = time.monotonic()
    fork_safety.wait_for_forks()
    assert time.monotonic() - started < 1.0


def test_an_inherited_object_outlives_its_last_reference() -> None:
    recorder = Recorder()
    calls = recorder.calls
    fork_safety.keep_inherited(recorder)
    del recorder
    gc.collect()
    assert exit_code_in_child(lambda: calls[-1] == "child") == 0
