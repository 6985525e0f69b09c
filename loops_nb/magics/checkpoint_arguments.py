"""Arguments that select checkpoints, and their resolution to references."""

from __future__ import annotations

from dataclasses import replace

from loops_nb.api.models import CHECKPOINT_TARGETS
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.service import BY as SUMS
from loops_nb.checkpoints.service import refs_in_bucket
from loops_nb.errors import InvalidArgumentError, NotFoundError, with_hint
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, option
from loops_nb.magics.suggest import did_you_mean

CHECKPOINTS = Argument(
    "checkpoints",
    "CHECKPOINT",
    "an id, a bt:// URI, RUN/NAME (run id or name), or with --run RUN a checkpoint name",
    completes="checkpoint",
    repeated=True,
)
READABLE = replace(
    CHECKPOINTS,
    help="an id, a bt:// URI, RUN/NAME (run id or name), with --run RUN a checkpoint name, or the address of a copy in "
    "a bucket (s3://, gs://, az://)",
)
OF_RUN = option(
    "--run",
    "RUN",
    "run of the checkpoint names; without names, all checkpoints of this run",
    name="run_id",
    completes="run",
)
TARGET = option(
    "--target",
    "TARGET",
    "only trainer or only sampler checkpoints: both can have the same name",
    choices=CHECKPOINT_TARGETS,
)

BY = option(
    "--by",
    "WHAT",
    "aggregate by layer, module_type or checkpoint; default module (no aggregation)",
    choices=SUMS,
    default="module",
)


def resolve_checkpoints(context: MagicContext, values: Values, *, buckets: bool = False) -> list[CheckpointRef]:
    """Return references to the checkpoints of a line.

    Parameters
    ----------
    context : MagicContext
        Of the line.
    values : Values
        Its arguments.
    buckets : bool, default False
        Whether addresses of copies in buckets are taken too, by a verb that only reads.

    Raises
    ------
    InvalidArgumentError
        If the line names none, or a name is ambiguous.
    NotFoundError
        If one does not exist; the hint suggests similar ones.
    """
    words, run_id = values.checkpoints, values.run_id
    if not words and run_id is None:
        raise InvalidArgumentError(
            "No checkpoint was named.",
            argument="checkpoints",
            hint=("Give its id, its bt:// URI or RUN/NAME, or --run RUN for all of a run. %loops runs lists the runs."),
        )
    if run_id is not None:
        with context.explain_unknown_id("run", run_id):
            return context.loops.checkpoints.choose(words or None, run_id=run_id, target=values.target)
    from loops_nb.checkpoints.bucket.path import is_bucket  # a listing needs no buckets

    found: list[CheckpointRef] = []
    for word in words:
        if buckets and is_bucket(word):
            found += [ref for ref in refs_in_bucket(word) if values.target in {None, ref.target}]
            continue
        try:
            # The URI of an id that was listed before saves looking it up.
            known = context.cache.checkpoint_uri(word) or word
            found += context.loops.checkpoints.choose(known, target=values.target)
        except NotFoundError as error:
            raise with_hint(error, _suggestion(context, word) or error.hint) from None
    return list({(ref.id, ref.place): ref for ref in found}.values())


def _suggestion(context: MagicContext, word: str) -> str:
    from loops_nb.magics.completion_cache import refresh  # only after an error

    run_id, *name = word.removeprefix("bt://loops:").split("/")
    if run_id not in context.cache.known("run"):
        refresh(context.cache, context.loops, "run")
    runs = context.cache.known("run")
    if run_id in runs and not name:
        return ""
    if run_id not in runs and name:
        return did_you_mean(run_id, runs, otherwise="%loops runs lists the runs.")
    return did_you_mean(word, [*context.cache.known("uri"), *context.cache.known("checkpoint")])
