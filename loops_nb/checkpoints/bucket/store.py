"""One bucket, as this package uses it; a thin layer over obstore."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb._version import __version__
from loops_nb.checkpoints.bucket.errors import bucket_error
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.read_ahead import read_ahead
from loops_nb.errors import BucketError, ConfigError

if TYPE_CHECKING:
    from obstore import WritableFile
    from obstore.store import ObjectStore

_MIB = 1 << 20
#: Of one request for bytes; longer ones would run into the engine's time limit on slow connections.
READ_BYTES = 8 * _MIB
MAX_RETRIES = 7
RETRY_SECONDS = 90.0
FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 15.0
#: One part on a slow connection.
_TIMEOUT_SECONDS = 300
_CONNECT_SECONDS = 10
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
#: With one of these in the environment the engine finds credentials by itself.
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


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
        If the settings of the cloud are not complete.
    """

    def __init__(self, place: BucketPath) -> None:
        self.place = place
        self._engine = _connect(place)

    def __repr__(self) -> str:
        return f"BucketStore({str(self.place)!r})"

    def __reduce__(self) -> tuple[type[BucketStore], tuple[BucketPath]]:
        # Not the engine: its pickle holds the credentials.
        return BucketStore, (self.place,)

    def list(self) -> dict[str, StoredObject]:
        """Return all objects below the place, by their relative names."""
        import obstore

        start = len(self.place.key) + 1 if self.place.key else 0
        found: dict[str, StoredObject] = {}
        with _explained(self.place, "listed"):
            for page in obstore.list(self._engine, self.place.key or None, chunk_size=1000):
                for listed in page:
                    found[listed["path"][start:]] = StoredObject(listed["size"], listed["e_tag"] or "")
        return found

    def head(self, name: str) -> StoredObject | None:
        """Return an object's size and version; None if it is not there."""
        import obstore

        with _explained(self.place / name, "read"):
            try:
                found = obstore.head(self._engine, self._key(name))
            except FileNotFoundError:
                return None
        return StoredObject(found["size"], found["e_tag"] or "")

    def get(self, name: str) -> bytes | None:
        """Return a small object; None if it is not there."""
        import obstore

        with _explained(self.place / name, "read"):
            try:
                return bytes(obstore.get(self._engine, self._key(name)).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

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
        changed = f"{self.place / name} has changed since it was opened. Nothing of it was used."
        with _explained(self.place / name, "read"):
            options: Any = {"if_match": found.etag} if found.etag else {}
            if (first, count) != (0, found.size):
                # Some servers answer a range that is the whole object as if there was none.
                options["range"] = (first, first + count)
            try:
                content = bytes(obstore.get(self._engine, self._key(name), options=options).bytes())
            except PreconditionError:
                raise BucketError(changed, hint="Open it again.") from None
            except GenericError as error:
                if "NotPartial" not in str(error):
                    raise
                raise _NoRangesError(
                    f"{self.place / name} could not be read: its server does not send parts of objects, as "
                    f"{self.place.scheme}:// asks for.",
                    hint="Download the checkpoint, or copy it to another server.",
                ) from None
        if len(content) != count:
            raise BucketError(changed, hint="Open it again.")
        return content

    def stream(self, name: str, found: StoredObject) -> Iterator[bytes]:
        """Return the bytes of an object in order, fetching a few pieces ahead."""
        spans = [(first, min(READ_BYTES, found.size - first)) for first in range(0, found.size, READ_BYTES)]
        try:
            yield from read_ahead(partial(self.read, name, found), spans)
        except _NoRangesError:
            # Raised for the first piece already.
            yield from self._stream_whole(name, found)

    def _stream_whole(self, name: str, found: StoredObject) -> Iterator[bytes]:
        import obstore

        with _explained(self.place / name, "read"):
            options: Any = {"if_match": found.etag} if found.etag else {}
            yield from map(bytes, obstore.get(self._engine, self._key(name), options=options).stream(READ_BYTES))

    def put(self, name: str, content: bytes) -> None:
        """Write a small object; it appears whole or not at all."""
        import obstore

        with _explained(self.place / name, "written"):
            obstore.put(self._engine, self._key(name), content, use_multipart=False)

    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        import obstore

        with _explained(self.place / name, "deleted"):
            try:
                obstore.delete(self._engine, self._key(name))
            except FileNotFoundError:
                return

    def upload(self, name: str, *, part_bytes: int, concurrency: int) -> Upload:
        """Return a new object that is written in order, in parts; it appears when it is complete."""
        import obstore

        with _explained(self.place / name, "written"):
            writer = obstore.open_writer(
                self._engine, self._key(name), buffer_size=part_bytes, max_concurrency=concurrency
            )
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

    def write(self, content: bytes) -> None:
        """Write the next bytes; waits while too many parts are on their way.

        Raises
        ------
        BucketError
            If a part cannot be written; the upload is cancelled.
        """
        with self._lock:
            if self._writer is None:
                raise BucketError(f"{self._place} was cancelled.")
            try:
                with _explained(self._place, "written"):
                    self._writer.write(content)
            except BaseException as error:
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
            with _explained(self._place, "written"):
                writer.close()

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
            with _explained(self._place, "cancelled"):
                # The engine deletes the parts when a block ends with an error.
                writer.__exit__(type(reason), reason, None)


class _NoRangesError(BucketError):
    """A server sends objects only as a whole."""


@contextmanager
def _explained(path: BucketPath, doing: str) -> Iterator[None]:
    """Turn errors of the engine into errors in plain words."""
    from obstore.exceptions import BaseError

    found: BucketError | None = None
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        found = bucket_error(error, path, doing)
    if found is not None:
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
        "allow_http": place.scheme == "s3" and _is_plain_http(),
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "timeout": timedelta(seconds=_TIMEOUT_SECONDS),
        "user_agent": f"loops-nb/{__version__}",
    }
    retry: Any = {
        "max_retries": MAX_RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_SECONDS),
        "backoff": {
            "init_backoff": timedelta(seconds=FIRST_WAIT_SECONDS),
            "max_backoff": timedelta(seconds=_LONGEST_WAIT_SECONDS),
            "base": 2,
        },
    }
    with _explained(BucketPath(place.scheme, place.bucket), "opened"):
        if place.scheme == "gs":
            return store.GCSStore(place.bucket, client_options=options, retry_config=retry)
        if place.scheme == "az":
            return store.AzureStore(place.bucket, client_options=options, retry_config=retry)
        return store.S3Store(
            place.bucket, client_options=options, retry_config=retry, credential_provider=_profile_credentials()
        )


def _is_plain_http() -> bool:
    """Return whether the user's own endpoint is one without TLS, such as a server on this machine."""
    return any(os.environ.get(name, "").lower().startswith("http://") for name in _ENDPOINTS)


def _profile_credentials() -> Any:
    """Return a provider of what the user's AWS settings and logins give; None leaves it to the engine.

    The engine knows the environment and the roles of machines, and boto3 the profiles in ``~/.aws``.
    """
    has_profile = "AWS_PROFILE" in os.environ or (Path("~/.aws").expanduser().is_dir())
    if any(os.environ.get(name) for name in _CREDENTIALS) or not has_profile:
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except ImportError:
        return None
    except Exception:  # noqa: BLE001 - of botocore: an unknown profile, or no credentials; the engine says what is missing
        return None
