"""What somebody wants to be kept fresh, and how eagerly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal, get_args

from loops_nb.client.call import Call
from loops_nb.client.operations import checkpoints, deployments, runs, samplers
from loops_nb.errors import InvalidArgumentError

Kind = Literal["runs", "deployments", "samplers", "checkpoints"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_TAKES: dict[Kind, frozenset[str]] = {
    "runs": frozenset({"run_id", "base_model", "scope", "team_id"}),
    "deployments": frozenset({"scope"}),
    "samplers": frozenset({"scope", "team_id"}),
    "checkpoints": frozenset({"run_id", "base_model"}),
}


class Attention(IntEnum):
    """How eagerly a subscriber wants to know.

    Attributes
    ----------
    ASLEEP
        Not at all: nothing is asked for its sake, and it is told nothing.
    HEARTBEAT
        Slowly: five intervals between two looks.
    WATCHED
        A person is looking: an interval while something changes, up to five of them when all has long been still.
    WAITING
        A person waits for it: always an interval.
    """

    ASLEEP = 0
    HEARTBEAT = 1
    WATCHED = 2
    WAITING = 3


@dataclass(frozen=True, slots=True)
class Need:
    """A listing that somebody stands on.

    Parameters
    ----------
    kind
        ``runs``, ``deployments``, ``samplers`` or ``checkpoints``.
    run_id, base_model
        Only this run's, only this base model's; for runs (both) and checkpoints (one of them).  Checkpoints with neither: those of all
        runs that are listed with the same scope and team.
    scope, team_id
        As in the listings of the client.

    Raises
    ------
    InvalidArgumentError
        If the listing cannot be asked for like that.
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
            raise InvalidArgumentError(f"The listing of {self.kind} takes neither run_id nor base_model.", argument="kind")
        if not self.is_all_checkpoints:
            self.call()

    @property
    def is_all_checkpoints(self) -> bool:
        """Whether it wants the checkpoints of everything listed, for which there is no single request."""
        return self.kind == "checkpoints" and self.run_id is None and self.base_model is None

    @property
    def listed_runs(self) -> Need:
        """The listing that tells whose checkpoints are meant by "everything listed"."""
        return _listed_runs(self)

    @property
    def plain(self) -> Need:
        """The same request without what the listing does not take: equal for needs that one request serves."""
        return _plain(self)

    def call(self) -> Call[bytes]:
        """Return the request, its answer not decoded."""
        operations: dict[Kind, Any] = {
            "runs": runs.list_,
            "deployments": deployments.list_,
            "samplers": samplers.list_,
            "checkpoints": checkpoints.list_,
        }
        call: Call[Any] = operations[self.kind](**self.filters())
        return call.decoded_by(bytes)

    def filters(self) -> dict[str, str]:
        """Return the query that the listing takes."""
        given = {"run_id": self.run_id, "base_model": self.base_model, "scope": self.scope, "team_id": self.team_id}
        return {name: value for name, value in given.items() if value is not None and name in _TAKES[self.kind]}


# Asked for at every look, for every subscriber.
@lru_cache(maxsize=4096)
def _plain(need: Need) -> Need:
    return Need(need.kind, **need.filters())


@lru_cache(maxsize=4096)
def _listed_runs(need: Need) -> Need:
    return Need("runs", scope=need.scope, team_id=need.team_id)
