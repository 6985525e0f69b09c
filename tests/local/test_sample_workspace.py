"""The sample workspace: the same for the same seed, everything in it, weights that drift."""

from __future__ import annotations

import json
import resource
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, load_file

from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES
from loops_nb.local.errors import StoreError
from loops_nb.local.server.app import make_app
from loops_nb.local.settings import Settings
from tests.local.responses import good
from tests.service import AnyService, running_service

TIMES = {"created_at", "last_modified", "url", "base_url"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running_service(
        in_process=True, sample=True, seed=7, data_dir=tmp_path_factory.mktemp("sample") / "data"
    ) as service:
        yield service


def everything(service: AnyService, path: str, key: str) -> list[dict[str, Any]]:
    with httpx.Client(base_url=service.url, headers=service.headers) as client:
        if key == "checkpoints":
            models = dict.fromkeys(run["base_model"] for run in good(client.get("/v1/loops/runs"))["runs"])
            return [found for model in models for found in good(client.get(path, params={"base_model": model}))[key]]
        found: list[dict[str, Any]] = good(client.get(path, params={"scope": "org"}))[key]
        return found


@pytest.mark.parametrize(
    ("path", "key", "documented"),
    [
        ("/v1/loops/runs", "runs", RUN_STATUSES),
        ("/v1/loops/deployments", "deployments", DEPLOYMENT_STATUSES),
        ("/v1/loops/samplers", "samplers", SAMPLER_STATUSES),
    ],
)
def test_every_status_occurs(fresh: AnyService, path: str, key: str, documented: tuple[str, ...]) -> None:
    assert {item["status"]["name"] for item in everything(fresh, path, key)} == set(documented)


def test_sample_spans_two_weeks(fresh: AnyService) -> None:
    runs = everything(fresh, "/v1/loops/runs", "runs")
    mine = [run for run in runs if run["user"]["email"] == "you@localhost"]
    assert len(mine) >= 12
    assert len(runs) > len(mine)
    assert len({run["base_model"] for run in mine}) >= 3
    assert len({run["session_id"] for run in mine}) >= 4
    assert any(run["deployment_id"] is None and run["sampler"]["model_id"] is None for run in mine)
    assert any(run["sampler"] is None for run in mine)
    checkpoints = everything(fresh, "/v1/loops/checkpoints", "checkpoints")
    assert 180 <= len(checkpoints) <= 220
    assert {checkpoint["sync_status"] for checkpoint in checkpoints} == {"COMPLETE", "SYNCING", None}
    saved = {(item["run_id"], item["checkpoint_id"], item["target"]) for item in checkpoints}
    twice = [key for key in saved if key[2] == "trainer" and (key[0], key[1], "sampler") in saved]
    assert len(twice) > 10
    stamps = [item["created_at"] for item in checkpoints]
    assert any("." in stamp for stamp in stamps)
    assert any("." not in stamp for stamp in stamps)
    assert max(item["size_bytes"] for item in checkpoints) < 500_000


def test_other_owners_are_listed_with_scope_org_only(fresh: AnyService) -> None:
    with httpx.Client(base_url=fresh.url, headers=fresh.headers) as client:
        for kind in ("runs", "samplers", "deployments"):
            own, of_org = (
                good(client.get(f"/v1/loops/{kind}"))[kind],
                good(client.get(f"/v1/loops/{kind}?scope=org"))[kind],
            )
            assert {item["user"]["email"] for item in own} == {"you@localhost"}
            assert {item["user"]["email"] for item in of_org} == {"you@localhost", "teammate@localhost"}
        research = good(client.get("/v1/teams/research/loops/runs"))["runs"]
        assert {run["name"] for run in research} == {"charts", "judge-sft"}


def test_sizes_are_those_of_the_files(fresh: AnyService) -> None:
    for checkpoint in everything(fresh, "/v1/loops/checkpoints", "checkpoints"):
        folder = fresh.data_dir / "checkpoints" / checkpoint["id"]
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) == checkpoint["size_bytes"]
        config = json.loads((folder / "adapter_config.json").read_bytes())
        assert config == checkpoint["lora_adapter_config"]


