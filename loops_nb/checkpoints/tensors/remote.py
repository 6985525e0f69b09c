"""Remote checkpoints: headers and tensors are read by byte ranges, when they are needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.checkpoints.tensors.cache import CachedCheckpoint, CachedFile, HeaderCache, listed_fields
from loops_nb.checkpoints.tensors.checkpoint import LONGEST_CONFIG
from loops_nb.checkpoints.tensors.fetched import FetchedCheckpoint
from loops_nb.checkpoints.tensors.file_start import FileStart, header_guess, read_start
from loops_nb.checkpoints.tensors.folder import config_name
from loops_nb.checkpoints.tensors.header import PREFIX, header_length, parse_header, unreadable
from loops_nb.checkpoints.tensors.info import TensorInfo, is_optimizer_file
from loops_nb.checkpoints.tensors.parallel import wait_for_all
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.render.formatting import many, size

_ENDING = ".safetensors"
_SYNCING = "SYNCING"
_TINY_PERCENT = 0.01
_SMALL_PERCENT = 10

#: Called with what is being read (``listings``, ``headers``), how many of them are done, and their number.
Progress = Callable[[str, int, int], None]


class RemoteCheckpoint(FetchedCheckpoint):
    """A checkpoint of the service whose headers were read, or taken from the cache.

    Parameters
    ----------
    storage : Storage
        Reads its files.
    ref : CheckpointRef
        The checkpoint.
    cached : CachedCheckpoint
        Listing, headers and configuration of its files.
    infos : iterable of TensorInfo
        Its tensors.
    fetched : int
        Bytes that were read so far.

    Examples
    --------
    >>> checkpoint = loops.checkpoints.open("bt://loops:abc1234/weights/step-100")  # doctest: +SKIP
    >>> checkpoint.tensor(next(iter(checkpoint.tensors))).shape  # doctest: +SKIP
    """

    def __init__(
        self,
        storage: Storage,
        ref: CheckpointRef,
        cached: CachedCheckpoint,
        infos: Iterable[TensorInfo],
        fetched: int,
    ) -> None:
        super().__init__(ref, infos, cached.config, fetched)
        self._storage = storage
        self._files = tuple(_stored_file(ref.id, file) for file in cached.files)
        self._known = {
            file.name: (stored, file.validator)
            for file, stored in zip(cached.files, self._files, strict=True)
            if file.header
        }

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All files, as listed."""
        return self._files

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of all files, as listed."""
        return tuple(file.name for file in self._files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files with a known size."""
        return sum(file.size or 0 for file in self._files)

    def with_urls(self, *, is_renewed: bool = False) -> RemoteCheckpoint:
        """Return a copy without the list of its tensors that holds the presigned URLs of its files, also when pickled.

        They are secrets: with such a copy the files can be read until the URLs expire.

        Parameters
        ----------
        is_renewed : bool, default False
            List the files again for new URLs.
        """
        copied = self.without_tensors()
        copied._storage = self._storage.with_urls(self.ref.id, is_renewed=is_renewed)  # noqa: SLF001 - of its own class
        return copied

    def _fetch(self, file: str, first: int, count: int) -> bytes:
        stored, validator = self._known[file]
        return self._storage.read(stored, first, count, if_range=validator)


def open_checkpoint(
    storage: Storage, ref: CheckpointRef, *, cache: HeaderCache | None = None, with_optimizer: bool = True
) -> RemoteCheckpoint:
    """Open one checkpoint; parameters and errors as in `open_many`."""
    return open_many(storage, [ref], cache=cache, with_optimizer=with_optimizer)[0]


