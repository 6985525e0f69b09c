"""Whether a panel counts as visible."""

from __future__ import annotations

from loops_nb.panels.visibility import GRACE_SECONDS, LEASE_SECONDS, OPENING_SECONDS, Visibility


class Kernel:
    """A clock, and the cells of a kernel."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ended: float | None = float("-inf")

    def visibility(self) -> Visibility:
        return Visibility(lambda: self.now, lambda: self.ended)


def test_a_panel_that_nobody_opened_is_believed_for_a_while() -> None:
    kernel = Kernel()
    visibility = kernel.visibility()
    assert visibility.is_seen()
    kernel.now += OPENING_SECONDS + 1
    assert not visibility.is_seen()


def test_a_panel_is_believed_for_as_long_as_its_cell_keeps_the_kernel_from_hearing() -> None:
    kernel = Kernel()
    kernel.ended = None
    visibility = kernel.visibility()
    kernel.now += 3600
    assert visibility.is_seen()
    kernel.ended = kernel.now
    assert visibility.is_seen()
    kernel.now += GRACE_SECONDS + 1
    assert not visibility.is_seen()


def test_a_view_is_seen_until_it_says_otherwise_or_goes() -> None:
    kernel = Kernel()
    visibility = kernel.visibility()
    visibility.saw("a", visible=True)
    visibility.saw("b", visible=True)
    visibility.gone("a")
    assert visibility.is_seen()
    visibility.saw("b", visible=False)
    assert not visibility.is_seen()
    visibility.saw("b", visible=True)
    assert visibility.is_seen()


def test_a_view_that_fell_silent_is_not_seen_any_more() -> None:
    kernel = Kernel()
    visibility = kernel.visibility()
    visibility.saw("a", visible=True)
    kernel.now += LEASE_SECONDS - 1
    assert visibility.is_seen()
    kernel.now += 2
    assert not visibility.is_seen()
    visibility.saw("a", visible=True)
    assert visibility.is_seen()


def test_silence_says_nothing_while_a_cell_runs() -> None:
    kernel = Kernel()
    visibility = kernel.visibility()
    visibility.saw("a", visible=True)
    kernel.ended = None
    kernel.now += 10 * LEASE_SECONDS
    assert visibility.is_seen()
    kernel.ended = kernel.now
    kernel.now += GRACE_SECONDS / 2
    assert visibility.is_seen()
    kernel.now += GRACE_SECONDS
    assert not visibility.is_seen()
