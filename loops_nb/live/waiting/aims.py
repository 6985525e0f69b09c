"""What is waited for: when it is reached, and when it never will be.  No requests, no time."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from loops_nb.client import checks
from loops_nb.client.call import Call
from loops_nb.client.operations import deployments, runs, samplers
from loops_nb.errors import InvalidArgumentError, NeverReachedError
from loops_nb.live.board import Board
from loops_nb.live.halves import deployment_of
from loops_nb.live.needs import Need
from loops_nb.live.source import status_name
from loops_nb.models import (
    DEPLOYMENT_STATUSES,
    DEPLOYMENT_TERMINAL,
    RUN_STATUSES,
    RUN_TERMINAL,
    SAMPLER_STATUSES,
    SAMPLER_TERMINAL,
    Deployment,
    Run,
    Sampler,
)

T = TypeVar("T", Run, Sampler, Deployment)

#: The ways up.  Between two looks a state may come and go, so one of these counts as reached when a later one is seen.
_DEPLOYMENT_WAY = ("CREATED", "DEPLOYING", "RUNNING")
_SAMPLER_WAY = ("BUILDING", "DEPLOYING", "LOADING_MODEL", "ACTIVE")
_OF_THE_OTHER_KIND = {"RUNNING": "ACTIVE", "ACTIVE": "RUNNING", "STOPPED": "INACTIVE", "INACTIVE": "STOPPED"}


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """How it stands.

    Parameters
    ----------
    words
        The states, for people.
    status
        The state that counts.
    reached
        The thing, when it is where it should be.
    never
        Why it never will be.
    """

    words: str
    status: str | None
    reached: T | None = None
    never: NeverReachedError | None = None


class Aim(Protocol[T]):
    """Something that is waited for."""

    until: str

    @property
    def name(self) -> str:
        """What it is, for people: ``run k4q95w5``."""

    @property
    def call_again(self) -> str:
        """The line of Python that waits again."""

    def get(self) -> Call[T]:
        """Return the request for the thing alone."""

    def needs(self, scope: str | None) -> tuple[Need, ...]:
        """Return the listings to watch; the first one has the thing in it."""

    def find(self, board: Board) -> T | None:
        """Return the thing, if it is listed."""

    def judge(self, thing: T, board: Board) -> Verdict[T]:
        """Return how it stands."""


def _until(value: Any, choices: Sequence[str]) -> str:
    text = value.strip().upper() if isinstance(value, str) else value
    if text in choices:
        return str(text)
    other = _OF_THE_OTHER_KIND.get(text) if isinstance(text, str) else None
    close = [other] if other in choices else difflib.get_close_matches(str(text), choices, n=1)
    hint = f"Did you mean {close[0]}?" if close else ""
    raise InvalidArgumentError(f"until must be one of {', '.join(choices)}, not {value!r}.", argument="until", hint=hint)


def _met_by(until: str, way: Sequence[str]) -> Sequence[str]:
    return way[way.index(until) :] if until in way else (until,)


class RunAim:
    """A run in one of its own states, or its trainer in one of a deployment's."""

    def __init__(self, run_id: str, until: str) -> None:
        self.id = checks.identifier("run_id", run_id)
        self.until = _until(until, RUN_STATUSES + DEPLOYMENT_STATUSES)

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"run {self.id}"

    @property
    def call_again(self) -> str:
        """The line of Python that waits again."""
        return f'loops.runs.wait("{self.id}", until="{self.until}")'

    def get(self) -> Call[Run]:
        """Return the request for the run alone."""
        return runs.get(self.id)

    def needs(self, scope: str | None) -> tuple[Need, ...]:
        """Return the listings to watch."""
        return Need("runs", scope=scope), Need("deployments", scope=scope)

    def find(self, board: Board) -> Run | None:
        """Return the run, if it is listed."""
        return board.runs.get(self.id)

    def judge(self, run: Run, board: Board) -> Verdict[Run]:
        """Return how it stands."""
        halves = _Halves.of(run, board)
        if self.until in RUN_STATUSES:
            return self._by_run(halves)
        return self._by_capacity(halves) if halves.serverless else self._by_trainer(halves)

    def _by_run(self, halves: _Halves) -> Verdict[Run]:
        if halves.own == self.until:
            return self._reached(halves)
        if halves.over:
            return self._never(halves, "it has ended, and an ended run never starts again", halves.own)
        return Verdict(halves.words, halves.own)

    def _by_capacity(self, halves: _Halves) -> Verdict[Run]:
        """Judge a run on serverless capacity, which is up for as long as the run lives."""
        if (self.until in _DEPLOYMENT_WAY and not halves.over) or (self.until == "STOPPED" and halves.over):
            return self._reached(halves)
        if halves.over:
            return self._never(halves, "it has ended", halves.own)
        if self.until == "STOPPED":
            return Verdict(halves.words, halves.own)
        why = "it is on serverless capacity, which is there at once and has no such state"
        return self._never(halves, why, halves.own, "Wait for INACTIVE, its end.")

    def _by_trainer(self, halves: _Halves) -> Verdict[Run]:
        trainer, deployment = halves.trainer, halves.deployment
        ends_here = self.until in DEPLOYMENT_TERMINAL
        if deployment is not None and not halves.passed_on:
            if trainer in _met_by(self.until, _DEPLOYMENT_WAY) and (ends_here or not halves.over):
                return self._reached(halves)
            if trainer in DEPLOYMENT_TERMINAL:
                hint = f"%loops deployment {deployment.id} tells more."
                return self._never(halves, _END_OF_A_TRAINER[trainer or ""], trainer, hint)
        if halves.over and (halves.passed_on or not ends_here):
            return self._never(halves, "another run took over its deployment" if halves.passed_on else "it has ended", halves.own)
        if deployment is None and halves.unlisted == "refused":
            why = "the service lists no deployments for this key, so the state of its trainer cannot be seen"
            return self._never(halves, why, halves.own, "Wait for the run's own states: ACTIVE or INACTIVE.")
        if halves.over and deployment is None and halves.unlisted == "gone":
            # A deployment that was shut down leaves the listing.
            return (
                self._reached(halves)
                if self.until == "STOPPED"
                else self._never(halves, "it has ended, and its deployment is not listed any more", halves.own)
            )
        return Verdict(halves.words, trainer or halves.own)

    def _reached(self, halves: _Halves) -> Verdict[Run]:
        return Verdict(halves.words, self.until, reached=halves.run)

    def _never(self, halves: _Halves, why: str, status: str | None, hint: str = "") -> Verdict[Run]:
        text = f"Run {self.id} will not be {self.until} any more: {why} ({status})."
        return Verdict(halves.words, status, never=NeverReachedError(text, status=status, hint=hint))


