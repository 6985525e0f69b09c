"""Which states things were in since they were first seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from loops_nb.live.halves import deployment_of
from loops_nb.live.needs import Kind
from loops_nb.live.source import status_name
from loops_nb.models import RUN_TERMINAL, Deployment, Run

What = Literal["run", "deployment", "sampler"]
#: A change that was found after a longer silence happened somewhere within it.
EXACT_WITHIN_MS = 60_000.0
_MOST_SPANS = 200


@dataclass(frozen=True, slots=True)
class Span:
    """A state that something was in.

    Parameters
    ----------
    what
        ``run``, ``deployment`` or ``sampler``.
    status
        The state.
    start, until
        Epoch milliseconds; ``until`` None is now.
    exact
        Whether ``start`` is right to within one look; otherwise it began earlier.
    """

    what: What
    status: str | None
    start: float
    until: float | None
    exact: bool


class History:
    """The spans of everything that was seen.  One thread writes; others may read."""

    def __init__(self) -> None:
        self._spans: dict[tuple[What, str], tuple[Span, ...]] = {}
        self._paired: set[str] = set()

    def saw(self, kind: Kind, fresh: Iterable[Any], gone: Iterable[str], *, at: float, last: float | None) -> None:
        """Take in what is different in a listing.

        Parameters
        ----------
        kind
            Which listing.
        fresh, gone
            Objects that are new or different, ids that are not there any more.
        at
            When the answer came, in epoch milliseconds.
        last
            When the good answer before it came; None for the first.
        """
        exact = last is not None and at - last <= EXACT_WITHIN_MS
        if kind == "runs":
            for run in fresh:
                self._note("run", run.id, status_name(run), at, exact=exact)
                if run.sampler is not None:
                    self._paired.add(run.sampler.id)
                    self._note("sampler", run.sampler.id, status_name(run.sampler), at, exact=exact)
            self._end("run", gone, at)
        elif kind == "deployments":
            for deployment in fresh:
                self._note("deployment", deployment.id, status_name(deployment), at, exact=exact)
            self._end("deployment", gone, at)
        elif kind == "samplers":
            # The sampler of a run is told by the run: two listings that were asked a moment apart would contradict each other.
            for sampler in fresh:
                if sampler.id not in self._paired:
                    self._note("sampler", sampler.id, status_name(sampler), at, exact=exact)
            self._end("sampler", (key for key in gone if key not in self._paired), at)

    def of(self, what: What, key: str) -> tuple[Span, ...]:
        """Return the spans of one thing, oldest first."""
        return self._spans.get((what, key), ())

    def of_run(self, run: Run, deployments: Mapping[str, Deployment]) -> list[Span]:
        """Return the spans of a run and of both its halves, oldest first.

        What its deployment and its sampler did after another run took them over is not part of it.
        """
        own = self.of("run", run.id)
        deployment = deployment_of(run, deployments)
        deployment_id = run.deployment_id or (deployment.id if deployment is not None else None)
        halves = [
            *(self.of("deployment", deployment_id) if deployment_id is not None else ()),
            *(self.of("sampler", run.sampler.id) if run.sampler is not None else ()),
        ]
        passed_on = deployment is not None and deployment.latest_run_id not in {None, run.id} and status_name(run) in RUN_TERMINAL
        if passed_on and own:
            over = own[-1].start
            halves = [_until(span, over) for span in halves if span.start < over]
        return sorted([*own, *halves], key=lambda span: span.start)

    def _note(self, what: What, key: str, status: str | None, at: float, *, exact: bool) -> None:
        spans = self._spans.get((what, key), ())
        if spans and spans[-1].until is None:
            if spans[-1].status == status:
                return
            spans = (*spans[:-1], replace(spans[-1], until=at))
        self._spans[what, key] = (*spans[1 - _MOST_SPANS :], Span(what, status, at, None, exact))

    def _end(self, what: What, keys: Iterable[str], at: float) -> None:
        for key in keys:
            spans = self._spans.get((what, key), ())
            if spans and spans[-1].until is None:
                self._spans[what, key] = (*spans[:-1], replace(spans[-1], until=at))


def _until(span: Span, over: float) -> Span:
    return span if span.until is not None and span.until <= over else replace(span, until=over)
