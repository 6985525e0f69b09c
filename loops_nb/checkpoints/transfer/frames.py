"""DataFrames of planned and finished downloads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb.checkpoints.transfer.destination import is_writable
from loops_nb.checkpoints.transfer.target import Place
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import many, roughly, size

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.checkpoints.transfer import Download, DownloadPlan

_NAMED = 3
_CHECKPOINT = Column("checkpoint", Dtype.STRING, (), "Checkpoint, as run/weights/name or by its id.")

PLANNED = register_kind(
    Kind(
        "planned_files",
        many=(),
        one=(),
        columns=(
            Column("relative_file_name", Dtype.STRING, (), "Path below the checkpoint's root."),
            _CHECKPOINT,
            Column(
                "state",
                Dtype.WORD,
                (),
                "Whether it is on the disk already: all of it, a part of it, nothing.",
                ("missing", "partial", "there"),
            ),
            Column("size_bytes", Dtype.COUNT, (), "Size in bytes; missing where the service does not say."),
            Column("there_bytes", Dtype.COUNT, (), "Bytes of it that are on the disk already."),
            Column("path", Dtype.STRING, (), "Where it will be; from the working folder on, where it lies below that."),
        ),
    )
)

DOWNLOADS = register_kind(
    Kind(
        "downloads",
        many=(),
        one=(),
        columns=(
            Column(
                "path",
                Dtype.STRING,
                (),
                "Folder of its files and their manifest; from the working folder on, where it lies below.",
            ),
            _CHECKPOINT,
            Column("id", Dtype.STRING, (), "Global id of the checkpoint."),
            Column("files", Dtype.COUNT, (), "Number of files."),
            Column("size_bytes", Dtype.COUNT, (), "Size of these files in bytes."),
            Column(
                "fetched_bytes", Dtype.COUNT, (), "Bytes that were fetched this time: what was there already was not."
            ),
        ),
    )
)


ARCHIVE = register_kind(
    Kind(
        "debug_archive",
        many=(),
        one=(),
        columns=(
            Column("relative_file_name", Dtype.STRING, (), "Path in the archive."),
            Column("size_bytes", Dtype.COUNT, (), "Size in bytes."),
            Column("path", Dtype.STRING, (), "Where it is; from the working folder on, where it lies below that."),
        ),
    )
)


def archive_frame(plan: DownloadPlan) -> pd.DataFrame:
    """Return the files of a debug archive that was downloaded, one a row.

    Returns
    -------
    pandas.DataFrame
        Columns relative_file_name, path (strings) and size_bytes (Int64, bytes).
    """
    files = [file for found in plan.checkpoints for file in found.files]
    sizes = [Path(str(file.path)).stat().st_size for file in files]
    frame = computed_frame(
        ARCHIVE,
        {
            "relative_file_name": [file.file.name for file in files],
            "size_bytes": sizes,
            "path": [shown_path(file.path) for file in files],
        },
    )
    frame.attrs[NOTES_ATTR] = [
        f"{many(len(files), 'file')}, {size(sum(sizes))}: whole and checked. %loops verify checks them later."
    ]
    return frame


def plan_frame(plan: DownloadPlan) -> pd.DataFrame:
    """Return the plan of a download, one row per file.

    Returns
    -------
    pandas.DataFrame
        Columns relative_file_name, checkpoint, path (strings), state (category: missing, partial, there), size_bytes
        and there_bytes (Int64, bytes).
    """
    rows = [(found, file) for found in plan.checkpoints for file in found.files]
    frame = computed_frame(
        PLANNED,
        {
            "relative_file_name": [file.file.name for _, file in rows],
            "checkpoint": [found.ref.label for found, _ in rows],
            "state": [file.state for _, file in rows],
            "size_bytes": [file.file.size for _, file in rows],
            "there_bytes": [file.there_bytes for _, file in rows],
            "path": [shown_path(file.path) for _, file in rows],
        },
    )
    frame.attrs[NOTES_ATTR] = [_plan_summary(plan), *_troubles(plan)]
    return frame


def downloads_frame(download: Download) -> pd.DataFrame:
    """Return the result of a download, one row per checkpoint.

    Returns
    -------
    pandas.DataFrame
        Columns path, checkpoint, id (strings), files, size_bytes and fetched_bytes (Int64, bytes).
    """
    found = download.checkpoints
    frame = computed_frame(
        DOWNLOADS,
        {
            "path": [shown_path(one.path) for one in found],
            "checkpoint": [one.ref.label for one in found],
            "id": [one.ref.id for one in found],
            "files": [one.files for one in found],
            "size_bytes": [one.size_bytes for one in found],
            "fetched_bytes": [one.fetched_bytes for one in found],
        },
    )
    frame.attrs[NOTES_ATTR] = [_download_summary(download)]
    return frame


def _plan_summary(plan: DownloadPlan) -> str:
    """Summarize a plan in a few sentences."""
    missing = plan.file_count - plan.there_count
    if not missing:
        all_of_it = f"All of {many(plan.file_count, 'file')} are" if plan.file_count > 1 else "The file is"
        return f"{all_of_it} there: nothing is to be fetched."
    to_fetch = "an unknown number of bytes" if plan.missing_bytes is None else size(plan.missing_bytes)
    there = f" {size(plan.there_bytes)} are there already." if plan.there_bytes else ""
    free = "" if plan.free_bytes is None else f" {size(plan.free_bytes)} are free there."
    if plan.free_bytes is not None and (plan.missing_bytes or 0) > plan.free_bytes:
        free = f" That is too much: {size(plan.free_bytes)} are free there."
    if isinstance(plan.into, Path) and not is_writable(plan.into):
        free += " That folder cannot be written to."
    return (
        f"To fetch: {missing:,} of {many(plan.file_count, 'file')}, {to_fetch}, into {plan.into}.{there}{free} "
        f"Nothing was fetched."
    )


def _troubles(plan: DownloadPlan) -> list[str]:
    """Return notes about files on disk that cannot be fetched or have to be checked."""
    files = [file for checkpoint in plan.checkpoints for file in checkpoint.files]
    blocked = [file for file in files if file.trouble]
    notes = [f"{shown_path(file.path)}: {file.trouble}." for file in blocked[:_NAMED]]
    if len(blocked) > _NAMED:
        notes.append(f"The same holds for {many(len(blocked) - _NAMED, 'more file')}.")
    unsure = [file for file in files if not file.is_sure]
    if unsure:
        notes.append(
            f"{many(len(unsure), 'file')} may have been changed since: a download checks the content, and fetches "
            f"again what differs."
        )
    return notes


def _download_summary(done: Download) -> str:
    """Summarize a download in a sentence."""
    files = sum(one.files for one in done.checkpoints)
    whole = sum(one.size_bytes for one in done.checkpoints)
    words = f"{many(len(done.checkpoints), 'checkpoint')}, {many(files, 'file')}, {size(whole)}: whole and checked."
    if not done.fetched_bytes:
        return f"{words} All of it was there already."
    seconds = roughly(done.seconds) if done.seconds >= 1 else "less than a second"
    rest = "" if done.fetched_bytes >= whole else " The rest was there already."
    return f"{words} Fetched {size(done.fetched_bytes)} in {seconds}.{rest} %loops verify checks it later."


def shown_path(path: Place) -> str:
    """Return a path relative to the working folder, where it is below that; an address as it is."""
    if not isinstance(path, Path):
        return str(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
