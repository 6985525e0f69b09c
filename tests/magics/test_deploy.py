"""``%loops deploy``, with a local service of its own."""

from __future__ import annotations

import builtins
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

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
            f"{line} --secret nothing": "There is no secret 'nothing'",
            f"%loops deploy {run.id}/final --instance-type h100 --name tone": "There are local-h100-1 (H100 x 1)",
            f"%loops deploy bt://loops:{run.id}/weights/final --instance-type x --name y": "is a trainer checkpoint",
            f"%loops deploy {run.id}/final --instance-type local-h100-1": "--name NAME is missing",
            "%loops deploy satus": "Did you mean status?",
            "%loops deploy status --name x": "%loops deploy status has no option '--name'",
            "%loops deploy deactivate": "MODEL is missing",
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
        assert f"%loops deploy deactivate {model.model_id}" in made
        assert loops.model_deployments.get(model.model_id, model.deployment_id).status == "ACTIVE"

        notebook.run(line)
        assert f"There is already a model of this name ({model.model_id}): only ids" in questions[-1]
        second = next(one for one in loops.models.list() if one.name == "tone" and one.id != model.model_id)
        assert "is the name of 2 models" in notebook.run("%loops deploy delete tone", fails=True).out
        assert len(notebook.run("%loops deploy status tone").value) == 2
        notebook.run(f"%loops deploy delete {second.id}")
        status = notebook.run("%loops deploy status").value
        assert status[["model_id", "name", "status", "instance_type"]].values.tolist() == [
            [model.model_id, "tone", "ACTIVE", "H100 x 1"]
        ]
        assert "ACTIVE" in notebook.html(status)
        costs = notebook.run("%loops cost").value
        (held,) = costs[costs.kind == "model"].itertuples()
        assert (held.id, held.name, held.gpu_count) == (model.model_id, "tone", 1)
        assert held.usd_per_hour == pytest.approx(6.666)
        assert "Deactivated 1 deployment of model 'tone'" in notebook.run("%loops deploy stop tone").out
        # Its end takes three seconds at the pace of the hosted service.
        assert loops.models.frame("tone")["status"].iloc[0] in {"DEACTIVATING", "INACTIVE"}
        assert "so nothing runs. Nothing was" in notebook.run("%loops deploy deactivate tone -y").out
        with pytest.raises(NotFoundError, match="no model with the id or name 'tune'"):
            loops.models.frame("tune")
        with pytest.raises(InvalidArgumentError, match="limit must be"):
            loops.models.frame(limit=0)

    assert "%loops deploy status" in notebook.completions("%loops deploy sta")
    for typed, completed in {
        "--instance-type local-h100-": "local-h100-2",
        "--secret hf": "hf_access_token",
        "stop to": "tone",
        "act": "activate",
        "delete tone ": model.deployment_id,
    }.items():
        found = notebook.completions(f"%loops deploy {typed}")
        assert any(one.endswith(completed) for one in found), (typed, found)

    assert "Deleted model 'tone'" in notebook.run("%loops deploy delete tone").out
    assert questions[-1].startswith(f"Delete model 'tone' ({model.model_id}) with 1 deployment: ")
    assert len(notebook.context.loops.models.list()) == before


class _Hosted:
    """A service with a model of several deployments, and one behind a sampler."""

    def __init__(self) -> None:
        self.states = {"d1": "INACTIVE", "d4": "ACTIVE", "d2": "DEPLOY_FAILED", "d3": "ACTIVE"}
        self.engine = "SCALED_TO_ZERO"
        self.done: list[str] = []
        #: What is answered of a deployment before its state is shown.
        self.late: list[str] = []

    def answer(self, received: Received) -> Answer:
        path = received.target.partition("?")[0].removeprefix("/v1/").split("/")
        if path == ["models"]:
            return Answer({"models": [{"id": "m1", "name": "tone"}, {"id": "m2", "name": "engine"}]})
        if path == ["loops", "samplers"]:
            return Answer({"samplers": [{"id": "s1", "model_id": "m2", "deployment_id": "d9"}]})
        if path == ["instance_types"]:
            return Answer({"instance_types": [{"id": "h1", "name": "H100"}]})
        if path == ["instance_type_prices"]:
            return Answer({"instance_types": [{"instance_type": {"id": "h1"}, "price": 0.1}]})
        if path == ["models", "m1", "deployments"]:
            return Answer({"deployments": [self._deployment(key) for key in self.states]})
        if path == ["models", "m2", "deployments"]:
            return Answer({"deployments": [{"id": "d9", "status": self.engine}]})
        if received.method == "GET" and path[:3] == ["models", "m1", "deployments"]:
            return Answer(self._deployment(path[3]) | ({"status": self.late.pop()} if self.late else {}))
        return self._change(received.method, path)

    def _deployment(self, key: str) -> dict[str, str]:
        return {"id": key, "status": self.states[key], "instance_type_name": "H100"}

    def _change(self, method: str, path: list[str]) -> Answer:
        self.done.append(" ".join([method, *path[1:]]))
        if path[-2:] == ["d4", "deactivate"]:
            return Answer({"code": "CONFLICT", "message": "It is promoted."}, status=409)
        if path[3:] == ["d9", "activate"]:
            self.engine = "ACTIVE"
            return Answer({"success": True})
        if path[-1] in {"activate", "retry"}:
            self.late = [self.states[path[3]]]
            self.states[path[3]] = "ACTIVE"
            return Answer({"success": True, "retried": True})
        return Answer({"success": True, "deleted": True})


