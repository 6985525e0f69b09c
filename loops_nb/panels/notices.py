"""What is announced: things that ended, or are in trouble, once each, with what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loops_nb.models import DEPLOYMENT_TERMINAL, RUN_TERMINAL, SAMPLER_TERMINAL, Checkpoint, Deployment, Run, Sampler
from loops_nb.panels.content import differing
from loops_nb.panels.rows import serves, state
from loops_nb.panels.wire import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.wire import Tone

_MOST = 20
#: The worse replaces the less bad; the same or a milder one is not said again.
_PREEMPTED = "PREEMPTED"
_FAILED = "FAILED"
_UNHEALTHY = "UNHEALTHY"


class Trouble(NamedTuple):
    """Something that is worth a notice for as long as it lasts.

    Parameters
    ----------
    weight
        0 is well; a greater one is worse.
    tone, text, hint
        As in `loops_nb.panels.wire.Notice`.
    """

    weight: int
    tone: Tone = "good"
    text: str = ""
    hint: str = ""


WELL = Trouble(0)


def run_trouble(run: Run, deployment: Deployment | None, newest: Checkpoint | None) -> Trouble:
    """Return what is to be said of a run."""
    called = f"Run {run.id}" + (f" ({run.name})" if run.name and run.name != run.base_model else "")
    mine = deployment is not None and (serves(deployment, run) or deployment.latest_run_id == run.id)
    trainer = state(deployment.status) if deployment is not None and mine else None
    if trainer == _FAILED and deployment is not None:
        return Trouble(
            4, "bad", f"{called} failed: its trainer is FAILED.", f"%loops deployment {deployment.id} tells more. {_onward(run, newest)}"
        )
    if trainer == _PREEMPTED:
        return Trouble(3, "bad", f"{called} was preempted: the spot capacity was taken back, nothing broke.", _onward(run, newest))
    if state(run.status) in RUN_TERMINAL or trainer in DEPLOYMENT_TERMINAL:
        return Trouble(2, "over", f"{called} has ended.", _onward(run, newest))
    sampler = run.sampler
    if sampler is not None and (state(sampler.status) in SAMPLER_TERMINAL or state(sampler.status) == _UNHEALTHY):
        return Trouble(
            1,
            "bad",
            f"The sampler of {called[0].lower()}{called[1:]} is {state(sampler.status)}.",
            f"%loops sampler {sampler.id} tells more.",
        )
    return WELL


def sampler_trouble(sampler: Sampler) -> Trouble:
    """Return what is to be said of a standalone sampler."""
    name = state(sampler.status)
    if name in SAMPLER_TERMINAL and name != "INACTIVE":
        return Trouble(3, "bad", f"Sampler {sampler.id} is {name}.", f"%loops sampler {sampler.id} tells more.")
    if name == "INACTIVE":
        return Trouble(2, "over", f"Sampler {sampler.id} has ended.", _another_sampler(sampler))
    if name == _UNHEALTHY:
        return Trouble(1, "bad", f"Sampler {sampler.id} is UNHEALTHY; it may recover.", f"%loops sampler {sampler.id} tells more.")
    return WELL


def deployment_trouble(deployment: Deployment) -> Trouble:
    """Return what is to be said of a Loops deployment."""
    name = state(deployment.status)
    if name in {_FAILED, _PREEMPTED}:
        why = "" if name == _FAILED else ": the spot capacity was taken back, nothing broke"
        return Trouble(3, "bad", f"Deployment {deployment.id} is {name}{why}.", f"%loops deployment {deployment.id} tells more.")
    if name in DEPLOYMENT_TERMINAL:
        return Trouble(2, "over", f"Deployment {deployment.id} has stopped.", "Checkpoints of its runs stay.")
    return WELL


class Crier:
    """Says of each thing once what became of it; what was so at the first look is no news."""

    def __init__(self) -> None:
        self._known: dict[str, Trouble] = {}
        self._count = 0
        self.notices: tuple[Notice, ...] = ()

    def look(self, troubles: Mapping[str, Trouble], now: float) -> tuple[Notice, ...]:
        """Take in how things are now, and return all notices, newest first."""
        fresh = []
        for about in differing(self._known, troubles)[0]:
            former, trouble = self._known.get(about), troubles[about]
            if former is not None and trouble.weight > former.weight:
                self._count += 1
                fresh.append(Notice(id=f"n{self._count}", at=now, tone=trouble.tone, text=trouble.text, hint=trouble.hint, about=about))
        # What left the listing is forgotten; it is new when it comes back.
        self._known = dict(troubles)
        if fresh:
            said_again = {notice.about for notice in fresh}
            self.notices = (*reversed(fresh), *(n for n in self.notices if n.about not in said_again))[:_MOST]
        return self.notices


def _onward(run: Run, newest: Checkpoint | None) -> str:
    if newest is None:
        return f"%loops checkpoints --run {run.id} lists what it saved."
    if newest.target != "trainer" or run.session_id is None or run.base_model is None:
        return f"Its checkpoints stay, the newest is {newest.checkpoint_id}: %loops checkpoints --run {run.id}"
    return (
        "Its checkpoints stay. To go on from the newest: "
        f"%loops create run --session {run.session_id} --base-model {run.base_model} --path {newest.uri}"
    )


def _another_sampler(sampler: Sampler) -> str:
    return "" if sampler.base_model is None else f"A new one: %loops create sampler --session SESSION --base-model {sampler.base_model}"
