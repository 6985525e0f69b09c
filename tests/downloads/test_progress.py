"""The display of what takes long: a line in a terminal that is rewritten, and words for files and for what is read at a distance."""

from __future__ import annotations

import io

import pytest

from loops_nb.downloads import Reading, progress
from loops_nb.downloads.progress import Progress, Standing, TerminalProgress

HALF = Standing(there_bytes=5_000_000, total_bytes=10_000_000, fetched_bytes=4_000_000, done=1, failed=0, files=3)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("far", "says"),
    [
        (HALF, "1 of 3 files, 5.0 MB of 10.0 MB (50 %), 0 bytes/s"),
        (Standing(5, None, 5, 0, 2, 3), "0 of 3 files, 5 bytes, 2 failed, 0 bytes/s"),
        (Reading("3 of 28 headers of 28 checkpoints"), "3 of 28 headers of 28 checkpoints"),
        (Reading("weights of 2 checkpoints", 1000, 4000, 1000), "weights of 2 checkpoints, 1.0 kB of 4.0 kB (25 %), 0 bytes/s"),
        (Reading("weights of 2 checkpoints", 1000, None, 1000), "weights of 2 checkpoints, 1.0 kB, 0 bytes/s"),
        (Reading("weights of 2 checkpoints", 0, 0, 0), "weights of 2 checkpoints, 0 bytes of 0 bytes, 0 bytes/s"),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_how_far_it_is_stands_in_one_line(far: progress.Far, says: str) -> None:
    out = io.StringIO()
    with TerminalProgress(out) as shown:
        shown.show(far)
        assert out.getvalue() == f"\r{says}"
    assert ": done after 0 s" in out.getvalue()
    assert out.getvalue().endswith("\n")
    assert ("/s\n" in out.getvalue()) == (far.fetched_bytes is not None)


@pytest.mark.usefixtures("at_once")
def test_what_was_stopped_says_so() -> None:
    out = io.StringIO()

    def stopped() -> None:
        with TerminalProgress(out) as shown:
            shown.show(HALF)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "(50 %): stopped after 0 s" in out.getvalue()


def test_what_is_short_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_SECONDS", 3600.0)
    out = io.StringIO()
    with TerminalProgress(out) as shown:
        shown.show(HALF)
    assert out.getvalue() == ""


def test_the_time_left_goes_by_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("loops_nb.downloads.progress.time.monotonic", lambda: now[0])
    shown = Progress()
    with shown:
        for second in range(5):
            now[0] = 100.0 + second
            shown.show(Reading("weights", second * 1000, 10_000, second * 1000))
        assert shown.words(Reading("weights", 4000, 10_000, 4000)) == "weights, 4.0 kB of 10.0 kB (40 %), 1.0 kB/s, 6 s left"
