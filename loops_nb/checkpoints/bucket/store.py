"""One bucket, as this package uses it; a thin layer over obstore."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from loops_nb._version import __version__
from loops_nb.checkpoints.bucket.credentials import are_missing, profile_provider
from loops_nb.checkpoints.bucket.errors import bucket_error, missing_credentials
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.read_ahead import read_ahead
from loops_nb.errors import BucketError, ConfigError

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ObjectStore

ResultT = TypeVar("ResultT")
_MIB = 1 << 20
_LISTED_AT_A_TIME = 1000
#: Of one request for bytes: a few are read at a time, of several files.
READ_BYTES = 4 * _MIB
MAX_RETRIES = 7
RETRY_SECONDS = 90.0
FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 15.0
#: One part on a slow connection.
_TIMEOUT_SECONDS = 300
_CONNECT_SECONDS = 10
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class StoredObject(NamedTuple):
    """An object as it is listed.

    Parameters
    ----------
    size : int
        Bytes.
    etag : str
        Its version; empty where the server gives none.
    """

    size: int
    etag: str


class BucketStore:
    """Reads and writes objects below a place in a bucket; safe to use from several threads.

    Nothing is requested before the first call.  It can be pickled: the copy connects again, with the credentials of its
    own process.

    Parameters
    ----------
    place : BucketPath
        The place; names of objects are relative to it.

    Raises
    ------
    ConfigError
        If obstore is not installed.
    BucketError
        If there are no credentials, or the settings of the cloud are not complete.
    """

    def __init__(self, place: BucketPath) -> None:
        self.place = place
        self._engine = _connect(place)

    def at(self, place: BucketPath) -> BucketStore:
        """Return one for another place in the same bucket, which shares the connections of this one."""
        other = BucketStore.__new__(BucketStore)
        other.place, other._engine = place, self._engine  # noqa: SLF001 - of its own class
        return other

    def __repr__(self) -> str:
        return f"BucketStore({str(self.place)!r})"

    def __reduce__(self) -> tuple[type[BucketStore], tuple[BucketPath]]:
        # Not the engine: its pickle holds the credentials.
        return BucketStore, (self.place,)

    def list(self) -> dict[str, StoredObject]:
        """Return all objects below the place, by their relative names."""
        import obstore

        start = len(self.place.key) + 1 if self.place.key else 0

        def all_pages() -> dict[str, StoredObject]:
            pages = obstore.list(self._engine, self.place.key or None, chunk_size=_LISTED_AT_A_TIME)
            return {
                listed["path"][start:]: StoredObject(listed["size"], listed["e_tag"] or "")
                for page in pages
                for listed in page
            }

        return _explained(self.place, "listed", all_pages)

    def head(self, name: str) -> StoredObject | None:
        """Return an object's size and version; None if it is not there."""
        import obstore

        def found() -> StoredObject | None:
            try:
                listed = obstore.head(self._engine, self._key(name))
            except FileNotFoundError:
                return None
            return StoredObject(listed["size"], listed["e_tag"] or "")

        return _explained(self.place / name, "read", found)

    def get(self, name: str) -> bytes | None:
        """Return a small object; None if it is not there."""
        import obstore

        def content() -> bytes | None:
            try:
                return bytes(obstore.get(self._engine, self._key(name)).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

        return _explained(self.place / name, "read", content)

    def read(self, name: str, found: StoredObject, first: int, count: int) -> bytes:
        """Return bytes of an object.

        Parameters
        ----------
        name : str
            Its relative name.
        found : StoredObject
            As it was listed; the bytes have to be of that version.
        first, count : int
            Offset and number of bytes.

        Raises
        ------
        BucketError
            If they cannot be read, or the object is another one now.
        """
        import obstore
        from obstore.exceptions import GenericError, PreconditionError

        if not count:
            return b""
        place = self.place / name

        def content() -> bytes | None:
            options: Any = {"if_match": found.etag} if found.etag else {}
            if (first, count) != (0, found.size):
                # Some servers answer a range that is the whole object as if there was none.
                options["range"] = (first, first + count)
            try:
                return bytes(obstore.get(self._engine, self._key(name), options=options).bytes())
            except PreconditionError:
                return b""
            except GenericError as error:
                if "NotPartial" not in str(error):
                    raise
                return None

        part = _explained(place, "read", content)
        if part is None:
            raise _NoRangesError(
                f"{place} could not be read: its server does not send parts of objects.",
                hint="Download the checkpoint, or copy it to another server.",
            )
        if len(part) != count:
            raise BucketError(
                f"{place} has changed since it was opened. Nothing of it was used.", hint="Open it again."
            )
        return part

    def stream(self, name: str, found: StoredObject) -> Iterator[bytes]:
        """Return the bytes of an object in order, fetching a few pieces ahead."""
        spans = [(first, min(READ_BYTES, found.size - first)) for first in range(0, found.size, READ_BYTES)]
        try:
            yield from read_ahead(lambda span: self.read(name, found, *span), spans)
        except _NoRangesError:
            has_ranges = False
        else:
            has_ranges = True
        if not has_ranges:
            # It was raised for the first piece, so nothing was returned yet.
            yield from self._stream_whole(name, found)

    def _stream_whole(self, name: str, found: StoredObject) -> Iterator[bytes]:
        import obstore

        place = self.place / name
        options: Any = {"if_match": found.etag} if found.etag else {}
        stream = _explained(
            place,
            "read",
            lambda: iter(obstore.get(self._engine, self._key(name), options=options).stream(READ_BYTES)),
        )
        while (piece := _explained(place, "read", lambda: next(stream, None))) is not None:
            yield bytes(piece)

    def put(self, name: str, content: bytes) -> None:
        """Write a small object; it appears whole or not at all."""
        import obstore

        key = self._key(name)
        _explained(self.place / name, "written", lambda: obstore.put(self._engine, key, content, use_multipart=False))

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        import obstore

        def gone() -> None:
            with suppress(FileNotFoundError):
                obstore.delete(self._engine, self._key(name))

        _explained(self.place / name, "deleted", gone)

    def upload(self, name: str, *, part_bytes: int, concurrency: int) -> Upload:
        """Return a new object that is written in order, in parts; it appears when it is complete."""
        import obstore

        # Nothing is requested before a first part is full.
        writer = obstore.open_writer(self._engine, self._key(name), buffer_size=part_bytes, max_concurrency=concurrency)
        return Upload(writer, self.place / name)

    def _key(self, name: str) -> str:
        return (self.place / name).key


class Upload:
    """An object that is being written in order, in parts.

    Parameters
    ----------
    writer : WritableFile
        Of the engine.
    place : BucketPath
        Where the object will be.
    """

    def __init__(self, writer: WritableFile, place: BucketPath) -> None:
        self._writer: WritableFile | None = writer
        self._place = place
        self._lock = threading.Lock()
        #: Whether its parts may be left in the bucket, because the server did not take the cancelling.
        self.may_be_left: bool = False

    def write(self, content: bytes) -> None:
        """Write the next bytes; waits while too many parts are on their way.

        Raises
        ------
        BucketError
            If a part cannot be written; the upload is cancelled.
        """
        with self._lock:
            writer = self._writer
            if writer is None:
                raise BucketError(f"{self._place} was cancelled.")
            try:
                _explained(self._place, "written", lambda: writer.write(content))
            except BaseException as error:
                with suppress(BucketError):
                    self._cancel(error)
                raise

    def complete(self) -> None:
        """Write what is left; the object appears.

        Raises
        ------
        BucketError
            If it cannot be written, or was cancelled.
        """
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is None:
                raise BucketError(f"{self._place} was cancelled.")
            try:
                _explained(self._place, "written", writer.close)
            except BucketError:
                # The engine tries to delete the parts, and does not say whether it could.
                self.may_be_left = True
                raise

    def cancel(self) -> None:
        """Cancel it: its parts are deleted, and no object appears.

        Raises
        ------
        BucketError
            If the server does not take that; then parts may be left.
        """
        with self._lock:
            self._cancel(InterruptedError("cancelled"))

    def _cancel(self, reason: BaseException) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self.may_be_left = True
            # The engine deletes the parts when a block ends with an error.
            _explained(self._place, "cancelled", lambda: writer.__exit__(type(reason), reason, None))
            self.may_be_left = False


class _NoRangesError(BucketError):
    """A server sends objects only as a whole."""


def _explained(path: BucketPath, doing: str, call: Callable[[], ResultT]) -> ResultT:
    """Return the result of a call of the engine; its errors become errors in plain words."""
    from obstore.exceptions import BaseError

    try:
        return call()
    except (BaseError, OSError, ValueError) as error:
        found = bucket_error(error, path, doing)
    # Outside of the handler: the engine's text may hold signatures, and must not be the context of this error.
    raise found


def _connect(place: BucketPath) -> ObjectStore:
    try:
        from obstore import store
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise ConfigError(
            f"{place.scheme}:// needs obstore, which is not installed. No request was made.",
            hint='Install it: %pip install "loops_nb[cloud]"',
        )
    options: Any = {
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=_TIMEOUT_SECONDS),
        "user_agent": f"loops-nb/{__version__}",
    }
    if place.scheme == "s3" and _is_plain_http():
        options["allow_http"] = True
    retry: Any = {
        "max_retries": MAX_RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_WAIT_SECONDS),
            "max_backoff": timedelta(seconds=_LONGEST_WAIT_SECONDS),
            "base": 2,
        },
    }
    provider = profile_provider() if place.scheme == "s3" else None
    if provider is None and are_missing(place.scheme):
        raise missing_credentials(place)
    make: dict[str, Callable[[], ObjectStore]] = {
        "s3": lambda: store.S3Store(
            place.bucket, client_options=options, retry_config=retry, credential_provider=provider
        ),
        "gs": lambda: store.GCSStore(place.bucket, client_options=options, retry_config=retry),
        "az": lambda: store.AzureStore(place.bucket, client_options=options, retry_config=retry),
    }
    return _explained(BucketPath(place.scheme, place.bucket), "opened", make[place.scheme])


def _is_plain_http() -> bool:
    """Return whether the user's own endpoint is one without TLS, such as a server on this machine."""
    return any(os.environ.get(name, "").lower().startswith("http://") for name in _ENDPOINTS)
