"""``%loops dashboard``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import BASE_MODEL, SCOPE, TEAM
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, switch
from loops_nb.magics.show_panel import show_listings
from loops_nb.magics.verbs.watch import existing_run_id, warn_unknown_model

if TYPE_CHECKING:
    from loops_nb.panels import DashboardPanel


def _run(context: MagicContext, values: Values) -> DashboardPanel | None:
    run_ids = [existing_run_id(context, word) for word in values.runs or ()]
    warn_unknown_model(context, values.base_model)
    panel = context.loops.dashboard(
        *run_ids,
        base_model=values.base_model,
        scope=values.scope,
        team_id=values.team_id,
        notify=values.notify,
        interval=context.settings.poll_interval,
        time_zone=context.settings.time_zone,
    )
    return show_listings(context, panel)


VERB = Verb(
    name="dashboard",
    summary="runs, samplers, deployments, live curves and checkpoints in one panel; updates while cells run",
    run=_run,
    arguments=(
        Argument(
            "runs",
            "RUN",
            "ids or names of the runs that are selected at first; default none, which shows all",
            completes="run",
            repeated=True,
        ),
    ),
    options=(
        BASE_MODEL,
        SCOPE,
        TEAM,
        switch("--notify", "show a browser notification when a run ends or fails, if the browser allows it"),
    ),
    notes="Selecting runs (a click on a row, or its box for several) narrows curves and checkpoints to them. The tabs "
    "show everything together, or one part on the whole width. Curves are those recorded on this machine; without a "
    "selection the newest, also those that begin later. The panel is shown at once, so the line can be the first of a "
    "cell that trains. p = %loops dashboard returns the panel: p.frame has the runs, p.checkpoints_frame the "
    "checkpoints, p.curves the panel of the curves; p.select(RUN) selects, p.freeze() keeps only the report, p.close() "
    "stops it with all its parts.",
    shell=InShell(
        summary="runs, samplers, deployments, checkpoints and the newest values of the curves; updates live",
        left_out={"--notify": "A terminal shows no notifications: %loops wait RUN ends when the run is in a state."},
        notes="Updates until Ctrl-C or q, and leaves the last state in the terminal. Where the output is no terminal, "
        "it is printed once.",
    ),
    examples=(
        "%loops dashboard",
        "%loops dashboard p2syas8 u8rkdjp",
        "p = %loops dashboard --base-model Qwen/Qwen3-8B --notify",
    ),
)
