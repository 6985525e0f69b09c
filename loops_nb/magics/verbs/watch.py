"""``%loops watch``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.magics.grammar import Option, Takes, Verb, did_you_mean, shown
from loops_nb.magics.verbs.options import BASE_MODEL, SCOPE, TEAM

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.panels import Panel

_CHECKPOINTS = "checkpoints"
_WORDS = ("samplers", "deployments", _CHECKPOINTS)
# What people try for all runs.
_ALL = ("runs", "fleet", "all", "*")
# A run may have a name that is a little like one of the words.
_NEARLY = 0.8
_FLAGS = {"scope": "--scope", "team_id": "--team", "base_model": "--base-model", "run_id": "--run", "notify": "--notify"}
_TAKES = {
    "": ("scope", "team_id", "base_model", "notify"),
    "run": ("scope", "team_id", "notify"),
    "samplers": ("scope", "team_id", "notify"),
    "deployments": ("scope", "notify"),
    _CHECKPOINTS: ("run_id", "base_model"),
}


def _run(desk: Desk, values: SimpleNamespace) -> Panel | None:
    what = _checked(desk, values)
    loops = desk.loops
    word = values.run_id if what == _CHECKPOINTS else values.what if what == "run" else None
    run_id = None
    if word is not None:
        # A panel would wait for the run to appear; a typing error is said at once.
        with desk.naming("run", word):
            run_id = loops.runs.get(desk.run_id(word)).id
    _tell_unknown_model(desk, values.base_model)
    wanted: dict[str, Any] = {name: getattr(values, name) for name in _TAKES[what]}
    if what == _CHECKPOINTS:
        wanted["run_id"] = run_id
    wanted |= {"interval": desk.settings.poll_interval, "time_zone": desk.settings.time_zone}
    if what == "":
        panel: Panel = loops.runs.watch(**wanted)
    elif what == "run":
        panel = loops.runs.watch(run_id, **wanted)
    elif what == "samplers":
        panel = loops.samplers.watch(**wanted)
    elif what == "deployments":
        panel = loops.deployments.watch(**wanted)
    else:
        panel = loops.checkpoints.watch(**wanted)
    return _shown(desk, panel)


def _tell_unknown_model(desk: Desk, base_model: str | None) -> None:
    """Say that nobody knows a base model; it is watched all the same, for its first run may be about to be made."""
    if base_model is None or base_model in desk.knowledge.known("base_model"):
        return
    from loops_nb.magics.knowledge import refresh  # noqa: PLC0415 - only for a model that no line has shown yet

    refresh(desk.knowledge, desk.loops, "base_model")
    known = desk.knowledge.known("base_model")
    if known and base_model not in known:
        instead = did_you_mean(base_model, known, otherwise="%loops capabilities lists the models.")
        desk.say(f"No run has the base model {shown(base_model)}, and it is not offered here. {instead}")


def _shown(desk: Desk, panel: Panel) -> Panel | None:
    from loops_nb.panels.cells import is_notebook  # noqa: PLC0415 - only with a panel

    if is_notebook():
        # At once, not as the cell's result: the line stands before a training loop.
        panel.show()
        return panel
    from loops_nb.panels.report import report_text  # noqa: PLC0415

    try:
        snapshot = panel.snapshot_now()
    finally:
        panel.close()
    if snapshot.health.looked_at is None and snapshot.health.reason:
        # A panel would go on trying; a line that shows once has failed.
        raise LoopsError(snapshot.health.reason, hint=snapshot.health.hint)
    desk.say(report_text(snapshot, width=shutil.get_terminal_size().columns, time_zone=desk.settings.time_zone))
    return None


def _checked(desk: Desk, values: SimpleNamespace) -> str:
    """Return what is to be watched: one of the words, ``run``, or nothing for all; only then is anything asked of the service."""
    word = values.what
    what = "" if word is None else word if word in _WORDS else "run"
    known = desk.knowledge.known("run")
    if what == "run" and word not in known:
        if word.lower() in _ALL:
            raise _refused(f"{shown(word)} is no word of %loops watch.", "All runs are watched by %loops watch alone.")
        near = did_you_mean(word, _WORDS, cutoff=_NEARLY)
        if near and word not in desk.knowledge.known("run_name"):
            raise _refused(f"There is nothing called {shown(word)} to watch.", near)
    if values.of is not None:
        if what != _CHECKPOINTS:
            raise _refused(f"One thing is watched at a time, so {shown(values.of)} is one too many.", "A second line makes a second panel.")
        if values.run_id is not None:
            raise _refused("The run is given twice.", _EXAMPLE)
        values.run_id = values.of
    _check_options(values, what)
    return what


def _check_options(values: SimpleNamespace, what: str) -> None:
    said = {"": "%loops watch", "run": f"%loops watch {values.what}"}.get(what, f"%loops watch {what}")
    for name, flag in _FLAGS.items():
        if getattr(values, name) and name not in _TAKES[what]:
            hint = f"The checkpoints of a run: %loops watch checkpoints --run {values.run_id}." if name == "run_id" else ""
            takes = ", ".join(_FLAGS[other] for other in _TAKES[what])
            raise _refused(f"{said} takes no {flag}.", hint or f"It takes {takes}.")
    if what == _CHECKPOINTS and (values.run_id is None) == (values.base_model is None):
        given = "none was" if values.run_id is None else "both were"
        raise _refused(f"%loops watch checkpoints needs exactly one of --run RUN and --base-model MODEL; {given} given.", _EXAMPLE)


def _refused(text: str, hint: str) -> InvalidArgumentError:
    return InvalidArgumentError(text, argument="what", hint=f"{hint} See %loops watch --help")


_EXAMPLE = "For example: %loops watch checkpoints --run k4q95w5."

VERB = Verb(
    name="watch",
    summary="a live panel of all runs, of one run, or of a listing; it moves while cells run",
    run=_run,
    arguments=(
        Takes(
            name="what",
            metavar="WHAT",
            knows="run",
            words=_WORDS,
            help="a run's id or name, samplers, deployments, or checkpoints RUN; without it all runs, and the samplers that belong to none",
        ),
        # Only behind "checkpoints", so it is no word of the usage.
        Takes(name="of", knows="run", help="whose checkpoints"),
    ),
    options=(
        Option(
            name="run_id",
            flags=("--run",),
            metavar="RUN",
            knows="run",
            help="with checkpoints: those of this run, the same as checkpoints RUN",
        ),
        BASE_MODEL,
        SCOPE,
        TEAM,
        Option(
            name="notify", flags=("--notify",), help="raise a browser notification when something ends or fails, if the browser allows it"
        ),
    ),
    notes="The panel is shown at once, so the line can stand first in a cell that trains. It ends when the cell is run again."
    " That of a run has tabs, too: its curves, where numbers of it were recorded, and pictures of its checkpoints."
    " A static report of it stays in the notebook's file. p = %loops watch keeps the panel too: p.frame is the newest data as a DataFrame,"
    " p.freeze() leaves only the report, p.close() ends it. In a terminal the report is printed once.",
    examples=(
        "%loops watch",
        "%loops watch k4q95w5 --notify",
        "p = %loops watch checkpoints --base-model Qwen/Qwen3-8B",
        "%loops watch samplers --scope org",
    ),
)
