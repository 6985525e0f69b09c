"""Work on many modules at a time, that stops when the person stops it; and what checkpoints are called in its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from loops_nb.errors import InvalidArgumentError, InvalidURIError
from loops_nb.tensors.awaiting import as_ended
from loops_nb.uri import parse_uri

if TYPE_CHECKING:
    from loops_nb.tensors import WeightSource

#: Told from the calling thread how many modules are done, and of how many; a few times a second, also while none gets done.
Progress = Callable[[int, int], None]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Called(NamedTuple):
    """What a checkpoint is called in results.

    Parameters
    ----------
    checkpoint
        Its label; a second one of the same label has ``(2)`` behind it.
    run_id, target
        Its run, and ``trainer`` or ``sampler``, where the label tells them.
    step
        The training step of its name.
    """

    checkpoint: str
    run_id: str | None
    target: str | None
    step: int | None


def called(sources: Sequence[WeightSource]) -> list[Called]:
    """Return what checkpoints are called, each by a label of its own."""
    seen: Counter[str] = Counter()
    found = []
    for source in sources:
        label = source.label
        seen[label] += 1
        found.append(Called(label if seen[label] == 1 else f"{label} ({seen[label]})", *_saved_by(label), source.step))
    return found


def _saved_by(label: str) -> tuple[str | None, str | None]:
    try:
        uri = parse_uri(f"bt://loops:{label}")
    except InvalidURIError:
        return None, None
    return uri.run_id, uri.target


def in_parallel(do: Callable[[Item], Result], items: Iterable[Item], *, workers: int, progress: Progress | None = None) -> list[Result]:
    """Return what a function makes of each item, in their order.

    What was not begun when one fails, or when the person presses Ctrl-C, is not begun any more.

    Parameters
    ----------
    do
        The function; it is called in threads.
    items
        What it is called with.
    workers
        How many threads.
    progress
        As in `Progress`.
    """
    if workers < 1:
        raise InvalidArgumentError(f"workers must be at least 1, not {workers}.", argument="workers")
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="loops-compare")
    try:
        begun = [pool.submit(do, item) for item in items]
        done = 0
        for future in as_ended(begun):
            if future is not None:
                future.result()
                done += 1
            if progress is not None:
                progress(done, len(begun))
        return [future.result() for future in begun]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
