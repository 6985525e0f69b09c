"""Verbs with the local service over HTTP."""

from __future__ import annotations

import builtins
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loops_nb.api.models import Deployment, Run, Sampler, Session
from loops_nb.errors import ConflictError, InvalidArgumentError, InvalidURIError, NotFoundError
from loops_nb.resources.loops import Loops
from tests.magics.conftest import Notebook

LISTINGS = ["runs", "samplers", "deployments", "capabilities", "checkpoints -m Qwen/Qwen3-8B", "find --newer-than 100d"]


def a_run(live: Notebook, **wanted: str) -> Any:
    """Return a row of the sample's runs."""
    frame = live.run("df = %loops runs\ndf").value
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    return frame.iloc[0]


@pytest.mark.parametrize("line", LISTINGS)
def test_listing_is_a_dataframe(live: Notebook, line: str) -> None:
    kept = live.run(f"kept = %loops {line}")
    assert kept.value is None
    assert kept.out == "", "an assignment shows nothing"
    frame = live.shell.user_ns["kept"]
    assert type(frame) is pd.DataFrame
    assert len(frame)
    shown = live.run(f"%loops {line}")
    assert list(shown.value.columns) == list(frame.columns)
    assert str(frame.iloc[0, 0]) in shown.out
    assert live.run(f"%loops {line};").out == "", "a semicolon shows nothing"


def test_runs_filters(live: Notebook) -> None:
    model = a_run(live)["base_model"]
    frame = live.run(f"%loops runs --base-model {model}").value
    assert set(frame["base_model"]) == {model}
    assert len(live.run(f"%loops runs --run {frame['id'].iloc[0]}").value) == 1


def test_run_sampler_and_deployment_return_objects(live: Notebook) -> None:
    row = a_run(live, status="ACTIVE", deployment_status="RUNNING")
    for verb, identity, kind in (
        ("run", row["id"], Run),
        ("sampler", row["sampler_id"], Sampler),
        ("deployment", row["deployment_id"], Deployment),
    ):
        ran = live.run(f"%loops {verb} {identity}")
        assert type(ran.value) is kind
        assert ran.value.id == identity
        assert identity in ran.out
        live.run(f"thing = %loops {verb} {identity}")
        assert live.shell.user_ns["thing"].id == identity


def test_line_expands_notebook_names_and_expressions(live: Notebook) -> None:
    row = a_run(live)
    live.run("run = %loops run {df.id[0]}")
    assert live.shell.user_ns["run"].id == row["id"]
    assert live.run("%loops run $run").value.id == row["id"]
    assert (
        live.run("def f(which):\n    return get_ipython().run_line_magic('loops', 'run {which}')\nf(run.id)").value.id
        == row["id"]
    )
    assert "nope is not defined" in live.run("%loops run $nope", fails=True).out
    assert live.run("for x in df.id[:2]:\n    last = %loops run $x\nlast.id").value == live.shell.user_ns["df"].id[1]


def test_checkpoints_by_run_model_and_uri(live: Notebook) -> None:
    every = live.run("%loops checkpoints --base-model Qwen/Qwen3-8B").value
    run_id, uri, own_id = every["run_id"].iloc[0], every["uri"].iloc[0], every["id"].iloc[0]
    for line in (f"checkpoints {run_id}", f"checkpoints --run {run_id}", f"checkpoints --run={run_id}"):
        assert set(live.run(f"%loops {line}").value["run_id"]) == {run_id}
    for line in (f"checkpoints --path {uri}", f"checkpoints {uri}"):
        assert list(live.run(f"%loops {line}").value["id"]) == [own_id]
    for line in ("checkpoints", f"checkpoints {run_id} --path {uri}", f"checkpoints --run {run_id} -m M"):
        assert "exactly one of RUN, --base-model MODEL and --path URI" in live.run(f"%loops {line}", fails=True).out


def test_files_of_a_checkpoint_by_id_uri_and_name(live: Notebook) -> None:
    every = live.run("%loops checkpoints --base-model Qwen/Qwen3-8B").value
    first = every.iloc[0]
    by_id = live.run(f"%loops files {first['id']}").value
    by_uri = live.run(f"%loops files {first['uri']}").value
    assert list(by_id["relative_file_name"]) == list(by_uri["relative_file_name"])
    assert "adapter_model.safetensors" in set(by_id["relative_file_name"])
    assert "url" not in by_id.columns
    assert int(by_id["size_bytes"].sum()) == int(first["size_bytes"])
    counts = every["checkpoint_id"].value_counts()
    repeated = counts[counts > 1].index[0]
    said = live.run(f"%loops files {repeated}", fails=True)
    assert isinstance(said.error, InvalidArgumentError)
    assert "Use one of: bt://loops:" in said.out
    live.context.cache.clear()
    fresh = live.run(f"%loops files {first['uri']}").value
    assert len(fresh) == len(by_id), "a URI that was never listed is looked up"
    gone = live.run(f"%loops files {first['uri']}x", fails=True)
    assert isinstance(gone.error, NotFoundError)
    live.run(f"%loops checkpoints {first['run_id']}")
    assert f"Did you mean {first['uri']}" in live.run(f"%loops files {first['uri']}x", fails=True).out
    assert isinstance(live.run("%loops files bt://nonsense", fails=True).error, InvalidURIError)


