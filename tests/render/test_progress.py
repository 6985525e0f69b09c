"""Status line and progress display in a terminal."""

from __future__ import annotations

import io

import pytest

from loops_nb.checkpoints.transfer import DownloadProgress, ReadProgress
from loops_nb.render import status
from loops_nb.render.status import ProgressDisplay, ProgressState, StatusWriter, TerminalProgress

HALF = DownloadProgress(
    done_bytes=5_000_000, total_bytes=10_000_000, fetched_bytes=4_000_000, done=1, failed=0, files=3
)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(status, "EVERY_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (HALF, "1 of 3 files, 5.0 MB of 10.0 MB (50 %), 0 bytes/s"),
        (DownloadProgress(5, None, 5, 0, 2, 3), "0 of 3 files, 5 bytes, 2 failed, 0 bytes/s"),
        (ReadProgress("3 of 28 headers of 28 checkpoints"), "3 of 28 headers of 28 checkpoints"),
        (
            ReadProgress("weights of 2 checkpoints", 1000, 4000, 1000),
            "weights of 2 checkpoints, 1.0 kB of 4.0 kB (25 %), 0 bytes/s",
        ),
        (ReadProgress("weights of 2 checkpoints", 1000, None, 1000), "weights of 2 checkpoints, 1.0 kB, 0 bytes/s"),
        (ReadProgress("weights of 2 checkpoints", 0, 0, 0), "weights of 2 checkpoints, 0 bytes of 0 bytes, 0 bytes/s"),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_progress_is_one_line(state: ProgressState, says: str) -> None:
    out = io.StringIO()
    with TerminalProgress(out) as display:
        display.update(state)
        assert out.getvalue() == f"\r{says}"
    assert ": done after 0 s" in out.getvalue()
    assert out.getvalue().endswith("\n")
    assert ("/s\n" in out.getvalue()) == (state.fetched_bytes is not None)


@pytest.mark.usefixtures("at_once")
def test_interrupted_progress_says_stopped() -> None:
    out = io.StringIO()

    def stopped() -> None:
        with TerminalProgress(out) as display:
            display.update(HALF)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "(50 %): stopped after 0 s" in out.getvalue()


def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "FIRST_SECONDS", 3600.0)
    out = io.StringIO()
    with TerminalProgress(out) as display:
        display.update(HALF)
    assert out.getvalue() == ""


def test_time_left_follows_from_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("loops_nb.render.status.time.monotonic", lambda: now[0])
    with ProgressDisplay() as display:
        for second in range(5):
            now[0] = 100.0 + second
            display.update(ReadProgress("weights", second * 1000, 10_000, second * 1000))
        assert (
            display.describe(ReadProgress("weights", 4000, 10_000, 4000))
            == "weights, 4.0 kB of 10.0 kB (40 %), 1.0 kB/s, 6 s left"
        )


def test_shorter_text_leaves_nothing_of_the_longer_one() -> None:
    out = io.StringIO()
    writer = StatusWriter(out, width=25)
    writer.rewrite("a text that is longer than the line")
    writer.rewrite("short")
    writer.finish("end")
    assert out.getvalue() == "\ra text that is longer t…\rshort" + " " * 19 + "\rend  \n"


def test_status_line_of_a_closed_terminal_is_dropped() -> None:
    out = io.StringIO()
    out.close()
    StatusWriter(out).rewrite("text")
    StatusWriter(None).finish("text")
