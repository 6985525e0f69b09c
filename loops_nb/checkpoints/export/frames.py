"""DataFrame of exported adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.checkpoints.transfer.frames import shown_path
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import many, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from loops_nb.checkpoints.export.exporter import ExportedAdapter

EXPORTS = register_kind(
    Kind(
        "exports",
        many=(),
        one=(),
        columns=(
            Column(
                "path",
                Dtype.STRING,
                (),
                "Folder of the adapter, or of the merged model; from the working folder on, where it lies below.",
            ),
            Column("checkpoint", Dtype.STRING, (), "Checkpoint, as run/weights/name or by its id."),
            Column("id", Dtype.STRING, (), "Global id of the checkpoint."),
            Column("base_model", Dtype.STRING, (), "Base model of the adapter."),
            Column("rank", Dtype.COUNT, (), "LoRA rank."),
            Column("tensors", Dtype.COUNT, (), "Number of tensors of the adapter."),
            Column("size_bytes", Dtype.COUNT, (), "Size of all files in bytes."),
            Column("sha256", Dtype.STRING, (), "SHA-256 of adapter_model.safetensors; missing of a merged model."),
            Column("url", Dtype.STRING, (), "Address on the Hugging Face Hub, where it was pushed."),
        ),
    )
)


def exports_frame(exported: Sequence[ExportedAdapter]) -> pd.DataFrame:
    """Return exported adapters, one row each.

    Returns
    -------
    pandas.DataFrame
        Columns path, checkpoint, id, base_model, sha256, url (strings), rank, tensors and size_bytes (Int64; bytes).
    """
    frame = computed_frame(
        EXPORTS,
        {
            "path": [shown_path(one.path) for one in exported],
            "checkpoint": [one.ref.label for one in exported],
            "id": [one.ref.id for one in exported],
            "base_model": [one.layout.config.get("base_model_name_or_path") for one in exported],
            "rank": [one.layout.rank for one in exported],
            "tensors": [len(one.layout.tensors) for one in exported],
            "size_bytes": [one.size_bytes for one in exported],
            "sha256": [one.sha256 for one in exported],
            "url": [one.url for one in exported],
        },
    )
    total = sum(one.size_bytes for one in exported)
    what = "merged model" if any(one.sha256 is None for one in exported) else "adapter"
    notes = [f"Exported {many(len(exported), what)}, {size(total)}: whole and checked. README.md has the hashes."]
    notes += dict.fromkeys(note for one in exported for note in one.layout.notes)
    notes += [f"Pushed to {one.url}." for one in exported if one.url]
    frame.attrs[NOTES_ATTR] = notes
    return frame