def open_many(
    storage: Storage,
    refs: Sequence[CheckpointRef],
    *,
    cache: HeaderCache | None = None,
    workers: int = 8,
    with_optimizer: bool = True,
    progress: Progress | None = None,
) -> list[RemoteCheckpoint]:
    """Open checkpoints: reads the headers of their files, a few kB each, and no weights.

    Uses ``GET /v1/loops/checkpoints/{id}/files`` and the presigned URLs in its answer.

    Parameters
    ----------
    storage : Storage
        Reads their files.
    refs : sequence of CheckpointRef
        The checkpoints.
    cache : HeaderCache, optional
        Cache of headers; not used for a checkpoint that is still being uploaded.
    workers : int, default 8
        Number of files that are read at the same time.
    with_optimizer : bool, default True
        Read the headers of the optimizer's shards, too.
    progress : callable, optional
        Called on this thread, as `Progress`: first for listings, then for headers.

    Returns
    -------
    list of RemoteCheckpoint
        In the order of ``refs``.  One without safetensors files has no tensors.

    Raises
    ------
    UnreadableTensorsError
        If a file is no valid safetensors file.
    StorageError
        If bytes could not be fetched.
    VolumeBackedError
        If the files of a checkpoint have no URLs.
    LoopsError
        If the files of a checkpoint could not be listed.  With any error, the checkpoints before it are in the cache.
    """
    if workers < 1:
        raise InvalidArgumentError("workers must be at least 1.", argument="workers")
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loops-nb-headers")
    try:
        listings = [pool.submit(_Opener, storage, ref, cache, with_optimizer=with_optimizer) for ref in refs]
        wait_for_all(listings, _progress_of("listings", progress))
        openers = [listing.result() for listing in listings]
        reads = [[pool.submit(opener.read, file) for file in opener.needed] for opener in openers]
        wait_for_all([read for of_opener in reads for read in of_opener], _progress_of("headers", progress))
        # In order, so that an error leaves the checkpoints before it in the cache.
        found = [
            opener.finish([read.result() for read in of_opener])
            for opener, of_opener in zip(openers, reads, strict=True)
        ]
    except BaseException:
        # Ctrl-C must not wait for requests that are under way.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return found


