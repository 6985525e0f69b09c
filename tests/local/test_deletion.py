"""Deletion of runs and checkpoints: order of checks, uses, tombstones, files, URLs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.local.conftest import Clock
from tests.local.responses import deployment_of, good, new_run, new_sampler, problem, run_of, states
from tests.local.training_client import TrainingClient
from tests.service import AnyService, running_service

pytestmark = pytest.mark.once


@pytest.fixture
def sampled() -> Iterator[AnyService]:
    """A fresh sample workspace: its checkpoints are there without any training."""
    with running_service(sample=True, in_process=True) as found:
        yield found


@pytest.fixture
def work(sampled: AnyService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sampled.url, headers=sampled.headers, timeout=30) as client:
        yield client


@pytest.fixture
def runs(work: httpx.Client) -> dict[str, Any]:
    return {run["name"]: run for run in good(work.get("/v1/loops/runs"))["runs"]}


def listed(api: httpx.Client, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(api.get("/v1/loops/checkpoints", params={"run_id": run_id}))["checkpoints"]
    return found


def both(api: httpx.Client, run_id: str, name: str) -> dict[str, dict[str, Any]]:
    """The trainer and the sampler checkpoint of a name."""
    return {found["target"]: found for found in listed(api, run_id) if found["checkpoint_id"] == name}


def uri(checkpoint: dict[str, Any]) -> str:
    kind = "weights" if checkpoint["target"] == "trainer" else "sampler_weights"
    return f"bt://loops:{checkpoint['run_id']}/{kind}/{checkpoint['checkpoint_id']}"


def delete(api: httpx.Client, checkpoint: dict[str, Any]) -> httpx.Response:
    return api.delete(f"/v1/loops/checkpoints/{checkpoint['id']}")


def refused(answer: httpx.Response, reason: str) -> dict[str, Any]:
    body = problem(answer, 409)
    assert body["code"] == "CONFLICT"
    assert body["details"]["reason"] == reason
    return body


def test_deleted_checkpoint_is_gone_everywhere(work: httpx.Client, sampled: AnyService, runs: dict[str, Any]) -> None:
    found = both(work, runs["gsm8k-grpo"]["id"], "step-40")
    sampler, trainer = found["sampler"], found["trainer"]
    page = good(work.get(f"/v1/loops/checkpoints/{sampler['id']}/files"))["presigned_urls"]
    folder = sampled.data_dir / "checkpoints" / sampler["id"]
    assert folder.is_dir()
    assert httpx.get(page[0]["url"]).status_code == 200
    stone = {
        "id": sampler["id"],
        "run_id": sampler["run_id"],
        "checkpoint_id": "step-40",
        "target": "sampler",
        "path": uri(sampler),
    }
    assert good(delete(work, sampler)) == stone
    assert good(delete(work, sampler)) == stone
    assert not folder.exists()
    assert {httpx.get(file["url"]).status_code for file in page} == {404}
    assert sampler["id"] not in {one["id"] for one in listed(work, sampler["run_id"])}
    assert trainer["id"] in {one["id"] for one in listed(work, sampler["run_id"])}
    assert good(work.get("/v1/loops/checkpoints", params={"checkpoint_path": uri(sampler)})) == {"checkpoints": []}
    for route in ("files", "source"):
        problem(work.get(f"/v1/loops/checkpoints/{sampler['id']}/{route}"), 404)
    problem(
        work.post("/v1/loops/checkpoints/validate", json={"checkpoint_path": uri(sampler)}),
        400,
        field="checkpoint_path",
    )
    session = good(work.post("/v1/loops/sessions"))["session"]["id"]
    problem(work.post("/v1/loops/samplers", json={"session_id": session, "model_path": uri(sampler)}), 404)
    body = {
        "checkpoint_ids": [sampler["id"]],
        "model_name": "m",
        "instance_type_id": "local-h100-2",
        "hf_secret_name": "hf_access_token",
    }
    problem(work.post("/v1/loops/checkpoints/deploy", json=body), 404)
    good(delete(work, trainer))
    run = {"session_id": session, "base_model": trainer["base_model"], "path": uri(trainer)}
    problem(work.post("/v1/loops/runs", json=run), 404)


def test_unknown_checkpoint_is_404_and_a_name_is_never_taken_for_an_id(
    work: httpx.Client, runs: dict[str, Any]
) -> None:
    run_id = runs["gsm8k-grpo"]["id"]
    ids = {found["id"] for found in both(work, run_id, "step-40").values()}
    body = problem(work.delete("/v1/loops/checkpoints/step-40"), 404)
    assert body["code"] == "NOT_FOUND"
    assert ids <= set(body["details"]["matches"])
    assert "is the name of" in body["message"]
    assert ids <= {found["id"] for found in listed(work, run_id)}
    for key in ("nothere", "a%2Fb", "%00", "x" * 1000):
        answer = work.delete(f"/v1/loops/checkpoints/{key}")
        assert answer.status_code == 404
    assert "matches" not in problem(work.delete("/v1/loops/checkpoints/nothere"), 404)["details"]
    assert httpx.delete(f"{work.base_url}/v1/loops/checkpoints/nothere").status_code == 401


def test_a_checkpoint_that_is_being_written_is_kept(work: httpx.Client, runs: dict[str, Any]) -> None:
    syncing = next(c for c in listed(work, runs["support-tone-dpo"]["id"]) if c["sync_status"] == "SYNCING")
    assert refused(delete(work, syncing), "STILL_WRITTEN")["details"]["used_by"] == []


def test_uses_are_refused_in_their_order_and_all_are_named(
    work: httpx.Client, sampled: AnyService, runs: dict[str, Any]
) -> None:
    found = both(work, runs["gsm8k-grpo"]["id"], "step-40")
    session = good(work.post("/v1/loops/sessions"))["session"]["id"]
    sampler = new_sampler(work, session, model_path=uri(found["sampler"]))
    body = {
        "checkpoint_ids": [found["sampler"]["id"]],
        "model_name": "m",
        "instance_type_id": "local-h100-2",
        "hf_secret_name": "hf_access_token",
    }
    model = good(work.post("/v1/loops/checkpoints/deploy", json=body))
    answer = refused(delete(work, found["sampler"]), "DEPLOYED")
    assert answer["details"]["used_by"] == [
        {"kind": "model_deployment", "id": model["deployment_id"]},
        {"kind": "sampler", "id": sampler["id"]},
    ]
    assert model["deployment_id"] in answer["message"]
    assert sampler["id"] in answer["message"]
    good(work.post(f"/v1/models/{model['model_id']}/deployments/{model['deployment_id']}/deactivate"))
    refused(delete(work, found["sampler"]), "SERVED_BY_SAMPLER")
    good(work.post(f"/v1/loops/samplers/{sampler['id']}/deactivate"))
    good(delete(work, found["sampler"]))
    run = new_run(work, session, base_model=found["trainer"]["base_model"], path=uri(found["trainer"]))
    assert refused(delete(work, found["trainer"]), "START_OF_RUN")["details"]["used_by"] == [
        {"kind": "run", "id": run["id"]}
    ]
    good(work.post(f"/v1/loops/runs/{run['id']}/deactivate"))
    good(delete(work, found["trainer"]))
    assert (sampled.data_dir / "checkpoints").is_dir()


def test_deleted_run_keeps_what_is_used(work: httpx.Client, sampled: AnyService, runs: dict[str, Any]) -> None:
    run, later = runs["gsm8k-grpo"], runs["gsm8k-grpo-lower-lr"]
    good(work.post(f"/v1/loops/runs/{later['id']}/deactivate"))
    before = listed(work, run["id"])
    found = both(work, run["id"], "step-40")
    session = good(work.post("/v1/loops/sessions"))["session"]["id"]
    sampler = new_sampler(work, session, model_path=uri(found["sampler"]))
    answer = good(work.delete(f"/v1/loops/runs/{run['id']}"))
    assert answer == {"id": run["id"], "kept_checkpoints": [{**found["sampler"], "path": uri(found["sampler"])}]}
    problem(work.get(f"/v1/loops/runs/{run['id']}"), 404)
    again = problem(work.delete(f"/v1/loops/runs/{run['id']}"), 404)
    assert again["details"] == {"resource": "run", "id": run["id"]}
    assert run["id"] not in {one["id"] for one in good(work.get("/v1/loops/runs"))["runs"]}
    assert listed(work, run["id"]) == [found["sampler"]]
    folders = {path.name for path in (sampled.data_dir / "checkpoints").iterdir()}
    assert not folders & ({one["id"] for one in before} - {found["sampler"]["id"]})
    assert found["sampler"]["id"] in folders
    # It stays usable while it is used, and can be deleted afterwards; nothing deletes it by itself.
    good(work.get(f"/v1/loops/checkpoints/{found['sampler']['id']}/files"))
    refused(delete(work, found["sampler"]), "SERVED_BY_SAMPLER")
    good(work.post(f"/v1/loops/samplers/{sampler['id']}/deactivate"))
    assert listed(work, run["id"]) == [found["sampler"]]
    good(delete(work, found["sampler"]))
    assert listed(work, run["id"]) == []


def test_active_run_is_ended_first(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id)
    clock.forward(60)
    assert good(api.delete(f"/v1/loops/runs/{run['id']}")) == {"id": run["id"], "kept_checkpoints": []}
    assert deployment_of(api, run)["status"]["name"] == "STOPPED"
    sampler = good(api.get(f"/v1/loops/samplers/{run['sampler']['id']}"))["sampler"]
    assert sampler["status"]["name"] == "DEACTIVATING"
    assert listed(api, run["id"]) == []
    problem(api.delete("/v1/loops/runs/nothere"), 404)


def test_paired_sampler_that_passed_on_to_a_newer_run_is_left_alone(
    api: httpx.Client, clock: Clock, session_id: str
) -> None:
    first = new_run(api, session_id)
    clock.forward(100)
    second = new_run(api, session_id, reuse_from_run_id=first["id"])
    clock.forward(10)
    assert good(api.delete(f"/v1/loops/runs/{first['id']}"))["kept_checkpoints"] == []
    assert states(api, second) == ("ACTIVE", "RUNNING", "ACTIVE")
    assert run_of(api, second["id"])["sampler"]["id"] == first["sampler"]["id"]


@pytest.fixture
def trainer(api: httpx.Client, session_id: str, clock: Clock) -> TrainingClient:
    made = TrainingClient(api, session_id)
    clock.forward(22)
    return made.init()


def test_published_version_and_its_uses(trainer: TrainingClient, clock: Clock, service: AnyService) -> None:
    trainer.step()
    sampler = trainer.sampler()
    clock.forward(20)
    trainer.do("save_weights_for_sampler", name="one", bump_version=True)
    clock.forward(3)
    (one,) = listed(trainer.api, trainer.run["id"])
    answer = refused(delete(trainer.api, one), "SERVED_BY_SAMPLER")
    assert answer["details"]["used_by"] == [{"kind": "sampler", "id": sampler["id"]}]
    trainer.do("save_weights_for_sampler", name="two", bump_version=True)
    clock.forward(3)
    good(delete(trainer.api, one))
    # The run's own sampler and its own start count no more once it is deactivated.
    assert good(trainer.api.delete(f"/v1/loops/runs/{trainer.run['id']}"))["kept_checkpoints"] == []
    assert list((service.data_dir / "checkpoints").iterdir()) == []
    assert not (service.data_dir / "engine" / "published" / trainer.run["id"]).exists()
    ended = trainer.api.get(f"{trainer.url}/policy_version")
    assert (ended.status_code, ended.json()["code"]) == (422, "RUN_ENDED")


def test_a_run_goes_on_where_it_stood_when_its_newest_checkpoint_is_deleted(
    trainer: TrainingClient, clock: Clock, service: AnyService
) -> None:
    for _ in range(3):
        trainer.step()
    trainer.do("save_state", name="one")
    clock.forward(3)
    path = f"bt://loops:{trainer.run['id']}/weights/one"
    expected = trainer.step()
    trainer.do("load_state_with_optimizer", path=path)
    (one,) = listed(trainer.api, trainer.run["id"])
    good(delete(trainer.api, one))
    assert "no checkpoint" in trainer.fail("load_state", path=path)["error"]
    assert trainer.step() == expected
    assert not (service.data_dir / "checkpoints" / one["id"]).exists()
    # A new save under the name is another checkpoint.
    trainer.do("save_state", name="one")
    assert [found["id"] for found in listed(trainer.api, trainer.run["id"])] != [one["id"]]


def test_files_of_an_interrupted_deletion_go_at_the_next_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_service(data_dir=data, sample=True, in_process=True) as service:
        with httpx.Client(base_url=service.url, headers=service.headers) as api:
            run = good(api.get("/v1/loops/runs"))["runs"][-1]
            first = listed(api, run["id"])[0]
            good(delete(api, first))
        left = data / "checkpoints" / first["id"]
        left.mkdir()
        (left / "adapter_model.safetensors").write_bytes(b"half gone")
    with running_service(data_dir=data, in_process=True) as service:
        assert not left.exists()
        assert not (data / "set-aside").exists()
        assert good(httpx.delete(f"{service.url}/v1/loops/checkpoints/{first['id']}", headers=service.headers))


class Deletions(RuleBasedStateMachine):
    """Any order of saves in the past, deployments, samplers, runs and deletions, against a model of the rules."""

    api: httpx.Client

    @initialize()
    def begin(self) -> None:
        self.session = good(self.api.post("/v1/loops/sessions"))["session"]["id"]
        found = good(self.api.get("/v1/loops/runs"))["runs"]
        self.run = next((run for run in found if len(listed(self.api, run["id"])) > 3), None)
        self.alive: dict[str, dict[str, Any]] = {}
        if self.run is not None:
            self.alive = {c["id"]: c for c in listed(self.api, self.run["id"]) if c["sync_status"] != "SYNCING"}
        self.users: dict[str, list[str]] = {}
        self.gone: dict[str, Any] = {}

    def pick(self, number: int, target: str = "") -> dict[str, Any] | None:
        fit = [c for c in self.alive.values() if target in {"", c["target"]}]
        return fit[number % len(fit)] if fit else None

    @rule(number=st.integers(0, 99))
    def serve(self, number: int) -> None:
        chosen = self.pick(number, "sampler")
        if chosen is not None:
            made = new_sampler(self.api, self.session, model_path=uri(chosen))
            self.users.setdefault(chosen["id"], []).append(f"/v1/loops/samplers/{made['id']}/deactivate")

    @rule(number=st.integers(0, 99))
    def start(self, number: int) -> None:
        chosen = self.pick(number, "trainer")
        if chosen is not None:
            made = new_run(self.api, self.session, base_model=chosen["base_model"], path=uri(chosen))
            self.users.setdefault(chosen["id"], []).append(f"/v1/loops/runs/{made['id']}/deactivate")

    @rule(number=st.integers(0, 99))
    def end_use(self, number: int) -> None:
        used = [key for key, users in self.users.items() if users]
        if used:
            good(self.api.post(self.users[used[number % len(used)]].pop()))

    @rule(number=st.integers(0, 99))
    def delete(self, number: int) -> None:
        chosen = self.pick(number)
        if chosen is None:
            return
        answer = delete(self.api, chosen)
        if self.users.get(chosen["id"]):
            assert len(problem(answer, 409)["details"]["used_by"]) == len(self.users[chosen["id"]])
        else:
            self.gone[chosen["id"]] = good(answer)
            del self.alive[chosen["id"]]

    @rule(number=st.integers(0, 99))
    def delete_again(self, number: int) -> None:
        if self.gone:
            key = list(self.gone)[number % len(self.gone)]
            assert good(self.api.delete(f"/v1/loops/checkpoints/{key}")) == self.gone[key]

    @rule()
    def delete_run(self) -> None:
        if self.run is None:
            return
        kept = good(self.api.delete(f"/v1/loops/runs/{self.run['id']}"))["kept_checkpoints"]
        assert {c["id"] for c in kept} == {key for key in self.alive if self.users.get(key)}
        self.alive = {c["id"]: self.alive[c["id"]] for c in kept}
        self.ended, self.run = self.run, None

    @invariant()
    def listing_has_what_is_alive(self) -> None:
        for key in list(getattr(self, "gone", {}))[-1:]:
            problem(self.api.get(f"/v1/loops/checkpoints/{key}/files"), 404)
        for key in list(getattr(self, "alive", {}))[:1]:
            good(self.api.get(f"/v1/loops/checkpoints/{key}/files"))


def test_any_order_of_uses_and_deletions_keeps_the_rules(sampled: AnyService) -> None:
    with httpx.Client(base_url=sampled.url, headers=sampled.headers, timeout=30) as client:
        machine = type("DeletionsHere", (Deletions,), {"api": client})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=6,
                stateful_step_count=25,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )
