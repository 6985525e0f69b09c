"""``%loops watch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from loops_nb.api.models import LOG_LEVELS
from loops_nb.client.logs import HALVES
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import BASE_MODEL, SCOPE, TEAM, age_or_time, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import metrics
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, option, switch
from loops_nb.magics.show_panel import show_listings, show_panel
from loops_nb.magics.suggest import did_you_mean, safe_repr
from loops_nb.magics.verbs import logs
from loops_nb.panels.panel_kinds import WATCHED

if TYPE_CHECKING:
    from loops_nb.panels import ExperimentsPanel, LogsPanel, Panel, SamplesPanel, SystemPanel

_CHECKPOINTS, _EXPERIMENTS, _SAMPLES, _LOGS, _SYSTEM = "checkpoints", "experiments", "samples", "logs", "system"
_KEYWORDS = tuple(word for word in WATCHED if word not in {"", "run"})
# Words that users try for all runs.
_ALL = ("runs", "fleet", "all", "*")
# Cutoff for suggesting a keyword: a run can have a somewhat similar name.
_KEYWORD_CUTOFF = 0.8
_FLAGS = {
    "scope": "--scope",
    "team_id": "--team",
    "base_model": "--base-model",
    "run_id": "--run",
    "notify": "--notify",
    "steps": "--step",
    "tags": "--tag",
    "where": "--where",
    "project": "--project",
    "author": "--author",
    "since": "--since",
    "sort": "--sort",
    "limit": "--limit",
    "metric": "--metric",
    "archived": "--archived",
    "half": "--half",
    "grep": "--grep",
    "min_level": "--level",
}


def _run(
    context: MagicContext, values: Values
) -> Panel | ExperimentsPanel | SamplesPanel | LogsPanel | SystemPanel | None:
    what = _checked(context, values)
    if what == _EXPERIMENTS:
        return _experiments(context, values)
    if what == _SAMPLES:
        return _samples(context, values)
    if what == _LOGS:
        return _logs(context, values)
    if what == _SYSTEM:
        return _system(context, values)
    loops = context.loops
    run_id = None
    if what == "run":
        run_id = existing_run_id(context, values.what)
    elif what == _CHECKPOINTS and values.run_id is not None:
        run_id = existing_run_id(context, values.run_id)
    warn_unknown_model(context, values.base_model)
    wanted: dict[str, Any] = {name: getattr(values, name) for name in WATCHED[what].options}
    if what == _CHECKPOINTS:
        wanted["run_id"] = run_id
    wanted |= {"interval": context.settings.poll_interval, "time_zone": context.settings.time_zone}
    watch: Callable[..., Panel] = getattr(loops, WATCHED[what].resource).watch
    panel = watch(run_id, **wanted) if what == "run" else watch(**wanted)
    return show_listings(context, panel)


def _experiments(context: MagicContext, values: Values) -> ExperimentsPanel | None:
    wanted = {name: getattr(values, name) for name in WATCHED[_EXPERIMENTS].options}
    # No connection: what was recorded is on this machine.
    panel = metrics().watch(names=values.of, time_zone=context.settings.time_zone, **wanted)
    return show_panel(context, panel, panel.told)


def _logs(context: MagicContext, values: Values) -> LogsPanel | None:
    from loops_nb.panels.cells import is_notebook  # only with a panel

    (target,) = values.of
    wanted = {name: getattr(values, name) for name in WATCHED[_LOGS].options}
    if context.is_shell:
        return logs.follow(context, target, {**wanted, "until": None})
    with context.explain_unknown_id("run", target):
        panel = context.loops.logs.watch(target, **wanted, time_zone=context.settings.time_zone)
    # In a terminal its report is printed.
    panel.show()
    if is_notebook():
        return panel
    panel.close()
    return None


def _system(context: MagicContext, values: Values) -> SystemPanel | None:
    from loops_nb.client.system_metrics import DEFAULT_AGE

    since = DEFAULT_AGE if values.since is None else values.since
    if isinstance(since, datetime):
        since = datetime.now(UTC) - since
    (word,) = values.of
    with context.explain_unknown_id("run", word):
        panel = context.loops.system.watch(word, since=since)
    return show_panel(context, panel, panel.told)


def _samples(context: MagicContext, values: Values) -> SamplesPanel | None:
    from loops_nb.panels import SamplesPanel  # widgets take 40 ms to import

    _suggest_recorded(context, values.of)
    panel = SamplesPanel(list(dict.fromkeys(values.of)) or None, steps=values.steps or None)
    return show_panel(context, panel, panel.text_report)


def _suggest_recorded(context: MagicContext, words: Sequence[str]) -> None:
    """Name recorded experiments that resemble an unknown one; the panel opens all the same and waits for it."""
    from loops_nb.tracking import ExperimentStore  # sqlite
    from loops_nb.tracking.metrics import is_pattern

    with ExperimentStore(read_only=True) as store:
        rows = store.experiments(archived=True) if words else []
    known = list(dict.fromkeys(name for row in rows for name in (row.name, row.run_id, row.id) if name))
    for word in words:
        near = "" if word in known or is_pattern(word) else did_you_mean(word, known)
        if near:
            context.say(f"Nothing is recorded for {safe_repr(word)} yet, and the panel waits for it. {near}")


def existing_run_id(context: MagicContext, word: str) -> str:
    """Return the id of a run, and raise if it does not exist: a panel would wait for it to appear."""
    with context.explain_unknown_id("run", word):
        return context.loops.runs.get(context.resolve_run_id(word)).id


def warn_unknown_model(context: MagicContext, base_model: str | None) -> None:
    """Warn about an unknown base model; the panel opens anyway, because its first run may be created later."""
    if base_model is None or base_model in context.cache.known("base_model"):
        return
    from loops_nb.magics.completion_cache import refresh  # only for a model that is not cached

    refresh(context.cache, context.loops, "base_model")
    known = context.cache.known("base_model")
    if known and base_model not in known:
        instead = did_you_mean(base_model, known, otherwise="%loops capabilities lists the models.")
        context.say(f"No run has the base model {safe_repr(base_model)}, and the service does not offer it. {instead}")


def _checked(context: MagicContext, values: Values) -> str:
    """Return what to watch (a keyword, ``run``, or "" for all runs), and raise for options that do not fit it."""
    word = values.what
    what = "run"
    if word is None:
        what = ""
    elif word in _KEYWORDS:
        what = word
    if what == "run" and word not in context.cache.known("run"):
        if word.lower() in _ALL:
            raise _refused(
                f"{safe_repr(word)} is not a keyword of %loops watch.", "Use %loops watch alone for all runs."
            )
        near = did_you_mean(word, _KEYWORDS, cutoff=_KEYWORD_CUTOFF)
        if near and word not in context.cache.known("run_name"):
            raise _refused(f"There is no run {safe_repr(word)}.", near)
    if what in {_LOGS, _SYSTEM}:
        _check_one_target(values)
    elif values.of and what not in {_EXPERIMENTS, _SAMPLES}:
        if what != _CHECKPOINTS or len(values.of) > 1:
            raise _refused(
                f"A panel watches one run or listing, so {safe_repr(values.of[-1])} is one too many.",
                "Use a second line for a second panel.",
            )
        if values.run_id is not None:
            raise _refused("The run is given twice.", _EXAMPLE)
        (values.run_id,) = values.of
    _check_options(values, what)
    return what


def _check_one_target(values: Values) -> None:
    if len(values.of) != 1:
        given = "none was" if not values.of else f"{len(values.of)} were"
        raise _refused(
            f"%loops watch {values.what} takes one run, deployment or sampler; {given} given.",
            f"For example: %loops watch {values.what} p2syas8.",
        )


def _check_options(values: Values, what: str) -> None:
    line = f"%loops watch {values.what or ''}".rstrip()
    for name, flag in _FLAGS.items():
        if getattr(values, name) and name not in WATCHED[what].options:
            hint = f"It takes {', '.join(_FLAGS[other] for other in WATCHED[what].options)}."
            if name == "run_id":
                hint = f"For the checkpoints of a run: %loops watch checkpoints --run {values.run_id}."
            raise _refused(f"{line} takes no {flag}.", hint)
    if what == _CHECKPOINTS and (values.run_id is None) == (values.base_model is None):
        given = "none was" if values.run_id is None else "both were"
        raise _refused(
            f"%loops watch checkpoints needs exactly one of --run RUN and --base-model MODEL; {given} given.", _EXAMPLE
        )


def _refused(text: str, hint: str) -> InvalidArgumentError:
    return InvalidArgumentError(text, argument="what", hint=f"{hint} See %loops watch --help")


_EXAMPLE = "For example: %loops watch checkpoints --run p2syas8."

VERB = Verb(
    name="watch",
    summary="live panel of all runs, of one run, of a listing, or of recorded experiments; updates while cells run",
    run=_run,
    arguments=(
        Argument(
            "what",
            "WHAT",
            "a run's id or name, samplers, deployments, checkpoints RUN, system RUN, experiments [PATTERN ...], "
            "samples EXPERIMENT ... or logs RUN; default all runs and standalone samplers",
            completes="run",
            keywords=_KEYWORDS,
        ),
        # Only after "checkpoints", "experiments" and "samples", so the usage line does not list it.
        Argument(
            "of",
            "",
            "run of the checkpoints, the system metrics or the logs, patterns of experiments, experiments of the "
            "samples",
            completes="watched",
            repeated=True,
        ),
    ),
    options=(
        option(
            "--run", "RUN", "with checkpoints: the run, the same as checkpoints RUN", name="run_id", completes="run"
        ),
        BASE_MODEL,
        SCOPE,
        TEAM,
        int_option("--step", "with samples: show this step first; can be repeated", name="steps", repeated=True),
        switch("--notify", "show a browser notification when a run ends or fails, if the browser allows it"),
        option(
            "--tag",
            "TAG",
            "with experiments: only those with this tag; repeated, with all of them",
            name="tags",
            completes="tag",
            repeated=True,
        ),
        option(
            "--where",
            "EXPRESSION",
            'with experiments: only those that match, e.g. "lr < 1e-3 and lora.rank == 16"',
            completes="filter",
        ),
        option("--project", "NAME", "with experiments: only those of this project", completes="project"),
        option("--author", "NAME", "with experiments: only those that this user began", completes="author"),
        option(
            "--since",
            "AGE",
            "with experiments: began since then; with logs and system: start; an age (36h, 2d) or an ISO time",
            free_text=True,
            convert=age_or_time,
        ),
        option(
            "--sort",
            "COLUMN",
            "with experiments: sort by a column, a parameter or a metric; -COLUMN for descending order",
            completes="leaderboard_column",
        ),
        int_option("--limit", "with experiments: only the first N; with logs: the newest N to begin with"),
        option("--metric", "KEY", "with experiments: metric of the sparklines; default the loss", completes="metric"),
        switch("--archived", "with experiments: include archived experiments"),
        option("--half", "HALF", "with logs: trainer, sampler, or both, merged", choices=HALVES),
        option("--grep", "RE", "with logs: only lines in which this regular expression is found", free_text=True),
        option("--level", "LEVEL", "with logs: minimum level", name="min_level", choices=LOG_LEVELS),
    ),
    notes="The panel is shown at once, so the line can be the first of a cell that trains. Running the cell again "
    "replaces it. The panel of a run has tabs for its recorded curves and for plots of its checkpoints. A static "
    "report is saved with the notebook. The panel of system metrics shows GPUs, CPU, memory, disk and requests on one "
    "time axis with the training curve. The panel of samples shows recorded prompts down and steps across, differences "
    "marked. p = %loops watch returns the panel: p.frame is the latest data as a DataFrame, p.freeze() keeps only the "
    "report, p.close() stops it. In a terminal the report is printed once.",
    shell=InShell(
        summary="a table of all runs, of one run, of a listing, or of recorded experiments, that updates live",
        left_out={"--notify": "A terminal shows no notifications: %loops wait RUN ends when the run is in a state."},
        notes="Updates until Ctrl-C or q, and leaves the last state in the terminal; of one run it ends with the run. "
        "Where the output is no terminal, the table is printed once.",
        examples=("%loops watch p2syas8",),
    ),
    examples=(
        "%loops watch",
        "%loops watch p2syas8 --notify",
        "p = %loops watch checkpoints --base-model Qwen/Qwen3-8B",
        "%loops watch samplers --scope org",
        "%loops watch experiments 'sweep-*' --where \"lr < 1e-3\" --sort best.loss",
        "%loops watch system p2syas8 --since 6h",
        "%loops watch samples grpo-1 --step 0 --step 100",
        "%loops watch logs p2syas8 --half both",
    ),
)
