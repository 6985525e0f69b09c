"""Messages between a panel of log lines and its pages; see `loops_nb.panels.protocol`.

All views share one stream.  Searching and filtering are the page's: it has every line that the kernel keeps.
"""

from __future__ import annotations

from msgspec import Struct

# At run time: msgspec resolves the annotations.
from loops_nb.live import Health
from loops_nb.panels.protocol import FromAnyPage, Heartbeat


class LogRow(Struct, kw_only=True, frozen=True):
    """A log line.

    Parameters
    ----------
    number : int
        Its number in the panel, by which a page tells it from equal ones.
    at : float
        Epoch milliseconds.
    level : str
        Empty on lines without one.
    half : str
        ``trainer`` or ``sampler``.
    message : str
        Its text.
    """

    number: int
    at: float
    level: str
    half: str
    message: str


class LogSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything that a panel shows.

    Parameters
    ----------
    seq : int
        Its sequence number.
    now : float
        The kernel's clock.
    title, line : str
        Heading, and the line of code that opens the same panel.
    health : Health
        How fresh the lines are.
    both : bool
        Whether there are lines of both halves.
    has_earlier : bool
        Whether there may be lines before the first one.
    left_out : int
        How many of the kept lines are not in this message, the oldest ones.
    rows : list of LogRow
        In the order in which they came.
    """

    seq: int
    now: float
    title: str
    line: str
    health: Health
    both: bool
    has_earlier: bool
    left_out: int
    rows: list[LogRow]


class LogRowsAdded(Struct, kw_only=True, tag_field="type", tag="log_rows"):
    """New lines after number ``base``, and the number of the first line that is still kept."""

    base: int
    seq: int
    now: float
    first: int
    rows: list[LogRow]


class LogHealth(Struct, kw_only=True, tag_field="type", tag="log_health"):
    """How fresh the lines are; it changes no sequence number."""

    now: float
    health: Health


class SetFollowing(Struct, kw_only=True, tag_field="type", tag="set_following"):
    """Pause the reading of new lines, or resume it."""

    paused: bool


class ReadEarlier(Struct, kw_only=True, tag_field="type", tag="read_earlier"):
    """Read lines before the first one."""


LogToPage = LogSnapshot | LogRowsAdded | LogHealth | Heartbeat
LogFromPage = FromAnyPage | SetFollowing | ReadEarlier
