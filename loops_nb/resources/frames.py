"""DataFrames of answers, for both flavours of the client; pandas is imported when the first one is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from loops_nb.api.models import Checkpoint, DeploymentMetrics, InstanceType, ModelMetrics, Run, UsageSummary
from loops_nb.api.states import TERMINAL
from loops_nb.client.config import ClientConfig
from loops_nb.client.frame_connections import CONNECTION_ATTR, token_of
from loops_nb.client.logs import LogReading
from loops_nb.client.responses import readable
from loops_nb.frames import KINDS, ListingRows, decoded_listing, runs_listing
from loops_nb.frames import files_frame as frame_of_files

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.api.models import Model, ModelDeployment

    Rows = TypeVar("Rows", pd.DataFrame, ListingRows)


def listing_decoder(kind: str) -> Callable[[bytes], ListingRows]:
    """Return the function that decodes the body of a listing of a kind, such as ``samplers``."""
    return partial(decoded_listing, kind=KINDS[kind])


def alive_rows(found: ListingRows) -> ListingRows:
    """Return the rows of a listing whose state is not a last one."""
    ended = TERMINAL[found.kind.name]
    return found.where(status not in ended for status in found.values("status"))


def runs_rows(runs: bytes, deployments: bytes | None) -> ListingRows:
    """Return the rows of a listing of runs, with the states of a listing of deployments."""
    with readable():
        return runs_listing(runs, deployments=deployments)


def frame_of(found: ListingRows) -> pd.DataFrame:
    """Return the DataFrame of a listing.

    Raises
    ------
    UnreadableAnswerError
        If a value does not fit its column.
    """
    with readable():
        return found.frame()


def files_frame(pages: Sequence[bytes], *, urls: bool) -> pd.DataFrame:
    """Return the frame of the pages of a file listing."""
    with readable():
        return frame_of_files(pages, urls=urls)


def log_lines_frame(reading: LogReading) -> pd.DataFrame:
    """Return the frame of log lines, with the notes on what is left out."""
    from loops_nb.frames.attributes import NOTES_ATTR
    from loops_nb.frames.computed import computed_frame  # pandas takes 0.2 s to import

    lines = reading.lines
    frame = computed_frame(
        KINDS["logs"],
        {
            "timestamp": [line.line.timestamp for line in lines],
            "level": [line.line.level for line in lines],
            "half": [line.half for line in lines],
            "replica": [line.line.replica for line in lines],
            "request_id": [line.line.request_id for line in lines],
            "message": [line.line.message for line in lines],
        },
    )
    if reading.notes:
        frame.attrs[NOTES_ATTR] = list(reading.notes)
    return frame


def usage_frame(summary: UsageSummary, *, daily: bool) -> pd.DataFrame:
    """Return the frame of billed usage, see `loops_nb.frames.costs.usage_frame`."""
    from loops_nb.frames import costs

    with readable():
        return costs.usage_frame(summary, daily=daily)


def cost_frame(
    *,
    runs: Sequence[Run],
    rates: tuple[float | None, float | None],
    models: Sequence[tuple[str, str, ModelDeployment]],
    shapes: Sequence[InstanceType],
    **sources: Any,
) -> pd.DataFrame:
    """Return the frame of what is held, with the tokens that this machine has recorded of the runs.

    Parameters
    ----------
    runs, rates, models, **sources
        As in `loops_nb.frames.costs.CostSources`.
    shapes : sequence of InstanceType
        Those that the service lists.
    """
    from loops_nb.frames import costs
    from loops_nb.tracking.token_counts import recorded_tokens

    tokens = recorded_tokens({run.id for run in runs})
    with readable():
        return costs.cost_frame(
            costs.CostSources(
                runs=runs,
                tokens=tokens,
                rates=costs.TokenRates(*rates),
                models=[costs.DeployedHardware(*model) for model in models],
                shapes={shape.name: shape for shape in shapes if shape.name},
                **sources,
            )
        )


def checkpoint_sizes_frame(
    checkpoints: Sequence[Checkpoint], names: Mapping[str, str | None], now: datetime
) -> pd.DataFrame:
    """Return the frame of checkpoints by run and age."""
    from loops_nb.frames import costs

    with readable():
        return costs.checkpoint_sizes_frame(checkpoints, names, now)


def system_frame(
    parts: Iterable[tuple[str, DeploymentMetrics | ModelMetrics]], *, time_divisor_seconds: int | None = None
) -> pd.DataFrame:
    """Return the tidy frame of system metrics, see `loops_nb.frames.system_metrics.system_frame`."""
    from loops_nb.frames import system_metrics

    with readable():
        return system_metrics.system_frame(parts, time_divisor_seconds=time_divisor_seconds)


def served_models_frame(found: Sequence[tuple[Model, Sequence[ModelDeployment]]], notes: Sequence[str]) -> pd.DataFrame:
    """Return the frame of models and their deployments."""
    from loops_nb.frames import served_models  # pandas takes 0.2 s to import

    return served_models.served_models_frame(found, notes)


def with_origin(found: Rows, config: ClientConfig) -> Rows:
    """Note in a listing or a frame which client it came from, for the methods of ``df.loops`` that use the network."""
    found.attrs[CONNECTION_ATTR] = token_of(config)
    return found
