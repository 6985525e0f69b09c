"""The runs frame tells the state and the hardware of both halves."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from loops_nb import frames
from loops_nb.errors import UnreadableAnswerError


def runs(*rows: dict[str, Any], deployments: list[dict[str, Any]] | None = None) -> pd.DataFrame:
    listing = None if deployments is None else json.dumps({"deployments": deployments}).encode()
    return frames.runs_frame(json.dumps({"runs": list(rows)}).encode(), deployments=listing)


def hardware(gpu_type: str | None, gpu_count: int) -> dict[str, Any]:
    return {"name": "shape", "gpu_type": gpu_type, "gpu_count": gpu_count}


SAMPLER = {"id": "s1", "status": {"name": "SCALED_TO_ZERO"}, "instance_type": hardware("L4", 1), "node_count": 2}
RUN = {"id": "r1", "deployment_id": "d1", "status": {"name": "ACTIVE"}, "sampler": SAMPLER}
DEPLOYMENT = {
    "id": "d1",
    "status": {"name": "RUNNING"},
    "instance_type": hardware("H100", 8),
    "node_count": 2,
    "active_run_id": "r1",
}


def test_the_three_states_stand_side_by_side() -> None:
    row = runs(RUN, deployments=[DEPLOYMENT]).loc[0]
    assert list(row[["status", "deployment_status", "sampler_status"]]) == ["ACTIVE", "RUNNING", "SCALED_TO_ZERO"]
    assert row["gpu_type"] == "H100 + L4"
    assert row["gpu_count"] == 18


def test_equal_hardware_is_named_once() -> None:
    row = runs({**RUN, "sampler": {**SAMPLER, "instance_type": hardware("H100", 1)}}, deployments=[DEPLOYMENT]).loc[0]
    assert (row["gpu_type"], row["gpu_count"]) == ("H100", 18)


def test_a_run_without_a_sampler_holds_its_trainer_only() -> None:
    row = runs({**RUN, "sampler": None}, deployments=[{**DEPLOYMENT, "node_count": None}]).loc[0]
    assert (row["gpu_type"], row["gpu_count"]) == ("H100", 8)


def test_half_a_sum_is_no_sum() -> None:
    known_half = {**RUN, "sampler": {"id": "s1"}}
    assert runs(known_half, deployments=[DEPLOYMENT]).loc[0, "gpu_count"] is pd.NA
    frame = runs(
        RUN,
        {**RUN, "deployment_id": "gone"},
        {**RUN, "deployment_id": None, "id": "serverless"},
        deployments=[DEPLOYMENT],
    )
    assert frame["gpu_count"].isna().tolist() == [False, True, True]
    assert frame["deployment_status"].isna().tolist() == [False, True, True]


def test_without_the_deployments_listing_that_half_is_missing() -> None:
    frame = runs(RUN)
    assert frame.loc[0, ["deployment_status", "gpu_type", "gpu_count"]].isna().all()
    assert frame.loc[0, "sampler_status"] == "SCALED_TO_ZERO"
    assert frame.dtypes.equals(runs(RUN, deployments=[DEPLOYMENT]).dtypes)


def test_a_run_of_the_first_documents_is_found_by_its_deployment() -> None:
    frame = runs(
        {"run_id": "r1"}, {"run_id": "r0"}, {"run_id": "other"}, deployments=[{**DEPLOYMENT, "latest_run_id": "r0"}]
    )
    assert frame["deployment_status"].astype(object).where(frame["deployment_status"].notna(), None).tolist() == [
        "RUNNING",
        "RUNNING",
        None,
    ]


def test_a_new_state_of_a_deployment_is_a_category() -> None:
    frame = runs(RUN, deployments=[{**DEPLOYMENT, "status": {"name": "HIBERNATING"}}])
    assert frame.loc[0, "deployment_status"] == "HIBERNATING"


def test_a_broken_deployments_listing_is_told_by_its_place() -> None:
    with pytest.raises(UnreadableAnswerError, match=r"\$\.deployments\[0\]\.node_count"):
        runs(RUN, deployments=[{**DEPLOYMENT, "node_count": "two"}])


def test_no_deployments_at_all() -> None:
    assert runs(RUN, deployments=[])["deployment_status"].isna().all()
    assert runs(deployments=[DEPLOYMENT]).empty
