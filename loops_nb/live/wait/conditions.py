"""Conditions to wait for: when they are met, and when they never will be.  Without requests or time."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.api.pairing import deployment_of_run
from loops_nb.api.states import (
    DEPLOYMENT_STARTUP,
    DEPLOYMENT_STATUSES,
    DEPLOYMENT_TERMINAL,
    RUN_STATUSES,
    RUN_TERMINAL,
    SAMPLER_STARTUP,
    SAMPLER_STATUSES,
    SAMPLER_TERMINAL,
    status_name,
)
from loops_nb.client import checks
from loops_nb.client.operations import deployments, runs, samplers
from loops_nb.client.request import Request
from loops_nb.errors import InvalidArgumentError, NeverReachedError
from loops_nb.live.queries import Query
from loops_nb.live.snapshot import Snapshot

T = TypeVar("T", Run, Sampler, Deployment)

_SUGGESTIONS = {"RUNNING": "ACTIVE", "ACTIVE": "RUNNING", "STOPPED": "INACTIVE", "INACTIVE": "STOPPED"}
_WHY_A_TRAINER_ENDED = {
    "FAILED": "its trainer failed",
    "STOPPED": "its trainer was shut down",
    "PREEMPTED": "the spot capacity was taken back, nothing broke",
}


@dataclass(frozen=True, slots=True)
class WaitResult(Generic[T]):
    """Result of evaluating a condition.

    Parameters
    ----------
    states : str
        The states, in words.
    status : str or None
        The state that decides.
    item : Run, Sampler, Deployment or None, default None
        The object, when the condition is met.
    error : NeverReachedError or None, default None
        Why the condition never will be met.
    """

    states: str
    status: str | None
    item: T | None = None
    error: NeverReachedError | None = None


class WaitCondition(Protocol[T]):
    """An object, and the state that it is to reach.

    Attributes
    ----------
    until : str
        The state.
    """

    until: str

    @property
    def name(self) -> str:
        """What the object is called in messages: ``run k4q95w5``."""

    @property
    def call(self) -> str:
        """The line of Python that waits for it."""

    def request(self) -> Request[T]:
        """Return the request for the object alone."""

    def queries(self, scope: str | None) -> tuple[Query, ...]:
        """Return the listings to poll; the object is in the first one."""

    def find(self, snapshot: Snapshot) -> T | None:
        """Return the object, if it is listed."""

    def evaluate(self, item: T, snapshot: Snapshot) -> WaitResult[T]:
        """Return whether the condition is met, or why it never will be."""


def _checked_until(value: Any, choices: Sequence[str]) -> str:
    text = value.strip().upper() if isinstance(value, str) else value
    if text in choices:
        return str(text)
    other = _SUGGESTIONS.get(text) if isinstance(text, str) else None
    close = [other] if other in choices else difflib.get_close_matches(str(text), choices, n=1)
    hint = f"Did you mean {close[0]}?" if close else ""
    raise InvalidArgumentError(
        f"until must be one of {', '.join(choices)}, not {value!r}.", argument="until", hint=hint
    )


def _states_that_meet(until: str, startup: Sequence[str]) -> Sequence[str]:
    # Between two polls a state may come and go, so a state of the startup is also met by the later ones.
    if until in startup:
        return startup[startup.index(until) :]
    return (until,)


class RunCondition:
    """A run in one of its own states, or its trainer in one of a deployment's."""

    def __init__(self, run_id: str, until: str) -> None:
        self.id: str = checks.identifier("run_id", run_id)
        self.until: str = _checked_until(until, RUN_STATUSES + DEPLOYMENT_STATUSES)
        self.name: str = f"run {self.id}"
        self.call: str = f'loops.runs.wait("{self.id}", until="{self.until}")'

    def request(self) -> Request[Run]:
        """Return the request for the run alone."""
        return runs.get(self.id)

    def queries(self, scope: str | None) -> tuple[Query, ...]:
        """Return the listings to poll."""
        return Query("runs", scope=scope), Query("deployments", scope=scope)

    def find(self, snapshot: Snapshot) -> Run | None:
        """Return the run, if it is listed."""
        return snapshot.runs.get(self.id)

    def evaluate(self, run: Run, snapshot: Snapshot) -> WaitResult[Run]:
        """Return whether the condition is met, or why it never will be."""
        parts = _RunParts.of(run, snapshot)
        if self.until in RUN_STATUSES:
            return self._by_run(parts)
        if parts.is_serverless:
            return self._by_capacity(parts)
        return self._by_trainer(parts)

    def _by_run(self, parts: _RunParts) -> WaitResult[Run]:
        if parts.run_status == self.until:
            return self._met(parts)
        if parts.has_ended:
            return self._never(parts, "it has ended, and an ended run never starts again")
        return WaitResult(parts.states, parts.run_status)

    def _by_capacity(self, parts: _RunParts) -> WaitResult[Run]:
        """Evaluate a run on serverless capacity, which is up for as long as the run is active."""
        if parts.has_ended and self.until != "STOPPED":
            return self._never(parts, "it has ended")
        if parts.has_ended or self.until in DEPLOYMENT_STARTUP:
            return self._met(parts)
        if self.until == "STOPPED":
            return WaitResult(parts.states, parts.run_status)
        why = "it is on serverless capacity, which is there at once and has no such state"
        return self._never(parts, why, hint="Wait for INACTIVE, its end.")

    def _by_trainer(self, parts: _RunParts) -> WaitResult[Run]:
        result = None
        if parts.deployment is not None and not parts.was_taken_over:
            result = self._by_deployment(parts, parts.deployment)
        return result or self._by_end(parts) or WaitResult(parts.states, parts.trainer_status or parts.run_status)

    def _by_deployment(self, parts: _RunParts, deployment: Deployment) -> WaitResult[Run] | None:
        trainer = parts.trainer_status
        is_reached = trainer in _states_that_meet(self.until, DEPLOYMENT_STARTUP)
        if is_reached and (self.until in DEPLOYMENT_TERMINAL or not parts.has_ended):
            return self._met(parts)
        if trainer in DEPLOYMENT_TERMINAL:
            hint = f"%loops logs {deployment.id} shows its log."
            return self._never(parts, _WHY_A_TRAINER_ENDED[trainer or ""], status=trainer, hint=hint)
        return None

    def _by_end(self, parts: _RunParts) -> WaitResult[Run] | None:
        """Evaluate a run by its own end, and by the absence of its deployment."""
        if parts.has_ended and (parts.was_taken_over or self.until not in DEPLOYMENT_TERMINAL):
            why = "another run took over its deployment" if parts.was_taken_over else "it has ended"
            return self._never(parts, why)
        if parts.deployment is not None:
            return None
        if parts.deployments == "refused":
            why = "the service lists no deployments for this key, so the state of its trainer cannot be seen"
            return self._never(parts, why, hint="Wait for the run's own states: ACTIVE or INACTIVE.")
        if parts.has_ended and parts.deployments == "complete":
            # A deployment that was shut down leaves the listing.
            if self.until == "STOPPED":
                return self._met(parts)
            return self._never(parts, "it has ended, and its deployment is not listed any more")
        return None

    def _met(self, parts: _RunParts) -> WaitResult[Run]:
        return WaitResult(parts.states, self.until, item=parts.run)

    def _never(self, parts: _RunParts, why: str, *, status: str | None = None, hint: str = "") -> WaitResult[Run]:
        status = status or parts.run_status
        text = f"Run {self.id} will not be {self.until} any more: {why} ({status})."
        return WaitResult(parts.states, status, error=NeverReachedError(text, status=status, hint=hint))


