"""How far a download is, and how far the reading of remote checkpoints is."""

from __future__ import annotations

from dataclasses import dataclass

from loops_nb.render.formatting import size


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far the reading of remote checkpoints is.

    Parameters
    ----------
    what : str
        What is read.
    done_bytes : int, default 0
        Bytes that were read.
    total_bytes : int, optional
        Bytes of all; None where that is not known.
    fetched_bytes : int, optional
        Bytes that came over the network; None where they are not counted.
    """

    what: str
    done_bytes: int = 0
    total_bytes: int | None = None
    fetched_bytes: int | None = None

    @property
    def summary(self) -> str:
        if self.fetched_bytes is None:
            return self.what
        return f"{self.what}, {_share(self.done_bytes, self.total_bytes)}"


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is.

    Parameters
    ----------
    done_bytes : int
        Bytes on disk.
    total_bytes : int or None
        Bytes of all files; None where that is not known.
    fetched_bytes : int
        Bytes that came over the network this time.
    done, failed, files : int
        Number of files that are complete, that failed, and of all.
    """

    done_bytes: int
    total_bytes: int | None
    fetched_bytes: int
    done: int
    failed: int
    files: int

    @property
    def summary(self) -> str:
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} of {self.files:,} files, {_share(self.done_bytes, self.total_bytes)}{failed}"


def _share(done: int, total: int | None) -> str:
    if total is None:
        return size(done)
    percent = f" ({100 * done // total} %)" if total else ""
    return f"{size(done)} of {size(total)}{percent}"
