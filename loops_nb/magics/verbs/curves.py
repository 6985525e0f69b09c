"""``%loops curves``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Option, Takes, Verb, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.panels import CurvesPanel

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


def _share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise InvalidArgumentError(f"{shown(text)} is no smoothing: it is from 0 to 0.999.", argument="smooth", hint="--smooth 0.9")
    return min(found, 0.999)


def _run(desk: Desk, values: SimpleNamespace) -> CurvesPanel | None:
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
            help="a run's id, or an experiment's id or name, recorded or still to come; without any the newest experiments",
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
