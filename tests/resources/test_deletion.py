"""Deletion of runs and checkpoints by the client: plans, results, lost answers, refusals, interruptions."""

from __future__ import annotations

import asyncio
import builtins
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.checkpoints.deletion import DeletionItem, DeletionPlan
from loops_nb.config.paths import home_dir
from loops_nb.errors import ConflictError, InvalidArgumentError, NotFoundError, OutcomeUnknownError
from tests.client.scripted_server import HANG_UP, Answer, Received, ScriptedServer, serving
from tests.service import AnyService, running_service

KEY = "sentinel-key-of-deletion-0123456789"
QUICK = RetryPolicy(attempts=4, total_seconds=20, first_wait_seconds=0.01, longest_wait_seconds=0.02)
GONE = Answer({"code": "NOT_FOUND", "message": "There is no such run.", "details": {}}, 404)
STONE = {"id": "c1", "run_id": "k4", "checkpoint_id": "a", "target": "trainer", "path": "bt://loops:k4/weights/a"}


@pytest.fixture
def service() -> Iterator[AnyService]:
    with running_service(in_process=True, sample=True) as running:
        yield running


@pytest.fixture
def loops(service: AnyService) -> Iterator[Loops]:
    with Loops(KEY, service.url) as made:
        yield made


def run_called(loops: Loops, name: str) -> Any:
    (found,) = [run for run in loops.runs.list() if run.name == name]
    return found


def plan_of(*ids: str) -> DeletionPlan:
    return DeletionPlan(tuple(DeletionItem("checkpoint", key) for key in ids))


def test_deleted_run_after_a_lost_answer_counts_as_done() -> None:
    with serving(HANG_UP, GONE) as server, Loops("key", server.url, retry=QUICK) as loops:
        done = loops.runs.delete("k4q95w5")
        assert (done.id, done.kept_checkpoints) == ("k4q95w5", None)
        assert [request.method for request in server.received] == ["DELETE", "DELETE"]


def test_async_twin_counts_it_as_done_too() -> None:
    async def go(url: str) -> str:
        async with AsyncLoops("key", url, retry=QUICK) as loops:
            return (await loops.runs.delete("k4q95w5")).id

    with serving(Answer({}, 502), GONE) as server:
        assert asyncio.run(go(server.url)) == "k4q95w5"


@pytest.mark.parametrize("first", [GONE, Answer({"message": "slowly"}, 429, {"retry-after": "0"})])
def test_unknown_run_is_not_found_where_no_answer_was_lost(first: Answer) -> None:
    with (
        serving(first, GONE) as server,
        Loops("key", server.url, retry=QUICK) as loops,
        pytest.raises(NotFoundError),
    ):
        loops.runs.delete("k4q95w5")


def test_deletion_without_any_answer_is_of_unknown_outcome() -> None:
    with serving(HANG_UP) as server, Loops("key", server.url, retry=QUICK) as loops:
        with pytest.raises(OutcomeUnknownError, match="may or may not have happened") as raised:
            loops.runs.delete("k4q95w5")
        assert "%loops run k4q95w5" in raised.value.hint
        assert len(server.received) == 4


def test_deletion_of_a_checkpoint_is_repeated_freely() -> None:
    with serving(HANG_UP, Answer({}, 503), STONE) as server, Loops("key", server.url, retry=QUICK) as loops:
        assert loops.checkpoints.delete(plan_of("c1"))["result"].tolist() == ["deleted"]
        assert len(server.received) == 3


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([], []),
        (["c1", STONE], ["c1", "c1"]),
        ([{"path": "bt://loops:k4/weights/a"}, {"id": 3}, 7, None], ["bt://loops:k4/weights/a"]),
        (None, None),
        ({"odd": 1}, None),
    ],
)
def test_kept_checkpoints_are_read_as_objects_or_ids(kept: Any, expected: list[str] | None) -> None:
    with serving({"id": "k4", "kept_checkpoints": kept}) as server, Loops("key", server.url) as loops:
        found = loops.runs.delete("k4").kept_checkpoints
    assert (None if found is None else [one.id for one in found]) == expected


def test_refusals_are_kept_and_other_errors_have_failed() -> None:
    answers = {
        "used": Answer({"code": "CONFLICT", "message": "Model m1 serves it.", "details": {}}, 409),
        "odd": Answer({"message": "not today"}, 418),
        "bad": Answer({"message": "in use"}, 400),
        "gone": GONE,
        "mine": Answer({"message": "not yours"}, 403),
        "fine": Answer(STONE),
    }

    def script(request: Received) -> Answer:
        return answers[request.target.rpartition("/")[2]]

    with ScriptedServer(script) as server, Loops("key", server.url, retry=QUICK) as loops:
        frame = loops.checkpoints.delete(plan_of(*answers), workers=3)
    assert frame["id"].tolist() == list(answers)
    assert frame["result"].tolist() == ["kept", "kept", "kept", "failed", "failed", "deleted"]
    assert frame["reason"].iloc[:3].tolist() == ["Model m1 serves it", "not today", "in use"]
    assert frame["reason"].notna().tolist() == [True] * 5 + [False]
    assert frame.attrs["loops_notes"][:2] == [
        "Deleted 1 checkpoint; 3 kept, usable while in use; 2 failed.",
        "checkpoint used: Model m1 serves it",
    ]