def test_logs_of_a_deployment(live: Notebook) -> None:
    identity = a_run(live, deployment_status="RUNNING")["deployment_id"]
    ran = live.run(f"%loops deployment {identity} --logs --since 7d --limit 2")
    assert 0 < len(ran.value) <= 2
    assert "message" in ran.out
    assert "Add --logs" in live.run(f"%loops deployment {identity} --limit 2", fails=True).out
    assert "limit must be" in live.run(f"%loops deployment {identity} --logs --limit 0", fails=True).out
    assert (
        "--since goes back at most 7 days"
        in live.run(f"%loops deployment {identity} --logs --since 8d", fails=True).out
    )


def test_logs_of_a_failed_run_are_lines_with_level_and_half(live: Notebook) -> None:
    ran = live.run("%loops logs text-to-sql-moe --half both")
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} ERROR   trainer +deployment \w+ is FAILED", ran.out)
    assert "Times: " in ran.out
    frame = live.run("df = %loops logs text-to-sql-moe --grep 'out of .* memory' --level ERROR\ndf").value
    assert list(frame.level) == ["ERROR"]
    none = live.run("%loops logs text-to-sql-moe --grep 'no such line'")
    assert "match --grep; fewer conditions find more" in none.out
    assert "no regular expression" in live.run("%loops logs text-to-sql-moe --grep '('", fails=True).out
    assert "shared (serverless) capacity" in live.run("%loops logs text-to-sql-quick", fails=True).out
    assert "Did you mean text-to-sql" in live.run("%loops logs text-to-sqk", fails=True).out


