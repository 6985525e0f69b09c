"""Presigned URLs that are handed to another process, because it has no key to list the files itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from loops_nb.api.models import CheckpointFile, CheckpointSource


class SharedUrl(NamedTuple):
    """A file with its presigned URL, which unlike that of a listing is in its pickle.

    Parameters
    ----------
    name : str
        Its relative name.
    node_rank, size : int or None
        As listed.
    url : str
        The URL, a secret.
    """

    name: str
    node_rank: int | None
    size: int | None
    url: str

    def __repr__(self) -> str:
        return f"SharedUrl({self.name!r}, <url>)"


class SharedUrls:
    """Lists the files of checkpoints from URLs that were handed over, as ``loops.checkpoints`` lists them.

    Parameters
    ----------
    origin : str
        Names the storage that they come from; equal ones share connections.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._files: dict[str, tuple[SharedUrl, ...]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedUrls) and other._origin == self._origin

    def __hash__(self) -> int:
        return hash((SharedUrls, self._origin))

    def put(self, checkpoint_id: str, files: tuple[SharedUrl, ...]) -> None:
        """Take the URLs of a checkpoint's files, in place of earlier ones."""
        self._files[checkpoint_id] = files

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint."""
        del page_size
        for file in self._files[checkpoint_id]:
            yield CheckpointFile(
                url=file.url, relative_file_name=file.name, node_rank=file.node_rank, size_bytes=file.size
            )

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return that its files have URLs."""
        del checkpoint_id
        return CheckpointSource(kind="s3")
