"""Listings of files with their URLs, fetched anew when these have expired."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from loops_nb.errors import APIError, LoopsError, StorageError, VolumeBackedError
from loops_nb.storage.faults import Kind, StorageFault
from loops_nb.storage.files import FileService, StoredFile
from loops_nb.storage.places import Presigned, presigned

#: A URL that is refused at this age may have expired meanwhile; a younger one is simply refused.
_AGED_SECONDS = 5.0
#: However slow the listing is, and however short-lived its URLs.
_MOST_REFUSALS = 4
#: So many listings in a row whose URLs were all refused; then it is not their age.
_MOST_FRUITLESS = 2
_Key = tuple[str, int | None]


@dataclass(slots=True)
class _Listed:
    """One listing of a checkpoint's files.

    Parameters
    ----------
    urls
        The URL of each name and rank, with the size that was listed with it.
    at
        When it was fetched.
    """

    number: int
    urls: dict[_Key, tuple[str, int | None]] = field(repr=False)
    at: float
    #: Listings before it of which no URL worked.
    fruitless: int = 0


class Ticket:
    """The right to ask for one file once: its URL, and which listing that came from."""

    __slots__ = ("number", "refusals", "url")

    def __init__(self, url: Presigned, number: int, refusals: int) -> None:
        self.url = url
        self.number = number
        self.refusals = refusals


class Listings:
    """All listings of one storage; safe to use from several threads.

    Parameters
    ----------
    service
        Who lists.
    """

    def __init__(self, service: FileService) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._listed: dict[str, _Listed] = {}

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

    def ticket(self, file: StoredFile) -> Ticket:
        """Return the URL of a file; lists its checkpoint if that was not done yet.

        Raises
        ------
        StorageFault
            If the listing does not have it (any more), or with another size.
        """
        listed = self._listed.get(file.checkpoint_id)
        if listed is None:
            with self._lock_of(file.checkpoint_id):
                if file.checkpoint_id not in self._listed:
                    self._fetch(file.checkpoint_id)
                listed = self._listed[file.checkpoint_id]
        return self._ticket(listed, file, 0)

    def renewed(self, file: StoredFile, refused: Ticket) -> Ticket | None:
        """Return a fresh URL after a refused one; None if that was fresh itself.

        Many files expire at once: only the first of them makes the service list them again.

        Raises
        ------
        StorageFault, LoopsError
            As `ticket`, and if they cannot be listed.
        """
        refusals = refused.refusals + 1
        with self._lock_of(file.checkpoint_id):
            listed = self._listed[file.checkpoint_id]
            if listed.number == refused.number:
                is_aged = time.monotonic() - listed.at > _AGED_SECONDS
                if refusals > (_MOST_REFUSALS if is_aged else 1) or (listed.fruitless >= _MOST_FRUITLESS and not is_aged):
                    return None
                before = listed.fruitless
                self._fetch(file.checkpoint_id)
                listed = self._listed[file.checkpoint_id]
                listed.fruitless = before + 1
        return self._ticket(listed, file, refusals)

    def worked(self, file: StoredFile, ticket: Ticket) -> None:
        """Take note that a URL was good: when others of its listing are refused, it is because of their age."""
        listed = self._listed[file.checkpoint_id]
        if listed.number == ticket.number:
            listed.fruitless = 0

    def _ticket(self, listed: _Listed, file: StoredFile, refusals: int) -> Ticket:
        found = listed.urls.get((file.name, file.node_rank))
        if found is None:
            raise StorageFault("the service lists it no longer", Kind.GONE)
        url, size = found
        if file.size is not None and size is not None and size != file.size:
            raise StorageFault(f"the service now lists it with {size:,} bytes, before it was {file.size:,}", Kind.GONE)
        return Ticket(presigned(url), listed.number, refusals)

    def _fetch(self, checkpoint_id: str) -> list[StoredFile]:
        before = self._listed.get(checkpoint_id)
        # Before the request: the URLs live from the moment at which they are signed.
        at = time.monotonic()
        files, urls = [], {}
        refusal: APIError | None = None
        try:
            for listed in self._service.files(checkpoint_id):
                file = StoredFile.of(checkpoint_id, listed)
                files.append(file)
                urls[file.name, file.node_rank] = (listed.url, file.size)
        except APIError as error:
            if not _says_no_urls(error):
                raise
            refusal = error
        if refusal is not None or not files:
            self._refuse_volumes(checkpoint_id, refusal)
        self._listed[checkpoint_id] = _Listed(before.number + 1 if before else 1, urls, at)
        return files

    def _refuse_volumes(self, checkpoint_id: str, refusal: APIError | None) -> None:
        """Raise if a checkpoint lies on a volume; an empty one is none of that."""
        volume, path = None, None
        try:
            source = self._service.source(checkpoint_id)
        except LoopsError:
            if refusal is None:
                return
        else:
            if refusal is None and source.kind != "volume":
                return
            volume, path = source.volume_ref, source.path
        where = f" ({volume}{f', folder {path}' if path else ''})" if volume else ""
        raise VolumeBackedError(
            f"Checkpoint {checkpoint_id} lies on a volume of the service's{where}: its files have no URLs, so they cannot be read "
            "from here. Nothing was downloaded.",
            volume_ref=volume,
            path=path,
            hint="The official SDK can fetch it: download_checkpoint of its Loops client reads volumes.",
        )

    def _lock_of(self, checkpoint_id: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(checkpoint_id, threading.Lock())


def _says_no_urls(error: APIError) -> bool:
    return "NOT_PRESIGNABLE" in (error.code, str(error.details.get("reason", ""))) or "NOT_PRESIGNABLE" in error.message


def failed(file: StoredFile, fault: StorageFault, tried: str = "") -> StorageError:
    """Return what a fault comes to for who asked for bytes of a file."""
    return StorageError(
        f"{file.name} of checkpoint {file.checkpoint_id} could not be read: {fault.reason}{tried}. Nothing was changed.",
        status=fault.status,
        hint="Try again in a moment." if fault.passing else "",
    )
