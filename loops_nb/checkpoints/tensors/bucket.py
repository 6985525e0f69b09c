"""Checkpoints in buckets: found by their manifests, headers and tensors are read by byte ranges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.bucket.path import BucketPath, bucket_path
from loops_nb.checkpoints.bucket.store import BucketStore, StoredObject
from loops_nb.checkpoints.tensors.checkpoint import LONGEST_CONFIG
from loops_nb.checkpoints.tensors.fetched import FetchedCheckpoint
from loops_nb.checkpoints.tensors.file_start import header_guess
from loops_nb.checkpoints.tensors.folder import ENDING, MANIFEST, config_name, identity_in_manifest
from loops_nb.checkpoints.tensors.header import PREFIX, header_length, parse_header
from loops_nb.checkpoints.tensors.info import TensorInfo, is_optimizer_file
from loops_nb.checkpoints.tensors.parallel import wait_for_all
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.render.formatting import first_few, size

_WORKERS = 8
_EXAMPLES = 3


class BucketCheckpoint(FetchedCheckpoint):
    """A checkpoint in a bucket whose headers were read.

    It can be pickled; the copy connects again, with the credentials of its own process.

    Parameters
    ----------
    store : BucketStore
        Its folder.
    objects : dict of str to StoredObject
        Its files.
    ref, infos, config, fetched
        As in `FetchedCheckpoint`.
    """

    def __init__(
        self,
        store: BucketStore,
        objects: dict[str, StoredObject],
        ref: CheckpointRef,
        infos: Iterable[TensorInfo],
        config: bytes | None,
        fetched: int,
    ) -> None:
        super().__init__(ref, infos, config, fetched)
        self._store = store
        self._objects = objects

    @property
    def place(self) -> BucketPath:
        """Its folder in the bucket."""
        return self._store.place

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of all files, relative to the folder."""
        return tuple(self._objects)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(found.size for found in self._objects.values())

    def _fetch(self, file: str, first: int, count: int) -> bytes:
        return self._store.read(file, self._objects[file], first, count)


def open_bucket(address: str | BucketPath, *, with_optimizer: bool = True) -> BucketCheckpoint:
    """Open a checkpoint in a bucket: reads the headers of its files, no weights.

    Parameters
    ----------
    address : str or BucketPath
        Its folder: ``s3://bucket/prefix/run/weights/name``, and so with ``gs://`` and ``az://``.
    with_optimizer : bool, default True
        Read the headers of the optimizer's shards, too.

    Returns
    -------
    BucketCheckpoint
        Each tensor is read when it is needed.

    Raises
    ------
    InvalidArgumentError
        If it is no address of a bucket, there is no safetensors file, or there are several checkpoints.
    BucketError
        If the bucket cannot be read.
    UnreadableTensorsError
        If a file is no valid safetensors file.

    Examples
    --------
    >>> open_bucket("s3://models/loops/k4q95w5/weights/step-100").tensors  # doctest: +SKIP
    """
    (ref,) = refs_at(address, single=True)
    return open_buckets([ref], with_optimizer=with_optimizer)[0]


def refs_at(address: str | BucketPath, *, single: bool = False) -> list[CheckpointRef]:
    """Return the checkpoints at a place in a bucket and below it, by their manifests.

    Parameters
    ----------
    address : str or BucketPath
        The folder of a checkpoint, or a place with several below it.
    single : bool, default False
        Refuse a place with several.

    Raises
    ------
    InvalidArgumentError
        If it is no address of a bucket, or there is no checkpoint.
    BucketError
        If the bucket cannot be read.
    """
    place = bucket_path(address, argument="checkpoint")
    if place is None:
        raise InvalidArgumentError(
            f"{address!r:.200} is no address of a bucket.",
            argument="checkpoint",
            hint="For example: s3://bucket/prefix",
        )
    store = BucketStore(place)
    names = sorted(store.list())
    manifests = [name for name in names if name.rpartition("/")[2] == MANIFEST]
    if MANIFEST in manifests:
        manifests = [MANIFEST]
    if single and len(manifests) > 1:
        shown = first_few([str((place / name).parent) for name in manifests], _EXAMPLES)
        raise InvalidArgumentError(
            f"{place} is not one checkpoint; it holds {len(manifests)}.",
            argument="checkpoint",
            hint=f"Name one of them: {shown}",
        )
    if manifests:
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="loops-nb-manifests") as pool:
            return list(pool.map(partial(_ref_of, store), manifests))
    if any(name.endswith(ENDING) for name in names):
        return [CheckpointRef(str(place), place=str(place))]
    raise InvalidArgumentError(
        f"There is no checkpoint in {place} or below it: neither a {MANIFEST} nor a {ENDING} file.",
        argument="checkpoint",
        hint="Check the address; %loops download CHECKPOINT -o s3://bucket/prefix writes one.",
    )


