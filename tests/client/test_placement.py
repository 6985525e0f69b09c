"""Where the client creates runs and samplers: arguments, and the variables of the official SDK."""

from __future__ import annotations

from typing import Any

import pytest

from loops_nb.client.operations import runs, samplers
from loops_nb.errors import InvalidArgumentError

NO_RUN: dict[str, Any] = dict.fromkeys(
    ("name", "max_seq_len", "seed", "scale_down_delay_seconds", "path", "replicas", "team_id", "scope")
    + ("lora_rank", "availability_model", "reuse_from_run_id", "reuse_from_session_id")
)
NO_SAMPLER: dict[str, Any] = dict.fromkeys(
    ("base_model", "run_id", "scope", "availability_model", "max_seq_length", "model_path", "reuse_from_session_id")
    + ("num_replicas", "team_id")
)
RUN: dict[str, Any] = {"session_id": "s", "base_model": "Qwen/Qwen3-8B"}


def run_body(**given: Any) -> Any:
    return runs.create(**{**NO_RUN, **RUN, **given}).body


def sampler_body(**given: Any) -> Any:
    return samplers.create(**{**NO_SAMPLER, "session_id": "s", **given}).body


def test_an_argument_beats_the_variable_of_the_sdk_which_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_body(scope="default") == RUN, "services that know no scope understand the default too"
    assert run_body(scope="serverless")["scope"] == "serverless"
    for name, value in {
        "BASETEN_LOOPS_SCOPE": "serverless",
        "LOOPS_AVAILABILITY_MODEL": "spot",
        "LOOPS_REUSE_FROM_RUN_ID": "r1",
        "LOOPS_REUSE_FROM_SESSION_ID": "s1",
    }.items():
        monkeypatch.setenv(name, value)
    assert run_body() == {**RUN, "scope": "serverless", "availability_model": "spot", "reuse_from_run_id": "r1"}
    assert "LOOPS_REUSE_FROM_RUN_ID" in runs.create(**{**NO_RUN, **RUN}).description
    given = {"scope": "default", "availability_model": "dedicated", "reuse_from_session_id": "s2"}
    assert run_body(**given) == {**RUN, "availability_model": "dedicated", "reuse_from_session_id": "s2"}
    # A run to reuse wins over a session, and samplers are reused by session only.
    assert sampler_body(base_model="m/m") == {
        "session_id": "s",
        "base_model": "m/m",
        "scope": "serverless",
        "availability_model": "spot",
    }
    assert sampler_body(run_id="r2") == {"session_id": "s", "run_id": "r2"}, "a paired sampler follows its run"
    monkeypatch.setenv("LOOPS_REUSE_FROM_RUN_ID", " ")
    assert run_body()["reuse_from_session_id"] == "s1"
    assert sampler_body(base_model="m/m")["reuse_from_session_id"] == "s1"
    monkeypatch.setenv("BASETEN_LOOPS_SCOPE", "team")
    assert run_body()["scope"] == "team"
    assert "scope" not in sampler_body(base_model="m/m")


def test_a_value_that_there_is_not_is_refused_with_the_name_of_what_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match="scope must be one of default, serverless, deployment, not 'team'"):
        sampler_body(base_model="m/m", scope="team")
    for name in ("BASETEN_LOOPS_SCOPE", "LOOPS_AVAILABILITY_MODEL", "LOOPS_REUSE_FROM_RUN_ID"):
        monkeypatch.setenv(name, "no such/thing")
        with pytest.raises(InvalidArgumentError, match=name):
            run_body()
        monkeypatch.delenv(name)
