"""Checkpoints beside each other, as DataFrames: one row a module, tidy enough to group, pivot and plot.

``quantity`` says what norms are of: ``update`` is the Frobenius norm of a module's LoRA update, B @ A times alpha / rank; ``weights`` that
of a tensor as it is.  A relative change is the norm of the difference as a share of the norm before: 0 where nothing stayed nothing,
infinite where nothing became something.  A cosine is missing where one of both is zero.  Where weights are not finite numbers, their
norms and all that follows are missing, and ``nonfinite`` says how many there are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loops_nb.comparing import sum_compared, sum_drifted
from loops_nb.comparing.changes import CHANGES
from loops_nb.comparing.comparison import STATES
from loops_nb.comparing.weights import QUANTITIES
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.derived import derived, derived_frame
from loops_nb.models import CHECKPOINT_TARGETS
from loops_nb.tensors.dtypes import BITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.comparing import By, Change, Comparison, Drift, Duplicates

_STRING, _WORD, _COUNT, _NUMBER = Dtype.STRING, Dtype.WORD, Dtype.COUNT, Dtype.NUMBER

_MODULE = Column("module", _STRING, (), "Path of the module in the base model; of a tensor compared as it is, its name.")
_MODULE_TYPE = Column("module_type", _STRING, (), "The module's own name, the same in all layers.")
_LAYER = Column("layer", _COUNT, (), "Number of the layer; missing outside of layers.")
_STEP = Column("step", _COUNT, (), "Training step that the checkpoint's name tells.")
_CHECKPOINT = Column("checkpoint", _STRING, (), "Checkpoint, as run/weights/name or by its id.")
_BASELINE = Column("baseline", _STRING, (), "The checkpoint that it is compared with.")
_PREVIOUS = Column("previous", _STRING, (), "The checkpoint before it, of the same run and target; missing for the first.")
_RUN = Column("run_id", _STRING, (), "Run that saved it, where known.")
_TARGET = Column("target", _WORD, (), "What can load it, where known.", CHECKPOINT_TARGETS)
_QUANTITY = Column("quantity", _WORD, (), "What is compared: scaled LoRA updates B @ A, or tensors as they are.", QUANTITIES)
_MODULES = Column("modules", _COUNT, (), "Number of modules summed up.")
_RANK = Column("rank", _COUNT, (), "LoRA rank of the module.")
_SCALE = Column(
    "scale", _NUMBER, (), "Factor before B @ A: alpha / rank, or alpha / root of rank; missing, as is the norm, where not known."
)
_NORM = Column("norm", _NUMBER, (), "Frobenius norm.")
_CHANGE = Column("change", _NUMBER, (), "Frobenius norm of the difference to the baseline.")
_RELATIVE = Column("relative_change", _NUMBER, (), "The change as a share of the norm before.")
_COSINE = Column("cosine", _NUMBER, (), "Cosine of the angle to the baseline.")
_PARAMETERS = Column("parameters", _COUNT, (), "Number of weights.")
_NONFINITE = Column("nonfinite", _COUNT, (), "Weights that are NaN or infinite.")


def _kind(name: str, *columns: Column) -> Kind:
    return derived(Kind(name, many=(), one=(), columns=columns))


_COMPARED = (
    _NORM,
    Column("norm_before", _NUMBER, (), "Frobenius norm in the baseline."),
    _CHANGE,
    _RELATIVE,
    _COSINE,
    _PARAMETERS,
    replace(_NONFINITE, meaning="Weights that are NaN or infinite, in the checkpoint and in the baseline."),
)
_DRIFTED = (
    _NORM,
    replace(_CHANGE, meaning="Frobenius norm of the difference to the checkpoint before; missing for the first."),
    _RELATIVE,
    replace(_COSINE, meaning="Cosine of the angle to the checkpoint before."),
    Column("change_from_first", _NUMBER, (), "Frobenius norm of the difference to the first checkpoint."),
    Column("relative_change_from_first", _NUMBER, (), "That as a share of the first one's norm."),
    Column("cosine_to_first", _NUMBER, (), "Cosine of the angle to the first checkpoint."),
    Column("path_length", _NUMBER, (), "Sum of all changes until here."),
    _PARAMETERS,
    _NONFINITE,
)
# What a person looks for stands first: a page shows only so many columns.
_OF_COMPARED = (_BASELINE, _RUN, _TARGET, _STEP, _QUANTITY)
_OF_DRIFTED = (_PREVIOUS, _RUN, _TARGET, _QUANTITY)

CHANGED = _kind(
    "changes",
    Column("tensor", _STRING, (), "Name of the tensor, without the wrappers of a trainer."),
    Column("change", _WORD, (), "What happened to it since the baseline.", CHANGES),
    Column("dtype_before", _WORD, (), "Its number format in the baseline, in the word of the safetensors format.", tuple(BITS)),
    Column("dtype", _WORD, (), "Its number format in the checkpoint.", tuple(BITS)),
    Column("shape_before", _STRING, (), "Its shape in the baseline, as 16 x 64; scalar for a single number."),
    Column("shape", _STRING, (), "Its shape in the checkpoint."),
    _CHECKPOINT,
    _BASELINE,
    replace(_MODULE, meaning="Path of the module in the base model."),
    _MODULE_TYPE,
    _LAYER,
)
COMPARED = _kind(
    "comparison",
    _MODULE,
    _MODULE_TYPE,
    _LAYER,
    _CHECKPOINT,
    *_COMPARED,
    Column("state", _WORD, (), "Whether both have it, or it appeared or vanished since the baseline.", STATES),
    _RANK,
    Column("rank_before", _COUNT, (), "LoRA rank in the baseline."),
    _SCALE,
    Column("scale_before", _NUMBER, (), "That factor in the baseline."),
    *_OF_COMPARED,
)
DRIFTED = _kind("drift", _MODULE, _MODULE_TYPE, _LAYER, _STEP, _CHECKPOINT, *_DRIFTED, _RANK, _SCALE, *_OF_DRIFTED)
DUPLICATES = _kind(
    "duplicates",
    Column("group", _COUNT, (), "Number of the group; the checkpoints of one group hold the same weights."),
    _CHECKPOINT,
    _RUN,
    _TARGET,
    _STEP,
    Column("tensors", _COUNT, (), "Number of tensors."),
    Column("size_bytes", _COUNT, (), "Their size in bytes."),
    Column("digest", _STRING, (), "BLAKE2b over names, types, shapes and bytes of all tensors."),
)
_FIRST_OF: dict[By, tuple[Column, ...]] = {"layer": (_LAYER,), "module_type": (_MODULE_TYPE,), "checkpoint": ()}
COMPARED_BY = {
    by: _kind(f"comparison_by_{by}", *first, _CHECKPOINT, *_COMPARED, _MODULES, *_OF_COMPARED) for by, first in _FIRST_OF.items()
}
DRIFTED_BY = {by: _kind(f"drift_by_{by}", *first, _STEP, _CHECKPOINT, *_DRIFTED, _MODULES, *_OF_DRIFTED) for by, first in _FIRST_OF.items()}


def changes_frame(changes: Iterable[Change]) -> pd.DataFrame:
    """Return the tensors that are not the same going by their headers: one row a tensor.

    Returns
    -------
    pandas.DataFrame
        Columns tensor (string), change (category: appeared, vanished, shape, dtype, shape and dtype), dtype_before, dtype (categories),
        shape_before, shape (strings, as ``16 x 64``), checkpoint, baseline, module, module_type (strings) and layer (Int64).
    """
    rows = [{**row._asdict(), "shape_before": _shape(row.shape_before), "shape": _shape(row.shape)} for row in changes]
    return _frame(CHANGED, rows)


def compare_frame(comparison: Comparison, *, by: By | None = None) -> pd.DataFrame:
    """Return checkpoints beside the baseline: one row a checkpoint and module, or a checkpoint and group of modules.

    Parameters
    ----------
    comparison
        What `loops_nb.comparing.compare` found.
    by
        ``layer``, ``module_type`` or ``checkpoint`` sums modules up; norms as squares, cosines by their inner products.

    Returns
    -------
    pandas.DataFrame
        Columns module, module_type (strings), layer (Int64), checkpoint (string), norm, norm_before, change, relative_change, cosine
        (float64), parameters, nonfinite (Int64), state (category: common, appeared, vanished), rank, rank_before (Int64), scale,
        scale_before (float64), baseline, run_id (strings), target (category), step (Int64) and quantity (category: update, weights).
        Summed up, ``modules`` (Int64) counts them, and module, state, ranks and scales are left out, as are layer and module_type but
        for the one asked for.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    if by is None:
        return _frame(COMPARED, [row._asdict() for row in comparison.rows])
    rows = [row._asdict() for row in sum_compared(comparison.rows, by)]
    return _frame(COMPARED_BY[by], rows)


