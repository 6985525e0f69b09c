"""``%loops curves``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError, TrackingError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import AUTHOR, BEGAN_SINCE, PROJECT, TAGS, WHERE, metrics, tagged
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, option, switch
from loops_nb.magics.show_panel import show_panel
from loops_nb.magics.suggest import did_you_mean, safe_repr

if TYPE_CHECKING:
    from loops_nb.charts import Plot
    from loops_nb.panels import CurvesPanel

_RUN_ID = re.compile(r"(?=.*\d)[a-z0-9]{6,12}")
_MAX_REPORTED = 5
AXES = ("step", "tokens", "elapsed", "clock")
#: As `loops_nb.tracking.bands.BAND_KINDS` and `loops_nb.charts.curve_grid.AGAINST`, which need numpy.
BAND_KINDS = ("std", "minmax", "quartiles")
AGAINST = ("difference", "ratio")


def show(
    context: MagicContext,
    runs: Sequence[str],
    *,
    key: str = "",
    axis: str = "step",
    smoothing: float = 0.0,
    **groups: Any,
) -> CurvesPanel | None:
    """Show a panel of curves at once in a notebook; print a summary elsewhere."""
    from loops_nb.panels import CurvesPanel  # widgets take 40 ms to import

    panel = CurvesPanel(list(dict.fromkeys(runs)) or None, key=key, axis=axis, smoothing=smoothing, **groups)  # type: ignore[arg-type]
    return show_panel(context, panel, panel.told)


def are_recorded(words: Sequence[str]) -> bool:
    """Return whether every word names an experiment or a run with recorded metrics."""
    from loops_nb.tracking import ExperimentStore  # sqlite

    if not words or any("/" in word for word in words):
        return False
    with ExperimentStore(read_only=True) as store:
        rows = store.experiments(archived=True)
    known = {name for row in rows for name in (row.id, row.run_id, row.name)}
    return all(word in known for word in words)


def _refuse_unknown(context: MagicContext, words: Sequence[str], key: str | None, values: Values) -> None:
    """Raise for a name that is neither recorded nor a run of the service: a panel would wait for it for ever.

    So for a metric, and for a parameter to group or to color by.

    If nothing at all is recorded, any name is accepted as one that will be.
    """
    from loops_nb.charts.number_format import nothing_recorded  # numpy
    from loops_nb.panels.curves.metric_keys import in_order
    from loops_nb.panels.curves.model import MOST_NAMED, MOST_NEWEST
    from loops_nb.tracking import ExperimentStore  # sqlite
    from loops_nb.tracking.groups import group_experiments, parameter_values

    with ExperimentStore(read_only=True) as store:
        rows = sorted(store.experiments(archived=True), key=lambda row: (row.created_at, row.id), reverse=True)
        known = list(dict.fromkeys(name for row in rows for name in (row.name, row.run_id, row.id) if name))
        unknown = [word for word in words if word not in known and not _is_run(context, word)] if rows else []
        if unknown:
            raise _refused(nothing_recorded(unknown, known), "runs", did_you_mean(unknown[0], known))
        shown_rows = [row for row in rows if {row.name, row.run_id, row.id} & set(words)]
        if not words:
            shown_rows = [row for row in rows if not row.archived][: MOST_NAMED if values.group_by else MOST_NEWEST]
        if shown_rows and values.group_by:
            group_experiments(shown_rows, values.group_by)
        if shown_rows and values.color_by:
            parameter_values(shown_rows, values.color_by)
        if key is None:
            return
        keys = in_order(one.key for row in shown_rows for one in store.keys(row.id))
    if keys and key not in keys:
        raise _refused(nothing_recorded([key], keys), "key", did_you_mean(key, keys))


def _refused(text: str, argument: str, near: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        text, argument=argument, hint=f"{near} With --wait a panel waits until it is recorded.".strip()
    )


def _is_run(context: MagicContext, word: str) -> bool:
    """Return whether the service has a run with that id; only a word that looks like one is looked up."""
    if word in context.cache.known("run"):
        return True
    if not _RUN_ID.fullmatch(word):
        return False
    try:
        context.loops.runs.get(word)
    except LoopsError:
        return False
    return True


def _report_missing_metrics(context: MagicContext, words: Sequence[str]) -> None:
    """Print the state of runs without recorded metrics: a run that is deploying or has failed logs nothing."""
    # Only ids known from a listing are requested: the panel must not wait for a slow service.
    runs = context.cache.known("run")
    missing = [word for word in dict.fromkeys(words) if word in runs and not are_recorded([word])]
    for word in missing[:_MAX_REPORTED]:
        try:
            run = context.loops.runs.get(word)
            trainer = context.loops.deployments.get(run.deployment_id) if run.deployment_id else None
        except LoopsError:
            # Only the service knows more than the panel shows.
            continue
        state = (run.status.name if run.status is not None else None) or "unknown"
        if trainer is not None and trainer.status is not None:
            state += f", its trainer {trainer.status.name}"
        context.say(f"No metrics of run {word} yet: it is {state}. %loops watch {word} shows its state live.")


def _share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise InvalidArgumentError(
            f"{safe_repr(text)} is not a smoothing weight: it must be from 0 to 0.999.",
            argument="smooth",
            hint="--smooth 0.9",
        )
    return min(found, 0.999)


def _run(context: MagicContext, values: Values) -> CurvesPanel | Plot | None:
    picture_options = _picture_options(values)
    runs = _selected(values)
    if picture_options:
        if context.is_shell and not values.save:
            raise InvalidArgumentError(
                f"{picture_options[0]} asks for a picture, and a shell has no page to show it on.",
                argument="save",
                hint="Add --save loss.pdf, or .png, .svg or .html.",
            )
        return _picture(context, values, runs)
    key = values.keys[0] if values.keys else None
    if not values.wait:
        _refuse_unknown(context, runs, key, values)
    _report_missing_metrics(context, runs)
    return show(
        context,
        runs,
        key=key or "",
        axis=values.axis,
        smoothing=values.smoothing,
        group_by=values.group_by,
        band=values.band or "std",
        baseline=values.baseline,
        against=values.against or "difference",
        color_by=values.color_by,
    )


def _picture_options(values: Values) -> list[str]:
    """Return the options that ask for a picture in place of the live panel.

    Raises
    ------
    InvalidArgumentError
        If one needs another one, or ``--wait`` is given beside them.
    """
    from loops_nb.panels.cells import is_notebook
    from loops_nb.tracking.metrics import is_pattern  # sqlite

    if values.band and not values.group_by:
        raise InvalidArgumentError(
            "--band is of groups, and nothing is grouped.", argument="band", hint="Add --group-by seedless, or lr"
        )
    if values.against and not values.baseline:
        raise InvalidArgumentError(
            "--against compares with a baseline, and none is named.", argument="against", hint="Add --baseline NAME"
        )
    several = len(values.keys or ()) > 1 or any(is_pattern(key) for key in values.keys or ())
    asked = {
        "--save": values.save,
        "--static": values.static,
        "several --metric": several,
    }
    if not is_notebook():
        # No panel is live there, and its text knows no groups.
        asked |= {"--group-by": values.group_by, "--baseline": values.baseline, "--color-by": values.color_by}
    found = [name for name, value in asked.items() if value]
    if found and values.wait:
        raise InvalidArgumentError(
            f"--wait is of the live panel; {found[0]} draws a picture of what is recorded now.", argument="wait"
        )
    return found


def _picture(context: MagicContext, values: Values, runs: Sequence[str]) -> Plot:
    """Draw the curves, and save the picture if a file is named."""
    from loops_nb.charts.curve_grid import draw_curves  # matplotlib

    plot = draw_curves(
        metrics(),
        list(runs) or None,
        values.keys or None,
        group_by=values.group_by,
        band=values.band or "std",
        baseline=values.baseline,
        against=values.against or "difference",
        color_by=values.color_by,
        axis=values.axis,
        smoothing=values.smoothing,
        time_zone=context.settings.time_zone,
        title=None,
        ax=None,
    )
    if values.save:
        context.say(f"Saved {plot.save(values.save)}.")
    return plot


def _selected(values: Values) -> list[str]:
    """Return the selected experiments; empty if nothing is selected.

    Raises
    ------
    TrackingError
        If none of them passes the filters.
    """
    runs = _expanded(values.runs or ())
    for tag in values.tags or ():
        runs = tagged(runs, tag)
    if all(of is None for of in (values.where, values.project, values.author, values.since)):
        return runs
    recorded = metrics()
    # Named ones may be archived.
    frame = recorded.experiments(
        where=values.where,
        project=values.project,
        author=values.author,
        since=values.since,
        archived=bool(runs),
        sort="created_at",
    )
    ids: list[str] = frame["id"].tolist()
    if runs:
        named = {row.id for row in recorded.find(runs)}
        ids = [one for one in ids if one in named]
    if not ids:
        these = "None of these experiments" if runs else "No experiment"
        raise TrackingError(
            f"{these} passes the filters.", hint="%loops experiments lists all, and takes the same filters."
        )
    return ids


def _expanded(words: Sequence[str]) -> list[str]:
    """Return the words with the ids of matching experiments in place of shell patterns.

    A pattern that matches nothing stays: it may be the name of an experiment that is not recorded yet.
    """
    from loops_nb.tracking.metrics import is_pattern  # sqlite

    found: list[str] = []
    for word in words:
        ids = [word]
        if is_pattern(word):
            with suppress(TrackingError):
                ids = metrics().ids(word)
        found += ids
    return found


VERB = Verb(
    name="curves",
    summary="training curves of runs, overlaid; updates live while cells run; pictures of groups",
    run=_run,
    arguments=(
        Argument(
            "runs",
            "RUN",
            "id of a run, or id, name or pattern of names (lr-*) of an experiment; default the newest",
            completes="experiment",
            repeated=True,
        ),
    ),
    options=(
        TAGS,
        WHERE,
        PROJECT,
        AUTHOR,
        BEGAN_SINCE,
        option(
            "-m --metric",
            "KEY",
            "metric to show first, such as loss or grad_norm; the panel can switch. Repeated, or as a pattern "
            "(eval/*), the metrics of a picture",
            name="keys",
            completes="metric",
            repeated=True,
            former_flags=("--key",),
        ),
        option(
            "--by",
            "AXIS",
            "horizontal axis: step, tokens, elapsed (time since start) or clock",
            name="axis",
            choices=AXES,
            default="step",
        ),
        option(
            "--smooth",
            "WEIGHT",
            "weight of the exponential moving average, from 0 (none) to 0.999",
            name="smoothing",
            free_text=True,
            convert=_share,
            default=0.0,
        ),
        option(
            "--group-by",
            "NAME",
            "draw the mean of groups: by a parameter (several: lr,rank), tag, project, name, or seedless, the name "
            "without its seed",
            completes="parameter",
            keywords=("seedless", "tag", "project", "name"),
        ),
        option("--band", "KIND", "band of a group: std, minmax or quartiles; default std", choices=BAND_KINDS),
        option("--baseline", "NAME", "draw differences to this group or experiment, too", completes="experiment"),
        option("--against", "HOW", "difference or ratio to the baseline; default difference", choices=AGAINST),
        option("--color-by", "PARAMETER", "color lines by a parameter", completes="parameter"),
        option("--save", "FILE", "draw a picture and save it as .pdf, .png, .svg or .html", completes="file"),
        switch("--static", "draw a picture instead of the live panel"),
        switch("--wait", "wait for experiments and metrics that are not recorded yet, instead of an error"),
    ),
    notes="The panel is shown at once, so the line can be the first of a cell that trains. Metrics are recorded by"
    " loops_nb.track(training_client) or loops_nb.experiment(...). Checkpoints are marked on the curves; a click "
    "copies the URI. A static picture is saved with the notebook; p = %loops curves returns the panel, "
    "p.picture.save('curves.svg') saves the picture. With --group-by, --baseline or --color-by the panel opens "
    "grouped, compared or colored, with groups of all experiments unless some are chosen; its controls change that. "
    "With --save, --static or several metrics the line draws a picture of what is recorded now (all experiments unless "
    "some are chosen, each metric in axes of its own), as outside of notebooks: p = %loops curves ... returns it, with "
    "p.table, p.data and p.save('curves.pdf').",
    shell=InShell(
        summary="training curves of runs: a picture in a file, or the newest values in words",
        helps={
            "--metric": "metric to show, such as loss or grad_norm. Repeated, or as a pattern (eval/*), the metrics "
            "of a picture"
        },
        left_out={
            "--static": "In a shell a picture goes to a file: --save loss.pdf",
            "--wait": "Only a live panel in a notebook waits; %loops watch experiments updates live.",
        },
        notes="With --save the line draws a picture of what is recorded now, all experiments unless some are chosen, "
        "each metric in axes of its own. Without it, it prints the newest and the best value of each experiment. "
        "Grouping, a baseline, colors and several metrics are of a picture.",
        examples=("%loops curves lr-sweep --metric loss --smooth 0.9 --save loss.pdf",),
    ),
    examples=(
        "%loops curves",
        "%loops curves 'lr-*' --tag baseline",
        "%loops curves p2syas8 u8rkdjp --metric loss --smooth 0.9",
        "p = %loops curves lr-sweep --by tokens",
        '%loops curves --where "lora.rank == 16" --metric loss --group-by lr --color-by lr --save loss.pdf',
        "%loops curves 'sft-*' --group-by seedless --band quartiles --baseline sft-lr1e-4",
        "%loops curves 'sft-*' --group-by lr --static",
    ),
)
