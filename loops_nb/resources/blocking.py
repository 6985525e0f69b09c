"""Runs work on checkpoint files, which blocks on many threads and connections: directly, or beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from loops_nb.checkpoints.service import CheckpointService
from loops_nb.client._async.transport import AsyncTransport
from loops_nb.client.transport import Transport

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.sampling.evaluation.evaluation import Evaluation

R = TypeVar("R")


def run_blocking(transport: Transport, work: Callable[[CheckpointService], R]) -> R:
    """Do something with a `CheckpointService`.

    Parameters
    ----------
    transport : Transport
        The connection.
    work : callable
        Called with the service; its result is returned.
    """
    return work(CheckpointService(transport))


async def run_blocking_async(transport: AsyncTransport, work: Callable[[CheckpointService], R]) -> R:
    """Do something with a `CheckpointService` in a thread, over a transport of its own with the same address and key.

    Cancelling closes the connections to files, so that the thread ends soon; what was downloaded is kept.
    """
    own = Transport(transport.config)
    service = CheckpointService(own)

    def work_in_thread() -> R:
        with closing(own):
            return work(service)

    try:
        return await asyncio.to_thread(work_in_thread)
    except asyncio.CancelledError:
        service.cancel()
        raise


def run_evaluation(transport: Transport, evaluation: Evaluation) -> pd.DataFrame:
    """Run an evaluation of checkpoints.

    Parameters
    ----------
    transport : Transport
        The connection.
    evaluation : Evaluation
        What is asked and scored.
    """
    return evaluation.run(transport)


async def run_evaluation_async(transport: AsyncTransport, evaluation: Evaluation) -> pd.DataFrame:
    """Run an evaluation in a thread, the score function too, over a transport of its own with the same address and key.

    Cancelling ends it soon; what was scored is kept.
    """
    own = Transport(transport.config)

    def work_in_thread() -> pd.DataFrame:
        with closing(own):
            return evaluation.run(own)

    try:
        return await asyncio.to_thread(work_in_thread)
    except asyncio.CancelledError:
        evaluation.cancel()
        raise
