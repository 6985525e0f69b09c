"""``%loops deploy``, with a local service of its own."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from loops_nb import Loops
from loops_nb.api.serving import openai_base_url, run_page
from loops_nb.errors import InvalidArgumentError, NeverReachedError, NotFoundError, WaitTimeoutError
from loops_nb.magics.verbs import deploy
from tests.client.scripted_server import Answer, Received, ScriptedServer
from tests.magics.conftest import Notebook
from tests.service import AnyService, running_service


@pytest.fixture
def own(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyService]:
    """A service that may be deployed to, which the shell talks to."""
    assert notebook is not None
    with running_service(in_process=True, sample=True, any_key=True) as running:
        monkeypatch.setenv("LOOPS_BASE_URL", running.url)
        monkeypatch.setenv("BASETEN_API_KEY", "sentinel-key-0123456789")
        yield running


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions; the first is answered by n, the others by y."""
    asked: list[str] = []

    def reply(text: str) -> str:
        asked.append(text)
        return "n" if len(asked) == 1 else "y"

    monkeypatch.setattr(builtins, "input", reply)
    return asked


def test_deploy_checks_asks_follows_and_stops(notebook: Notebook, own: AnyService, questions: list[str]) -> None:
    with Loops("key", own.url) as loops:
        run = next(run for run in loops.runs.list() if run.name == "support-tone-r8")
        before = len(loops.models.list())
        line = f"%loops deploy {run.id}/final --instance-type local-h100-1 --name tone"
        # Both targets have this name; the sampler's is the one.
        refused = {
            f"%loops deploy {run.id}/final --name tone": "--instance-type TYPE is missing",
            f"%loops deploy {run.id}/final --instance-type local-h100-9 --name tone": "Did you mean local-h100",
            f"%loops deploy {run.id}/final --instance-type local-h100-1": "--name NAME is missing",
            f"{line} --secret nothing": "There is no secret 'nothing'",
            f"%loops deploy bt://loops:{run.id}/weights/final --instance-type x --name y": "is a trainer checkpoint",
            "%loops deploy status --name x": "--name is for deploying a checkpoint",
            "%loops deploy stop": "needs the model",
        }
        for wrong, says in refused.items():
            assert says in notebook.run(wrong, fails=True).out, wrong
        assert "Nothing was deployed." in notebook.run(line).out
        assert len(loops.models.list()) == before

        made = notebook.run(f"model = {line}").out
        assert questions[-1].startswith(f"Deploy {run.id}/sampler_weights/final as the new model 'tone' on H100 x 1")
        assert "A node of it is $6.67 an hour (Made-up prices" in questions[-1]
        assert "billed" not in questions[-1]
        model = notebook.shell.user_ns["model"]
        assert "is ACTIVE" in made
        assert f'base_url="{own.url}/models/{model.model_id}/deployment/' in made
        assert "sentinel-key" not in made
        assert f"%loops deploy stop {model.model_id}" in made
        assert loops.model_deployments.get(model.model_id, model.deployment_id).status == "ACTIVE"

        status = notebook.run("%loops deploy status").value
        assert status[["model_id", "name", "status", "instance_type"]].values.tolist() == [
            [model.model_id, "tone", "ACTIVE", "H100 x 1"]
        ]
        assert "ACTIVE" in notebook.html(status)
        assert "Stopped 1 deployment of model 'tone'" in notebook.run("%loops deploy stop tone").out
        # Its end takes three seconds at the pace of the hosted service.
        assert loops.models.frame("tone")["status"].iloc[0] in {"DEACTIVATING", "INACTIVE"}
        assert "stopped already" in notebook.run("%loops deploy stop tone -y").out
        with pytest.raises(NotFoundError, match="no model with the id or name 'tune'"):
            loops.models.frame("tune")
        with pytest.raises(InvalidArgumentError, match="limit must be"):
            loops.models.frame(limit=0)

    assert "%loops deploy status" in notebook.completions("%loops deploy sta")
    for typed, completed in {
        "--instance-type local-h100-": "local-h100-2",
        "--secret hf": "hf_access_token",
        "stop to": "tone",
    }.items():
        found = notebook.completions(f"%loops deploy {typed}")
        assert any(one.endswith(completed) for one in found), (typed, found)


def test_deploy_waits_for_a_checkpoint_that_is_being_written(
    notebook: Notebook, own: AnyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "time", SimpleNamespace(sleep=interrupted))
    with Loops("key", own.url) as loops:
        run = next(run for run in loops.runs.list() if run.name == "support-tone-dpo")
        (newest,) = [
            one.checkpoint_id
            for one in loops.checkpoints.list(run_id=run.id)
            if one.target == "sampler" and one.sync_status == "SYNCING"
        ]
        line = f"%loops deploy {run.id}/{newest} --instance-type local-h100-1 --name tone -y"
        said = notebook.run(line, fails=True).out
        assert f"Waiting until {run.id}/sampler_weights/{newest} is saved. Ctrl-C: nothing is deployed." in said
        refused = notebook.run(f"{line} --no-wait", fails=True).out
        assert "is still being saved. Nothing was deployed." in refused
        assert "tone" not in [model.name for model in loops.models.list()]


def test_question_says_that_it_is_billed_elsewhere(
    notebook: Notebook, own: AnyService, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loops, "is_local", False)
    line = "%loops deploy p2syas8/step-500 --instance-type local-h100-1 --name tone"
    assert "Nothing was deployed." in notebook.run(line).out
    assert questions[-1].endswith("It is billed until it is stopped. [y/N] ")


def test_wait_ends_where_a_deployment_fails_or_takes_too_long() -> None:
    states = iter(["BUILDING", "LOADING_MODEL", "DEPLOY_FAILED", "BUILDING"])

    def answer(received: Received) -> Answer:
        assert received.target == "/v1/models/m1/deployments/d1"
        return Answer({"id": "d1", "status": next(states)})

    with ScriptedServer(answer) as server, Loops("key", server.url) as loops:
        with pytest.raises(NeverReachedError, match="d1 is DEPLOY_FAILED") as failed:
            loops.model_deployments.wait("m1", "d1", quiet=True)
        assert "loops.model_deployments.logs" in failed.value.hint
        with pytest.raises(WaitTimeoutError, match="It goes on, and is billed"):
            loops.model_deployments.wait("m1", "d1", timeout=1e-9, quiet=True)


def test_addresses_are_those_of_the_hosted_service() -> None:
    hosted = "https://api.baseten.co"
    assert openai_base_url("abc123", "dep456", hosted) == (
        "https://model-abc123.api.baseten.co/deployment/dep456/sync/v1"
    )
    assert run_page("k4q95w5", hosted) == "https://app.baseten.co/training/loop/k4q95w5"
    assert run_page("a/../b?c", hosted) == "https://app.baseten.co/training/loop/a%2F..%2Fb%3Fc"
    with Loops("key", hosted) as loops:
        assert loops.runs.page("k4q95w5") == run_page("k4q95w5", hosted)
    assert openai_base_url("abc123", "dep456", "http://127.0.0.1:8787/") == (
        "http://127.0.0.1:8787/models/abc123/deployment/dep456/sync/v1"
    )
    assert run_page("k", "https://a.example") is None
