"""Queries of listings, and how often their answers are needed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal, get_args

from loops_nb.client.operations import checkpoints, deployments, runs, samplers
from loops_nb.client.request import Request
from loops_nb.errors import InvalidArgumentError

Kind = Literal["runs", "deployments", "samplers", "checkpoints"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_FILTERS: dict[Kind, frozenset[str]] = {
    "runs": frozenset({"run_id", "base_model", "scope", "team_id"}),
    "deployments": frozenset({"scope"}),
    "samplers": frozenset({"scope", "team_id"}),
    "checkpoints": frozenset({"run_id", "base_model"}),
}


class Priority(IntEnum):
    """How often a subscriber needs new data.

    Attributes
    ----------
    NONE
        Never: nothing is requested and nothing is delivered.
    BACKGROUND
        Every five intervals.
    VISIBLE
        For what a user looks at: every interval while something changes, slowing down to every five intervals.
    WAITING
        For a user who waits for a change: always every interval.
    """

    NONE = 0
    BACKGROUND = 1
    VISIBLE = 2
    WAITING = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A listing with its filters.

    Parameters
    ----------
    kind : str
        ``runs``, ``deployments``, ``samplers`` or ``checkpoints``.
    run_id, base_model : str or None, default None
        Only those of one run, or of one base model; for runs both, for checkpoints one of them.  Checkpoints with
        neither are those of all runs listed with the same scope and team.
    scope, team_id : str or None, default None
        As in the listings of the client.

    Raises
    ------
    InvalidArgumentError
        If the API has no such listing.

    Examples
    --------
    >>> Query("checkpoints", run_id="k4q95w5").filters()
    {'run_id': 'k4q95w5'}
    """

    kind: Kind
    run_id: str | None = None
    base_model: str | None = None
    scope: str | None = None
    team_id: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgumentError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}.", argument="kind")
        if self.kind in {"deployments", "samplers"} and (self.run_id or self.base_model):
            raise InvalidArgumentError(
                f"The listing of {self.kind} takes neither run_id nor base_model.", argument="kind"
            )
        if not self.is_all_checkpoints:
            self.request()

    @property
    def is_all_checkpoints(self) -> bool:
        """Whether it covers the checkpoints of all listed runs, for which there is no single request."""
        return self.kind == "checkpoints" and self.run_id is None and self.base_model is None

    @property
    def listed_runs(self) -> Query:
        """The listing of runs with the same scope and team."""
        return _listed_runs(self)

    @property
    def canonical(self) -> Query:
        """The query without filters that its listing does not take; equal for queries with the same request."""
        return _canonical(self)

    def request(self) -> Request[bytes]:
        """Return the request, whose response is not decoded."""
        operations: dict[Kind, Any] = {
            "runs": runs.list_,
            "deployments": deployments.list_,
            "samplers": samplers.list_,
            "checkpoints": checkpoints.list_,
        }
        request: Request[Any] = operations[self.kind](**self.filters())
        return request.with_decoder(bytes)

    def filters(self) -> dict[str, str]:
        """Return the filters that the listing takes."""
        given = {"run_id": self.run_id, "base_model": self.base_model, "scope": self.scope, "team_id": self.team_id}
        return {name: value for name, value in given.items() if value is not None and name in _FILTERS[self.kind]}


# Needed at every poll, for every subscriber.
@lru_cache(maxsize=4096)
def _canonical(query: Query) -> Query:
    return Query(query.kind, **query.filters())


@lru_cache(maxsize=4096)
def _listed_runs(query: Query) -> Query:
    return Query("runs", scope=query.scope, team_id=query.team_id)
