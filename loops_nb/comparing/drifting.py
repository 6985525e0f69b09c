"""How the weights of a run move from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.comparing.comparison import notes_of
from loops_nb.comparing.threads import one_thread_a_product
from loops_nb.comparing.weights import UNKNOWN, Key, Modules, absent, between, keys_of, load, modules_of
from loops_nb.comparing.work import Called, Progress, called, in_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.comparing.weights import Weights
    from loops_nb.tensors import WeightSource


class Drifted(NamedTuple):
    """One module at one step.

    Parameters
    ----------
    module, module_type, layer
        Where in the model it is.
    step, checkpoint, previous
        Training step and label of the checkpoint, and label of the one before; None for the first.
    run_id, target
        Of the checkpoint, where known.
    quantity
        What the norms are of: ``update`` (the scaled B @ A) or ``weights`` (a tensor as it is).
    rank, scale
        Of the update in this checkpoint; None where it lacks the module.
    norm
        Frobenius norm.  An update that is not there is zero; a tensor that is not there, or an update of unknown scale, has none (NaN).
    change, relative_change, cosine
        From the checkpoint before, as in `loops_nb.comparing.weights.Measured`; NaN at the first.
    change_from_first, relative_change_from_first, cosine_to_first
        The same, from the first checkpoint.
    path_length
        Sum of the changes until here.
    parameters
        Weights that it has; 0 where the checkpoint lacks the module.
    nonfinite
        Weights that are NaN or infinite; the norm is NaN then.
    """

    module: str
    module_type: str
    layer: int | None
    step: int | None
    checkpoint: str
    previous: str | None
    run_id: str | None
    target: str | None
    quantity: str
    rank: int | None
    scale: float | None
    norm: float
    change: float
    relative_change: float
    cosine: float
    change_from_first: float
    relative_change_from_first: float
    cosine_to_first: float
    path_length: float
    parameters: int
    nonfinite: int


@dataclass(frozen=True)
class Drift:
    """What `drift` found.

    Parameters
    ----------
    rows
        One for each checkpoint and module: path by path, by step, then by layer.
    notes
        Sentences about what limits the numbers, each with the checkpoints that it is about.
    """

    rows: tuple[Drifted, ...]
    notes: tuple[str, ...]


class _Stop(NamedTuple):
    """A checkpoint on its path."""

    name: Called
    source: WeightSource
    modules: Modules


def drift(sources: Sequence[WeightSource], *, workers: int = 4, progress: Progress | None = None) -> Drift:
    """Follow the weights along the steps of training.

    The checkpoints of one run and one target (a trainer's, a sampler's) are a path, each with its own first and previous.  On a path
    they go by step; those without one come at the end, as given.  Each module's factors are read once a checkpoint; a worker holds
    those of three checkpoints at a time.

    Parameters
    ----------
    sources
        The checkpoints, in any order.
    workers
        Modules at a time.
    progress
        Told how many modules are done, and of how many.
    """
    names, modules = called(sources), [modules_of(source) for source in sources]
    paths: dict[tuple[str | None, str | None], list[_Stop]] = {}
    for stop in sorted(map(_Stop, names, sources, modules), key=lambda stop: (stop.name.step is None, stop.name.step or 0)):
        paths.setdefault((stop.name.run_id, stop.name.target), []).append(stop)
    # Paths in the order in which they were given, not of their first steps.
    in_order = [paths[key] for key in dict.fromkeys((name.run_id, name.target) for name in names)]
    work = [(path, key) for path in in_order for key in keys_of(stop.modules for stop in path)]
    with one_thread_a_product():
        found = iter(in_parallel(lambda item: _along(*item), work, workers=workers, progress=progress))
    rows: list[Drifted] = []
    for path in in_order:
        by_module = [next(found) for _ in keys_of(stop.modules for stop in path)]
        rows += [row for of_step in zip(*by_module, strict=True) for row in of_step]
    return Drift(tuple(rows), notes_of(names, modules))


def _along(path: Sequence[_Stop], key: Key) -> list[Drifted]:
    somewhere = next(stop.modules.by_key[key] for stop in path if key in stop.modules.by_key)
    rows: list[Drifted] = []
    first: Weights | None = None
    before: Weights | None = None
    for stop in path:
        module = stop.modules.by_key.get(key)
        now = absent(key, stop.modules) if module is None else load(stop.source, module)
        first = first or now
        last = rows[-1] if rows else None
        step = UNKNOWN if before is None else between(now, before)
        start = between(now, first)
        before = now
        rows.append(
            Drifted(
                module=key.module,
                module_type=somewhere.module_type,
                layer=somewhere.layer,
                step=stop.name.step,
                checkpoint=stop.name.checkpoint,
                previous=last.checkpoint if last else None,
                run_id=stop.name.run_id,
                target=stop.name.target,
                quantity=key.quantity,
                rank=module.rank if module else None,
                scale=module.scale if module else None,
                norm=now.norm,
                change=step.change,
                relative_change=step.relative,
                cosine=step.cosine,
                change_from_first=start.change,
                relative_change_from_first=start.relative,
                cosine_to_first=start.cosine,
                path_length=last.path_length + step.change if last else 0.0,
                parameters=module.parameters if module else 0,
                nonfinite=now.nonfinite,
            )
        )
    return rows
