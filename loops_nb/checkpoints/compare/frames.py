"""DataFrames of comparisons, drift and duplicates: one row per module, tidy enough to group, pivot and plot.

``quantity`` says what is compared: ``update`` is a module's LoRA update, ``B @ A`` times alpha / rank; ``weights`` a
plain tensor.  Norms are Frobenius norms.  A relative change is the norm of the difference divided by the norm before: 0
if both are zero, infinite if only the norm before is.  A cosine is missing if one norm is zero.  If weights are NaN or
infinite, their norms and everything derived are missing, and ``nonfinite`` counts them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loops_nb.api.models import CHECKPOINT_TARGETS
from loops_nb.checkpoints.compare import summarize_comparison, summarize_drift
from loops_nb.checkpoints.compare.changes import CHANGES
from loops_nb.checkpoints.compare.comparison import STATES
from loops_nb.checkpoints.compare.weights import QUANTITIES
from loops_nb.checkpoints.tensors.dtypes import BITS
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.checkpoints.compare import By, Comparison, Drift, Duplicates, TensorChange

_STRING, _WORD, _COUNT, _NUMBER = Dtype.STRING, Dtype.WORD, Dtype.COUNT, Dtype.NUMBER

_MODULE = Column("module", _STRING, (), "Path of the module in the base model; of a plain tensor, its name.")
_MODULE_TYPE = Column("module_type", _STRING, (), "Last part of the module's name, the same in all layers.")
_LAYER = Column("layer", _COUNT, (), "Number of the layer; missing outside of layers.")
_STEP = Column("step", _COUNT, (), "Training step in the checkpoint's name.")
_CHECKPOINT = Column("checkpoint", _STRING, (), "Checkpoint, as run/weights/name or by its id.")
_BASELINE = Column("baseline", _STRING, (), "The checkpoint that it is compared with.")
_PREVIOUS = Column(
    "previous", _STRING, (), "The previous checkpoint of the same run and target; missing for the first."
)
_RUN = Column("run_id", _STRING, (), "Run that saved it, if known.")
_TARGET = Column("target", _WORD, (), "What can load it, if known.", CHECKPOINT_TARGETS)
_QUANTITY = Column("quantity", _WORD, (), "What is compared: scaled LoRA updates B @ A, or plain tensors.", QUANTITIES)
_MODULES = Column("modules", _COUNT, (), "Number of aggregated modules.")
_RANK = Column("rank", _COUNT, (), "LoRA rank of the module.")
_SCALE = Column(
    "scale",
    _NUMBER,
    (),
    "Factor before B @ A: alpha / rank, or alpha / sqrt(rank); missing, like the norm, if unknown.",
)
_NORM = Column("norm", _NUMBER, (), "Frobenius norm.")
_CHANGE = Column("change", _NUMBER, (), "Frobenius norm of the difference to the baseline.")
_RELATIVE = Column("relative_change", _NUMBER, (), "The change divided by the norm before.")
_COSINE = Column("cosine", _NUMBER, (), "Cosine of the angle to the baseline.")
_PARAMETERS = Column("parameters", _COUNT, (), "Number of weights.")
_NONFINITE = Column("nonfinite", _COUNT, (), "ModuleWeights that are NaN or infinite.")


def _kind(name: str, *columns: Column) -> Kind:
    return register_kind(Kind(name, many=(), one=(), columns=columns))


_COMPARED = (
    _NORM,
    Column("norm_before", _NUMBER, (), "Frobenius norm in the baseline."),
    _CHANGE,
    _RELATIVE,
    _COSINE,
    _PARAMETERS,
    replace(_NONFINITE, meaning="ModuleWeights that are NaN or infinite, in the checkpoint and in the baseline."),
)
_DRIFTED = (
    _NORM,
    replace(_CHANGE, meaning="Frobenius norm of the difference to the previous checkpoint; missing for the first."),
    _RELATIVE,
    replace(_COSINE, meaning="Cosine of the angle to the previous checkpoint."),
    Column("change_from_first", _NUMBER, (), "Frobenius norm of the difference to the first checkpoint."),
    Column("relative_change_from_first", _NUMBER, (), "That divided by the norm of the first checkpoint."),
    Column("cosine_to_first", _NUMBER, (), "Cosine of the angle to the first checkpoint."),
    Column("path_length", _NUMBER, (), "Sum of all changes so far."),
    _PARAMETERS,
    _NONFINITE,
)
# Less important columns come last, because a page shows only a few.
_COMPARED_LAST = (_BASELINE, _RUN, _TARGET, _STEP, _QUANTITY)
_DRIFTED_LAST = (_PREVIOUS, _RUN, _TARGET, _QUANTITY)

CHANGED = _kind(
    "changes",
    Column("tensor", _STRING, (), "Name of the tensor, without the wrappers of a trainer."),
    Column("change", _WORD, (), "What happened to it since the baseline.", CHANGES),
    Column(
        "dtype_before",
        _WORD,
        (),
        "Its number format in the baseline, as in safetensors.",
        tuple(BITS),
    ),
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
    *_COMPARED_LAST,
)
DRIFTED = _kind("drift", _MODULE, _MODULE_TYPE, _LAYER, _STEP, _CHECKPOINT, *_DRIFTED, _RANK, _SCALE, *_DRIFTED_LAST)
DUPLICATES = _kind(
    "duplicates",
    Column("group", _COUNT, (), "Number of the group; its checkpoints have the same weights."),
    _CHECKPOINT,
    _RUN,
    _TARGET,
    _STEP,
    Column("tensors", _COUNT, (), "Number of tensors."),
    Column("size_bytes", _COUNT, (), "Their size in bytes."),
    Column("digest", _STRING, (), "BLAKE2b over names, dtypes, shapes and bytes of all tensors."),
)
_GROUP_COLUMNS: dict[By, tuple[Column, ...]] = {"layer": (_LAYER,), "module_type": (_MODULE_TYPE,), "checkpoint": ()}
COMPARED_BY = {
    by: _kind(f"comparison_by_{by}", *first, _CHECKPOINT, *_COMPARED, _MODULES, *_COMPARED_LAST)
    for by, first in _GROUP_COLUMNS.items()
}
DRIFTED_BY = {
    by: _kind(f"drift_by_{by}", *first, _STEP, _CHECKPOINT, *_DRIFTED, _MODULES, *_DRIFTED_LAST)
    for by, first in _GROUP_COLUMNS.items()
}


def changes_frame(changes: Iterable[TensorChange]) -> pd.DataFrame:
    """Return the tensors whose header entries differ.

    Parameters
    ----------
    changes : iterable of TensorChange
        Result of `loops_nb.checkpoints.compare.changes`.

    Returns
    -------
    pandas.DataFrame
        One row per tensor.  Columns tensor (string), change (category: appeared, vanished, shape, dtype, shape and
        dtype), dtype_before, dtype (category), shape_before, shape (string, as ``16 x 64``), checkpoint, baseline,
        module, module_type (string) and layer (Int64).
    """
    rows = [{**row._asdict(), "shape_before": _shape(row.shape_before), "shape": _shape(row.shape)} for row in changes]
    return _frame(CHANGED, rows)


def compare_frame(comparison: Comparison, *, by: By | None = None) -> pd.DataFrame:
    """Return checkpoints compared with the baseline.

    Parameters
    ----------
    comparison : Comparison
        Result of `loops_nb.checkpoints.compare.compare`.
    by : {"layer", "module_type", "checkpoint"}, optional
        Aggregate modules: norms as squares, cosines by inner products.

    Returns
    -------
    pandas.DataFrame
        One row per checkpoint and module.  Columns module, module_type (string), layer (Int64), checkpoint (string),
        norm, norm_before, change, relative_change, cosine (float64), parameters, nonfinite (Int64), state (category:
        common, appeared, vanished), rank, rank_before (Int64), scale, scale_before (float64), baseline, run_id
        (string), target (category), step (Int64) and quantity (category: update, weights).  With ``by``, one row per
        checkpoint and group: ``modules`` (Int64) counts them, and module, state, ranks, scales and the other one of
        layer and module_type are omitted.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    if by is None:
        return _frame(COMPARED, [row._asdict() for row in comparison.rows])
    rows = [row._asdict() for row in summarize_comparison(comparison.rows, by)]
    return _frame(COMPARED_BY[by], rows)


