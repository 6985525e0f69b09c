"""Filters of listings that their routes do not have."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES, TERMINAL, status_name
from loops_nb.client import checks

_KNOWN = tuple(dict.fromkeys(RUN_STATUSES + DEPLOYMENT_STATUSES + SAMPLER_STATUSES))
_EARLIEST = datetime.min.replace(tzinfo=UTC)
T = TypeVar("T", bound=Run | Deployment | Sampler)


def alive_only(listed: list[T], kind: str, *, alive: bool) -> list[T]:
    """Return what has not ended of a listing of a kind; with ``alive=False`` all of it."""
    return [one for one in listed if status_name(one) not in TERMINAL[kind]] if alive else listed


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Checked conditions; a run must meet all that are not None."""

    session_id: str | None
    base_model: str | None
    name: str | None
    status: str | None
    after: datetime | None
    before: datetime | None

    @property
    def needs_deployments(self) -> bool:
        """Whether the status is one of deployments, which the listing of runs does not have."""
        return self.status in DEPLOYMENT_STATUSES

    def apply(self, runs: Iterable[Run], deployment_status: Mapping[str, str | None]) -> list[Run]:
        """Return the runs that meet the conditions, newest first."""
        met = [run for run in runs if self._meets(run, deployment_status)]
        return sorted(met, key=lambda run: run.created_at or _EARLIEST, reverse=True)

    def _meets(self, run: Run, deployment_status: Mapping[str, str | None]) -> bool:
        return (
            (self.session_id is None or run.session_id == self.session_id)
            and (self.base_model is None or _matches(run.base_model, self.base_model))
            and (self.name is None or _matches(run.name, self.name))
            and (self.status is None or self.status in _statuses(run, deployment_status))
            and (self.after is None or (run.created_at is not None and run.created_at >= self.after))
            and (self.before is None or (run.created_at is not None and run.created_at <= self.before))
        )


def run_filter(
    *,
    session_id: str | None,
    base_model: str | None,
    name: str | None,
    status: str | None,
    newer_than: timedelta | datetime | None,
    older_than: timedelta | datetime | None,
) -> RunFilter:
    """Check the arguments of ``loops.runs.find``."""
    return RunFilter(
        session_id=checks.optional_identifier("session_id", session_id),
        base_model=checks.optional_text("base_model", base_model),
        name=checks.optional_text("name", name),
        status=None if status is None else checks.one_of("status", str(status).upper(), _KNOWN),
        after=checks.time_or_age("newer_than", newer_than),
        before=checks.time_or_age("older_than", older_than),
    )


def _matches(text: str | None, wanted: str) -> bool:
    """Match a part of the text case-insensitively; ``*`` and ``?`` are wildcards."""
    return text is not None and fnmatch.fnmatchcase(text.lower(), f"*{wanted.lower()}*")


def _statuses(run: Run, deployment_status: Mapping[str, str | None]) -> set[str | None]:
    """Return the states of the run, its deployment and its sampler; ACTIVE and INACTIVE are the run's own."""
    found = {status_name(run), deployment_status.get(run.deployment_id or "")}
    sampler = status_name(run.sampler)
    if sampler not in RUN_STATUSES:
        found.add(sampler)
    return found
