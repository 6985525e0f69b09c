"""Samplers, deployments and checkpoints: live tables of their listings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import size
from loops_nb.errors import InvalidArgumentError
from loops_nb.live import Need
from loops_nb.panels.content import Content, Memo
from loops_nb.panels.notices import Trouble, deployment_trouble, sampler_trouble
from loops_nb.panels.rows import checkpoint_row, deployment_row, gpus_of, is_alive, is_serverless, sampler_row
from loops_nb.panels.view import envelope, frames
from loops_nb.panels.wire import Fact

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.live import Board
    from loops_nb.models import Checkpoint, Deployment, Sampler
    from loops_nb.panels.wire import ViewName


class SamplersView:
    """All samplers, paired and standalone; parameters as in ``loops.samplers.list``."""

    name: ViewName = "samplers"

    def __init__(self, *, scope: str | None = None, team_id: str | None = None) -> None:
        self._samplers = Need("samplers", scope=scope, team_id=team_id)
        # A sampler does not say which run it is paired with; the run does.
        self._runs = Need("runs", scope=scope, team_id=team_id)
        self.needs: tuple[Need, ...] = (self._samplers, self._runs)
        self.title = "Samplers"
        self.line = _line("samplers", scope=scope, team=team_id)
        self._rows = Memo(sampler_row)

    def compose(self, board: Board, now: float) -> Content:  # noqa: ARG002 - as every view
        """Return the rows."""
        samplers = board.samplers
        run_of = {run.sampler.id: key for key, run in reversed(board.runs.items()) if run.sampler is not None}
        rows = self._rows.of(samplers, run_of)
        alive = [sampler for sampler in samplers.values() if is_alive(sampler)]
        facts = (
            Fact(label="alive", value=f"{len(alive):,} of {len(samplers):,}", tone="good" if alive else None),
            *gpu_facts(alive),
        )
        return Content({"samplers": rows}, facts)

    def troubles(self, board: Board) -> dict[str, Trouble]:
        """Return what is to be said of each sampler."""
        return {key: sampler_trouble(sampler) for key, sampler in board.samplers.items()}

    def frame(self, board: Board) -> pd.DataFrame:
        """Return them as ``loops.samplers.frame`` would."""
        frame: pd.DataFrame = frames().samplers_frame(envelope("samplers", board.samplers))
        return frame


class DeploymentsView:
    """All Loops deployments; parameters as in ``loops.deployments.list``."""

    name: ViewName = "deployments"

    def __init__(self, *, scope: str | None = None) -> None:
        self._deployments = Need("deployments", scope=scope)
        self.needs: tuple[Need, ...] = (self._deployments,)
        self.title = "Deployments"
        self.line = _line("deployments", scope=scope)
        self._rows = Memo(deployment_row)

    def compose(self, board: Board, now: float) -> Content:  # noqa: ARG002 - as every view
        """Return the rows."""
        deployments = board.deployments
        rows = self._rows.of(deployments)
        halves = [half for d in deployments.values() for half in (d, d.sampler) if half is not None and is_alive(half)]
        alive = sum(is_alive(deployment) for deployment in deployments.values())
        facts = (
            Fact(label="alive", value=f"{alive:,} of {len(deployments):,}", tone="good" if alive else None),
            *gpu_facts(halves),
        )
        return Content({"deployments": rows}, facts)

    def troubles(self, board: Board) -> dict[str, Trouble]:
        """Return what is to be said of each deployment."""
        return {key: deployment_trouble(deployment) for key, deployment in board.deployments.items()}

    def frame(self, board: Board) -> pd.DataFrame:
        """Return them as ``loops.deployments.frame`` would."""
        frame: pd.DataFrame = frames().deployments_frame(envelope("deployments", board.deployments))
        return frame


class CheckpointsView:
    """Checkpoints of one run, or of one base model.

    Raises
    ------
    InvalidArgumentError
        If not exactly one of the two is given: the API lists checkpoints by one of them.
    """

    name: ViewName = "checkpoints"

    def __init__(self, *, run_id: str | None = None, base_model: str | None = None) -> None:
        if (run_id is None) == (base_model is None):
            raise InvalidArgumentError(
                "Checkpoints are watched by run or by base model: give exactly one of run_id and base_model.",
                argument="run_id",
                hint="For example: %loops watch checkpoints --run RUN",
            )
        self._checkpoints = Need("checkpoints", run_id=run_id, base_model=base_model)
        self.needs: tuple[Need, ...] = (self._checkpoints,)
        self.title = f"Checkpoints of {'run ' if run_id else ''}{run_id or base_model}"
        self.line = f"%loops watch checkpoints {'--run' if run_id else '--base-model'} {run_id or base_model}"
        self._rows = Memo(checkpoint_row)

    def compose(self, board: Board, now: float) -> Content:  # noqa: ARG002 - as every view
        """Return the rows."""
        checkpoints = board.checkpoints(self._checkpoints)
        rows = self._rows.of(checkpoints)
        facts = [Fact(label="checkpoints", value=f"{len(checkpoints):,}")]
        facts += size_facts(checkpoints.values())
        return Content({"checkpoints": rows}, tuple(facts))

    def troubles(self, board: Board) -> dict[str, Trouble]:  # noqa: ARG002 - a checkpoint does not end
        """Return nothing: a checkpoint does not end."""
        return {}

    def frame(self, board: Board) -> pd.DataFrame:
        """Return them as ``loops.checkpoints.frame`` would."""
        frame: pd.DataFrame = frames().checkpoints_frame(envelope("checkpoints", board.checkpoints(self._checkpoints)))
        return frame


def gpu_facts(halves: Iterable[Deployment | Sampler]) -> list[Fact]:
    """Return how many GPUs some living halves hold, and of how many halves that is not known; shared capacity holds none."""
    counts = [gpus_of(half) for half in halves if not is_serverless(half)]
    facts = [Fact(label="GPUs held", value=f"{sum(count or 0 for count in counts):,}")]
    untold = counts.count(None)
    return [*facts, Fact(label="alive on hardware not told", value=f"{untold:,}")] if untold else facts


def size_facts(checkpoints: Iterable[Checkpoint]) -> list[Fact]:
    """Return the total size of some checkpoints; a lower bound where the service does not tell all of them."""
    sizes = [found.size_bytes for found in checkpoints]
    known = [found for found in sizes if found is not None]
    if not known:
        return []
    return [Fact(label="in all", value=f"{'' if len(known) == len(sizes) else 'at least '}{size(sum(known))}")]


def _line(what: str, **options: str | None) -> str:
    return f"%loops watch {what}" + "".join(f" --{flag} {value}" for flag, value in options.items() if value is not None)
