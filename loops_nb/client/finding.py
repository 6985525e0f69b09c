"""Which run was it?  Filters that the listing route does not have."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from loops_nb.client import checks
from loops_nb.errors import InvalidArgumentError
from loops_nb.models import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES, Run

_KNOWN = tuple(dict.fromkeys(RUN_STATUSES + DEPLOYMENT_STATUSES + SAMPLER_STATUSES))
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Checked conditions; a run must meet all of those that are given."""

    session_id: str | None
    base_model: str | None
    name: str | None
    status: str | None
    after: datetime | None
    before: datetime | None

    @property
    def needs_deployments(self) -> bool:
        """Whether the state asked for is one of the deployment's, which the listing of runs does not hold."""
        return self.status in DEPLOYMENT_STATUSES

    def apply(self, runs: Iterable[Run], deployment_status: Mapping[str, str | None]) -> list[Run]:
        """Return the runs that meet the conditions, newest first."""
        met = [run for run in runs if self._meets(run, deployment_status)]
        return sorted(met, key=lambda run: run.created_at or _EARLIEST, reverse=True)

    def _meets(self, run: Run, deployment_status: Mapping[str, str | None]) -> bool:
        return (
            (self.session_id is None or run.session_id == self.session_id)
            and (self.base_model is None or _alike(run.base_model, self.base_model))
            and (self.name is None or _alike(run.name, self.name))
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
    """Check the conditions of ``runs.find``."""
    return RunFilter(
        session_id=checks.optional_identifier("session_id", session_id),
        base_model=checks.optional_text("base_model", base_model),
        name=checks.optional_text("name", name),
        status=None if status is None else checks.one_of("status", str(status).upper(), _KNOWN),
        after=_moment("newer_than", newer_than),
        before=_moment("older_than", older_than),
    )


def _moment(argument: str, value: timedelta | datetime | None) -> datetime | None:
    if isinstance(value, timedelta):
        try:
            return datetime.now(UTC) - value
        except OverflowError:
            raise InvalidArgumentError(f"{argument} reaches back before the calendar: {value}.", argument=argument) from None
    return None if checks.epoch_millis(argument, value) is None else value


def _alike(text: str | None, wanted: str) -> bool:
    """Compare without regard to case; ``*`` and ``?`` stand for anything, and a part of the text is enough."""
    return text is not None and fnmatch.fnmatchcase(text.lower(), f"*{wanted.lower()}*")


def _statuses(run: Run, deployment_status: Mapping[str, str | None]) -> set[str | None]:
    """Return the states of the run and of both its halves; ACTIVE and INACTIVE are the run's own."""
    own = run.status.name if run.status else None
    sampler = run.sampler.status.name if run.sampler and run.sampler.status else None
    deployment = deployment_status.get(run.deployment_id) if run.deployment_id else None
    return {own, deployment} | ({sampler} if sampler not in RUN_STATUSES else set())
