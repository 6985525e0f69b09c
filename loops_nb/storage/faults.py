"""What can go wrong with one attempt to read bytes."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """Kinds of faults, by what helps."""

    #: The connection broke, or no byte came for too long: a new one may do.
    BROKEN = "broken"
    #: Bytes came, but hardly any: the next connection may be better, and a few more bytes do not count as progress.
    SLOW = "slow"
    #: The server asks to come back later, or failed itself.
    BUSY = "busy"
    #: 403, with a URL that was fetched just now.
    DENIED = "denied"
    #: 404, 410, or no longer in the listing.
    GONE = "gone"
    #: An answer that cannot be right, such as another length or another part than was asked for: once more may do.
    ODD = "odd"
    #: An answer that is not the file and never will be: a web page, compressed, a redirect elsewhere.
    UNFIT = "unfit"
    #: Somebody here ended it.
    STOPPED = "stopped"


class StorageFault(Exception):  # noqa: N818 - not an error of the tree: it never leaves the rooms that read files
    """One attempt came to nothing.

    Parameters
    ----------
    reason
        What happened, as the middle of a sentence; never with a URL.
    kind
        What may help.
    status
        The HTTP status, if there was one.
    asked
        Seconds that the server asked to wait.
    """

    def __init__(self, reason: str, kind: Kind = Kind.BROKEN, *, status: int | None = None, asked: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.status = status
        self.asked = asked

    @property
    def passing(self) -> bool:
        """Whether another attempt may go better."""
        return self.kind in {Kind.BROKEN, Kind.SLOW, Kind.BUSY}
