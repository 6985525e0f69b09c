"""``%loops checkpoints``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.config.time_zone import display_zone
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import BASE_MODEL, describe_filters
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb, option
from loops_nb.render.formatting import first_and_more, moment, zone_name

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows

_MOST_LISTED = 5


def _run(context: MagicContext, values: Values) -> ListingRows:
    run_id, path = values.run_id, values.path
    if values.what is not None:
        if run_id is not None or path is not None or values.base_model is not None:
            raise _not_one("more than one")
        if values.what.startswith("bt://"):
            path = values.what
        else:
            run_id = values.what
    given = [value for value in (run_id, values.base_model, path) if value is not None]
    if len(given) != 1:
        raise _not_one("more than one" if given else "none")
    with context.explain_unknown_id("run", run_id or ""):
        run_id = None if run_id is None else context.resolve_run_id(run_id)
        found = context.loops.checkpoints.listing(run_id=run_id, base_model=values.base_model, checkpoint_path=path)
    if not len(found) and run_id is not None:
        # The listing is empty for an unknown run too; getting the run raises for one.
        with context.explain_unknown_id("run", run_id):
            context.loops.runs.get(run_id)
        return context.listing(
            "checkpoints",
            found,
            nothing=(f"Run {run_id} has saved no checkpoints yet. They appear here once the training code saves one."),
        )
    _add_lifetimes(context, found)
    near = context.suggest(("base_model", values.base_model), ("uri", path))
    return context.listing(
        "checkpoints",
        found,
        nothing="No checkpoints.",
        filters=describe_filters(("--base-model", values.base_model), ("--path", path)),
        no_match=near or "%loops runs lists the runs, %loops checkpoints RUN the checkpoints of one.",
    )


def _add_lifetimes(context: MagicContext, found: ListingRows) -> None:
    """Note below a listing which checkpoints vanish when: the service does not say it, what is recorded here does."""
    from loops_nb.errors import TrackingError
    from loops_nb.frames.attributes import NOTES_ATTR
    from loops_nb.tracking import ExperimentStore

    try:
        with ExperimentStore(read_only=True) as store:
            known = store.lifetimes()
    except TrackingError:
        # Another verb says what is wrong with the file; the listing needs none.
        return
    listed = {uri: known[uri] for uri in found.values("uri") if uri in known}
    if not listed:
        return
    zone = display_zone(context.settings.time_zone)
    ends = {uri: datetime.fromtimestamp(at / 1000, UTC) for uri, at in sorted(listed.items(), key=lambda one: one[1])}
    named = [f"{uri.removeprefix('bt://loops:')} {moment(at, zone)}" for uri, at in ends.items()]
    where = zone_name(context.settings.time_zone, zone, ends.values())
    said = first_and_more(named, _MOST_LISTED)
    found.attrs[NOTES_ATTR] = [f"Vanishing, by the lifetime asked for when they were saved ({where}): {said}."]


def _not_one(how_many: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"%loops checkpoints needs exactly one of RUN, --base-model MODEL and --path URI; {how_many} was given.",
        hint="For example: %loops checkpoints p2syas8. %loops runs lists the runs.",
    )


VERB = Verb(
    name="checkpoints",
    summary="checkpoints of a run, of a base model, or at a bt:// URI",
    run=_run,
    returns_listing=True,
    kinds=("checkpoints",),
    arguments=(Argument("what", "RUN", "the run's id or name (the same as --run RUN)", completes="run"),),
    options=(
        option("--run", "RUN", "checkpoints of this run", name="run_id", completes="run"),
        BASE_MODEL,
        option("--path", "URI", "the checkpoint at this bt:// URI", completes="uri"),
    ),
    notes="Give exactly one of RUN, --base-model and --path. Returns a DataFrame: df.loops.by_step() sorts by "
    "training step, df.loops.uri has the URIs. %loops watch checkpoints RUN updates live.",
    examples=(
        "%loops checkpoints p2syas8",
        "df = %loops checkpoints --base-model Qwen/Qwen3-8B",
        "%loops checkpoints --path bt://loops:p2syas8/sampler_weights/step-100",
    ),
)
