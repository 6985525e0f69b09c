"""What verbs about checkpoints share: how a line says which ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, NotFoundError, with_hint
from loops_nb.magics.grammar import Option, Takes, did_you_mean
from loops_nb.models import CHECKPOINT_TARGETS
from loops_nb.references import CheckpointRef
from loops_nb.workbench import BY as SUMS

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

CHECKPOINTS = Takes(
    name="checkpoints",
    metavar="CHECKPOINT",
    knows="checkpoint",
    many=True,
    help="its id, its bt:// URI, RUN/NAME (a run by id or name), or a name behind --run RUN",
)
OF_RUN = Option(name="run_id", flags=("--run",), metavar="RUN", knows="run", help="names are this run's; alone: all that it has saved")
TARGET = Option(
    name="target",
    flags=("--target",),
    metavar="TARGET",
    choices=CHECKPOINT_TARGETS,
    help="only trainer or sampler checkpoints: one name may be saved for both",
)

BY = Option(
    name="by",
    flags=("--by",),
    metavar="WHAT",
    choices=SUMS,
    default="module",
    help="what to sum up by: module (no sum), layer, module_type or checkpoint",
)


def refs(desk: Desk, values: SimpleNamespace) -> list[CheckpointRef]:
    """Return the checkpoints that a line means.

    Raises
    ------
    InvalidArgumentError
        If it names none, or one in a way that fits several.
    NotFoundError
        If one is not there; with what is nearly the same.
    """
    words, run_id = values.checkpoints, values.run_id
    if not words and run_id is None:
        raise InvalidArgumentError(
            "No checkpoint was named.",
            argument="checkpoints",
            hint="Name one by its id, its bt:// URI or as RUN/NAME, or say --run RUN for all of a run. %loops runs lists the runs.",
        )
    if run_id is not None:
        with desk.naming("run", run_id):
            return desk.loops.checkpoints.choose(words or None, run_id=run_id, target=values.target)
    found: list[CheckpointRef] = []
    for word in words:
        try:
            found += desk.loops.checkpoints.choose(_known(desk, word), target=values.target)
        except NotFoundError as error:
            raise with_hint(error, _instead(desk, word) or error.hint) from None
    return list({ref.id: ref for ref in found}.values())


def _instead(desk: Desk, word: str) -> str:
    """Return what may have been meant by a word that names no checkpoint; empty where nobody can tell."""
    from loops_nb.magics.knowledge import refresh  # noqa: PLC0415 - only after a fault

    run_id, *name = word.removeprefix("bt://loops:").split("/")
    if run_id not in desk.knowledge.known("run"):
        refresh(desk.knowledge, desk.loops, "run")
    runs = desk.knowledge.known("run")
    if run_id in runs and not name:
        return ""
    if run_id not in runs and name:
        return did_you_mean(run_id, runs, otherwise="%loops runs lists the runs.")
    return did_you_mean(word, [*desk.knowledge.known("uri"), *desk.knowledge.known("checkpoint")])


def _known(desk: Desk, word: str) -> str:
    """Return the URI of an id that a listing has shown, so that it need not be looked for."""
    return desk.knowledge.checkpoint_uri(word) or word
