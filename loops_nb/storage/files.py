"""What is known of a file, and who lists files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from loops_nb.models import CheckpointFile, CheckpointSource


class FileService(Protocol):
    """Who lists the files of checkpoints; ``loops.checkpoints`` does."""

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Walk through the files of a checkpoint."""
        ...

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Say where a checkpoint's files come from."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a checkpoint as it was listed, without its URL.

    Parameters
    ----------
    checkpoint_id
        The checkpoint's global id.
    name
        Its relative name: the service's words, not yet a path.
    node_rank
        The node that wrote it; None where the service does not say.
    size
        Bytes; None where the service does not say.
    last_modified
        As the service wrote it.
    """

    checkpoint_id: str
    name: str
    node_rank: int | None = None
    size: int | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, checkpoint_id: str, listed: CheckpointFile) -> StoredFile:
        """Return a file as it was listed."""
        size = listed.size_bytes
        return cls(
            checkpoint_id=checkpoint_id,
            name=listed.relative_file_name,
            node_rank=listed.node_rank,
            size=size if size is not None and size >= 0 else None,
            last_modified=listed.last_modified,
        )
