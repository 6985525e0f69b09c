"""Last step of a download: verify a complete file and move it to its destination."""

from __future__ import annotations

from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.manifest import ManifestEntry
from loops_nb.checkpoints.transfer.safetensors_check import is_safetensors


class ContentMismatch(Exception):  # noqa: N818 - handled where it is raised, by fetching once more
    """A downloaded file is not the one that the server has; its text says why."""


def finalize(job: DownloadJob) -> None:
    """Verify a complete file and move it to its destination.

    Raises
    ------
    ContentMismatch
        If it is not what the server has.
    DownloadError
        If something else is at its destination by now.
    OSError
        If it cannot be moved.
    """
    partial = job.partial
    size = partial.seal()
    sha256, other = partial.result()
    if other is not None and not partial.has_unusual_parts(other):
        raise ContentMismatch(f"its checksum ({other.label}) is not the one that the server gives")
    if is_safetensors(job.file.name):
        problem = partial.safetensors_problem()
        if problem:
            raise ContentMismatch(problem)
    entry = ManifestEntry(name=job.file.name, size_bytes=size, sha256=sha256, node_rank=job.file.node_rank)
    job.entry = job.folder.complete(partial, entry, replaces=job.replaces)