def open_buckets(refs: Sequence[CheckpointRef], *, with_optimizer: bool = True) -> list[BucketCheckpoint]:
    """Open checkpoints in buckets.

    Parameters
    ----------
    refs : sequence of CheckpointRef
        As `refs_at` gives them.
    with_optimizer : bool, default True
        Read the headers of the optimizer's shards, too.

    Raises
    ------
    InvalidArgumentError, BucketError, UnreadableTensorsError
        As in `open_bucket`.
    """
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="loops-nb-headers")
    try:
        openers = list(pool.map(lambda one: _Opener(*one, with_optimizer=with_optimizer), _with_stores(refs)))
        reads = [[pool.submit(opener.header, name) for name in opener.weights] for opener in openers]
        wait_for_all([read for of_opener in reads for read in of_opener])
        return [
            opener.opened([read.result() for read in of_opener])
            for opener, of_opener in zip(openers, reads, strict=True)
        ]
    finally:
        # Ctrl-C must not wait for requests that are under way.
        pool.shutdown(wait=False, cancel_futures=True)


def _with_stores(refs: Sequence[CheckpointRef]) -> list[tuple[CheckpointRef, BucketStore]]:
    """Return each checkpoint with its folder; those in one bucket share connections."""
    stores: dict[tuple[str, str], BucketStore] = {}
    found = []
    for ref in refs:
        place = bucket_path(ref.place)
        if place is None:
            raise InvalidArgumentError(f"{ref.label} is not in a bucket.", argument="checkpoint")
        key = (place.scheme, place.bucket)
        if key not in stores:
            stores[key] = BucketStore(place)
        found.append((ref, stores[key].at(place)))
    return found


class _Opener:
    """Opens one checkpoint; parameters as in `open_buckets`."""

    def __init__(self, ref: CheckpointRef, store: BucketStore, *, with_optimizer: bool) -> None:
        place = store.place
        self._ref = ref
        self._place = place
        self._store = store
        listed = self._store.list()
        self._objects = {name: listed[name] for name in sorted(listed) if not name.rpartition("/")[2].startswith(".")}
        self._total = sum(found.size for found in self._objects.values())
        #: The files whose headers are read.
        self.weights = [
            name for name in self._objects if name.endswith(ENDING) and (with_optimizer or not is_optimizer_file(name))
        ]
        if not self.weights:
            raise InvalidArgumentError(
                f"{place} has no {ENDING} files.", argument="checkpoint", hint="Name a checkpoint's own folder."
            )

    def header(self, name: str) -> tuple[tuple[TensorInfo, ...], int]:
        """Return the tensors of a file, and how many bytes were read."""
        found, where = self._objects[name], str(self._place / name)
        start = self._store.read(name, found, 0, header_guess(found.size, self._total))
        length = header_length(start, place=where, file_size=found.size)
        header = start[PREFIX : PREFIX + length]
        rest = length - len(header)
        if rest:
            header += self._store.read(name, found, len(start), rest)
        return parse_header(header, file=name, file_size=found.size, place=where), len(start) + rest

    def opened(self, headers: list[tuple[tuple[TensorInfo, ...], int]]) -> BucketCheckpoint:
        """Return the checkpoint, with its configuration."""
        config = self._config()
        infos = [info for found, _ in headers for info in found]
        fetched = sum(count for _, count in headers) + len(config or b"")
        return BucketCheckpoint(self._store, self._objects, self._ref, infos, config, fetched)

    def _config(self) -> bytes | None:
        name = config_name(list(self._objects))
        if name is None:
            return None
        found = self._objects[name]
        if found.size > LONGEST_CONFIG:
            raise UnreadableTensorsError(
                f"{self._place / name} is longer than {size(LONGEST_CONFIG)}, so it is no adapter's configuration."
            )
        return self._store.read(name, found, 0, found.size)


def _ref_of(store: BucketStore, manifest: str) -> CheckpointRef:
    """Return the checkpoint of a manifest; one that is damaged gives no more than the place."""
    place = str((store.place / manifest).parent)
    identity = identity_in_manifest(store.get(manifest))

    def text(name: str) -> str | None:
        found = identity.get(name)
        return found if isinstance(found, str) and found else None

    return CheckpointRef(
        text("id") or place,
        run_id=text("run_id"),
        name=text("name"),
        target=text("target"),
        base_model=text("base_model"),
        place=place,
    )
