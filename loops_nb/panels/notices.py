"""Notices about runs, samplers and deployments that ended or failed, each with what to do next."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
from loops_nb.api.pairing import serves
from loops_nb.api.states import DEPLOYMENT_TERMINAL, RUN_TERMINAL, SAMPLER_TERMINAL, status_name
from loops_nb.panels.messages import Notice
from loops_nb.panels.view_model import differing
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loops_nb.panels.messages import Tone

_MOST = 20
_NAMED = 5
_PREEMPTED = "PREEMPTED"
_FAILED = "FAILED"
_UNHEALTHY = "UNHEALTHY"


class Announcement(NamedTuple):
    """The notice that the state of an object deserves.

    Parameters
    ----------
    weight : int
        0 for a state without a notice.  A notice is shown when the weight rises: worse replaces less bad.
    tone, text, hint : str
        As in `loops_nb.panels.messages.Notice`.
    """

    weight: int
    tone: Tone = "good"
    text: str = ""
    hint: str = ""


WELL = Announcement(0)


def run_announcement(run: Run, deployment: Deployment | None, newest: Checkpoint | None) -> Announcement:
    """Return the announcement of a run's state."""
    called = _called(run)
    mine = deployment is not None and (serves(deployment, run) or deployment.latest_run_id == run.id)
    trainer = status_name(deployment) if deployment is not None and mine else None
    if trainer == _FAILED and deployment is not None:
        return Announcement(
            4,
            "bad",
            f"{called} failed: its trainer is FAILED.",
            f"%loops doctor {run.id} says why. {_onward(run, newest)}",
        )
    if trainer == _PREEMPTED:
        return Announcement(
            3, "bad", f"{called} was preempted: the spot capacity was taken back, nothing broke.", _onward(run, newest)
        )
    if status_name(run) in RUN_TERMINAL or trainer in DEPLOYMENT_TERMINAL:
        return Announcement(2, "over", f"{called} has ended.", _onward(run, newest))
    sampler = run.sampler
    if sampler is not None and (status_name(sampler) in SAMPLER_TERMINAL or status_name(sampler) == _UNHEALTHY):
        return Announcement(
            1,
            "bad",
            f"The sampler of {called[0].lower()}{called[1:]} is {status_name(sampler)}.",
            f"%loops logs {sampler.id} shows its log.",
        )
    return WELL


def deletion_announcement(run: Run) -> Announcement:
    """Return the announcement that a run was deleted."""
    return Announcement(
        5,
        "over",
        f"{_called(run)} was deleted.",
        f"What was recorded of it on this machine stays: %loops curves {run.id}",
    )


class GoneCheckpoints:
    """Notices of checkpoints that were listed, and are in a complete listing no more."""

    def __init__(self) -> None:
        self._listed: Mapping[str, Checkpoint] = {}
        self._ends: Mapping[str, float] = {}
        self._announcements: dict[str, Announcement] = {}

    def look(
        self, checkpoints: Mapping[str, Checkpoint], ends: Mapping[str, float], now: float
    ) -> dict[str, Announcement]:
        """Return the announcement of each checkpoint; those that are gone at one time have one together.

        Parameters
        ----------
        checkpoints : mapping
            What is listed now, by id.
        ends : mapping
            When those vanish whose lifetime is known, by id.
        now : float
            The time; all in epoch milliseconds.
        """
        gone = [found for key, found in self._listed.items() if key not in checkpoints]
        said = {key: announcement for key, announcement in self._announcements.items() if key not in checkpoints}
        for is_over in (True, False):
            batch = [found for found in gone if (self._ends.get(found.id, math.inf) <= now) is is_over]
            if batch:
                said[batch[0].id] = _gone_announcement(batch, is_over=is_over)
        self._listed, self._ends, self._announcements = checkpoints, ends, said
        return dict.fromkeys(checkpoints, WELL) | said


def _gone_announcement(gone: Sequence[Checkpoint], *, is_over: bool) -> Announcement:
    names = first_and_more([f"{found.run_id}/{found.checkpoint_id} ({found.target})" for found in gone], _NAMED)
    is_one = len(gone) == 1
    end = "lifetime" if is_one else "lifetimes"
    whose = "its" if is_one else "their"
    why = f"deleted at the end of {whose} {end}" if is_over else f"deleted, or reached the end of {whose} {end}"
    text = f"Checkpoint {names} was {why}." if is_one else f"{len(gone):,} checkpoints were {why}: {names}."
    return Announcement(1, "over", text)


def sampler_announcement(sampler: Sampler) -> Announcement:
    """Return the announcement of a standalone sampler's state."""
    name = status_name(sampler)
    if name in SAMPLER_TERMINAL and name != "INACTIVE":
        return Announcement(3, "bad", f"Sampler {sampler.id} is {name}.", f"%loops logs {sampler.id} shows its log.")
    if name == "INACTIVE":
        return Announcement(2, "over", f"Sampler {sampler.id} has ended.", _another_sampler(sampler))
    if name == _UNHEALTHY:
        return Announcement(
            1, "bad", f"Sampler {sampler.id} is UNHEALTHY; it may recover.", f"%loops logs {sampler.id} shows its log."
        )
    return WELL


def deployment_announcement(deployment: Deployment) -> Announcement:
    """Return the announcement of a deployment's state."""
    name = status_name(deployment)
    if name in {_FAILED, _PREEMPTED}:
        why = "" if name == _FAILED else ": the spot capacity was taken back, nothing broke"
        return Announcement(
            3, "bad", f"Deployment {deployment.id} is {name}{why}.", f"%loops logs {deployment.id} shows its log."
        )
    if name in DEPLOYMENT_TERMINAL:
        return Announcement(2, "over", f"Deployment {deployment.id} has stopped.", "Checkpoints of its runs stay.")
    return WELL


class Notifier:
    """Turns announcements into notices, once each; states of the first poll get none."""

    def __init__(self) -> None:
        self._known: dict[str, Announcement] = {}
        self._count = 0
        self.notices: tuple[Notice, ...] = ()

    def look(self, announcements: Mapping[str, Announcement], now: float) -> tuple[Notice, ...]:
        """Record the current announcements by id, and return all notices, newest first."""
        fresh = []
        for about in differing(self._known, announcements)[0]:
            former, announcement = self._known.get(about), announcements[about]
            if former is not None and announcement.weight > former.weight:
                self._count += 1
                fresh.append(
                    Notice(
                        id=f"n{self._count}",
                        at=now,
                        tone=announcement.tone,
                        text=announcement.text,
                        hint=announcement.hint,
                        about=about,
                    )
                )
        # What leaves the listing is forgotten; it is new when it comes back.
        self._known = dict(announcements)
        if fresh:
            said_again = {notice.about for notice in fresh}
            self.notices = (*reversed(fresh), *(n for n in self.notices if n.about not in said_again))[:_MOST]
        return self.notices


def _called(run: Run) -> str:
    return f"Run {run.id}" + (f" ({run.name})" if run.name and run.name != run.base_model else "")


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
    return (
        ""
        if sampler.base_model is None
        else f"A new one: %loops create sampler --session SESSION --base-model {sampler.base_model}"
    )
