"""The DataFrame of tensors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb.checkpoints.tensors import LocalCheckpoint, open_folder
from loops_nb.checkpoints.tensors.frames import TENSORS, tensors_frame
from loops_nb.frames.columns import Dtype
from loops_nb.magics.listing_table import kind_of, listing_table
from loops_nb.render.tables import as_html, as_text
from tests.checkpoints.tensors.safetensors_files import adapter, checkpoint_files, file_of, one, put


@pytest.fixture
def checkpoint(tmp_path: Path) -> LocalCheckpoint:
    return open_folder(put(tmp_path / "step-30", checkpoint_files(adapter(), moments=True)))


def test_frame_has_a_row_for_each_tensor(checkpoint: LocalCheckpoint) -> None:
    frame = tensors_frame([checkpoint])
    assert len(frame) == 24
    row = frame[frame["name"] == "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"].iloc[0]
    assert row.drop(["first", "last"]).to_dict() == {
        "checkpoint": "step-30",
        "step": 30,
        "file": "adapter_model.safetensors",
        "role": "weights",
        "name": "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight",
        "module": "model.layers.1.self_attn.v_proj",
        "module_type": "v_proj",
        "layer": 1,
        "lora": "B",
        "rank": 4,
        "dtype": "F32",
        "shape": "16 x 4",
        "parameters": 64,
        "nbytes": 256,
    }
    raw = (checkpoint.path / row["file"]).read_bytes()[row["first"] : row["last"]]
    assert raw == adapter()[row["name"]].tobytes()
    assert frame.groupby("role", observed=True)["parameters"].sum().to_dict() == {"weights": 512, "optimizer": 1024}


def test_frame_has_sizes_before_origins(checkpoint: LocalCheckpoint) -> None:
    columns = list(tensors_frame([checkpoint]).columns)
    assert max(map(columns.index, ("shape", "dtype", "nbytes"))) < min(
        map(columns.index, ("name", "file", "role", "checkpoint"))
    )


def keeps_to_table(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == [column.name for column in TENSORS.columns]
    for column in TENSORS.columns:
        dtype = frame[column.name].dtype
        if column.dtype is Dtype.COUNT:
            assert dtype == pd.Int64Dtype()
        elif column.dtype is Dtype.STRING:
            assert isinstance(dtype, pd.StringDtype)
        else:
            assert isinstance(dtype, pd.CategoricalDtype)
            assert tuple(dtype.categories[: len(column.words)]) == column.words
    assert frame.loops.kind == "tensors"


def test_frame_has_fixed_columns_and_dtypes(checkpoint: LocalCheckpoint, tmp_path: Path) -> None:
    odd = open_folder(
        put(
            tmp_path / "final",
            {
                "a.safetensors": file_of({"x": one("F2_SOON", [], [0, 3])}, bytes(3)),
                "b.safetensors": save({"\x1b[31mname": np.ones(3, np.int8)}),
            },
        )
    )
    keeps_to_table(tensors_frame([]))
    keeps_to_table(tensors_frame([checkpoint]))
    frame = tensors_frame([odd, checkpoint])
    keeps_to_table(frame)
    first = frame.iloc[0]
    assert (first["dtype"], first["shape"], first["parameters"], first["nbytes"]) == ("F2_SOON", "scalar", 1, 3)
    assert frame.loc[:1, ["step", "layer", "lora", "rank"]].isna().all(axis=None)


def test_frame_kind_survives_common_operations(checkpoint: LocalCheckpoint) -> None:
    frame = tensors_frame([checkpoint])
    some = frame[frame["lora"] == "A"].sort_values("nbytes")[["name", "shape"]]
    assert some.loops.kind == "tensors"
    assert kind_of(some) == "tensors"


def test_docstring_names_the_columns() -> None:
    for column in TENSORS.columns:
        assert column.name in str(tensors_frame.__doc__)
        assert column.meaning.endswith(".")


def test_frame_is_shown_like_other_listings(checkpoint: LocalCheckpoint) -> None:
    frame = tensors_frame([checkpoint])
    table = listing_table(frame, "tensors", row_limit=5, time_zone="UTC")
    assert {"256 bytes"} == set(next(field for field in table.fields if field.heading == "nbytes").cells)
    text = as_text(table, 100)
    for word in ("module", "lora", "shape", "dtype", "rank", "nbytes"):
        assert word in text.splitlines()[0]
    assert "model.layers.0.self_attn.q_proj" in text
    assert "Showing 5 of 24 rows" in text
    assert "<table" in as_html(table)


def test_names_are_escaped_in_html(tmp_path: Path) -> None:
    name = "\x1b[31m<script>alert(1)</script>"
    frame = tensors_frame([open_folder(put(tmp_path, {"a.safetensors": save({name: np.ones(3)})}))])
    table = listing_table(frame, "tensors", row_limit=0, time_zone="UTC")
    assert "\x1b" not in as_text(table, 200) + as_html(table)
    assert "<script" not in as_html(table)


def test_frame_survives_a_csv_file(checkpoint: LocalCheckpoint) -> None:
    frame = tensors_frame([checkpoint])
    back = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert back["shape"].tolist() == frame["shape"].tolist()
    assert back["nbytes"].sum() == frame["nbytes"].sum()
