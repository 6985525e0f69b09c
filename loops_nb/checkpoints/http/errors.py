"""Faults of one attempt to read bytes of a stored file."""

from __future__ import annotations

from enum import Enum


class FaultKind(Enum):
    """Kinds of faults, by what helps against them."""

    #: The connection broke: a new one may do.
    BROKEN = "broken"
    #: No byte came for too long: a new connection may do.
    SILENT = "silent"
    #: Bytes came, but hardly any: the next connection may be better, and a few more bytes do not count as progress.
    SLOW = "slow"
    #: The server asks to come back later, or failed itself.
    BUSY = "busy"
    #: 403, with a URL that was fetched just now.
    DENIED = "denied"
    #: 404, 410, or no longer in the listing.
    GONE = "gone"
    #: A response that cannot be right, such as another length or range than was asked for: one retry may do.
    PROTOCOL_ERROR = "protocol_error"
    #: A response that is not the file and never will be: a web page, compressed, a redirect to another server.
    UNUSABLE = "unusable"
    #: Stopped by this process.
    STOPPED = "stopped"


class StorageFault(Exception):  # noqa: N818 - not an error of the public tree: it never leaves the checkpoints package
    """One attempt to read bytes failed.

    Parameters
    ----------
    reason : str
        What happened, as the middle of a sentence; never with a URL.
    kind : FaultKind, default FaultKind.BROKEN
        What may help.
    status : int, optional
        The HTTP status, if there was one.
    retry_after : float, optional
        Seconds that the server asked to wait.
    """

    def __init__(
        self,
        reason: str,
        kind: FaultKind = FaultKind.BROKEN,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.status = status
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Whether another attempt may go better."""
        return self.kind in {FaultKind.BROKEN, FaultKind.SILENT, FaultKind.SLOW, FaultKind.BUSY}
