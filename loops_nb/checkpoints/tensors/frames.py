"""Tensors of checkpoints as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.checkpoints.compare import ranks_of
from loops_nb.checkpoints.tensors.dtypes import BITS
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.checkpoints.tensors import WeightSource

TENSORS = register_kind(
    Kind(
        "tensors",
        many=(),
        one=(),
        columns=(
            # The most important columns come first, because a page shows only a few.
            Column("module", Dtype.STRING, (), "Module of the base model."),
            Column(
                "module_type", Dtype.STRING, (), "Last part of the module's name, the same in all layers, as q_proj."
            ),
            Column("layer", Dtype.COUNT, (), "Number of the layer; missing outside of layers."),
            Column("lora", Dtype.WORD, (), "Half of a LoRA update B @ A; missing for other tensors.", ("A", "B")),
            Column(
                "rank",
                Dtype.COUNT,
                (),
                "LoRA rank, per expert if experts are stacked; missing if unknown.",
            ),
            Column("dtype", Dtype.WORD, (), "Number format of safetensors.", tuple(BITS)),
            Column("shape", Dtype.STRING, (), "Dimensions, as 16 x 64; scalar for a single number."),
            Column("parameters", Dtype.COUNT, (), "Number of elements."),
            Column("nbytes", Dtype.COUNT, (), "Bytes in the file."),
            Column("checkpoint", Dtype.STRING, (), "Checkpoint, as run/weights/name or by its id."),
            Column("step", Dtype.COUNT, (), "Training step in the checkpoint's name."),
            Column(
                "role",
                Dtype.WORD,
                (),
                "Weight of the model, or state of the optimizer.",
                ("weights", "optimizer"),
            ),
            Column("file", Dtype.STRING, (), "File with the tensor, relative to the checkpoint."),
            Column("name", Dtype.STRING, (), "Full name in the file, as tensor() takes it."),
            Column("first", Dtype.COUNT, (), "Offset of its first byte in the file."),
            Column("last", Dtype.COUNT, (), "Offset of the byte after its last."),
        ),
    )
)


def tensors_frame(sources: Iterable[WeightSource]) -> pd.DataFrame:
    """Return the tensors of checkpoints.

    Parameters
    ----------
    sources : iterable of WeightSource
        Opened checkpoints, remote or local.

    Returns
    -------
    pandas.DataFrame
        One row per tensor, by checkpoint, file and offset.  Columns module, module_type (string), layer (Int64), lora
        (category: A, B), rank (Int64), dtype (category), shape (string, as ``16 x 64``), parameters, nbytes (Int64,
        bytes), checkpoint (string), step (Int64), role (category: weights, optimizer), file, name (string), first and
        last (Int64, offsets in the file in bytes).
    """
    sources = list(sources)
    rows = [(source, info) for source in sources for info in source.infos]
    infos = [info for _, info in rows]
    ranks: list[int | None] = []
    for source in sources:
        rank_of = ranks_of(source)
        ranks += [None if info.lora is None else rank_of.get(info.module) for info in source.infos]
    # One string for each of the few different shapes.
    shapes = {shape: " x ".join(map(str, shape)) or "scalar" for shape in {info.shape for info in infos}}
    return computed_frame(
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