def test_nothing_more_is_sent_when_the_service_has_gone() -> None:
    def script(request: Received) -> Answer:
        return Answer(STONE) if int(request.target.rpartition("/c")[2]) < 10 else HANG_UP

    with ScriptedServer(script) as server, Loops("key", server.url, retry=QUICK) as loops:
        frame = loops.checkpoints.delete(plan_of(*(f"c{n}" for n in range(100))), workers=4)
        sent = {request.target for request in server.received}
    assert frame["result"].value_counts().to_dict() == {"failed": 90, "deleted": 10, "kept": 0}
    assert 14 <= len(sent) <= 20
    assert frame["reason"].str.startswith("Not sent: ").sum() == 100 - len(sent)
    unsent = 100 - len(sent)
    said = f"Deleted 10 checkpoints; 90 failed, {unsent} of them not sent, as the service gave no usable answer."
    assert frame.attrs["loops_notes"][0] == said


def test_interruption_says_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(work: Any, items: Any, *, workers: int) -> Any:
        assert workers == 8
        for item in items[:2]:
            work(item)
        raise KeyboardInterrupt

    monkeypatch.setattr("loops_nb.checkpoints.deletion.map_in_threads", interrupted)
    with (
        serving(STONE) as server,
        Loops("key", server.url) as loops,
        pytest.raises(KeyboardInterrupt) as raised,
    ):
        loops.checkpoints.delete(plan_of("c1", "c2", "c3", "c4"))
    (note,) = raised.value.__notes__
    assert note.startswith("2 of 4 are deleted: checkpoint c1, checkpoint c2.")
    assert "2 were not sent" in note
    assert len(server.received) == 2


def test_plan_says_what_goes_and_changes_nothing(loops: Loops) -> None:
    run = run_called(loops, "support-tone-r8")
    saved = loops.checkpoints.list(run_id=run.id)
    plan = loops.checkpoints.plan_deletion(run_id=run.id, target="sampler")
    assert plan.checkpoint_count == sum(one.target == "sampler" for one in saved) > 1
    assert plan.total_bytes == sum(one.size_bytes or 0 for one in saved if one.target == "sampler")
    assert "nothing was deleted" in repr(plan)
    assert list(plan.frame().columns) == ["kind", "id", "run_id", "name", "target", "size_bytes", "in_use"]
    assert not any("active sampler" in note for note in plan.notes), "its run has ended"
    active = run_called(loops, "support-tone-dpo")
    notes = loops.checkpoints.plan_deletion(run_id=active.id).notes
    assert f"What the active sampler of run {active.id} serves is kept, usually its newest sampler checkpoint." in notes
    whole = loops.runs.plan_deletion(run)
    assert whole.checkpoint_count == len(saved)
    assert [item.id for item in whole.items] == [run.id]
    assert loops.checkpoints.list(run_id=run.id) == saved


def test_plan_names_the_deployments_that_were_made_on_this_machine(loops: Loops) -> None:
    run = run_called(loops, "support-tone-r8")
    newest = next(one for one in loops.checkpoints.list(run_id=run.id) if one.target == "sampler")

    def used() -> tuple[str, ...]:
        plan = loops.checkpoints.plan_deletion(newest.uri)
        return tuple(words for item in plan.items for words in item.in_use if "deployment" in words)

    assert used() == ()
    made = loops.checkpoints.deploy(
        checkpoint_ids=[newest.id],
        model_name="support",
        instance_type_id="local-h100-1",
        hf_secret_name="hf_access_token",
    )
    (words,) = used()
    assert words.startswith(f"model deployment {made.deployment_id} of support (")
    assert f"{made.deployment_id} of support" in loops.runs.plan_deletion(run).question
    kept = loops.checkpoints.delete(newest.uri)
    assert kept["result"].tolist() == ["kept"]
    loops.model_deployments.deactivate(made.model_id, made.deployment_id)
    assert used() == ()


def test_plan_names_the_standalone_samplers_that_serve_a_checkpoint(loops: Loops) -> None:
    run = run_called(loops, "support-tone-r8")
    newest = next(one for one in loops.checkpoints.list(run_id=run.id) if one.target == "sampler")
    made = loops.samplers.create(session_id=loops.sessions.create().id, model_path=newest.uri)
    plan = loops.checkpoints.plan_deletion(newest.uri)
    (item,) = plan.items
    assert f"sampler {made.id} (" in item.in_use[0]
    assert item.in_use[0].endswith(") serves it")
    assert f"sampler {made.id}" in loops.runs.plan_deletion(run).question
    others = [one for one in loops.checkpoints.plan_deletion(run_id=run.id).items if one.id != newest.id]
    assert not any(made.id in use for one in others for use in one.in_use)
    # The same from another machine: which checkpoint it serves is not known there.
    (home_dir() / "samplers.jsonl").unlink()
    elsewhere = loops.checkpoints.plan_deletion(newest.uri)
    assert not any(made.id in use for use in elsewhere.items[0].in_use)
    assert any("may serve" in note and made.id in note for note in elsewhere.notes)
    assert loops.checkpoints.delete(elsewhere)["result"].tolist() == ["kept"]
    loops.samplers.deactivate(made.id)
    assert not any(made.id in note for note in loops.checkpoints.plan_deletion(newest.uri).notes)


