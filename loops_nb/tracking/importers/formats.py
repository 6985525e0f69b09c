"""Which tracker wrote a file or folder."""

from __future__ import annotations

from pathlib import Path

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking.importers.imported_run import ImportedRun, LeftOut
from loops_nb.tracking.importers.mlflow_store import (
    find_mlflow_database,
    find_mlflow_folder,
    read_mlflow_database,
    read_mlflow_folder,
)
from loops_nb.tracking.importers.sqlite_file import columns_of, is_sqlite, reading
from loops_nb.tracking.importers.tensorboard_events import find_event_files, read_event_files
from loops_nb.tracking.importers.trackio_database import find_trackio_databases, read_trackio_database
from loops_nb.tracking.importers.wandb_history import is_wandb_history, read_wandb_history
from loops_nb.tracking.importers.wandb_run import find_wandb_files, read_wandb_files

#: What can be imported, for errors.
KNOWN = (
    "a file that %loops export wrote, the folder of a recipe (metrics.jsonl), TensorBoard's event files, W&B's offline"
    " runs or exported history, MLflow's mlruns or mlflow.db, or a database of Trackio"
)


def read_runs(path: Path) -> tuple[list[ImportedRun], LeftOut] | None:
    """Read the runs of another tracker.

    Parameters
    ----------
    path : Path
        A file or folder.

    Returns
    -------
    runs : list of ImportedRun
        The runs.
    left_out : LeftOut
        What is no part of these runs, such as deleted ones.  None in place of both if no other tracker wrote it.

    Raises
    ------
    TrackingError
        If it cannot be read.
    InvalidArgumentError
        If it is a database of something else.
    """
    if is_wandb_history(path):
        return read_wandb_history(path), LeftOut()
    runs: list[ImportedRun] = []
    left_out = LeftOut()
    if wandb_files := find_wandb_files(path):
        runs += read_wandb_files(wandb_files)
    for found, read in (
        (find_mlflow_folder(path), read_mlflow_folder),
        (find_mlflow_database(path), read_mlflow_database),
    ):
        if found is not None:
            added, deleted = read(found)
            runs += added
            left_out.update(deleted)
    for database in find_trackio_databases(path):
        runs += read_trackio_database(database)
    if runs:
        # Event files below it are copies, as sync_tensorboard of W&B and artifacts of MLflow are.
        return runs, left_out
    if path.is_file() and is_sqlite(path):
        raise _other_database(path)
    events = find_event_files(path)
    return (read_event_files(path, events), left_out) if events else None


def _other_database(path: Path) -> InvalidArgumentError | TrackingError:
    with reading(path) as connection:
        is_own = bool(columns_of(connection, "experiments") and columns_of(connection, "chunks"))
    if is_own:
        return InvalidArgumentError(
            f"{path} is a file of experiments of loops_nb itself. Nothing was changed.",
            argument="path",
            hint=f"LOOPS_NB_HOME={path.parent} uses it; %loops export FILE there writes a file that can be imported.",
        )
    return InvalidArgumentError(
        f"{path} is an SQLite database, but none of MLflow or Trackio. Nothing was changed.",
        argument="path",
        hint=f"What can be imported: {KNOWN}.",
    )
