"""Tensors of checkpoints as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.comparing import ranks_of
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.derived import derived, derived_frame
from loops_nb.tensors.dtypes import BITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from loops_nb.tensors import TensorInfo, WeightSource

TENSORS = derived(
    Kind(
        "tensors",
        many=(),
        one=(),
        columns=(
            # What a person looks for stands first: a page shows only so many columns.
            Column("module", Dtype.STRING, (), "Module of the base model that it belongs to."),
            Column("module_type", Dtype.STRING, (), "The module's own name, the same in all layers, as q_proj."),
            Column("layer", Dtype.COUNT, (), "Number of the layer; missing outside of layers."),
            Column("lora", Dtype.WORD, (), "Half of a LoRA update B @ A; missing for all else.", ("A", "B")),
            Column("rank", Dtype.COUNT, (), "LoRA rank, of each expert where several are stacked; missing where the files do not tell it."),
            Column("dtype", Dtype.WORD, (), "Number format, in the word of the safetensors format.", tuple(BITS)),
            Column("shape", Dtype.STRING, (), "Dimensions, as 16 x 64; scalar for a single number."),
            Column("parameters", Dtype.COUNT, (), "How many numbers it holds."),
            Column("nbytes", Dtype.COUNT, (), "Bytes that it takes in the file."),
            Column("checkpoint", Dtype.STRING, (), "Checkpoint, as run/weights/name or by its id."),
            Column("step", Dtype.COUNT, (), "Training step that the checkpoint's name tells."),
            Column("role", Dtype.WORD, (), "A weight of the model, or what the optimizer keeps of one.", ("weights", "optimizer")),
            Column("file", Dtype.STRING, (), "File that holds it, relative to the checkpoint."),
            Column("name", Dtype.STRING, (), "Full name in the file; what tensor() takes."),
            Column("first", Dtype.COUNT, (), "Where its bytes begin in the file."),
            Column("last", Dtype.COUNT, (), "Where they end: the first byte behind them."),
        ),
    )
)


def tensors_frame(sources: Iterable[WeightSource]) -> pd.DataFrame:
    """Return the tensors of checkpoints, one row a tensor.

    Parameters
    ----------
    sources
        Opened checkpoints, at a distance or in folders.

    Returns
    -------
    pandas.DataFrame
        Columns module, module_type, layer, lora, rank, dtype, shape, parameters, nbytes (bytes), checkpoint, step, role, file, name,
        first and last (offsets in the file, bytes); `loops_nb.frames.tensors.TENSORS` has their dtypes and meaning.  Checkpoint by
        checkpoint, file by file, in the order in which the tensors lie there.
    """
    sources = list(sources)
    rows = [(source, info) for source in sources for info in source.infos]
    infos = [info for _, info in rows]
    ranks = [_rank(info, of_source) for source in sources for of_source in [ranks_of(source)] for info in source.infos]
    # One text for each shape: there are few of them, and many rows.
    shapes = {shape: " x ".join(map(str, shape)) or "scalar" for shape in {info.shape for info in infos}}
    return derived_frame(
        TENSORS,
        {
            "module": [info.module for info in infos],
            "module_type": [info.module_type for info in infos],
            "layer": [info.layer for info in infos],
            "lora": [info.lora for info in infos],
            "rank": ranks,
            "dtype": [info.dtype for info in infos],
            "shape": [shapes[info.shape] for info in infos],
            "parameters": [info.parameters for info in infos],
            "nbytes": [info.nbytes for info in infos],
            "checkpoint": [source.label for source, _ in rows],
            "step": [source.step for source, _ in rows],
            "role": [info.role for info in infos],
            "file": [info.file for info in infos],
            "name": [info.name for info in infos],
            "first": [info.first for info in infos],
            "last": [info.last for info in infos],
        },
    )


def _rank(info: TensorInfo, ranks: Mapping[str, int]) -> int | None:
    return None if info.lora is None else ranks.get(info.module)
