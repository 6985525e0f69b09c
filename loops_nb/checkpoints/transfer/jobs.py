"""The files of a download, and the state of each."""

from __future__ import annotations

import threading

from loops_nb.checkpoints.http import RangeReader, StoredFile
from loops_nb.checkpoints.transfer.destination import ExistingFile, FileState
from loops_nb.checkpoints.transfer.manifest import ManifestEntry
from loops_nb.checkpoints.transfer.partial_file import PartialFile, Segment
from loops_nb.checkpoints.transfer.target import TargetFolder
from loops_nb.client.retry import RetryState

#: Waiting for the response should take no more than this share of the time that the bytes of a segment take.
_MAX_WAIT_SHARE = 0.1
_DEFAULT_MIN_BYTES = 2 << 20
#: Why a file starts over: it is not what the server has.
MISMATCH = "mismatch"


class ServerSpeed:
    """How long a server takes to respond, and how fast it sends then.

    Several workers write and read here without a lock: each value is consistent at any time.
    """

    def __init__(self) -> None:
        self._latency = float("inf")
        self._bytes_per_second = 0.0

    def add_latency(self, seconds: float) -> None:
        self._latency = min(self._latency, seconds)

    def add_transfer(self, count: int, seconds: float) -> None:
        self._bytes_per_second = count / max(seconds, 1e-6)

    @property
    def min_request_bytes(self) -> int:
        """For how many bytes at least a request of its own is worth its latency."""
        if not self._bytes_per_second:
            return _DEFAULT_MIN_BYTES
        return int(self._latency * self._bytes_per_second / _MAX_WAIT_SHARE)


class DownloadJob:
    """One file of a download.

    Parameters
    ----------
    file : StoredFile
        As it is listed.
    folder : TargetFolder
        Of its checkpoint.
    label : str
        Its path below the folder of all checkpoints.
    existing : ExistingFile
        What is there of it.
    retry_state : RetryState
        Counts the attempts for as long as each new one has to begin at the start.
    """

    def __init__(
        self,
        file: StoredFile,
        folder: TargetFolder,
        label: str,
        existing: ExistingFile,
        retry_state: RetryState,
    ) -> None:
        self.file = file
        self.folder = folder
        self.label = label
        self.existing: ExistingFile = existing
        self.retry_state = retry_state
        #: Whether a file of an earlier download is at its destination, which may be replaced.
        self.replaces: bool = existing.is_ours
        self.partial: PartialFile = folder.new_partial(file, existing)
        #: Whether the server sends ranges; None while that is not known.
        self.ranges: bool | None = None
        #: Ranges that no worker fetches yet.
        self.gaps: list[tuple[int, int]] = []
        #: Whether it is fetched in segments, by several workers.
        self.is_split = False
        self.speed: ServerSpeed = ServerSpeed()
        self.active: dict[Segment, RangeReader | None] = {}
        self._counting = threading.Lock()
        self.fetched_bytes: int = 0
        self.entry: ManifestEntry | None = None
        self.failure = ""
        self._restart_reasons: set[str] = set()

    @property
    def is_over(self) -> bool:
        """Whether it is complete or has failed."""
        return self.entry is not None or bool(self.failure)

    @property
    def present_bytes(self) -> int:
        """Bytes that are there."""
        if self.entry is not None:
            return self.entry.size_bytes
        if self.existing.state in {FileState.UNVERIFIED, FileState.NOT_MOVED}:
            return self.existing.size
        return self.partial.written

    def add_fetched(self, count: int) -> None:
        """Count bytes that came over the network."""
        with self._counting:
            self.fetched_bytes += count

    def may_restart(self, reason: str) -> bool:
        """Return whether it may restart for a reason; once for each."""
        if reason in self._restart_reasons:
            return False
        self._restart_reasons.add(reason)
        return True

    @property
    def had_mismatch(self) -> bool:
        """Whether it started over because it was not what the server has."""
        return MISMATCH in self._restart_reasons

    def restart(self) -> None:
        """Remove what is there of it and start over."""
        self.partial.abandon()
        for reader in self.active.values():
            if reader is not None:
                reader.stop()
        self.partial = self.folder.new_partial(self.file)
        self.gaps = []
        self.active = {}
        self.existing = ExistingFile(FileState.MISSING)