@dataclass(frozen=True, slots=True)
class _Halves:
    """A run with what else decides how it stands."""

    run: Run
    deployment: Deployment | None
    own: str | None
    trainer: str | None
    unlisted: Literal["refused", "gone", ""]

    @classmethod
    def of(cls, run: Run, board: Board) -> _Halves:
        deployment = deployment_of(run, board.deployments)
        own, trainer = status_name(run), status_name(deployment) if deployment is not None else None
        if own is None and trainer is not None:
            # The first documents' shape: a run that has a living deployment lives.
            own = "INACTIVE" if trainer in DEPLOYMENT_TERMINAL else "ACTIVE"
        listings = [need for need in board.needs if need.kind == "deployments"]
        if any(board.refused(need) for need in listings):
            return cls(run, deployment, own, trainer, "refused")
        return cls(run, deployment, own, trainer, "gone" if listings and all(map(board.known, listings)) else "")

    @property
    def over(self) -> bool:
        return self.own in RUN_TERMINAL

    @property
    def serverless(self) -> bool:
        return self.run.status is not None and self.run.deployment_id is None

    @property
    def passed_on(self) -> bool:
        """Whether the deployment serves another run by now."""
        d = self.deployment
        return d is not None and d.latest_run_id is not None and self.run.id not in {d.active_run_id, d.latest_run_id}

    @property
    def words(self) -> str:
        parts = [self.own or "no state known"]
        if self.trainer is not None and not self.passed_on:
            parts.append(f"trainer {self.trainer}")
        sampler = status_name(self.run.sampler) if self.run.sampler is not None else None
        if sampler is not None:
            parts.append(f"sampler {sampler}")
        return ", ".join(parts)


