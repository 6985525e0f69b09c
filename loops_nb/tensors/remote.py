"""Checkpoints opened at a distance: their headers by ranges, their tensors when they are asked for."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, NoReturn

from loops_nb.drawing.wording import size
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.references import CheckpointRef
from loops_nb.storage import Storage, StoredFile
from loops_nb.tensors.awaiting import as_ended
from loops_nb.tensors.beginning import Beginning, beginning, first_guess
from loops_nb.tensors.cache import Entry, HeaderCache, KnownFile, seen_of
from loops_nb.tensors.folder import config_name
from loops_nb.tensors.header import PREFIX, header_length, parse_header, unreadable
from loops_nb.tensors.info import TensorInfo, is_optimizer_file
from loops_nb.tensors.opened import LONGEST_CONFIG, Opened, piece_spans

_ENDING = ".safetensors"
_SYNCING = "SYNCING"
#: How many pieces of a large tensor are fetched at a time.
_SIDE_BY_SIDE = 4

#: Told what is being read (``listings``, ``headers``), how many of them are, and of how many.
Progress = Callable[[str, int, int], None]


class RemoteCheckpoint(Opened):
    """A checkpoint that lies with the service; its headers were read, or known from an earlier time.

    Parameters
    ----------
    storage
        Reads its files.
    ref
        Which checkpoint it is.
    entry
        What is known of its files.
    infos
        Its tensors.
    fetched
        Bytes that were read until now.
    """

    def __init__(self, storage: Storage, ref: CheckpointRef, entry: Entry, infos: Iterable[TensorInfo], fetched: int) -> None:
        super().__init__(infos, entry.config)
        self.ref = ref
        self._storage = storage
        self._files = tuple(_stored(ref.id, file) for file in entry.files)
        self._known = {file.name: (stored, file.validator) for file, stored in zip(entry.files, self._files, strict=True) if file.header}
        self._lock = threading.Lock()
        self._fetched = fetched

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} reads through a connection of this process and cannot be pickled or copied. Nothing was lost: open it again "
            "where it is needed, with loops.checkpoints.open(...), or download it and take loops_nb.tensors.open_folder(...)."
        )

    @property
    def label(self) -> str:
        """Its URI without the scheme, or its id."""
        return self.ref.label

    @property
    def step(self) -> int | None:
        """Its training step, where its name tells one."""
        return self.ref.step

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """All its files, as they were listed."""
        return self._files

    @property
    def total_bytes(self) -> int:
        """Bytes of all its files, as far as they are listed with a size."""
        return sum(file.size or 0 for file in self._files)

    @property
    def bytes_fetched(self) -> int:
        """How many bytes of its files were read until now: headers, configuration, and tensors."""
        with self._lock:
            return self._fetched

    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        stored, validator = self._known[file]
        found = self._storage.read(stored, first, count, if_range=validator)
        with self._lock:
            self._fetched += count
        return found

    def _pieces(self, info: TensorInfo) -> Iterator[bytes]:
        spans = piece_spans(info)
        if len(spans) <= 1:
            yield from super()._pieces(info)
            return
        pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="loops-nb-tensor")
        try:
            coming: deque[Future[bytes]] = deque()
            for first, count in spans:
                if len(coming) == _SIDE_BY_SIDE:
                    yield coming.popleft().result()
                coming.append(pool.submit(self._read_bytes, info.file, first, count))
            while coming:
                yield coming.popleft().result()
        finally:
            # Ctrl-C must not wait for what is on its way.
            pool.shutdown(wait=False, cancel_futures=True)


def open_checkpoint(
    storage: Storage, ref: CheckpointRef, *, cache: HeaderCache | None = None, with_optimizer: bool = True
) -> RemoteCheckpoint:
    """Open one checkpoint; as `open_many`."""
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
    """Open checkpoints: read the headers of their files, a few kB of each, and no weights.

    Parameters
    ----------
    storage
        Reads their files.
    refs
        Which.
    cache
        Where headers are known from an earlier time, and kept; a checkpoint that is still being uploaded is read anew each time.
    workers
        How many files are read at a time.
    with_optimizer
        Whether to read the headers of the optimizer's shards too.
    progress
        Told from the calling thread of what how many are done, and of how many: first of listings, then of headers.

    Returns
    -------
    checkpoints
        In the order of `refs`.  One without safetensors files has no tensors.

    Raises
    ------
    UnreadableTensorsError
        If a file is not what its name says.
    StorageError
        If bytes could not be fetched.
    VolumeBackedError
        If the files of a checkpoint have no URLs.
    LoopsError
        If the files of a checkpoint could not be listed.  With any error, what was read of those before is in the cache.
    """
    if workers < 1:
        raise InvalidArgumentError("workers must be at least 1.", argument="workers")
    pool = ThreadPoolExecutor(workers, thread_name_prefix="loops-nb-headers")
    try:
        listing = [pool.submit(_Opening, storage, ref, cache, with_optimizer=with_optimizer) for ref in refs]
        _await("listings", listing, progress)
        openings = [one.result() for one in listing]
        reading = [[pool.submit(opening.read, file) for file in opening.wanted] for opening in openings]
        _await("headers", [part for parts in reading for part in parts], progress)
        found = [opening.finish([part.result() for part in parts]) for opening, parts in zip(openings, reading, strict=True)]
    except BaseException:
        # Ctrl-C must not wait for what is on its way.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return found


def _await(what: str, begun: Sequence[Future[Any]], progress: Progress | None) -> None:
    """Wait for all of them, or for one that fails, and tell how far they are."""
    done = 0
    for future in as_ended(begun):
        if future is not None:
            if future.exception() is not None:
                return
            done += 1
        if progress is not None:
            progress(what, done, len(begun))


class _Part(NamedTuple):
    """What was read of a file.

    Parameters
    ----------
    file
        The file, with its header and version if it holds tensors.
    infos
        Its tensors.
    config
        Its text, if it is the adapter's configuration.
    fetched
        How many bytes were read.
    """

    file: KnownFile
    infos: tuple[TensorInfo, ...]
    config: bytes | None
    fetched: int


class _Opening:
    """One checkpoint while it is being opened.

    Parameters
    ----------
    storage, ref, cache, with_optimizer
        As in `open_many`.
    """

    def __init__(self, storage: Storage, ref: CheckpointRef, cache: HeaderCache | None, *, with_optimizer: bool) -> None:
        self._storage = storage
        self._ref = ref
        self._cache = None if ref.sync_status == _SYNCING else cache
        self._with_optimizer = with_optimizer
        entry = None if self._cache is None else self._cache.get(ref.id)
        if entry is None or entry.seen is None or entry.seen != seen_of(ref):
            entry = self._listed(entry)
        self._entry = entry
        self._total = sum(file.size or 0 for file in entry.files)
        self._config_name = config_name([file.name for file in entry.files])
        self._refuse_namesakes()
        #: The files that have to be read.
        self.wanted = [file for file in entry.files if self._is_wanted(file)]

    def read(self, file: KnownFile) -> _Part:
        """Read one of the wanted files, as far as needed.

        Raises
        ------
        UnreadableTensorsError
            If it is not what its name says.
        StorageError
            If it could not be read.
        """
        return self._read_config(file) if file.name == self._config_name else self._read_header(file)

    def finish(self, parts: list[_Part]) -> RemoteCheckpoint:
        """Return the opened checkpoint, and keep what was read."""
        read = {part.file.name: part for part in parts}
        files = tuple(read[file.name].file if file.name in read else file for file in self._entry.files)
        config = next((part.config for part in parts if part.config is not None), self._entry.config)
        entry = Entry(self._ref.id, seen_of(self._ref), files, config)
        if parts and self._cache is not None and _can_be_kept(entry):
            self._cache.put(entry)
        infos: list[TensorInfo] = []
        for file in files:
            if file.name in read:
                infos += read[file.name].infos
            elif file.header is not None and (self._with_optimizer or not is_optimizer_file(file.name)):
                infos += parse_header(file.header, file=file.name, file_size=file.size or 0, place=self._place(file))
        return RemoteCheckpoint(self._storage, self._ref, entry, infos, sum(part.fetched for part in parts))

    def _listed(self, known: Entry | None) -> Entry:
        """Return the files as they are listed now, with what is known of them if they are still the same."""
        files = tuple(KnownFile(file.name, file.node_rank, file.size, file.last_modified) for file in self._storage.listing(self._ref.id))
        if known is not None and [_listing_of(file) for file in known.files] == [_listing_of(file) for file in files]:
            return known
        return Entry(self._ref.id, None, files, None)

    def _refuse_namesakes(self) -> None:
        counts = Counter(file.name for file in self._entry.files if file.name.endswith(_ENDING) or file.name == self._config_name)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise UnreadableTensorsError(
                f"The service lists {twice[0]} of {self._ref.label} {counts[twice[0]]} times, so nobody can tell which one is meant."
            )

    def _is_wanted(self, file: KnownFile) -> bool:
        if file.name == self._config_name:
            return self._entry.config is None
        is_role_wanted = self._with_optimizer or not is_optimizer_file(file.name)
        return file.name.endswith(_ENDING) and is_role_wanted and file.header is None

    def _read_config(self, file: KnownFile) -> _Part:
        start = self._begin(file, LONGEST_CONFIG + 1)
        if len(start.data) > LONGEST_CONFIG:
            raise UnreadableTensorsError(f"{self._place(file)} is longer than {size(LONGEST_CONFIG)}, so it is no adapter's configuration.")
        return _Part(file, (), start.data, len(start.data))

    def _read_header(self, file: KnownFile) -> _Part:
        place = self._place(file)
        start = self._begin(file, first_guess(file.size, self._total))
        if start.size is None:
            raise unreadable(place, "neither the service nor the server of its bytes tells how long it is")
        length = header_length(start.data, place=place, file_size=start.size)
        header = start.data[PREFIX : PREFIX + length]
        rest = length - len(header)
        if rest:
            header += self._storage.read(_stored(self._ref.id, file), len(start.data), rest, if_range=start.validator)
        infos = parse_header(header, file=file.name, file_size=start.size, place=place)
        read = KnownFile(file.name, file.node_rank, file.size, file.last_modified, header, start.validator)
        return _Part(read, infos, None, len(start.data) + rest)

    def _begin(self, file: KnownFile, count: int) -> Beginning:
        start = beginning(self._storage, _stored(self._ref.id, file), count)
        if None not in {file.size, start.size} and file.size != start.size:
            raise unreadable(self._place(file), f"the service lists it with {file.size:,} bytes, and it has {start.size:,}")
        return start

    def _place(self, file: KnownFile) -> str:
        return f"{file.name} of {self._ref.label}"


def _stored(checkpoint_id: str, file: KnownFile) -> StoredFile:
    return StoredFile(checkpoint_id, file.name, file.node_rank, file.size, file.last_modified)


def _listing_of(file: KnownFile) -> tuple[str, int | None, int | None, str | None]:
    return file.name, file.node_rank, file.size, file.last_modified


def _can_be_kept(entry: Entry) -> bool:
    """Tell whether a later listing can show that the files are still the same, and whether there is anything to keep."""
    return any(file.header is not None for file in entry.files) and all(file.size is not None for file in entry.files)
