"""Every example of the first documents becomes a DataFrame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from loops_nb import accessor, frames
from loops_nb.frames.columns import KINDS, Dtype

SEEDS = Path(__file__).parent.parent / "contract" / "seeds"
INDEX: list[dict[str, Any]] = json.loads((SEEDS / "index.json").read_text())
ANSWERS = [entry["file"] for entry in INDEX if entry["file"]]
KEY_OF_KIND = {key: kind.name for kind in KINDS.values() for key in (*kind.many, *kind.one)}


def frame_of(body: bytes) -> pd.DataFrame:
    key = next(iter(json.loads(body)))
    name = KEY_OF_KIND.get(key, "receipts")
    if name == "files":
        return frames.files_frame([body])
    found: pd.DataFrame = getattr(frames, f"{name}_frame")(body)
    return found


def seed(name: str) -> bytes:
    return (SEEDS / f"{name}.json").read_bytes()


@pytest.mark.parametrize("file", ANSWERS)
def test_every_example_is_a_frame_of_one_row(file: str) -> None:
    body = (SEEDS / file).read_bytes()
    frame = frame_of(body)
    assert len(frame) == 1
    assert type(cast("object", frame.loops)) is accessor.LoopsAccessor
    # Whatever the example says in the place that a column is read from, the column shows.
    kind = KINDS[frame.loops.kind]
    sent = json.loads(body)
    if kind.many or kind.one:
        sent = next(iter(sent.values()))
    sent = sent[0] if isinstance(sent, list) else sent
    compared = 0
    for column in kind.columns:
        for path in (path for source in column.sources for path in source.split(" | ") if column.combine is None):
            value = at(sent, path)
            if value is not None and column.name in frame:
                cell = frame[column.name].iloc[0]
                assert cell == (pd.Timestamp(value) if column.dtype is Dtype.TIME else value), f"{path} of {file}"
                compared += 1
    assert compared
    assert frame.to_html()


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def test_the_index_names_every_file() -> None:
    assert sorted(ANSWERS) == sorted(path.name for path in SEEDS.glob("*.json") if path.name != "index.json")


def test_a_listed_run_has_its_id_from_run_id() -> None:
    frame = frames.runs_frame(seed("list_runs"))
    assert list(frame.loc[0, ["id", "session_id", "base_model"]]) == ["k4q95w5", "sess_xyz789", "Qwen/Qwen3-8B"]
    assert frame.loc[0, ["status", "created_at", "sampler_id", "owner"]].isna().all()


def test_a_created_run_has_its_sampler() -> None:
    frame = frames.runs_frame(seed("create_run"))
    assert frame.loc[0, "sampler_id"] == "samp_def789"
    assert frame.loc[0, "base_url"] == "https://model-abc123.api.baseten.co/deployment/dep456/sync"


def test_the_checkpoint_without_a_config_has_no_rank() -> None:
    frame = frames.checkpoints_frame(seed("list_checkpoints"))
    row = frame.loc[0]
    assert row["lora_rank"] is pd.NA
    assert row["size_bytes"] == 524288000
    assert row["created_at"] == pd.Timestamp("2025-05-07T10:00:00Z")
    assert row["uri"] == "bt://loops:k4q95w5/weights/step-100"


def test_a_files_frame_holds_no_url_unless_asked_for() -> None:
    page = seed("list_checkpoint_files")
    frame = frames.files_frame([page])
    assert "url" not in frame.columns
    assert "s3.amazonaws.com" not in frame.to_string() + repr(frame.attrs)
    assert frames.files_frame([page], urls=True)["url"].tolist() == ["https://s3.amazonaws.com/..."]


def test_the_seeds_run_and_deployment_are_joined_by_nothing() -> None:
    frame = frames.runs_frame(seed("list_runs"), deployments=seed("list_deployments"))
    assert frame["deployment_status"].isna().all()
