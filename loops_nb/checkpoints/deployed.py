"""What was deployed from this machine: no listing of the API says of which checkpoints a model was made."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from loops_nb.client.operations import server
from loops_nb.config.paths import home_dir
from loops_nb.errors import LoopsError, NotFoundError

if TYPE_CHECKING:
    from loops_nb.api.models import DeployedModel
    from loops_nb.client.transport import Transport

logger: logging.Logger = logging.getLogger(__name__)
_FILE = "deployed.jsonl"
#: States in which a model deployment reads its weights no more.
_OVER = frozenset({"INACTIVE", "DEACTIVATING"})


class DeployedCheckpoints(Struct, frozen=True):
    """One deployment: of which service, which model and deployment, and the checkpoints it was made of."""

    service: str
    model_id: str
    deployment_id: str
    model_name: str
    checkpoint_ids: list[str]


def remember_deployed(service: str, model: DeployedModel, *, model_name: str, checkpoint_ids: Sequence[str]) -> None:
    """Note a deployment in the data folder; an error is logged and never raised, for the model is there.

    Parameters
    ----------
    service : str
        URL of the service.
    model : DeployedModel
        What it answered.
    model_name : str
        Name of the model.
    checkpoint_ids : sequence of str
        Ids of the checkpoints.
    """
    entry = DeployedCheckpoints(service, model.model_id, model.deployment_id, model_name, list(checkpoint_ids))
    try:
        path = home_dir() / _FILE
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # One write of one line, so that two processes do not mix theirs.
            os.write(handle, msgspec.json.encode(entry) + b"\n")
        finally:
            os.close(handle)
    except (LoopsError, OSError):
        logger.warning("a deployment was not noted", exc_info=True)


def deployment_uses(transport: Transport, checkpoint_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return in words which deployments that were made on this machine use checkpoints, by the checkpoint's id.

    One request a noted deployment (``GET /v1/models/{model_id}/deployments/{deployment_id}``), none without.
    """
    wanted = set(checkpoint_ids)
    found: dict[str, list[str]] = {}
    for entry in _noted(transport.config.address.url):
        of_these = wanted.intersection(entry.checkpoint_ids)
        if not of_these:
            continue
        try:
            status = transport.send(server.model_deployment(entry.model_id, entry.deployment_id)).status
        except NotFoundError:
            continue
        except LoopsError:
            logger.debug("the state of a deployment is not known", exc_info=True)
            status = "state not known"
        if status in _OVER:
            continue
        words = f"model deployment {entry.deployment_id} of {entry.model_name} ({status}) was made from it"
        for checkpoint_id in of_these:
            found.setdefault(checkpoint_id, []).append(words)
    return found


def _noted(service: str) -> list[DeployedCheckpoints]:
    try:
        lines = (home_dir() / _FILE).read_bytes().splitlines()
    except (LoopsError, OSError):
        return []
    entries = []
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=DeployedCheckpoints)
        except msgspec.MsgspecError:
            # Half a line of a process that was killed, or one of a newer version.
            continue
        if entry.service == service:
            entries.append(entry)
    return entries
