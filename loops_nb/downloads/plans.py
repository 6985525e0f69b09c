"""What a download will do, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loops_nb.downloads.selection import Selection
from loops_nb.drawing.wording import many, size
from loops_nb.references import CheckpointRef
from loops_nb.storage import StoredFile

State = Literal["missing", "partial", "there"]


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file of a plan.

    Parameters
    ----------
    file
        As it is listed.
    path
        Where it goes.
    state
        ``missing``, ``partial`` or ``there``; one that has to be looked at more closely counts as what it seems.
    there_bytes
        Bytes that need not be fetched.
    trouble
        Why it will not be fetched as things are, in words; empty where nothing stands in the way.
    is_sure
        Whether what is there is as it was downloaded; else its content is looked at before it counts.
    """

    file: StoredFile
    path: Path
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


class _Sums:
    """Sums over the files of a plan."""

    __slots__ = ()

    def _files(self) -> Iterator[FilePlan]:
        raise NotImplementedError

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all files; None where a size is not known."""
        sizes = [file.file.size for file in self._files()]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def missing_bytes(self) -> int | None:
        """Bytes to fetch; None where a size is not known."""
        missing = [file.missing_bytes for file in self._files()]
        return None if None in missing else sum(size for size in missing if size is not None)

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
        """Number of files that are there."""
        return sum(1 for file in self._files() if file.state == "there")


@dataclass(frozen=True, slots=True)
class CheckpointPlan(_Sums):
    """One checkpoint of a plan.

    Parameters
    ----------
    ref
        The checkpoint.
    folder
        Where its files go.
    files
        Those that are meant.
    """

    ref: CheckpointRef
    folder: Path
    files: tuple[FilePlan, ...]

    def _files(self) -> Iterator[FilePlan]:
        return iter(self.files)


@dataclass(frozen=True, slots=True, repr=False)
class Plan(_Sums):
    """What a download will do.

    Parameters
    ----------
    into
        The folder of all checkpoints.
    checkpoints
        What is to be brought there.
    selection
        The patterns.
    free_bytes
        What the disk has room for; None where the system does not tell.
    """

    into: Path
    checkpoints: tuple[CheckpointPlan, ...]
    selection: Selection
    free_bytes: int | None

    def __repr__(self) -> str:
        """Say what it comes to; a cell may end with it."""
        missing = "bytes of unknown number" if self.missing_bytes is None else size(self.missing_bytes)
        return f"<Plan: {missing} to fetch of {many(self.file_count, 'file')} of {many(len(self.checkpoints), 'checkpoint')}>"

    def _files(self) -> Iterator[FilePlan]:
        return (file for checkpoint in self.checkpoints for file in checkpoint.files)
