"""Listings of the files of a checkpoint with their presigned URLs, which are renewed when they expire."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from loops_nb.api.models import CheckpointFile, CheckpointSource
from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.shared_urls import SharedUrl
from loops_nb.checkpoints.http.urls import PresignedUrl, parse_presigned
from loops_nb.errors import APIError, LoopsError, StorageError, VolumeBackedError

logger: logging.Logger = logging.getLogger(__name__)

#: A URL that is refused at this age may have expired meanwhile; a younger one is simply refused.
_AGED_SECONDS = 5.0
#: Renewals of one URL, however slow the listing is and however short-lived its URLs are.
_MAX_REFUSALS = 4
#: Listings in a row of which every URL was refused; after that, their age is not the reason.
_MAX_USELESS_LISTINGS = 2
_Key = tuple[str, int | None]


class FileService(Protocol):
    """Lists the files of checkpoints, as ``loops.checkpoints`` does."""

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint."""
        ...

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return where a checkpoint's files are stored."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a checkpoint as it was listed, without its URL.

    Parameters
    ----------
    checkpoint_id : str
        The checkpoint's global id.
    name : str
        Its relative name as the service gave it, not yet checked as a path.
    node_rank : int, optional
        The node that wrote it; None where the service does not say.
    size : int, optional
        Bytes; None where the service does not say.
    last_modified : str, optional
        As the service wrote it.
    owner : str, default "checkpoint"
        What has the id, in sentences.
    """

    checkpoint_id: str
    name: str
    node_rank: int | None = None
    size: int | None = None
    last_modified: str | None = None
    owner: str = "checkpoint"

    @classmethod
    def of(cls, checkpoint_id: str, listed: CheckpointFile, owner: str) -> StoredFile:
        """Return a file as it was listed."""
        size = listed.size_bytes
        return cls(
            checkpoint_id=checkpoint_id,
            name=listed.relative_file_name,
            node_rank=listed.node_rank,
            size=size if size is not None and size >= 0 else None,
            last_modified=listed.last_modified,
            owner=owner,
        )


@dataclass(slots=True)
class _FileListing:
    """One listing of a checkpoint's files: the URL of each name and rank, with the size listed with it."""

    number: int
    urls: dict[_Key, tuple[str, int | None]] = field(repr=False)
    fetched_at: float
    #: How many listings directly before it had no URL that worked.
    useless_before: int = 0


class UrlGrant:
    """The URL of one file for one request, and which listing it came from.

    Parameters
    ----------
    url : PresignedUrl
        The URL.
    listing : int
        Number of the listing.
    refusals : int
        How many URLs of this file were refused before it.
    """

    __slots__ = ("listing", "refusals", "url")

    def __init__(self, url: PresignedUrl, listing: int, refusals: int) -> None:
        self.url: PresignedUrl = url
        self.listing: int = listing
        self.refusals: int = refusals