def drift_frame(drift: Drift, *, by: By | None = None) -> pd.DataFrame:
    """Return how weights move from step to step: one row a checkpoint and module, or a checkpoint and group of modules.

    Parameters
    ----------
    drift
        What `loops_nb.comparing.drift` found.
    by
        ``layer``, ``module_type`` or ``checkpoint`` sums modules up; norms as squares, cosines by their inner products.

    Returns
    -------
    pandas.DataFrame
        Columns module, module_type (strings), layer, step (Int64), checkpoint (string), norm, change, relative_change, cosine,
        change_from_first, relative_change_from_first, cosine_to_first, path_length (float64), parameters, nonfinite, rank (Int64), scale
        (float64), previous, run_id (strings), target (category) and quantity (category: update, weights).  Summed up, ``modules``
        (Int64) counts them, and module, rank and scale are left out, as are layer and module_type but for the one asked for.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    if by is None:
        return _frame(DRIFTED, [row._asdict() for row in drift.rows])
    rows = [row._asdict() for row in sum_drifted(drift.rows, by)]
    return _frame(DRIFTED_BY[by], rows)


def duplicates_frame(found: Duplicates) -> pd.DataFrame:
    """Return the checkpoints that hold the same weights as another: one row a checkpoint, group by group.

    Returns
    -------
    pandas.DataFrame
        Columns group (Int64), checkpoint, run_id (strings), target (category), step, tensors, size_bytes (Int64, bytes) and digest
        (string).
    """
    return _frame(
        DUPLICATES,
        [
            {**member._asdict(), "group": number, "tensors": group.tensors, "size_bytes": group.size_bytes, "digest": group.digest}
            for number, group in enumerate(found.groups, start=1)
            for member in group.members
        ],
    )


def _frame(kind: Kind, rows: list[dict[str, object]]) -> pd.DataFrame:
    return derived_frame(kind, {column.name: [row[column.name] for row in rows] for column in kind.columns})


def _shape(shape: tuple[int, ...] | None) -> str | None:
    return None if shape is None else " x ".join(map(str, shape)) or "scalar"