def drift_frame(drift: Drift, *, by: By | None = None) -> pd.DataFrame:
    """Return how weights change from step to step.

    Parameters
    ----------
    drift : Drift
        Result of `loops_nb.checkpoints.compare.drift`.
    by : {"layer", "module_type", "checkpoint"}, optional
        Aggregate modules: norms as squares, cosines by inner products.

    Returns
    -------
    pandas.DataFrame
        One row per checkpoint and module.  Columns module, module_type (string), layer, step (Int64), checkpoint
        (string), norm, change, relative_change, cosine, change_from_first, relative_change_from_first, cosine_to_first,
        path_length (float64), parameters, nonfinite, rank (Int64), scale (float64), previous, run_id (string), target
        (category) and quantity (category: update, weights).  With ``by``, one row per checkpoint and group: ``modules``
        (Int64) counts them, and module, rank, scale and the other one of layer and module_type are omitted.

    Raises
    ------
    InvalidArgumentError
        If ``by`` is something else.
    """
    if by is None:
        return _frame(DRIFTED, [row._asdict() for row in drift.rows])
    rows = [row._asdict() for row in summarize_drift(drift.rows, by)]
    return _frame(DRIFTED_BY[by], rows)


def duplicates_frame(found: Duplicates) -> pd.DataFrame:
    """Return the checkpoints with the same weights as another.

    Parameters
    ----------
    found : Duplicates
        Result of `loops_nb.checkpoints.compare.duplicates`.

    Returns
    -------
    pandas.DataFrame
        One row per checkpoint, by group.  Columns group (Int64), checkpoint, run_id (string), target (category), step,
        tensors, size_bytes (Int64, bytes) and digest (string).
    """
    rows = []
    for number, group in enumerate(found.groups, start=1):
        of_group = {"group": number, "tensors": group.tensors, "size_bytes": group.size_bytes, "digest": group.digest}
        rows += [{**member._asdict(), **of_group} for member in group.members]
    return _frame(DUPLICATES, rows)


def _frame(kind: Kind, rows: list[dict[str, object]]) -> pd.DataFrame:
    return computed_frame(kind, {column.name: [row[column.name] for row in rows] for column in kind.columns})


def _shape(shape: tuple[int, ...] | None) -> str | None:
    return None if shape is None else " x ".join(map(str, shape)) or "scalar"
