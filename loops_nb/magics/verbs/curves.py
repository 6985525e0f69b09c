"""``%loops curves``."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.magics.grammar import Option, Takes, Verb, did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.panels import CurvesPanel

_RUN_ID = re.compile(r"(?=.*\d)[a-z0-9]{6,12}")
_MOST_TOLD = 5
AXES = ("step", "tokens", "elapsed", "clock")


def show(desk: Desk, runs: Sequence[str], *, key: str = "", axis: str = "step", smoothing: float = 0.0) -> CurvesPanel | None:
    """Show the curves of runs: at once in a notebook, in words elsewhere."""
    from loops_nb.panels import CurvesPanel  # noqa: PLC0415 - widgets take 40 ms to import
    from loops_nb.panels.cells import is_notebook  # noqa: PLC0415

    panel = CurvesPanel(list(dict.fromkeys(runs)) or None, key=key, axis=axis, smoothing=smoothing)  # type: ignore[arg-type]
    if is_notebook():
        # At once, not as the cell's result: the line stands before a training loop.
        panel.show()
        return panel
    try:
        desk.say(panel.told(shutil.get_terminal_size().columns))
    finally:
        panel.close()
    return None


def are_recorded(words: Sequence[str]) -> bool:
    """Tell whether every word is an experiment or a run that something was recorded of."""
    from loops_nb.tracking import Store  # noqa: PLC0415 - sqlite

    if not words or any("/" in word for word in words):
        return False
    with Store(read_only=True) as store:
        rows = store.experiments(archived=True)
    known = {name for row in rows for name in (row.id, row.run_id, row.name)}
    return all(word in known for word in words)


def _refuse_unknown(desk: Desk, words: Sequence[str], key: str | None) -> None:
    """Refuse what is neither recorded nor a run of the service: a panel would wait for a typing error for ever.

    Where nothing at all is recorded a name is taken as one still to come.
    """
    from loops_nb.curves.wording import nothing_of  # noqa: PLC0415 - numpy
    from loops_nb.panels.curves_book import MOST_NEWEST  # noqa: PLC0415
    from loops_nb.panels.curves_keys import in_order  # noqa: PLC0415
    from loops_nb.tracking import Store  # noqa: PLC0415 - sqlite

    with Store(read_only=True) as store:
        rows = sorted(store.experiments(archived=True), key=lambda row: (row.created_at, row.id), reverse=True)
        known = list(dict.fromkeys(name for row in rows for name in (row.name, row.run_id, row.id) if name))
        unknown = [word for word in words if word not in known and not _is_run(desk, word)] if rows else []
        if unknown:
            raise _refused(nothing_of(unknown, known), "runs", did_you_mean(unknown[0], known))
        if key is None:
            return
        shown_rows = [row for row in rows if {row.name, row.run_id, row.id} & set(words)]
        if not words:
            shown_rows = [row for row in rows if not row.archived][:MOST_NEWEST]
        keys = in_order(one.key for row in shown_rows for one in store.keys(row.id))
    if keys and key not in keys:
        raise _refused(nothing_of([key], keys), "key", did_you_mean(key, keys))


def _refused(text: str, argument: str, near: str) -> InvalidArgumentError:
    return InvalidArgumentError(text, argument=argument, hint=f"{near} With --wait a panel waits for what is still to come.".strip())


def _is_run(desk: Desk, word: str) -> bool:
    """Return whether the service has a run of that id; only a word that may be one is looked up."""
    if word in desk.knowledge.known("run"):
        return True
    if not _RUN_ID.fullmatch(word):
        return False
    try:
        desk.loops.runs.get(word)
    except LoopsError:
        return False
    return True


def _say_why_there_is_nothing(desk: Desk, words: Sequence[str]) -> None:
    """Say of runs of the service without numbers where they stand: a run that deploys or has failed logs nothing."""
    # Only what is known to be a run is asked for: the panel must not wait for a service that is slow or away.
    runs = desk.knowledge.known("run")
    missing = [word for word in dict.fromkeys(words) if word in runs and not are_recorded([word])]
    for word in missing[:_MOST_TOLD]:
        try:
            run = desk.loops.runs.get(word)
            trainer = desk.loops.deployments.get(run.deployment_id) if run.deployment_id else None
        except LoopsError:
            # The panel says what is recorded; where the service cannot be asked, no more is known.
            continue
        state = run.status.name if run.status is not None else "not known"
        of_trainer = f", its trainer {trainer.status.name}" if trainer is not None and trainer.status is not None else ""
        desk.say(f"No numbers of run {word} yet: it is {state}{of_trainer}. %loops watch {word} shows how it goes on.")


def _share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise InvalidArgumentError(f"{shown(text)} is no smoothing: it is from 0 to 0.999.", argument="smooth", hint="--smooth 0.9")
    return min(found, 0.999)


def _run(desk: Desk, values: SimpleNamespace) -> CurvesPanel | None:
    if not values.wait:
        _refuse_unknown(desk, values.runs or (), values.key)
    _say_why_there_is_nothing(desk, values.runs or ())
    return show(desk, values.runs or (), key=values.key or "", axis=values.axis, smoothing=values.smoothing)


VERB = Verb(
    name="curves",
    summary="training numbers of runs as curves, laid over each other; live while cells run",
    run=_run,
    arguments=(
        Takes(
            name="runs",
            metavar="RUN",
            knows="experiment",
            many=True,
            help="a run's id, or an experiment's id or name, recorded, or with --wait to come; none for the newest",
        ),
    ),
    options=(
        Option(
            name="key",
            flags=("--key",),
            metavar="KEY",
            knows="metric",
            help="what is drawn first, as loss or grad_norm; the panel switches",
        ),
        Option(
            name="axis",
            flags=("--by",),
            metavar="AXIS",
            choices=AXES,
            default="step",
            help="along what: step, tokens, elapsed (time since it began) or clock",
        ),
        Option(
            name="smoothing",
            flags=("--smooth",),
            metavar="WEIGHT",
            free=True,
            convert=_share,
            default=0.0,
            help="how much of the former average stays at each value, from 0 (none) to 0.999",
        ),
        Option(
            name="wait",
            flags=("--wait",),
            help="wait for experiments and metrics that are not recorded yet; without it an unknown name is an error",
        ),
    ),
    notes="The panel is shown at once, so the line can stand first in a cell that trains. Numbers are recorded by"
    " loops_nb.track(training_client), or by hand with loops_nb.experiment(...). Checkpoints stand on the curves: a press copies their URI."
    " A picture of it all stays in the notebook's file; p = %loops curves keeps the panel, p.picture.save('curves.svg') the picture.",
    examples=(
        "%loops curves",
        "%loops curves k4q95w5 qr8zj20 --key loss --smooth 0.9",
        "p = %loops curves lr-sweep --by tokens",
    ),
)
