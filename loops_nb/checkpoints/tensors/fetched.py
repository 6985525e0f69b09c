"""Base class of opened checkpoints whose bytes come over the network."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.read_ahead import read_ahead
from loops_nb.checkpoints.tensors.checkpoint import OpenedCheckpoint, piece_spans
from loops_nb.checkpoints.tensors.info import TensorInfo


class FetchedCheckpoint(OpenedCheckpoint):
    """A checkpoint whose bytes come over the network, which are counted.

    Parameters
    ----------
    ref : CheckpointRef
        The checkpoint.
    infos, config
        As in `OpenedCheckpoint`.
    fetched : int
        Bytes that were read so far.
    """

    def __init__(self, ref: CheckpointRef, infos: Iterable[TensorInfo], config: bytes | None, fetched: int) -> None:
        super().__init__(infos, config)
        self.ref = ref
        self._lock = threading.Lock()
        self._fetched = fetched

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        del state["_lock"]
        return {**state, "_fetched": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._lock = threading.Lock()

    @property
    def label(self) -> str:
        """URI without the scheme, or the id."""
        return self.ref.label

    @property
    def step(self) -> int | None:
        """Training step in its name, if any."""
        return self.ref.step

    @property
    @abstractmethod
    def total_bytes(self) -> int:
        """Bytes of all files with a known size."""

    @property
    @abstractmethod
    def file_names(self) -> tuple[str, ...]:
        """Names of all files, as listed."""

    @property
    def bytes_fetched(self) -> int:
        """Bytes read so far: headers, configuration and tensors."""
        with self._lock:
            return self._fetched

    def count_fetched(self, count: int) -> None:
        """Count bytes that were read of it, also by a worker of an executor."""
        with self._lock:
            self._fetched += count

    @abstractmethod
    def _fetch(self, file: str, first: int, count: int) -> bytes:
        """Return exactly ``count`` bytes of a file from where it is stored."""

    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        found = self._fetch(file, first, count)
        self.count_fetched(count)
        return found

    def _pieces(self, info: TensorInfo) -> Iterator[bytes]:
        return read_ahead(lambda span: self._read_bytes(info.file, *span), piece_spans(info))
