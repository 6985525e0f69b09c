"""What uses checkpoints: models and samplers that this machine made; no listing of the API says of which they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from loops_nb.api.references import CheckpointRef
from loops_nb.api.states import SAMPLER_TERMINAL, status_name
from loops_nb.client.operations import samplers, server
from loops_nb.config.paths import home_dir
from loops_nb.errors import LoopsError, NotFoundError
from loops_nb.render.formatting import first_and_more, many

if TYPE_CHECKING:
    from loops_nb.api.models import DeployedModel, Run, Sampler
    from loops_nb.client.transport import Transport

logger: logging.Logger = logging.getLogger(__name__)
_DEPLOYED, _SAMPLERS = "deployed.jsonl", "samplers.jsonl"
#: States in which a model deployment or a sampler reads its weights no more.
_OVER = frozenset({"INACTIVE", "DEACTIVATING"})
_NAMED = 5


class DeployedCheckpoints(Struct, frozen=True):
    """One deployment: of which service, which model and deployment, and the checkpoints it was made of."""

    service: str
    model_id: str
    deployment_id: str
    model_name: str
    checkpoint_ids: list[str]


class CheckpointSampler(Struct, frozen=True):
    """One standalone sampler: of which service, and the URI of the checkpoint that it serves."""

    service: str
    sampler_id: str
    model_path: str


E = TypeVar("E", DeployedCheckpoints, CheckpointSampler)


class CheckpointUses(NamedTuple):
    """What uses checkpoints.

    Parameters
    ----------
    words : dict of str to list of str
        By the checkpoint's id, what uses it.
    notes : list of str
        What may use one of them.
    """

    words: dict[str, list[str]]
    notes: list[str]


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
    _note(
        _DEPLOYED, DeployedCheckpoints(service, model.model_id, model.deployment_id, model_name, list(checkpoint_ids))
    )


def remember_sampler(service: str, sampler: Sampler, *, model_path: str | None) -> None:
    """Note a standalone sampler in the data folder, if it serves a checkpoint; an error is logged and never raised.

    Parameters
    ----------
    service : str
        URL of the service.
    sampler : Sampler
        What it answered.
    model_path : str or None
        URI of the checkpoint; None for the base model.
    """
    if model_path is not None:
        _note(_SAMPLERS, CheckpointSampler(service, sampler.id, model_path))


def checkpoint_uses(transport: Transport, refs: Iterable[CheckpointRef], listed_runs: Iterable[Run]) -> CheckpointUses:
    """Return what else than runs uses checkpoints, as far as this machine made it, and what may use them.

    One request a noted deployment (``GET /v1/models/{model_id}/deployments/{deployment_id}``), and for sampler
    checkpoints one for the samplers (``GET /v1/loops/samplers``).
    """
    found = list(refs)
    words = _deployment_uses(transport, {ref.id for ref in found})
    served = {ref.uri: ref for ref in found if ref.target == "sampler" and ref.uri is not None}
    if not served:
        return CheckpointUses(words, [])
    paired = {run.sampler.id for run in listed_runs if run.sampler is not None}
    noted = {
        entry.sampler_id: entry.model_path
        for entry in _noted(_SAMPLERS, CheckpointSampler, transport.config.address.url)
    }
    models = {ref.base_model for ref in served.values()}
    unknown: list[Sampler] = []
    for sampler in transport.send(samplers.list_()):
        if sampler.id in paired or status_name(sampler) in _OVER | SAMPLER_TERMINAL:
            continue
        uri = noted.get(sampler.id) or sampler.base_checkpoint
        if uri in served:
            sentence = f"sampler {sampler.id} ({status_name(sampler)}) serves it"
            words.setdefault(served[uri].id, []).append(sentence)
        elif sampler.id not in noted and (sampler.base_model in models or None in models):
            unknown.append(sampler)
    if not unknown:
        return CheckpointUses(words, [])
    names = first_and_more([sampler.id for sampler in unknown], _NAMED)
    is_one = len(unknown) == 1
    what = "it" if len(found) == 1 else "one of these"
    note = (
        f"{many(len(unknown), 'standalone sampler')} of this base model {'was' if is_one else 'were'} not made on this "
        f"machine and may serve {what}: {names}. What {'it serves' if is_one else 'they serve'} is kept."
    )
    return CheckpointUses(words, [note])


def _note(file: str, entry: Struct) -> None:
    try:
        path = home_dir() / file
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # One write of one line, so that two processes do not mix theirs.
            os.write(handle, msgspec.json.encode(entry) + b"\n")
        finally:
            os.close(handle)
    except (LoopsError, OSError):
        logger.warning("what was made of a checkpoint was not noted", exc_info=True)


def _deployment_uses(transport: Transport, wanted: set[str]) -> dict[str, list[str]]:
    """Return in words which deployments that were made on this machine use checkpoints, by the checkpoint's id."""
    found: dict[str, list[str]] = {}
    for entry in noted_deployments(transport.config.address.url):
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


def noted_deployments(service: str) -> list[DeployedCheckpoints]:
    """Return what was deployed from this machine to a service, oldest first."""
    return _noted(_DEPLOYED, DeployedCheckpoints, service)


def _noted(file: str, kind: type[E], service: str) -> list[E]:
    try:
        lines = (home_dir() / file).read_bytes().splitlines()
    except (LoopsError, OSError):
        return []
    entries = []
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError:
            # Half a line of a process that was killed, or one of a newer version.
            continue
        if entry.service == service:
            entries.append(entry)
    return entries
