"""Plan of a download: what it will fetch, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.selection import Selection
from loops_nb.checkpoints.transfer.target import Place
from loops_nb.render.formatting import many, size

State = Literal["missing", "partial", "there"]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file of a plan.

    Parameters
    ----------
    file : StoredFile
        As it is listed.
    path : Path or BucketPath
        Its destination.
    state : {"missing", "partial", "there"}
        What is on disk; a file whose content has to be checked counts as what it seems to be.
    there_bytes : int, default 0
        Bytes that need not be fetched.
    trouble : str, default ""
        Why it cannot be fetched as things are.
    is_sure : bool, default True
        Whether the file on disk is unchanged since it was downloaded; else its content is checked before it counts.
    """

    file: StoredFile
    path: Place
    state: State
    there_bytes: int = 0
    trouble: str = ""
    is_sure: bool = True

    @property
    def missing_bytes(self) -> int | None:
        """Bytes to fetch; None where the size is not known."""
        if self.state == "there":
            return 0
        return None if self.file.size is None else max(0, self.file.size - self.there_bytes)


def total_size(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of sizes; None where one is not known."""
    found = list(sizes)
    if None in found:
        return None
    return sum(filter(None, found))


class _Totals:
    """Totals over the files of a plan."""

    __slots__ = ()

    def _files(self) -> Iterator[FilePlan]:
        raise NotImplementedError

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all files; None where a size is not known."""
        return total_size(file.file.size for file in self._files())

    @property
    def missing_bytes(self) -> int | None:
        """Bytes to fetch; None where a size is not known."""
        return total_size(file.missing_bytes for file in self._files())

    @property
    def there_bytes(self) -> int:
        """Bytes that need not be fetched."""
        return sum(file.there_bytes for file in self._files())

    @property
    def file_count(self) -> int:
        """Number of files."""
        return sum(1 for _ in self._files())

    @property
    def there_count(self) -> int:
        """Number of files on disk."""
        return sum(1 for file in self._files() if file.state == "there")


@dataclass(frozen=True, slots=True)
class CheckpointPlan(_Totals):
    """One checkpoint of a plan.

    Parameters
    ----------
    ref : CheckpointRef
        The checkpoint.
    folder : Path or BucketPath
        Destination of its files.
    files : tuple of FilePlan
        The selected ones.
    """

    ref: CheckpointRef
    folder: Place
    files: tuple[FilePlan, ...]

    def _files(self) -> Iterator[FilePlan]:
        return iter(self.files)


@dataclass(frozen=True, slots=True, repr=False)
class DownloadPlan(_Totals):
    """What a download will do.

    Parameters
    ----------
    into : Path or BucketPath
        The folder of all checkpoints.
    checkpoints : tuple of CheckpointPlan
        What will be downloaded.
    selection : Selection
        The patterns.
    free_bytes : int or None
        Free space of the disk; None where nothing says how much that is.
    """

    into: Place
    checkpoints: tuple[CheckpointPlan, ...]
    selection: Selection
    free_bytes: int | None

    def __repr__(self) -> str:
        """Return a summary; a cell may end with a plan."""
        missing = "bytes of unknown number" if self.missing_bytes is None else size(self.missing_bytes)
        return (
            f"<Plan: {missing} to fetch of {many(self.file_count, 'file')} of "
            f"{many(len(self.checkpoints), 'checkpoint')}>"
        )

    def _files(self) -> Iterator[FilePlan]:
        return (file for checkpoint in self.checkpoints for file in checkpoint.files)
