"""Places that users name as targets of downloads: folders of this machine, and buckets."""

from __future__ import annotations

from pathlib import Path

from loops_nb.checkpoints.bucket.path import BucketPath, bucket_path
from loops_nb.checkpoints.bucket.store import BucketStore
from loops_nb.checkpoints.transfer.bucket_target import BucketFolder, BucketTarget
from loops_nb.checkpoints.transfer.destination import FolderMaker
from loops_nb.checkpoints.transfer.filenames import MANIFEST
from loops_nb.checkpoints.transfer.folder_target import DiskFolder, FolderTarget
from loops_nb.checkpoints.transfer.target import DownloadTarget, Place, TargetFolder
from loops_nb.checkpoints.transfer.upload import Cancellations
from loops_nb.config.paths import user_path


def place_of(given: object, *, argument: str = "into") -> Place:
    """Return the place that a user named.

    Parameters
    ----------
    given : str, path-like or BucketPath
        A folder, or ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``.
    argument : str, default "into"
        Name of the argument, for errors.

    Raises
    ------
    InvalidArgumentError
        If it is neither.
    """
    found = bucket_path(given, argument=argument)
    if found is not None:
        return found
    path: Path = user_path(given, argument=argument, kind="folder")  # type: ignore[arg-type]  # checked there
    return path.absolute()


def check_place(given: object, *, argument: str = "into") -> None:
    """Refuse what cannot be a target before anything is requested.

    Raises
    ------
    InvalidArgumentError
        As `place_of`.
    ConfigError
        If it is a bucket, and obstore is not installed.
    BucketError
        If it is a bucket, and the settings of its cloud are not complete.
    """
    place = place_of(given, argument=argument)
    if isinstance(place, BucketPath):
        BucketStore(place)


def target_of(place: Place) -> DownloadTarget:
    """Return the target at a place."""
    return BucketTarget(place) if isinstance(place, BucketPath) else FolderTarget(place)


def folder_at(place: Place) -> TargetFolder:
    """Return the folder of a checkpoint at a place."""
    if isinstance(place, BucketPath):
        return BucketFolder(BucketStore(place), Cancellations())
    return DiskFolder(place, FolderMaker(place))


def folders_with_manifest(place: Place) -> list[Place]:
    """Return the folders of checkpoints at a place and below it.

    Raises
    ------
    BucketError
        If the bucket cannot be listed.
    """
    if isinstance(place, BucketPath):
        names = BucketStore(place).list()
        return [place if name == MANIFEST else (place / name).parent for name in sorted(names) if _is_manifest(name)]
    return [path.parent for path in sorted(place.rglob(MANIFEST))]


def _is_manifest(name: str) -> bool:
    return name.rpartition("/")[2] == MANIFEST