def test_deployments_of_a_model_are_started_ended_and_deleted_one_at_a_time(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def reply(text: str) -> str:
        asked.append(text)
        return "y"

    monkeypatch.setattr(builtins, "input", reply)
    monkeypatch.setenv("BASETEN_API_KEY", "key")
    monkeypatch.setattr(Loops, "is_local", False)
    hosted = _Hosted()
    with ScriptedServer(hosted.answer) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        # The service still answers with the former state at the first look.
        out = notebook.run("%loops deploy activate tone").out
        assert asked[-1] == (
            "Activate deployment d1 (INACTIVE) of model 'tone' (m1) on H100? A node of it is $6.00 an hour. It is"
            " billed until it is deactivated. [y/N] "
        )
        assert "model deployment d1 is ACTIVE" in out
        assert f"{server.url}/models/m1/deployment/d1/sync/v1" in out
        assert "is ACTIVE: only one that failed" in notebook.run("%loops deploy retry tone d3", fails=True).out
        assert "Retried deployment d2" in notebook.run("%loops deploy retry m1 --no-wait").out
        several = notebook.run("%loops deploy activate tone", fails=True).out
        assert "has 4 deployments" in several
        assert "It is the engine of sampler s1." in notebook.run("%loops deploy activate engine -y --no-wait").out
        assert "%loops deploy activate m1 DEPLOYMENT: d1 (ACTIVE), d4 (ACTIVE)" in several
        assert "has no deployment 'd7'" in notebook.run("%loops deploy delete tone d7", fails=True).out
        stopped = notebook.run("%loops deploy deactivate tone", fails=True).out
        assert "3 of 4 deployments of model 'tone' (m1) were deactivated. Could not deactivate" in stopped
        assert "d4: the service answered 409 CONFLICT (It is promoted)" in stopped
        notebook.run("%loops deploy delete tone d1 -y")
        notebook.run("%loops deploy delete engine")
        assert asked[-1].startswith("Delete model 'engine' (m2) with 1 deployment: d9 (ACTIVE) for good?")
        assert "It is the engine of sampler s1, which ends with it." in asked[-1]
    assert hosted.done == [
        "POST m1 deployments d1 activate",
        "POST m1 deployments d2 retry",
        "POST m2 deployments d9 activate",
        *(f"POST m1 deployments d{number} deactivate" for number in (1, 4, 2, 3)),
        "DELETE m1 deployments d1",
        "DELETE m2",
    ]


def test_deploy_waits_for_a_checkpoint_that_is_being_written(
    notebook: Notebook, own: AnyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "time", SimpleNamespace(sleep=interrupted, monotonic=time.monotonic))
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
        monkeypatch.setattr(deploy, "STUCK_SECONDS", 0.0)
        assert "is still being saved after 0 s. Nothing was deployed." in notebook.run(line, fails=True).out
        refused = notebook.run(f"{line} --no-wait", fails=True).out
        assert "is still being saved. Nothing was deployed." in refused
        assert "tone" not in [model.name for model in loops.models.list()]


def test_deploy_says_what_the_service_refused_and_that_nothing_was_deployed(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: dict[str, Answer] = {}

    def wrap(app: ASGIApp) -> ASGIApp:
        async def with_faults(scope: Scope, receive: Receive, send: Send) -> None:
            found = refused.get(scope.get("path", "").rsplit("/", 1)[-1])
            if found is None:
                await app(scope, receive, send)
            else:
                await JSONResponse(found.body, found.status)(scope, receive, send)

        return with_faults

    line = "%loops deploy p2syas8/step-500 --instance-type local-h100-1 --name tone"
    # The question is in the output; no answer is a no.
    monkeypatch.setattr(builtins, "input", lambda text: sys.stdout.write(text) and "n")
    with running_service(in_process=True, sample=True, any_key=True, wrap=wrap) as running:
        monkeypatch.setenv("LOOPS_BASE_URL", running.url)
        monkeypatch.setenv("BASETEN_API_KEY", "key")
        gone = {"code": "VALIDATION_ERROR", "message": "The checkpoint is gone."}
        for path, answer, says in (
            ("validate", Answer(gone, 400), "(The checkpoint is gone). Nothing was deployed."),
            ("instance_types", Answer({"instance_types": []}), "The service lists none for this key."),
            ("secrets", Answer({"secrets": []}), "There is none: add one in the dashboard."),
            ("instance_type_prices", Answer({"instance_types": 7}), "Its price could not be read. [y/N]"),
            ("deploy", Answer({}, 500), "A second deploy would be billed too: before you try again"),
        ):
            refused.clear()
            refused[path] = answer
            assert says in notebook.run(f"{line} -y" if path == "deploy" else line, fails=None).out, path


def test_question_says_that_it_is_billed_elsewhere(
    notebook: Notebook, own: AnyService, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loops, "is_local", False)
    line = "%loops deploy p2syas8/step-500 --instance-type local-h100-1 --name tone"
    assert "Nothing was deployed." in notebook.run(line).out
    assert questions[-1].endswith("It is billed until it is deactivated. [y/N] ")


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
