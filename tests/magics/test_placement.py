"""Where runs and samplers are created from ``%loops``, and how those on shared capacity are told apart."""

from __future__ import annotations

import pytest

from tests.magics.conftest import Notebook
from tests.service import running_service

MODEL = "loops-local/tiny"


def test_a_serverless_run_is_created_told_apart_and_samples(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service(in_process=True, any_key=True) as service:
        monkeypatch.setenv("LOOPS_BASE_URL", service.url)
        monkeypatch.setenv("BASETEN_API_KEY", "sentinel-key-0123456789")
        notebook.run("s = %loops create session")
        line = f"%loops create run --session {{s.id}} -m {MODEL}"
        assert {f"{line} --scope serverless", f"{line} --scope deployment"} <= set(
            notebook.completions(f"{line} --scope ")
        )
        run = notebook.run(f"{line} --scope serverless").value
        assert run.deployment_id is None
        notebook.run(f"{line} --no-sampler")
        monkeypatch.setenv("BASETEN_LOOPS_SCOPE", "serverless")
        notebook.run(f"%loops create sampler --session {{s.id}} -m {MODEL}")
        refused = notebook.run("%loops create run --session {s.id} -m Qwen/Qwen3-4B-Instruct-2507", fails=True).out
        assert "BASETEN_LOOPS_SCOPE in the environment" in refused
        assert "not offered on serverless capacity" in refused
        assert "New runs and samplers: BASETEN_LOOPS_SCOPE=serverless" in notebook.run("%loops doctor").out
        monkeypatch.setenv("LOOPS_AVAILABILITY_MODEL", "cheap")
        assert "LOOPS_AVAILABILITY_MODEL must be one of dedicated, spot" in notebook.run("%loops doctor").out
        monkeypatch.delenv("LOOPS_AVAILABILITY_MODEL")
        notebook.run(f"{line} --scope deployment")
        runs = notebook.run("%loops runs").value
        assert runs["serverless"].tolist() == [False, False, True]
        assert runs.set_index("id").loc[run.id, "gpu_count"] == 0
        samplers = notebook.run("%loops samplers").value
        assert samplers["serverless"].tolist() == [False, True, True]
        shared = notebook.run("%loops capabilities --serverless").value
        assert set(shared["serverless"]) == {True}
        assert f"{len(shared)} models are also on shared (serverless) capacity" in notebook.html(shared)
        none = notebook.html(notebook.run("%loops capabilities --serverless -m openai/gpt-oss-20b").value)
        assert "match --model openai/gpt-oss-20b and --serverless" in none
        models = notebook.run("%loops capabilities").value.set_index("model_name")["serverless"]
        assert models[MODEL]
        assert not models["Qwen/Qwen3-4B-Instruct-2507"]
        assert "serverless: no GPUs of its own" in notebook.html(run)
        assert "serverless: no GPUs of its own" in notebook.html(run.sampler)
        # It samples as any other, without a deployment.
        sampled = notebook.context.loops.samplers.sample(run.id, "Hello", max_tokens=4, quiet=True)
        assert 0 < len(sampled[0].tokens) <= 4
        # What has ended is left out on request; the service lists it.
        notebook.run("%loops deactivate run " + run.id + " -y")
        dedicated = [one.id for one in notebook.context.loops.runs.list() if one.deployment_id]
        notebook.run(f"%loops deactivate run {dedicated[0]} -y")
        assert len(notebook.run("%loops runs").value) == 3
        assert notebook.run("%loops runs --alive").value["id"].tolist() == dedicated[1:]
        assert len(notebook.run("%loops deployments --alive").value) == 1
        assert run.sampler.id not in notebook.run("%loops samplers --alive").value["id"].tolist()
        assert [one.id for one in notebook.context.loops.runs.list(alive=True)] == dedicated[1:]
        notebook.run(f"%loops deactivate run {dedicated[1]} -y")
        empty = notebook.run("%loops deployments --alive").value
        assert "No deployments match --alive." in notebook.html(empty)
        too_long = notebook.run(f"{line} --scale-down-delay 7200", fails=True).out
        assert "must be between 1 and 3600, not 7200" in too_long
        assert "first documents" in too_long