def test_weights_drift_towards_their_goal(fresh: AnyService) -> None:
    run = next(run for run in everything(fresh, "/v1/loops/runs", "runs") if run["name"] == "gsm8k-grpo")
    with httpx.Client(base_url=fresh.url, headers=fresh.headers) as client:
        found = good(client.get("/v1/loops/checkpoints", params={"run_id": run["id"]}))["checkpoints"][::-1]
    trainer = [item for item in found if item["target"] == "trainer"]
    weights = [load_file(fresh.data_dir / "checkpoints" / item["id"] / "adapter_model.safetensors") for item in trainer]
    assert all(set(tensors) == set(weights[0]) for tensors in weights)
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    assert weights[0][name].shape == (64, 16)
    norms = [float(np.linalg.norm(tensors[name])) for tensors in weights]
    assert norms == sorted(norms)
    moves = [float(np.linalg.norm(after[name] - before[name])) for before, after in pairwise(weights)]
    assert all(move > 0 for move in moves)
    assert moves[0] > moves[-1]
    losses = [
        json.loads((fresh.data_dir / "checkpoints" / item["id"] / "trainer_state.json").read_bytes())["loss"]
        for item in trainer
    ]
    assert losses == sorted(losses, reverse=True)
    # The sampler's weights of the same name are the trainer's in 16 bits.
    sampler = next(
        item for item in found if item["target"] == "sampler" and item["checkpoint_id"] == trainer[-1]["checkpoint_id"]
    )
    small = load_file(fresh.data_dir / "checkpoints" / sampler["id"] / "adapter_model.safetensors")
    np.testing.assert_array_equal(small[name], weights[-1][name].astype(np.float16))


def test_the_optimizer_state_belongs_to_the_weights(fresh: AnyService) -> None:
    trainer = next(
        item for item in everything(fresh, "/v1/loops/checkpoints", "checkpoints") if item["target"] == "trainer"
    )
    folder = fresh.data_dir / "checkpoints" / trainer["id"]
    weights = load((folder / "adapter_model.safetensors").read_bytes())
    moments = load((folder / "optimizer" / "shard-00000-of-00001.safetensors").read_bytes())
    assert set(moments) == {f"{name}.{moment}" for name in weights for moment in ("exp_avg", "exp_avg_sq")}
    assert all(np.all(tensor >= 0) for name, tensor in moments.items() if name.endswith("exp_avg_sq"))


def shown(service: AnyService) -> dict[str, Any]:
    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: timeless(inner) for name, inner in value.items() if name not in TIMES}
        return [timeless(inner) for inner in value] if isinstance(value, list) else value

    kinds = ("runs", "samplers", "deployments", "checkpoints")
    listed = {kind: timeless(everything(service, f"/v1/loops/{kind}", kind)) for kind in kinds}
    files = {
        str(path.relative_to(service.data_dir)): path.read_bytes()
        for path in service.data_dir.glob("checkpoints/*/*.safetensors")
    }
    return {**listed, "files": files}


def test_same_seed_gives_the_same_workspace_and_a_restart_adds_nothing(fresh: AnyService, tmp_path: Path) -> None:
    expected = shown(fresh)
    for _ in ("start", "restart"):
        with running_service(in_process=True, sample=True, seed=7, data_dir=tmp_path / "a") as again:
            assert shown(again) == expected
    with pytest.raises(StoreError, match="seed 7, not of 3"):
        make_app(Settings(data_dir=tmp_path / "a", sample=True, seed=3))


def test_another_seed_gives_other_ids(fresh: AnyService, tmp_path: Path) -> None:
    with running_service(in_process=True, sample=True, seed=8, data_dir=tmp_path / "b") as other:
        ids, others = (
            {run["id"] for run in everything(service, "/v1/loops/runs", "runs")} for service in (fresh, other)
        )
    assert ids
    assert not ids & others


def test_other_work_is_never_mixed_with_the_sample(tmp_path: Path) -> None:
    with running_service(in_process=True, data_dir=tmp_path / "data") as service:
        good(httpx.post(service.url + "/v1/loops/sessions", headers=service.headers))
    with pytest.raises(StoreError, match="other work"):
        make_app(Settings(data_dir=tmp_path / "data", sample=True))


def test_sample_service_starts_within_three_cpu_seconds() -> None:
    # Not by the clock: other tests run beside this one.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with running_service(sample=True):
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
