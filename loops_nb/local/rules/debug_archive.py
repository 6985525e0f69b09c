"""Debug archive of a deployment: its records, events and logs as files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loops_nb.local.files import private_folder, write_private
from loops_nb.local.rules.logs import deployment_lines, served_lines, wire
from loops_nb.local.rules.lookup import runs_on, sampler_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DeploymentRecord, StatefulRecord, subject


def write_archive(store: RecordStore, statuses: Statuses, deployment: DeploymentRecord, document: bytes) -> list[Path]:
    """Write the archive as of now; a file that has not changed is left alone.

    Parameters
    ----------
    store, statuses : RecordStore or Statuses
        Hold the records and tell the states.
    deployment : DeploymentRecord
        The deployment.
    document : bytes
        The deployment as the API answers it.

    Returns
    -------
    paths
        The files, in order of their names.
    """
    folder = store.data_dir / "debug" / deployment.id
    private_folder(folder)
    things: list[StatefulRecord] = [deployment, *runs_on(store, deployment)]
    sampler = sampler_of(store, deployment)
    if sampler is not None:
        things.append(sampler)
    events = [
        {"subject": subject(thing), "at_epoch_millis": event.at, "event": event.kind, "note": event.note}
        for thing in things
        for event in store.events(subject(thing))
    ]
    contents = {
        "deployment.json": msgspec.json.format(document) + b"\n",
        "events.jsonl": _lines(sorted(events, key=lambda event: str(event["at_epoch_millis"]))),
        "logs.jsonl": _lines([wire(line) for line in deployment_lines(store, statuses, deployment)]),
    }
    if sampler is not None:
        contents["sampler_logs.jsonl"] = _lines([wire(line) for line in served_lines(store, statuses, sampler)])
    for name, data in contents.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_private(path, data)
    return [folder / name for name in contents]


def _lines(items: list[dict[str, object]]) -> bytes:
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)
