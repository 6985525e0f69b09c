"""What every view is: what it needs from the service, and how it is made from that."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from loops_nb.panels.content import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from loops_nb.live import Board, Need
    from loops_nb.models import Deployment, Run
    from loops_nb.panels.content import Content
    from loops_nb.panels.notices import Trouble
    from loops_nb.panels.wire import ViewName


class View(Protocol):
    """One kind of panel, without anything of a notebook in it.

    Attributes
    ----------
    name, title, line
        As in `loops_nb.panels.wire.Snapshot`.
    needs
        The listings it stands on.
    """

    name: ViewName
    title: str
    line: str
    needs: tuple[Need, ...]

    def compose(self, board: Board, now: float) -> Content:
        """Return what to show; parts that are as before are the same objects."""

    def troubles(self, board: Board) -> Mapping[str, Trouble]:
        """Return what is to be said of each thing, by id."""

    def frame(self, board: Board) -> pd.DataFrame:
        """Return the newest data as the frame of its listing."""


def deployments_of_runs(runs: Mapping[str, Run], deployments: Mapping[str, Deployment]) -> dict[str, Deployment | None]:
    """Return the deployment of each run: by its id, or in the first documents' shape by the run that it serves or served last."""
    found = {key: deployments.get(run.deployment_id) if run.deployment_id is not None else None for key, run in runs.items()}
    untold = [key for key, run in runs.items() if run.deployment_id is None]
    if not untold:
        return found
    by_run: dict[str, Deployment] = {}
    for deployment in deployments.values():
        for run_id in (deployment.active_run_id, deployment.latest_run_id):
            if run_id is not None:
                by_run.setdefault(run_id, deployment)
    return found | {key: by_run.get(key) for key in untold}


class Pairing:
    """The same, remembered for as long as no run names another deployment and no deployment is another."""

    def __init__(self) -> None:
        self._told: Memo[str | None] = Memo(attrgetter("deployment_id"))
        self._made_of: tuple[Any, Any] = (None, None)
        self._found: dict[str, Deployment | None] = {}

    def of(self, runs: Mapping[str, Run], deployments: Mapping[str, Deployment]) -> dict[str, Deployment | None]:
        """Return the deployment of each run."""
        told = self._told.of(runs)
        if self._made_of[0] is not told or self._made_of[1] is not deployments:
            self._made_of, self._found = (told, deployments), deployments_of_runs(runs, deployments)
        return self._found


def envelope(key: str, things: Mapping[str, Any]) -> bytes:
    """Return objects as the listing that they came from."""
    return b'{"%s":[%s]}' % (key.encode(), b",".join(bytes(thing.raw_json) for thing in things.values()))


def frames() -> Any:
    """Return `loops_nb.frames`; pandas is for those who ask for a frame."""
    from loops_nb import accessor, frames  # noqa: F401, PLC0415 - the accessor registers itself

    return frames
