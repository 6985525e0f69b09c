"""``%loops checkpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Option, Takes, Verb
from loops_nb.magics.verbs.options import BASE_MODEL, of_filter

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
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
        raise _not_one("none" if not given else "more than one")
    with desk.naming("run", run_id or ""):
        run_id = None if run_id is None else desk.run_id(run_id)
        frame = desk.loops.checkpoints.frame(run_id=run_id, base_model=values.base_model, checkpoint_path=path)
    if not len(frame) and run_id is not None:
        # The listing does not tell an unknown run from one that has saved nothing; asking for the run does.
        with desk.naming("run", run_id):
            desk.loops.runs.get(run_id)
        return desk.listing(
            "checkpoints",
            frame,
            nothing=f"Run {run_id} has saved no checkpoint yet. They appear here as soon as the training code saves one.",
        )
    near = desk.near(("base_model", values.base_model), ("uri", path))
    return desk.listing(
        "checkpoints",
        frame,
        nothing="No checkpoints.",
        filters=of_filter(("--base-model", values.base_model), ("--path", path)),
        no_match=near or "%loops runs lists the runs, %loops checkpoints RUN what one has saved.",
    )


def _not_one(how_many: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"%loops checkpoints needs exactly one of RUN, --base-model MODEL and --path URI; {how_many} was given.",
        hint="For example: %loops checkpoints k4q95w5. %loops runs lists the runs.",
    )


VERB = Verb(
    name="checkpoints",
    summary="checkpoints of a run, of a base model, or the one behind a bt:// URI",
    run=_run,
    gives_frames=True,
    arguments=(Takes(name="what", metavar="RUN", knows="run", help="the run's id or name (the same as --run RUN)"),),
    options=(
        Option(name="run_id", flags=("--run",), metavar="RUN", knows="run", help="all that this run has saved"),
        BASE_MODEL,
        Option(name="path", flags=("--path",), metavar="URI", knows="uri", help="the one with this bt:// URI"),
    ),
    notes="Exactly one of the three. Gives a DataFrame; df.loops.by_step() sorts by training step, df.loops.uri gives the URIs."
    " %loops watch checkpoints RUN shows them live.",
    examples=(
        "%loops checkpoints k4q95w5",
        "df = %loops checkpoints --base-model Qwen/Qwen3-8B",
        "%loops checkpoints --path bt://loops:k4q95w5/sampler_weights/step-100",
    ),
)
