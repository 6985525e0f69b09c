"""The debug archive of a deployment: everything that is recorded about it, as files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loops_nb.local.files import private_folder, write_private
from loops_nb.local.logs import deployment_lines, wire
from loops_nb.local.records import DeploymentRecord, SamplerRecord
from loops_nb.local.service import Living, Service, subject


def write_archive(service: Service, deployment: DeploymentRecord, document: bytes) -> list[Path]:
    """Write the archive as of now; a file that has not changed is left alone.

    Parameters
    ----------
    service
        Holds the records.
    deployment
        The deployment.
    document
        The deployment as the API answers it.

    Returns
    -------
    paths
        The files, in order of their names.
    """
    folder = service.store.data_dir / "debug" / deployment.id
    private_folder(folder)
    things: list[Living] = [deployment, *service.runs_on(deployment)]
    sampler = service.store.get(SamplerRecord, deployment.sampler_id) if deployment.sampler_id else None
    if sampler is not None:
        things.append(sampler)
    events = [
        {"subject": subject(thing), "at_epoch_millis": event.at, "event": event.kind, "note": event.note}
        for thing in things
        for event in service.store.events(subject(thing))
    ]
    contents = {
        "deployment.json": msgspec.json.format(document) + b"\n",
        "events.jsonl": _lines(sorted(events, key=lambda event: str(event["at_epoch_millis"]))),
        "logs.jsonl": _lines([wire(line) for line in deployment_lines(service, deployment)]),
    }
    for name, data in contents.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != data:
            write_private(path, data)
    return [folder / name for name in contents]


def _lines(items: list[dict[str, object]]) -> bytes:
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)