@dataclass(frozen=True, slots=True)
class _RunParts:
    """A run with what else decides.

    ``deployments`` is ``refused`` where the service does not list deployments for this key, and ``complete`` when they
    are listed.
    """

    run: Run
    deployment: Deployment | None
    run_status: str | None
    trainer_status: str | None
    deployments: Literal["refused", "complete", ""]

    @classmethod
    def of(cls, run: Run, snapshot: Snapshot) -> _RunParts:
        deployment = deployment_of_run(run, snapshot.deployments)
        own, trainer = status_name(run), status_name(deployment)
        if own is None and trainer is not None:
            # The first documents' shape: a run with a living deployment is active.
            own = "INACTIVE" if trainer in DEPLOYMENT_TERMINAL else "ACTIVE"
        queries = [query for query in snapshot.queries if query.kind == "deployments"]
        deployments: Literal["refused", "complete", ""] = ""
        if any(map(snapshot.is_refused, queries)):
            deployments = "refused"
        elif queries and all(map(snapshot.is_known, queries)):
            deployments = "complete"
        return cls(run, deployment, own, trainer, deployments)

    @property
    def has_ended(self) -> bool:
        return self.run_status in RUN_TERMINAL

    @property
    def is_serverless(self) -> bool:
        return self.run.status is not None and self.run.deployment_id is None and self.deployment is None

    @property
    def was_taken_over(self) -> bool:
        """Whether the deployment serves another run by now."""
        d = self.deployment
        return d is not None and d.latest_run_id is not None and self.run.id not in {d.active_run_id, d.latest_run_id}

    @property
    def states(self) -> str:
        words = [self.run_status or "no state known"]
        if self.trainer_status is not None and not self.was_taken_over:
            words.append(f"trainer {self.trainer_status}")
        sampler = status_name(self.run.sampler)
        if sampler is not None:
            words.append(f"sampler {sampler}")
        return ", ".join(words)


