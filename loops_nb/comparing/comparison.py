"""Checkpoints against one of them, module by module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.comparing.changes import Change, changes
from loops_nb.comparing.threads import one_thread_a_product
from loops_nb.comparing.weights import Key, Module, Modules, Weights, absent, between, keys_of, load, modules_of
from loops_nb.comparing.work import Called, Progress, called, in_parallel
from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.tensors import WeightSource

COMMON, APPEARED, VANISHED = "common", "appeared", "vanished"
STATES = (COMMON, APPEARED, VANISHED)


class Compared(NamedTuple):
    """One module of a checkpoint beside the same of the baseline.

    Parameters
    ----------
    module, module_type, layer
        Where in the model it is.
    checkpoint, baseline
        Labels of the two.
    run_id, target, step
        Of the checkpoint, where known.
    quantity
        What the norms are of: ``update`` (the scaled B @ A) or ``weights`` (a tensor as it is).
    state
        Whether both have it (``common``), or it ``appeared`` or ``vanished`` since the baseline.
    rank, rank_before, scale, scale_before
        Of the update in the checkpoint and in the baseline; scale is alpha / rank (or alpha / root of rank), None where not known.
    norm, norm_before
        Frobenius norms.  An update that is not there is zero; a tensor that is not there, or an update of unknown scale, has none (NaN).
    change, relative_change, cosine
        As in `loops_nb.comparing.weights.Measured`.
    parameters
        Weights that it has in the checkpoint, or had in the baseline when it vanished.
    nonfinite
        Weights of both that are NaN or infinite; norms are NaN then.
    """

    module: str
    module_type: str
    layer: int | None
    checkpoint: str
    baseline: str
    run_id: str | None
    target: str | None
    step: int | None
    quantity: str
    state: str
    rank: int | None
    rank_before: int | None
    scale: float | None
    scale_before: float | None
    norm: float
    norm_before: float
    change: float
    relative_change: float
    cosine: float
    parameters: int
    nonfinite: int


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Parameters
    ----------
    baseline
        Label of the checkpoint that the others are compared with.
    rows
        One for each checkpoint and module, by checkpoint, then by layer.
    changes
        Tensors that are not the same going by the headers, of all checkpoints.
    notes
        Sentences about what limits the numbers, each with the checkpoints that it is about.
    """

    baseline: str
    rows: tuple[Compared, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def compare(sources: Sequence[WeightSource], *, baseline: int = 0, workers: int = 4, progress: Progress | None = None) -> Comparison:
    """Compare checkpoints with one of them.

    Each module's factors are read once; a worker holds those of two checkpoints at a time.

    Parameters
    ----------
    sources
        Two checkpoints or more.
    baseline
        Place of the one that the others are compared with.
    workers
        Modules at a time.
    progress
        Told how many modules are done, and of how many.

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two checkpoints, or none at the baseline's place.
    """
    if len(sources) < 2:  # noqa: PLR2004 - a pair
        raise InvalidArgumentError(f"Two checkpoints are needed to compare; there is {'one' if sources else 'none'}.", argument="sources")
    if not -len(sources) <= baseline < len(sources):
        raise InvalidArgumentError(f"There is no checkpoint {baseline} among {len(sources)} to compare with.", argument="baseline")
    names, modules = called(sources), [modules_of(source) for source in sources]
    at = range(len(sources))[baseline]
    others = [place for place in range(len(sources)) if place != at]
    keys = keys_of(modules)

    def of_module(key: Key) -> list[Compared | None]:
        before = modules[at].by_key.get(key)
        read_before = absent(key, modules[at]) if before is None else load(sources[at], before)
        rows: list[Compared | None] = []
        for place in others:
            now = modules[place].by_key.get(key)
            module = now or before
            if module is None:
                rows.append(None)
                continue
            read = absent(key, modules[place]) if now is None else load(sources[place], now)
            rows.append(_row(module, (names[place], names[at]), (now, before), (read, read_before)))
        return rows

    with one_thread_a_product():
        by_module = in_parallel(of_module, keys, workers=workers, progress=progress)
    return Comparison(
        baseline=names[at].checkpoint,
        rows=tuple(row for rows in zip(*by_module, strict=True) for row in rows if row is not None),
        changes=tuple(change for place in others for change in changes(sources[at], sources[place], labels=(names[at], names[place]))),
        notes=notes_of(names, modules),
    )


def notes_of(names: Sequence[Called], modules: Sequence[Modules]) -> tuple[str, ...]:
    """Return what has to be said about checkpoints, each sentence once, with the checkpoints that it is about."""
    about: dict[str, list[str]] = {}
    for name, one in zip(names, modules, strict=True):
        for note in one.notes:
            about.setdefault(note, []).append(name.checkpoint)
    return tuple(f"{first}{f' and {len(more)} more' if more else ''}: {note}" for note, (first, *more) in about.items())


def _row(
    module: Module, names: tuple[Called, Called], modules: tuple[Module | None, Module | None], read: tuple[Weights, Weights]
) -> Compared:
    (name, baseline), (now, before), (weights, weights_before) = names, modules, read
    measured = between(weights, weights_before)
    return Compared(
        module=module.key.module,
        module_type=module.module_type,
        layer=module.layer,
        checkpoint=name.checkpoint,
        baseline=baseline.checkpoint,
        run_id=name.run_id,
        target=name.target,
        step=name.step,
        quantity=module.key.quantity,
        state=COMMON if now and before else APPEARED if now else VANISHED,
        rank=now.rank if now else None,
        rank_before=before.rank if before else None,
        scale=now.scale if now else None,
        scale_before=before.scale if before else None,
        norm=weights.norm,
        norm_before=weights_before.norm,
        change=measured.change,
        relative_change=measured.relative,
        cosine=measured.cosine,
        parameters=module.parameters,
        nonfinite=weights.nonfinite + weights_before.nonfinite,
    )