class FileListings:
    """All listings of one storage; safe to use from several threads.

    Parameters
    ----------
    service : FileService
        Lists the files.
    """

    def __init__(self, service: FileService) -> None:
        self._service = service
        self._listings: dict[str, _FileListing] = {}
        self.reset_locks()

    def reset_locks(self) -> None:
        """Make new locks; at the beginning and in a forked child."""
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def fetch(self, checkpoint_id: str) -> list[StoredFile]:
        """List the files of a checkpoint and keep their URLs.

        Raises
        ------
        VolumeBackedError
            If its files have no URLs.
        LoopsError
            If they cannot be listed.
        """
        with self._lock_of(checkpoint_id):
            return self._fetch(checkpoint_id)

    def grant(self, file: StoredFile) -> UrlGrant:
        """Return the URL of a file; lists its checkpoint if that was not done yet.

        Raises
        ------
        StorageFault
            If the listing does not have the file (any more), or has it with another size.
        """
        listing = self._listings.get(file.checkpoint_id)
        if listing is None:
            with self._lock_of(file.checkpoint_id):
                if file.checkpoint_id not in self._listings:
                    self._fetch(file.checkpoint_id)
                listing = self._listings[file.checkpoint_id]
        return self._grant(listing, file, 0)

    def shared_urls(self, checkpoint_id: str, *, is_renewed: bool = False) -> tuple[SharedUrl, ...]:
        """Return the URLs of all files of a checkpoint, for another process.

        Parameters
        ----------
        checkpoint_id : str
            Global id of the checkpoint.
        is_renewed : bool, default False
            List the files again.

        Raises
        ------
        LoopsError
            If they cannot be listed.
        """
        with self._lock_of(checkpoint_id):
            if is_renewed or checkpoint_id not in self._listings:
                self._fetch(checkpoint_id)
            urls = self._listings[checkpoint_id].urls
        return tuple(SharedUrl(name, rank, size, url) for (name, rank), (url, size) in urls.items())

    def renew(self, file: StoredFile, refused: UrlGrant) -> UrlGrant | None:
        """Return a fresh URL after a refused one; None if that was fresh itself.

        Many files expire at once: only the first of them makes the service list them again.

        Raises
        ------
        StorageFault, LoopsError
            As `grant`, and if they cannot be listed.
        """
        refusals = refused.refusals + 1
        with self._lock_of(file.checkpoint_id):
            listing = self._listings[file.checkpoint_id]
            if listing.number == refused.listing:
                is_aged = time.monotonic() - listing.fetched_at > _AGED_SECONDS
                is_useless = listing.useless_before >= _MAX_USELESS_LISTINGS and not is_aged
                if is_useless or refusals > (_MAX_REFUSALS if is_aged else 1):
                    return None
                before = listing.useless_before
                self._fetch(file.checkpoint_id)
                listing = self._listings[file.checkpoint_id]
                listing.useless_before = before + 1
        return self._grant(listing, file, refusals)

    def mark_working(self, file: StoredFile, grant: UrlGrant) -> None:
        """Note that a URL was accepted: others of its listing are then refused because of their age."""
        listing = self._listings[file.checkpoint_id]
        if listing.number == grant.listing:
            listing.useless_before = 0

    def _grant(self, listing: _FileListing, file: StoredFile, refusals: int) -> UrlGrant:
        found = listing.urls.get((file.name, file.node_rank))
        if found is None:
            raise StorageFault("the service lists it no longer", FaultKind.GONE)
        url, size = found
        if file.size is not None and size is not None and size != file.size:
            reason = f"the service now lists it with {size:,} bytes, before it was {file.size:,}"
            raise StorageFault(reason, FaultKind.GONE)
        return UrlGrant(parse_presigned(url), listing.number, refusals)

    def _fetch(self, checkpoint_id: str) -> list[StoredFile]:
        before = self._listings.get(checkpoint_id)
        # Before the request: the URLs live from the moment at which they are signed.
        fetched_at = time.monotonic()
        files, urls = [], {}
        refusal: APIError | None = None
        try:
            for listed in self._service.files(checkpoint_id):
                file = StoredFile.of(checkpoint_id, listed, getattr(self._service, "owner", "checkpoint"))
                files.append(file)
                urls[file.name, file.node_rank] = (listed.url, file.size)
        except APIError as error:
            if not _says_no_urls(error):
                raise
            logger.debug("The files of checkpoint %s have no URLs", checkpoint_id)
            refusal = error
        if refusal is not None or not files:
            self._refuse_volumes(checkpoint_id, refusal)
        self._listings[checkpoint_id] = _FileListing(before.number + 1 if before else 1, urls, fetched_at)
        return files

    def _refuse_volumes(self, checkpoint_id: str, refusal: APIError | None) -> None:
        """Raise if a checkpoint lies on a volume; an empty checkpoint does not."""
        volume, path = None, None
        try:
            source = self._service.source(checkpoint_id)
        except LoopsError:
            logger.debug("The source of checkpoint %s is not known", checkpoint_id, exc_info=True)
            if refusal is None:
                return
        else:
            if refusal is None and source.kind != "volume":
                return
            volume, path = source.volume_ref, source.path
        where = ""
        if volume:
            where = f" ({volume}, folder {path})" if path else f" ({volume})"
        raise VolumeBackedError(
            f"Checkpoint {checkpoint_id} lies on a volume of the service's{where}: its files have no URLs, so they "
            "cannot be read from here. Nothing was downloaded.",
            volume_ref=volume,
            path=path,
            hint="The official SDK can fetch it: download_checkpoint of its Loops client reads volumes.",
        )

    def _lock_of(self, checkpoint_id: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(checkpoint_id, threading.Lock())


def _says_no_urls(error: APIError) -> bool:
    return "NOT_PRESIGNABLE" in (error.code, str(error.details.get("reason", ""))) or "NOT_PRESIGNABLE" in error.message


def read_error(file: StoredFile, fault: StorageFault, tries: str = "") -> StorageError:
    """Return the public error for a fault.

    Parameters
    ----------
    file : StoredFile
        What was read.
    fault : StorageFault
        The last fault.
    tries : str, optional
        `RetryState.summary`.
    """
    return StorageError(
        f"{file.name} of {file.owner} {file.checkpoint_id} could not be read: {fault.reason}{tries}. Nothing was "
        "changed.",
        status=fault.status,
        hint="Try again in a moment." if fault.is_transient else "",
    )
