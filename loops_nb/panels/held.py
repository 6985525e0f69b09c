"""The GPUs that runs, deployments and samplers hold, counted without looking at all of them again at each look."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.panels.content import differing
from loops_nb.panels.rows import gpus_of, is_alive, is_serverless, state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loops_nb.models import Deployment, Sampler


class Held(NamedTuple):
    """What one half holds: its GPUs if they are told, and whether something active is behind it; None where that is not known.

    A listing of runs may be filtered where the one of deployments is not, so a half that no listed run explains is not idle: it may
    train for another team.
    """

    gpus: int | None
    in_use: bool | None


#: Halves by id.
Halves = tuple[tuple[str, Held], ...]


def halves_of(halves: Iterable[Deployment | Sampler | None], *, in_use: bool | None) -> Halves:
    """Return what those of some halves hold that are alive and on hardware of the caller's."""
    return tuple(
        # What is on its way down needs nobody any more.
        (half.id, Held(gpus_of(half), True if state(half.status) == "DEACTIVATING" else in_use))
        for half in halves
        if half is not None and is_alive(half) and not is_serverless(half)
    )


class Holdings:
    """All halves together; a half that several claim counts once, in use if it is for any of them, else as the first one says."""

    def __init__(self) -> None:
        self._claims: tuple[Mapping[str, Halves], ...] = ()
        self._claimed: Counter[str] = Counter()
        self._held: Counter[Held] = Counter()

    def count(self, *claims: Mapping[str, Halves]) -> Counter[Held]:
        """Return how many halves hold what.

        Parameters
        ----------
        claims
            Who claims which halves; always as many, in the order in which they count.
        """
        former, self._claims = self._claims or tuple({} for _ in claims), claims
        for was, now in zip(former, claims, strict=True):
            fresh, gone = differing(was, now)
            for key in (*fresh, *gone):
                self._add(was.get(key, ()), -1)
            for key in fresh:
                self._add(now[key], 1)
        if len(self._claimed) == self._claimed.total():
            return self._held
        first: dict[str, Held] = {}
        for claim in claims:
            for halves in claim.values():
                for key, held in halves:
                    known = first.setdefault(key, held)
                    if held.in_use and not known.in_use:
                        first[key] = held
        return Counter(first.values())

    def _add(self, halves: Halves, times: int) -> None:
        for key, held in halves:
            self._claimed[key] += times
            self._held[held] += times
            if not self._claimed[key]:
                del self._claimed[key]