@pytest.mark.parametrize("age", [timedelta(days=-1), datetime(2026, 1, 1), "14d", 14])  # noqa: DTZ001
def test_an_age_that_prunes_everything_is_refused_before_any_request(age: Any) -> None:
    with serving() as server, Loops("key", server.url) as loops:
        with pytest.raises(InvalidArgumentError, match="older_than"):
            loops.checkpoints.plan_pruning("k4q95w5", older_than=age)
        assert server.received == []


def test_rows_of_frames_are_deleted(loops: Loops) -> None:
    frame = loops.checkpoints.frame(run_id=run_called(loops, "gsm8k-grpo").id)
    old = frame[frame["checkpoint_id"].isin(["step-20", "step-40"])]
    done = old.loops.delete(sure=True)
    assert done["result"].tolist() == ["deleted"] * len(old) != []
    assert set(done["id"]) == set(old["id"])
    again = old.loops.delete(sure=True)
    assert again["result"].tolist() == ["deleted"] * len(old), "once more answers the same"
    runs = loops.runs.frame()
    chosen = runs[runs["name"] == "support-tone-r8"]
    count = len(loops.checkpoints.list(run_id=chosen["id"].iloc[0]))
    gone = chosen.loops.delete(sure=True)
    assert gone["kind"].tolist() == ["run"] + ["checkpoint"] * count
    assert set(gone["result"]) == {"deleted"}
    with pytest.raises(NotFoundError):
        loops.runs.get(chosen["id"].iloc[0])
    left = runs[runs["name"].isin(["support-tone-r8", "judge-sft"])].loops.delete(dry_run=True)
    assert left["name"].tolist() == ["judge-sft"], "what is gone already needs no deletion"
    with pytest.raises(NotFoundError):
        chosen.loops.delete(sure=True)
    with pytest.raises(InvalidArgumentError, match="empty"):
        chosen.head(0).loops.delete(sure=True)


def test_rows_are_deleted_after_a_question(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = loops.checkpoints.frame(run_id=run_called(loops, "support-tone-r8").id)
    asked: list[str] = []
    asks = builtins.input

    def say(answer: str) -> None:
        def respond(text: str) -> str:
            asked.append(text)
            return answer

        monkeypatch.setattr("builtins.input", respond)

    say("")
    plan = frame.loops.delete()
    assert "in_use" in plan
    assert "Nothing was deleted" in plan.attrs["loops_notes"][0]
    assert "15 checkpoints (" in asked[0]
    assert len(loops.checkpoints.list(run_id=frame["run_id"].iloc[0])) == 15
    assert "in_use" in frame.loops.delete(dry_run=True)
    assert len(asked) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("builtins.input", asks)
    with pytest.raises(InvalidArgumentError, match="cannot ask"):
        frame.loops.delete()
    say("y")
    done = frame.head(2).loops.delete()
    assert done["result"].tolist() == ["deleted"] * 2
    assert len(loops.checkpoints.list(run_id=frame["run_id"].iloc[0])) == 13


def test_a_run_that_started_from_it_keeps_a_checkpoint(loops: Loops) -> None:
    run = run_called(loops, "gsm8k-grpo")
    frame = loops.runs.delete_many(run.id)
    kept = frame[frame["result"] == "kept"]
    assert kept["name"].tolist() == ["step-300"]
    assert kept["reason"].str.contains("in use").all()
    assert (frame["kind"].iloc[0], frame["result"].iloc[0]) == ("run", "deleted")


def test_a_name_that_fits_two_deletes_nothing(loops: Loops) -> None:
    run = run_called(loops, "gsm8k-grpo")
    before = loops.checkpoints.list(run_id=run.id)
    with pytest.raises(InvalidArgumentError, match="name of"):
        loops.checkpoints.delete("step-40")
    with pytest.raises(InvalidArgumentError, match="name of 2"):
        loops.checkpoints.delete(f"{run.id}/step-40")
    with pytest.raises(NotFoundError):
        loops.runs.delete("gsm8k-grpo")
    assert loops.checkpoints.list(run_id=run.id) == before


def test_single_refusal_names_the_use_in_words() -> None:
    answer = Answer({"code": "CONFLICT", "message": "Run k5 is active.", "details": {"reason": "RUN"}}, 409)
    with serving(answer) as server, Loops("key", server.url) as loops, pytest.raises(ConflictError, match="Run k5 is"):
        loops.runs.delete("k4q95w5")
