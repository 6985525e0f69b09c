"""Whether somebody is assumed to look."""

from __future__ import annotations

from loops_nb.panels.presence import GRACE_SECONDS, LEASE_SECONDS, OPENING_SECONDS, Presence


class Kernel:
    """A clock, and the cells of a kernel."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ended: float | None = float("-inf")

    def presence(self) -> Presence:
        return Presence(lambda: self.now, lambda: self.ended)


def test_a_panel_that_nobody_opened_is_believed_for_a_while() -> None:
    kernel = Kernel()
    presence = kernel.presence()
    assert presence.is_seen()
    kernel.now += OPENING_SECONDS + 1
    assert not presence.is_seen()


def test_a_panel_is_believed_for_as_long_as_its_cell_keeps_the_kernel_from_hearing() -> None:
    kernel = Kernel()
    kernel.ended = None
    presence = kernel.presence()
    kernel.now += 3600
    assert presence.is_seen()
    kernel.ended = kernel.now
    assert presence.is_seen()
    kernel.now += GRACE_SECONDS + 1
    assert not presence.is_seen()


def test_a_view_is_seen_until_it_says_otherwise_or_goes() -> None:
    kernel = Kernel()
    presence = kernel.presence()
    presence.saw("a", visible=True)
    presence.saw("b", visible=True)
    presence.gone("a")
    assert presence.is_seen()
    presence.saw("b", visible=False)
    assert not presence.is_seen()
    presence.saw("b", visible=True)
    assert presence.is_seen()


def test_a_view_that_fell_silent_is_not_seen_any_more() -> None:
    kernel = Kernel()
    presence = kernel.presence()
    presence.saw("a", visible=True)
    kernel.now += LEASE_SECONDS - 1
    assert presence.is_seen()
    kernel.now += 2
    assert not presence.is_seen()
    presence.saw("a", visible=True)
    assert presence.is_seen()


def test_silence_says_nothing_while_a_cell_runs() -> None:
    kernel = Kernel()
    presence = kernel.presence()
    presence.saw("a", visible=True)
    kernel.ended = None
    kernel.now += 10 * LEASE_SECONDS
    assert presence.is_seen()
    kernel.ended = kernel.now
    kernel.now += GRACE_SECONDS / 2
    assert presence.is_seen()
    kernel.now += GRACE_SECONDS
    assert not presence.is_seen()
