"""``%loops debug-archive RUN -o DIR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb, option

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    with context.explain_unknown_id("run", values.target):
        return context.loops.deployments.debug_archive(values.target, values.into)


VERB = Verb(
    name="debug-archive",
    summary="download the debug archive of a run's deployment: events, states and logs, for a report",
    run=_run,
    returns_frame=True,
    kinds=("debug_archive",),
    arguments=(
        Argument(
            "target",
            "RUN|DEPLOYMENT",
            "id or name of a run, or id of a Loops deployment",
            completes="logged",
            required=True,
        ),
    ),
    options=(
        option("-o --output", "DIR", "target folder; default debug", name="into", completes="folder", default="debug"),
    ),
    notes="The archive is of the moment at which it is downloaded, and gets a folder of its own: DIR/TIME/DEPLOYMENT. "
    "A file is complete or absent. Look through it before you send it to others: it holds what your code printed.",
    examples=("%loops debug-archive p2syas8", "df = %loops debug-archive p2syas8 -o /tmp/report"),
    when_interrupted="No incomplete file has its name; the same line downloads the archive again.",
)