def test_logs_are_followed_in_a_terminal_until_ctrl_c(live: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("loops_nb.magics.verbs.logs.time.sleep", interrupt)
    ran = live.run("%loops logs text-to-sql-moe -f --level ERROR")
    assert "is FAILED" in ran.out
    assert "Stopped following the log of run" in ran.out
    assert "leave --until out" in live.run("%loops logs text-to-sql-moe -f --until 1h", fails=True).out


def test_why_a_run_is_not_running_is_said_with_what_to_do(live: Notebook, tmp_path: Path) -> None:
    failed = live.run("run = %loops run text-to-sql-moe")
    assert "is FAILED: it ran out of memory." in failed.out
    assert "ERROR deployment" in failed.out
    assert "Use shorter sequences" in failed.out
    preempted = live.run("%loops run gsm8k-spot").out
    line = re.search(r"^  (%loops create run .+)$", preempted, re.MULTILINE)
    assert line is not None
    resumed = live.run(f"new = {line[1]}\nnew").value
    assert resumed.status.name == "ACTIVE"
    live.run(f"%loops deactivate run {resumed.id} -y")
    assert "What to do" not in live.run("%loops run text-to-sql").out

    waiting = live.run("%loops doctor charts").out
    assert re.search(r"^Trainer: DEPLOYING since .+ \(\d+ min.*\), by its log\.$", waiting, re.MULTILINE)
    assert re.search(r"DEPLOYING usually takes \d+ s here \(median of \d+ times? in the logs of", waiting)
    assert "has been DEPLOYING for longer than a start takes" in waiting
    assert "has been DEPLOYING for longer" in live.run("%loops run charts").out
    assert "It waits for nothing." in live.run("%loops doctor support-tone-dpo").out
    assert "ended and did not fail" in live.run("%loops doctor text-to-sql").out
    report = live.run("%loops watch text-to-sql-moe").out
    assert "it ran out of memory" in " ".join(report.split())

    archive = live.run(f"df = %loops debug-archive text-to-sql-moe -o {tmp_path}\ndf").value
    assert set(archive.relative_file_name) >= {"deployment.json", "logs.jsonl", "events.jsonl"}
    assert "FAILED" in Path(archive.path[list(archive.relative_file_name).index("logs.jsonl")]).read_text("utf-8")
    assert live.run(f"%loops verify {tmp_path}").error is None


def test_find(live: Notebook) -> None:
    row = a_run(live, status="INACTIVE")
    found = live.run("%loops find --status INACTIVE --newer-than 60d").value
    assert set(found["status"]) <= {"INACTIVE"}
    assert row["id"] in set(found["id"])
    assert found["created_at"].is_monotonic_decreasing
    assert found["deployment_status"].notna().any(), "the state of the trainer half is there too"
    by_name = live.run(f"%loops find --session {row['session_id']} --name '{row['name']}'").value
    assert row["id"] in set(by_name["id"])
    nothing = live.run("%loops find --name no-such-name-anywhere")
    assert len(nothing.value) == 0
    assert "No runs match --name no-such-name-anywhere" in nothing.out
    assert "needs at least one condition" in live.run("%loops find", fails=True).out


def test_empty_listing_distinguishes_unknown_from_no_match(live: Notebook) -> None:
    live.run("s = %loops create session")
    assert "exists and has no runs of yours" in live.run("%loops sessions $s").out
    assert (
        "No runs match --base-model Qwen/Qwen3-8C. Did you mean Qwen/Qwen3-8B"
        in live.run("%loops runs\n%loops runs -m Qwen/Qwen3-8C").out
    )
    live.run("r = %loops create run --session $s -m Qwen/Qwen3-8B")
    assert "has saved no checkpoints yet" in live.run("%loops checkpoints $r").out
    live.run("%loops deactivate run $r -y")


def test_create_find_and_deactivate(live: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    live.run("s = %loops create session")
    assert isinstance(live.shell.user_ns["s"], Session)
    name = "my math run"
    live.shell.user_ns["name"] = name
    live.run("run = %loops create run --session {s.id} --base-model Qwen/Qwen3-8B --name $name --lora-rank 8 --seed 1")
    run = live.shell.user_ns["run"]
    assert (run.name, run.session_id, run.base_model) == (name, live.shell.user_ns["s"].id, "Qwen/Qwen3-8B")
    assert run.id in set(live.run("%loops sessions $s").value["id"])
    bare = live.run("%loops create run --session $s -m Qwen/Qwen3-8B --no-sampler").value
    assert bare.sampler is None
    own = live.run("%loops create sampler --session $s --base-model Qwen/Qwen3-8B").value
    paired = live.run(f"%loops create sampler --session $s --run {bare.id}").value
    assert paired.id != own.id

    asked: list[str] = []

    def answer(text: str) -> Any:
        def asking(question: str = "") -> str:
            asked.append(question)
            return text

        return asking

    monkeypatch.setattr(builtins, "input", answer(""))
    assert "Nothing was changed." in live.run(f"%loops deactivate run {run.id}").out
    assert name in asked[0]
    assert "checkpoints are kept" in asked[0]
    assert live.run(f"%loops run {run.id}").value.status.name == "ACTIVE"
    monkeypatch.setattr(builtins, "input", answer("y"))
    assert live.run(f"%loops deactivate run {run.id}").value.id == run.id
    assert live.run(f"%loops run {run.id}").value.status.name == "INACTIVE"
    refused = live.run(f"%loops deactivate sampler {paired.id} -y", fails=True)
    assert isinstance(refused.error, ConflictError)
    assert bare.id in refused.out
    assert live.run(f"%loops deactivate sampler {own.id} --yes").value.id == own.id
    assert live.run(f"%loops deactivate deployment {bare.deployment_id} -y").value.id == bare.deployment_id


def test_deactivate_without_a_prompt_suggests_yes(live: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = a_run(live, status="ACTIVE")["id"]

    def no_prompt(_question: str = "") -> str:
        raise NotImplementedError("raw_input was called, but this frontend does not support input requests.")

    monkeypatch.setattr(builtins, "input", no_prompt)
    said = live.run(f"%loops deactivate run {identity}", fails=True).out
    assert "This session cannot ask for confirmation, so nothing was changed. Add -y" in said
    assert live.run(f"%loops run {identity}").value.status.name == "ACTIVE"


@pytest.mark.parametrize("verb", ["run", "sampler", "deployment", "deactivate run", "sessions", "checkpoints"])
def test_misspelt_id_suggests_similar_ones(live: Notebook, verb: str) -> None:
    row = a_run(live, deployment_status="RUNNING")
    column = {"sampler": "sampler_id", "deployment": "deployment_id", "sessions": "session_id"}.get(verb, "id")
    wrong = row[column][:-1] + ("0" if row[column][-1] != "0" else "1")
    ran = live.run(f"%loops {verb} {wrong}", fails=True)
    assert isinstance(ran.error, NotFoundError)
    assert f"Did you mean {row[column]}" in ran.out
    assert len(ran.out.splitlines()) == 1, "one line, no traceback"


def test_misspelt_id_suggestion_fetches_a_listing(live: Notebook, service: str) -> None:
    with Loops(base_url=service) as loops:
        right = loops.runs.list()[0].id
    assert f"Did you mean {right}" in live.run(f"%loops run {right}z", fails=True).out


def test_id_of_another_kind_is_recognised(live: Notebook) -> None:
    row = a_run(live, deployment_status="RUNNING")
    assert f"That is the id of a run: %loops run {row['id']}" in live.run(f"%loops sampler {row['id']}", fails=True).out
    assert f"%loops sampler {row['sampler_id']}" in live.run(f"%loops run {row['sampler_id']}", fails=True).out


def test_sessions_without_id_suggests_known_ones(live: Notebook) -> None:
    row = a_run(live)
    assert row["session_id"] in live.run("%loops sessions", fails=True).out


def test_status_shows_connection_and_counts(live: Notebook, service: str) -> None:
    ran = live.run("%loops")
    assert ran.value is None
    lines = ran.out.splitlines()
    assert service in lines[0]
    assert "LOOPS_BASE_URL" in lines[0]
    assert "@" in lines[0], "as whom"
    assert "no key needed" in lines[0]
    assert lines[1].startswith("As of 20")
    runs = live.run("%loops runs").value
    assert f"{len(runs)} runs, {(runs['status'] == 'ACTIVE').sum()} active." in lines[2]
    assert lines[3].startswith("Next: %loops runs, %loops watch")