def _progress_of(what: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(what, done, total)


class _ReadFile(NamedTuple):
    """The result of reading a file.

    Parameters
    ----------
    file : CachedFile
        The file, with header and version if it has tensors.
    infos : tuple of TensorInfo
        Its tensors.
    config : bytes or None
        Its content, if it is the configuration of the adapter.
    fetched : int
        Bytes that were read.
    """

    file: CachedFile
    infos: tuple[TensorInfo, ...]
    config: bytes | None
    fetched: int


class _Opener:
    """Opens one checkpoint; parameters as in `open_many`."""

    def __init__(
        self, storage: Storage, ref: CheckpointRef, cache: HeaderCache | None, *, with_optimizer: bool
    ) -> None:
        self._storage = storage
        self._ref = ref
        self._cache = None if ref.sync_status == _SYNCING else cache
        self._with_optimizer = with_optimizer
        cached = None if self._cache is None else self._cache.get(ref.id)
        if cached is None or cached.listed is None or cached.listed != listed_fields(ref):
            cached = self._list_files(cached)
        self._cached = cached
        self._total = sum(file.size or 0 for file in cached.files)
        self._config_name = config_name([file.name for file in cached.files])
        self._check_unique()
        #: The files that have to be read.
        self.needed = [file for file in cached.files if self._is_needed(file)]

    def read(self, file: CachedFile) -> _ReadFile:
        """Read the header, or the configuration, of one of the needed files."""
        return self._read_config(file) if file.name == self._config_name else self._read_header(file)

    def finish(self, reads: list[_ReadFile]) -> RemoteCheckpoint:
        """Return the opened checkpoint and update the cache."""
        by_name = {read.file.name: read for read in reads}
        files = tuple(by_name[file.name].file if file.name in by_name else file for file in self._cached.files)
        config = next((read.config for read in reads if read.config is not None), self._cached.config)
        cached = CachedCheckpoint(self._ref.id, listed_fields(self._ref), files, config)
        if reads and self._cache is not None and _is_cacheable(cached):
            self._cache.put(cached)
        infos: list[TensorInfo] = []
        for file in files:
            if file.name in by_name:
                infos += by_name[file.name].infos
            elif file.header is not None and (self._with_optimizer or not is_optimizer_file(file.name)):
                infos += parse_header(file.header, file=file.name, file_size=file.size or 0, place=self._place(file))
        return RemoteCheckpoint(self._storage, self._ref, cached, infos, sum(read.fetched for read in reads))

    def _list_files(self, cached: CachedCheckpoint | None) -> CachedCheckpoint:
        """List the files; returns the cached checkpoint if they are still the same."""
        files = tuple(
            CachedFile(file.name, file.node_rank, file.size, file.last_modified)
            for file in self._storage.listing(self._ref.id)
        )
        if cached is not None and [*map(_listing_of, cached.files)] == [*map(_listing_of, files)]:
            return cached
        return CachedCheckpoint(self._ref.id, None, files, None)

    def _check_unique(self) -> None:
        counts = Counter(
            file.name for file in self._cached.files if file.name.endswith(_ENDING) or file.name == self._config_name
        )
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise UnreadableTensorsError(
                f"The service lists {twice[0]} of {self._ref.label} {counts[twice[0]]} times, so it is ambiguous."
            )

    def _is_needed(self, file: CachedFile) -> bool:
        if file.name == self._config_name:
            return self._cached.config is None
        is_role_needed = self._with_optimizer or not is_optimizer_file(file.name)
        return file.name.endswith(_ENDING) and is_role_needed and file.header is None

    def _read_config(self, file: CachedFile) -> _ReadFile:
        start = self._read_start(file, LONGEST_CONFIG + 1)
        if len(start.data) > LONGEST_CONFIG:
            raise UnreadableTensorsError(
                f"{self._place(file)} is longer than {size(LONGEST_CONFIG)}, so it is no adapter's configuration."
            )
        return _ReadFile(file, (), start.data, len(start.data))

    def _read_header(self, file: CachedFile) -> _ReadFile:
        place = self._place(file)
        start = self._read_start(file, header_guess(file.size, self._total))
        if start.size is None:
            raise unreadable(place, "neither the listing nor the storage server has its size")
        length = header_length(start.data, place=place, file_size=start.size)
        header = start.data[PREFIX : PREFIX + length]
        rest = length - len(header)
        if rest:
            header += self._storage.read(
                _stored_file(self._ref.id, file), len(start.data), rest, if_range=start.validator
            )
        infos = parse_header(header, file=file.name, file_size=start.size, place=place)
        read = CachedFile(file.name, file.node_rank, file.size, file.last_modified, header, start.validator)
        return _ReadFile(read, infos, None, len(start.data) + rest)

    def _read_start(self, file: CachedFile, count: int) -> FileStart:
        start = read_start(self._storage, _stored_file(self._ref.id, file), count)
        if None not in {file.size, start.size} and file.size != start.size:
            raise unreadable(
                self._place(file), f"the service lists it with {file.size:,} bytes, and it has {start.size:,}"
            )
        return start

    def _place(self, file: CachedFile) -> str:
        return f"{file.name} of {self._ref.label}"


def _stored_file(checkpoint_id: str, file: CachedFile) -> StoredFile:
    return StoredFile(checkpoint_id, file.name, file.node_rank, file.size, file.last_modified)


def _listing_of(file: CachedFile) -> tuple[str, int | None, int | None, str | None]:
    return file.name, file.node_rank, file.size, file.last_modified


def _is_cacheable(cached: CachedCheckpoint) -> bool:
    """Whether there is a header to cache, and a later listing can show that the files are unchanged."""
    has_header = any(file.header is not None for file in cached.files)
    return has_header and all(file.size is not None for file in cached.files)


def fetched_sentence(checkpoints: Sequence[FetchedCheckpoint]) -> str:
    """Return how much of checkpoints was read so far, as in ``Read 43.0 kB of 12.3 MB (0.35 %).``.

    Parameters
    ----------
    checkpoints : sequence of FetchedCheckpoint
        The opened checkpoints.
    """
    fetched, total = sum(one.bytes_fetched for one in checkpoints), sum(one.total_bytes for one in checkpoints)
    where = f" in {many(len(checkpoints), 'checkpoint')}" if len(checkpoints) > 1 else ""
    if not fetched and not total:
        return "Read nothing."
    if not fetched:
        return f"Read nothing of {size(total)}{where}: the headers are cached."
    if fetched >= total:
        # Tiny files are read once with their headers and again for their tensors, so a share would exceed 100 %.
        return f"Read {size(fetched)}{where}."
    return f"Read {size(fetched)} of {size(total)}{where} ({_percentage(fetched, total)})."


def _percentage(part: int, whole: int) -> str:
    percent = 100 * part / whole
    if percent < _TINY_PERCENT:
        return f"less than {_TINY_PERCENT} %"
    return f"{percent:.2g} %" if percent < _SMALL_PERCENT else f"{percent:.0f} %"