class SamplerCondition:
    """A sampler in one of its states."""

    def __init__(self, sampler_id: str, until: str) -> None:
        self.id: str = checks.identifier("sampler_id", sampler_id)
        self.until: str = _checked_until(until, SAMPLER_STATUSES)
        self.name: str = f"sampler {self.id}"
        self.call: str = f'loops.samplers.wait("{self.id}", until="{self.until}")'

    def request(self) -> Request[Sampler]:
        """Return the request for the sampler alone."""
        return samplers.get(self.id)

    def queries(self, scope: str | None) -> tuple[Query, ...]:
        """Return the listing to poll."""
        return (Query("samplers", scope=scope),)

    def find(self, snapshot: Snapshot) -> Sampler | None:
        """Return the sampler, if it is listed."""
        return snapshot.samplers.get(self.id)

    def evaluate(self, sampler: Sampler, snapshot: Snapshot) -> WaitResult[Sampler]:  # noqa: ARG002 - as in the protocol
        """Return whether the condition is met, or why it never will be."""
        status = status_name(sampler)
        states = status or "no state known"
        if status in _states_that_meet(self.until, SAMPLER_STARTUP):
            return WaitResult(states, status, item=sampler)
        if status == "DEACTIVATING" and self.until != "INACTIVE":
            why = "it is being ended"
        elif status == "INACTIVE":
            why = "it has ended"
        elif status in SAMPLER_TERMINAL:
            why = "it failed"
        else:
            return WaitResult(states, status)
        error = NeverReachedError(
            f"Sampler {self.id} will not be {self.until} any more: {why} ({status}).",
            status=status,
            hint=f"%loops logs {self.id} shows its log.",
        )
        return WaitResult(states, status, error=error)


class DeploymentCondition:
    """A deployment in one of its states."""

    def __init__(self, deployment_id: str, until: str) -> None:
        self.id: str = checks.identifier("deployment_id", deployment_id)
        self.until: str = _checked_until(until, DEPLOYMENT_STATUSES)
        self.name: str = f"deployment {self.id}"
        self.call: str = f'loops.deployments.wait("{self.id}", until="{self.until}")'

    def request(self) -> Request[Deployment]:
        """Return the request for the deployment alone."""
        return deployments.get(self.id)

    def queries(self, scope: str | None) -> tuple[Query, ...]:
        """Return the listing to poll."""
        return (Query("deployments", scope=scope),)

    def find(self, snapshot: Snapshot) -> Deployment | None:
        """Return the deployment, if it is listed."""
        return snapshot.deployments.get(self.id)

    def evaluate(self, deployment: Deployment, snapshot: Snapshot) -> WaitResult[Deployment]:  # noqa: ARG002 - as in the protocol
        """Return whether the condition is met, or why it never will be."""
        status = status_name(deployment)
        states = status or "no state known"
        if status in _states_that_meet(self.until, DEPLOYMENT_STARTUP):
            return WaitResult(states, status, item=deployment)
        if status not in DEPLOYMENT_TERMINAL:
            return WaitResult(states, status)
        error = NeverReachedError(
            f"Deployment {self.id} will not be {self.until} any more: {_WHY_A_TRAINER_ENDED[status or '']} ({status}).",
            status=status,
            hint=f"%loops logs {self.id} shows its log; checkpoints of its runs stay.",
        )
        return WaitResult(states, status, error=error)
