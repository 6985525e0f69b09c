"""Loops deployments: logs, metrics, debug archive; capabilities and user config."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.local.conftest import Clock
from tests.local.responses import MODEL, good, new_run, problem


@pytest.fixture
def run(api: httpx.Client, session_id: str) -> dict[str, Any]:
    return new_run(api, session_id, scale_down_delay_seconds=600)


@pytest.fixture
def path(run: dict[str, Any]) -> str:
    return f"/v1/loops/deployments/{run['deployment_id']}"


def messages(api: httpx.Client, path: str, **params: Any) -> list[str]:
    return [line["message"] for line in good(api.get(path + "/logs", params=params))["logs"]]


def test_every_status_is_listed(
    api: httpx.Client, clock: Clock, session_id: str, run: dict[str, Any], path: str
) -> None:
    clock.forward(1)
    newer = new_run(api, session_id)
    good(api.post(path + "/deactivate"))
    listed = good(api.get("/v1/loops/deployments"))["deployments"]
    assert [(found["id"], found["status"]["name"]) for found in listed] == [
        (newer["deployment_id"], "CREATED"),
        (run["deployment_id"], "STOPPED"),
    ]
    problem(api.get("/v1/loops/deployments/nothere"), 404)


def test_logs_tell_what_happened_newest_first(api: httpx.Client, clock: Clock, run: dict[str, Any], path: str) -> None:
    clock.forward(100)
    good(api.get(run["base_url"] + "/policy_version"))
    clock.forward(1)
    good(api.post(path + "/deactivate"))
    newest_first = messages(api, path)
    assert "STOPPED" in " ".join(newest_first[:4])
    assert messages(api, path, direction="desc") == newest_first
    assert messages(api, path, direction="asc") == newest_first[::-1]
    assert messages(api, path, limit=2) == newest_first[:2]
    assert f"activity: GET /policy_version" in newest_first  # noqa: F541
    assert not any("activity" in text for text in messages(api, path, min_level="INFO"))
    for state in ("CREATED", "DEPLOYING", "RUNNING"):
        assert any(f"deployment {run['deployment_id']} is {state}" in text for text in newest_first)
    stamps = [int(line["timestamp"]) for line in good(api.get(path + "/logs"))["logs"]]
    assert stamps == sorted(stamps, reverse=True)
    assert stamps[-1] == (clock.millis - 101_000) * 1_000_000


def test_log_windows(api: httpx.Client, clock: Clock, run: dict[str, Any], path: str) -> None:
    start = clock.millis
    clock.forward(3600)
    # Half an hour by default: only the sleep, which began after the boot (22 s) and the idle delay (600 s), lies before
    # it.
    assert messages(api, path) == []
    everything = messages(api, path, start_epoch_millis=start)
    assert len(everything) == 5
    assert messages(api, path, start_epoch_millis=start, end_epoch_millis=start + 1) != everything
    problem(api.get(path + "/logs", params={"start_epoch_millis": clock.millis + 1}), 400, field="start_epoch_millis")
    week = {"start_epoch_millis": start - 7 * 86_400_000 - 1, "end_epoch_millis": start}
    problem(api.get(path + "/logs", params=week), 400, field="start_epoch_millis")
    for name, value in (
        ("limit", 0),
        ("limit", 1001),
        ("direction", "up"),
        ("min_level", "LOUD"),
        ("start_epoch_millis", "soon"),
    ):
        problem(api.get(path + "/logs", params={name: value}), 400, field=name)
    problem(api.get("/v1/loops/deployments/nothere/logs"), 404)


def test_metrics_without_a_process_are_empty_and_not_made_up(api: httpx.Client, clock: Clock, path: str) -> None:
    start = clock.millis
    clock.forward(60)
    body = {"start_epoch_millis": start, "end_epoch_millis": clock.millis, "step_seconds": 10}
    answer = good(api.post(path + "/metrics", json=body))
    metrics = answer["metrics"]
    assert metrics["gpu_utilization"] == {}
    assert metrics["cpu_usage"] == []
    assert {point["value"] for point in metrics["inference_volume"]} == {0.0}
    assert "There are no GPUs." in metrics["note"]
    for content in (b"", b"{}", b'{"step_seconds": null}'):
        good(api.post(path + "/metrics", content=content))
    problem(api.post(path + "/metrics", json={"step_seconds": 0}), 400, field="step_seconds")
    problem(api.post(path + "/metrics", json={"step_seconds": 1}), 400, field="step_seconds")
    problem(api.post(path + "/metrics", json={"start_epoch_millis": 2**60}), 400, field="start_epoch_millis")
    problem(api.post("/v1/loops/deployments/nothere/metrics"), 404)


def test_the_debug_archive_is_what_is_recorded(api: httpx.Client, clock: Clock, run: dict[str, Any], path: str) -> None:
    clock.forward(60)
    page = good(api.get(path + "/debug_archive/files"))
    files = {file["relative_file_name"]: file for file in page["presigned_urls"]}
    assert set(files) == {"deployment.json", "events.jsonl", "logs.jsonl", "sampler_logs.jsonl"}
    contents = {name: httpx.get(file["url"]) for name, file in files.items()}
    for name, file in files.items():
        assert len(contents[name].content) == file["size_bytes"]
    assert contents["deployment.json"].json() == good(api.get(path))["deployment"]
    assert [line for line in contents["logs.jsonl"].text.splitlines() if "RUNNING" in line]
    assert f"runs/{run['id']}" in contents["events.jsonl"].text
    names, token = [], None
    while True:
        page = good(
            api.get(path + "/debug_archive/files", params={"page_size": 2, **({"page_token": token} if token else {})})
        )
        names += [file["relative_file_name"] for file in page["presigned_urls"]]
        token = page["next_page_token"]
        if token is None:
            break
        assert isinstance(token, str)
    assert names == list(files)
    problem(api.get(path + "/debug_archive/files", params={"page_size": 1001}), 400, field="page_size")
    problem(api.get(path + "/debug_archive/files", params={"page_token": "../x"}), 400, field="page_token")


def test_capabilities(api: httpx.Client) -> None:
    def ask(**params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = good(api.get("/v1/loops/capabilities", params=params))["supported_models"]
        return found

    everything = ask()
    assert len(everything) >= 5
    assert all(model["enabled"] for model in everything)
    assert [model["model_name"] for model in ask(model=MODEL)] == [MODEL]
    assert ask(model="org/other") == []
    moe = "Qwen/Qwen3-30B-A3B-Instruct-2507"
    # Sampling is shorter than training, and rl needs both.
    assert ask(model=moe)[0]["max_seq_len"] < ask(model=moe, use_case="sft")[0]["max_seq_len"]
    too_long = ask(model=MODEL, max_seq_len=200_000)[0]
    assert too_long["enabled"] is False
    assert too_long["enablement_details"]["reason"] == "sequence_length_unsupported"
    assert "131072" in too_long["enablement_details"]["remediation"]
    problem(api.get("/v1/loops/capabilities", params={"use_case": "dpo"}), 400, field="use_case")
    problem(api.get("/v1/loops/capabilities", params={"max_seq_len": 0}), 400, field="max_seq_len")


def test_user_config_is_a_merge_patch(api: httpx.Client) -> None:
    path, nothing = (
        "/v1/loops/user_config",
        {"trainer_accelerator_priority": None, "sampler_accelerator_priority": None},
    )
    assert good(api.get(path)) == {"user_config": nothing}
    one = {**nothing, "trainer_accelerator_priority": ["B200", "H100"]}
    assert good(api.patch(path, json={"trainer_accelerator_priority": ["B200", "H100"]})) == {"user_config": one}
    both = {**one, "sampler_accelerator_priority": ["H100"]}
    assert good(api.patch(path, json={"sampler_accelerator_priority": ["H100"]})) == {"user_config": both}
    assert good(api.patch(path, json={})) == {"user_config": both}
    assert (
        good(api.patch(path, json={"trainer_accelerator_priority": None}))["user_config"][
            "trainer_accelerator_priority"
        ]
        is None
    )
    problem(api.patch(path, json={"sampler_accelerator_priority": []}), 400, field="sampler_accelerator_priority")
    problem(api.patch(path, json={"sampler_accelerator_priority": "H100"}), 400, field="sampler_accelerator_priority")
    assert good(api.get(path))["user_config"]["sampler_accelerator_priority"] == ["H100"]