class SamplerAim:
    """A sampler in one of its states."""

    def __init__(self, sampler_id: str, until: str) -> None:
        self.id = checks.identifier("sampler_id", sampler_id)
        self.until = _until(until, SAMPLER_STATUSES)

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"sampler {self.id}"

    @property
    def call_again(self) -> str:
        """The line of Python that waits again."""
        return f'loops.samplers.wait("{self.id}", until="{self.until}")'

    def get(self) -> Call[Sampler]:
        """Return the request for the sampler alone."""
        return samplers.get(self.id)

    def needs(self, scope: str | None) -> tuple[Need, ...]:
        """Return the listings to watch."""
        return (Need("samplers", scope=scope),)

    def find(self, board: Board) -> Sampler | None:
        """Return the sampler, if it is listed."""
        return board.samplers.get(self.id)

    def judge(self, sampler: Sampler, board: Board) -> Verdict[Sampler]:  # noqa: ARG002 - as the other aims have it
        """Return how it stands."""
        status = status_name(sampler)
        words = status or "no state known"
        if status in _met_by(self.until, _SAMPLER_WAY):
            return Verdict(words, status, reached=sampler)
        ending = status == "DEACTIVATING" and self.until != "INACTIVE"
        if status in SAMPLER_TERMINAL or ending:
            why = "it is being ended" if ending else "it has ended" if status == "INACTIVE" else "it failed"
            error = NeverReachedError(
                f"Sampler {self.id} will not be {self.until} any more: {why} ({status}).",
                status=status,
                hint=f"%loops sampler {self.id} tells more.",
            )
            return Verdict(words, status, never=error)
        return Verdict(words, status)


class DeploymentAim:
    """A deployment in one of its states."""

    def __init__(self, deployment_id: str, until: str) -> None:
        self.id = checks.identifier("deployment_id", deployment_id)
        self.until = _until(until, DEPLOYMENT_STATUSES)

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"deployment {self.id}"

    @property
    def call_again(self) -> str:
        """The line of Python that waits again."""
        return f'loops.deployments.wait("{self.id}", until="{self.until}")'

    def get(self) -> Call[Deployment]:
        """Return the request for the deployment alone."""
        return deployments.get(self.id)

    def needs(self, scope: str | None) -> tuple[Need, ...]:
        """Return the listings to watch."""
        return (Need("deployments", scope=scope),)

    def find(self, board: Board) -> Deployment | None:
        """Return the deployment, if it is listed."""
        return board.deployments.get(self.id)

    def judge(self, deployment: Deployment, board: Board) -> Verdict[Deployment]:  # noqa: ARG002 - as the other aims have it
        """Return how it stands."""
        status = status_name(deployment)
        words = status or "no state known"
        if status in _met_by(self.until, _DEPLOYMENT_WAY):
            return Verdict(words, status, reached=deployment)
        if status in DEPLOYMENT_TERMINAL:
            error = NeverReachedError(
                f"Deployment {self.id} will not be {self.until} any more: {_END_OF_A_TRAINER[status or '']} ({status}).",
                status=status,
                hint=f"%loops deployment {self.id} tells more; checkpoints of its runs stay.",
            )
            return Verdict(words, status, never=error)
        return Verdict(words, status)


_END_OF_A_TRAINER = {
    "FAILED": "its trainer failed",
    "STOPPED": "its trainer was shut down",
    "PREEMPTED": "the spot capacity was taken back, nothing broke",
}
