"""History of states: which states runs, deployments and samplers have been in since they were first seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from loops_nb.api.models import Deployment, Run
from loops_nb.api.pairing import deployment_of_run
from loops_nb.api.states import RUN_TERMINAL, STUCK_SECONDS, is_in_transition, status_name
from loops_nb.live.queries import Kind

Part = Literal["run", "deployment", "sampler"]
#: A change that is found after a longer gap between two polls happened somewhere within it.
EXACT_WITHIN_MS = 60_000.0
_MAX_SPANS = 200


class Span(Struct, frozen=True, gc=False):
    """A state over time.

    Parameters
    ----------
    what : str
        ``run``, ``deployment`` or ``sampler``.
    status : str or None
        The state.
    start, until : float or None
        Epoch milliseconds; ``until`` None is now.
    exact : bool
        Whether the state began at ``start``; otherwise it began earlier.
    """

    what: Part
    status: str | None
    start: float
    until: float | None
    exact: bool


class History:
    """Spans of everything that was seen.  One thread writes; others may read."""

    def __init__(self) -> None:
        self._spans: dict[tuple[Part, str], tuple[Span, ...]] = {}
        self._paired_samplers: set[str] = set()

    def record(
        self, kind: Kind, changed: Iterable[Any], removed: Iterable[str], *, at: float, last: float | None
    ) -> None:
        """Record what differs in a listing.

        Parameters
        ----------
        kind : str
            Which listing.
        changed : iterable of Run, Deployment or Sampler
            Objects that are new or different.
        removed : iterable of str
            Ids that are no longer listed.
        at : float
            When the response came, in epoch milliseconds.
        last : float or None
            When the successful response before it came; None for the first.
        """
        exact = last is not None and at - last <= EXACT_WITHIN_MS
        if kind == "runs":
            for run in changed:
                self._append("run", run.id, status_name(run), at, exact=exact)
                if run.sampler is not None:
                    self._paired_samplers.add(run.sampler.id)
                    self._append("sampler", run.sampler.id, status_name(run.sampler), at, exact=exact)
            self._end("run", removed, at)
        elif kind == "deployments":
            for deployment in changed:
                self._append("deployment", deployment.id, status_name(deployment), at, exact=exact)
            self._end("deployment", removed, at)
        elif kind == "samplers":
            # A paired sampler is recorded from its run: two listings polled a moment apart would contradict each other.
            for sampler in changed:
                if sampler.id not in self._paired_samplers:
                    self._append("sampler", sampler.id, status_name(sampler), at, exact=exact)
            self._end("sampler", (key for key in removed if key not in self._paired_samplers), at)

    def of(self, what: Part, key: str) -> tuple[Span, ...]:
        """Return the spans of one object, oldest first."""
        return self._spans.get((what, key), ())

    def of_run(self, run: Run, deployments: Mapping[str, Deployment]) -> list[Span]:
        """Return the spans of a run, its deployment and its sampler, oldest first.

        What the deployment and the sampler did after another run took them over is left out.
        """
        own = self.of("run", run.id)
        deployment = deployment_of_run(run, deployments)
        deployment_id = run.deployment_id
        if deployment_id is None and deployment is not None:
            deployment_id = deployment.id
        parts: list[Span] = []
        if deployment_id is not None:
            parts += self.of("deployment", deployment_id)
        if run.sampler is not None:
            parts += self.of("sampler", run.sampler.id)
        was_taken_over = (
            deployment is not None
            and deployment.latest_run_id not in {None, run.id}
            and status_name(run) in RUN_TERMINAL
        )
        if was_taken_over and own:
            end = own[-1].start
            parts = [_cut_off(span, end) for span in parts if span.start < end]
        return sorted([*own, *parts], key=lambda span: span.start)

    def _append(self, what: Part, key: str, status: str | None, at: float, *, exact: bool) -> None:
        spans = self._spans.get((what, key), ())
        if spans and spans[-1].until is None:
            if spans[-1].status == status:
                return
            spans = (*spans[:-1], replace(spans[-1], until=at))
        self._spans[what, key] = (*spans[1 - _MAX_SPANS :], Span(what, status, at, None, exact))

    def _end(self, what: Part, keys: Iterable[str], at: float) -> None:
        for key in keys:
            spans = self._spans.get((what, key), ())
            if spans and spans[-1].until is None:
                self._spans[what, key] = (*spans[:-1], replace(spans[-1], until=at))


def stuck_spans(spans: Iterable[Span], now: float) -> list[Span]:
    """Return the open spans in a transitional state that have lasted for more than `STUCK_SECONDS`.

    Parameters
    ----------
    spans : iterable of Span
        Of one run or of many.
    now : float
        Epoch milliseconds.
    """
    return [
        span
        for span in spans
        if span.until is None and is_in_transition(span.status) and now - span.start > STUCK_SECONDS * 1000
    ]


def _cut_off(span: Span, end: float) -> Span:
    if span.until is not None and span.until <= end:
        return span
    return replace(span, until=end)
