"""Verbs about recorded experiments; most need no connection."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from loops_nb import experiment
from loops_nb.frames import KINDS
from tests.magics.conftest import Notebook
from tests.tracking.importers.event_files import other, scalar, write_run
from tests.tracking.test_request_log import Script


@pytest.fixture
def sweep(home: Path) -> None:
    for rate in (0.1, 0.2):
        with experiment(f"lr-{rate}", params={"lr": rate, "rank": 8}, tags=["sweep"], run=f"run-{rate}") as exp:
            for step in range(1, 4):
                exp.log(step=step, loss=3 / step - rate)
            exp.saved("step-3", uri=f"bt://loops:run-{rate}/weights/step-3", target="trainer")


@pytest.mark.usefixtures("sweep")
def test_experiments_need_no_connection(notebook: Notebook) -> None:
    frame = notebook.run("df = %loops experiments\ndf").value
    assert frame["name"].tolist() == ["lr-0.2", "lr-0.1"]
    assert "params.lr" in notebook.html(frame)
    assert len(notebook.run("%loops metrics").value) == 6
    wide = notebook.run("%loops metrics lr-0.1 --metric loss --wide").value
    assert wide["loss"].tolist() == pytest.approx([2.9, 1.4, 0.9])
    assert notebook.run("%loops metrics run-0.1 --marks").value["text"].tolist() == ["step-3"]
    assert "None of these" not in notebook.run("%loops best").text
    assert (
        notebook.run("%loops best --metric loss --min").value["uri"].tolist()[0] == "bt://loops:run-0.2/weights/step-3"
    )
    assert notebook.run("%loops best --max").value["name"].tolist()[0] == "lr-0.1"
    assert notebook.run("%loops params").value["parameter"].tolist() == ["lr", "rank"]
    assert notebook.context.connection.current is None


@pytest.mark.usefixtures("sweep")
def test_experiments_are_copied_to_another_store(notebook: Notebook, tmp_path: Path) -> None:
    line = f"%loops experiments copy 'lr-0.1' --from local --to {tmp_path / 'team.sqlite'}"
    done = notebook.run(line)
    assert "1 experiment copied to" in done.text
    assert done.value["name"].tolist() == ["lr-0.1"]
    assert "0 experiments copied" in notebook.run(line).text
    assert "1 experiment was there already" in notebook.run(line).text
    assert "copy needs --from or --to" in notebook.run("%loops experiments copy", fails=True).text
    assert "belong to copy" in notebook.run("%loops experiments lr-0.1 --to local", fails=True).text


def test_progress_comes_before_parameters(notebook: Notebook, home: Path) -> None:
    with experiment("many", params={f"parameter-{number}": "a long value" for number in range(9)}) as exp:
        exp.log(step=41, loss=1.0)
    assert home.is_dir()
    heads = notebook.plain(notebook.run("%loops experiments").value).splitlines()[0].split()
    assert {"id", "name", "points", "last_step"} <= set(heads)
    assert any(head.startswith("params.parameter-") for head in heads)


def test_what_differs_between_experiments_comes_first(notebook: Notebook, home: Path) -> None:
    for rank in (8, 16):
        parameters = {"lora.rank": rank, **{f"same-{number}": "a long value" for number in range(9)}}
        with experiment(f"rank-{rank}", params=parameters, project="support-bot-2026", tags=["the-same-tag"]) as exp:
            exp.log(step=rank, loss=1 / rank, **{f"eval/{number}": 1 / rank for number in range(20)})
    heads = notebook.plain(notebook.run("%loops experiments").value).splitlines()[0].split()
    assert {"name", "state", "last.loss", "best.loss", "last_step", "params.lora.rank"} <= set(heads)
    assert not {"project", "params.same-0"} & set(heads)


def test_experiments_are_filtered_sorted_and_limited(notebook: Notebook, home: Path) -> None:
    for number in range(4):
        with experiment(
            f"lr-{number}", params={"lr": 0.1**number, "lora": {"rank": 8}}, tags=["a", f"t{number}"]
        ) as exp:
            exp.log(step=0, loss=number)
            exp.log(step=1, loss=number + 1)
    assert home.is_dir()
    line = "%loops experiments 'lr-*' --tag a --where \"lr < 0.5 and lora.rank == 8\" --since 1h --sort"
    assert notebook.run(f"{line} best.loss").value["name"].tolist() == ["lr-1", "lr-2", "lr-3"]
    best = notebook.run(f"{line} -loss --limit 1").value
    assert best["name"].tolist() == ["lr-3"]
    plain = notebook.plain(best)
    assert "The first 1 of 3 experiments; --limit gives more." in plain
    assert "Empty columns not shown: run_id, session_id, checkpoints, note." in plain
    assert {"state", "last.loss", "best.loss"} <= set(plain.splitlines()[0].split())
    both = notebook.run("%loops experiments --tag a --tag t2").value
    assert both["name"].tolist() == ["lr-2"]
    assert "Did you mean lr" in notebook.run("%loops experiments --where 'lrr < 1'", fails=True).text
    assert "lists all 4 experiments" in notebook.plain(notebook.run("%loops experiments --where 'lr > 5'").value)


def test_column_with_a_value_below_the_shown_rows_is_not_called_empty(notebook: Notebook, home: Path) -> None:
    with experiment("first") as exp:
        exp.note("look")
    experiment("second").close()
    assert home.is_dir()
    notebook.run("%config LoopsMagics.row_limit = 1")
    plain = notebook.plain(notebook.run("%loops experiments").value)
    assert "note" in plain.splitlines()[0]


def test_loss_comes_before_timings(notebook: Notebook, home: Path) -> None:
    with experiment("tracked") as exp:
        exp.log({"save_seconds": 0.1, "sample/seconds": 0.2, "sample/tokens": 3, "grad_norm": 4, "loss": 5}, step=0)
    assert home.is_dir()
    frame = notebook.run("%loops metrics tracked --wide").value
    assert frame.columns[-5:].tolist() == ["loss", "grad_norm", "save_seconds", "sample/seconds", "sample/tokens"]
    asked = notebook.run("%loops metrics tracked --wide --keys save_seconds,loss").value
    assert asked.columns[-2:].tolist() == ["save_seconds", "loss"]
    heads = (
        notebook.plain(frame.assign(**{f"sample/{number}-of-many": 1.0 for number in range(9)})).splitlines()[0].split()
    )
    assert {"step", "name", "loss", "grad_norm"} <= set(heads)


def test_logged_nan_differs_from_missing(notebook: Notebook, home: Path) -> None:
    with experiment("odd", params={"nan": math.nan}) as exp:
        for step, values in enumerate([{"loss": math.nan, "other": 1.0}, {"loss": 0.5}, {"loss": -math.inf}]):
            exp.log(values, step=step)
        exp.saved("first", step=0)
    assert home.is_dir()
    wide = notebook.run("%loops metrics odd --wide").value
    assert wide["loss"].isna().tolist() == [True, False, False]
    rows = [line.split()[-2:] for line in notebook.plain(wide).splitlines() if " odd " in line]
    assert [row[0] for row in rows] == ["NaN", "0.5", "-inf"]
    assert [row[1] for row in rows] == ["1", "-", "-"]
    # However it was filtered, sorted and put together since.
    turned = pd.concat([wide[wide["step"] < 1], wide[wide["step"] >= 1]]).sort_values("step", ascending=False)
    turned.attrs = wide.attrs
    assert '<td class="n">NaN</td>' in notebook.html(turned)
    assert notebook.html(turned).count("NaN") == 1
    long = notebook.run("%loops metrics odd").value
    assert notebook.html(long).count("NaN") == 1
    assert "NaN" in notebook.html(notebook.run("%loops best odd").value)
    assert "NaN" in notebook.html(notebook.run("%loops experiments").value)


def test_best_states_its_direction_or_requires_one(notebook: Notebook, home: Path) -> None:
    with experiment("x y") as exp:
        for step, value in enumerate([0.5, 0.9]):
            exp.log(step=step, acc=value, kl=value)
            exp.saved(f"step-{step}")
    assert home.is_dir()
    ran = notebook.run("%loops best 'x y' -m acc")
    assert "None of these has a bt:// URI to download" in ran.text
    found = ran.value
    assert found["value"].tolist() == [0.9, 0.5]
    assert "The highest acc is taken as the best" in notebook.html(found)
    assert "The highest acc is taken as the best" in notebook.plain(found)
    refused = notebook.run("%loops best 'x y' -m kl", fails=True).text
    assert "'kl' does not tell" in refused
    assert "Use %loops best 'x y' -m kl --min, or --max" in refused
    assert notebook.run("%loops best 'x y' -m kl --max").value["value"].tolist() == [0.9, 0.5]


def test_experiments_with_unknown_tag_show_a_message(notebook: Notebook, home: Path) -> None:
    nothing = notebook.run("%loops experiments --tag a").value
    assert "No experiments yet." in notebook.plain(nothing)
    assert len(nothing.columns) > 5
    for name in ("one", "two"):
        experiment(name, tags=["a"] if name == "one" else ["b"]).close()
    assert home.is_dir()
    notebook.run("%loops archive one")
    assert "Only archived experiments have the tag 'a' (1 experiment): add --archived" in notebook.plain(
        notebook.run("%loops experiments --tag a").value
    )
    assert "Only archived experiments match the name one (1 experiment): add --archived" in notebook.plain(
        notebook.run("%loops experiments one").value
    )
    assert notebook.run("%loops experiments --tag a --archived").value["name"].tolist() == ["one"]
    notebook.run("%loops archive two")
    assert "All 2 experiments are archived" in notebook.plain(notebook.run("%loops experiments --tag b").value)


def test_repeated_experiment_is_used_once(notebook: Notebook, home: Path) -> None:
    with experiment("s1") as exp:
        exp.log(step=1, loss=1)
    assert home.is_dir()
    text = notebook.run("%loops curves s1 s1").text
    assert "Curves of s1\n" in text
    assert "Curves of s1, s1" not in text
    assert "elapsed" in notebook.run("%loops curves --help").text


def test_note_on_hidden_columns_is_short(notebook: Notebook, home: Path) -> None:
    with experiment("keys") as exp:
        exp.log({f"{'a very long key ' * 60}{number}": 1.0 for number in range(200)}, step=0)
    assert home.is_dir()
    frame = notebook.run("%loops metrics keys --wide").value
    text = notebook.plain(frame)
    told = text.split("Columns that did not fit:")[1]
    assert len(told) < 1500
    assert "more." in told
    assert len(notebook.html(frame)) < 200 * 400


def test_display_of_a_listing_does_not_open_the_store() -> None:
    code = """
import sys
import pandas as pd
from loops_nb.frames.attributes import KIND_ATTR
from loops_nb.magics.listing_table import listing_table
frame = pd.DataFrame({"id": ["a"], "mine": [1]})
frame.attrs[KIND_ATTR] = "runs"
listing_table(frame, "runs", row_limit=5, time_zone="UTC")
sys.exit("sqlite3" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("sweep")
def test_tag_note_params_and_archive(notebook: Notebook) -> None:
    assert notebook.run("%loops tag lr-0.1 good").text == "lr-0.1 (run-0.1): good, sweep.\n"
    assert notebook.run("%loops tag lr-0.1 sweep --remove").text == "lr-0.1 (run-0.1): good.\n"
    assert notebook.run("%loops experiments --tag good").value["name"].tolist() == ["lr-0.1"]
    assert "No experiment has the tag 'none'" in notebook.plain(notebook.run("%loops experiments --tag none").value)
    assert "at step 2" in notebook.run("%loops note lr-0.1 it jumps here --step 2").text
    assert notebook.run("%loops metrics lr-0.1 --marks").value["text"].tolist() == ["step-3", "it jumps here"]
    params = notebook.run("%loops params lr-0.1 --set data=v2 --set steps=10").value
    assert dict(zip(params["parameter"], params["lr-0.1"], strict=True)) == {
        "lr": 0.1,
        "rank": 8,
        "data": "v2",
        "steps": 10,
    }
    assert "Archived 1 experiment" in notebook.run("%loops archive lr-0.1").text
    assert notebook.run("%loops experiments").value["name"].tolist() == ["lr-0.2"]
    assert notebook.run("%loops archive lr-0.1").text == "Nothing changed for lr-0.1 (run-0.1): already archived.\n"
    some = notebook.run("%loops archive lr-0.1 lr-0.2").text
    assert "Nothing changed for lr-0.1 (run-0.1): already archived." in some
    assert "Archived 1 experiment" in some
    assert "Restored 2 experiments" in notebook.run("%loops archive lr-0.1 lr-0.2 --undo").text
    again = notebook.run("%loops archive lr-0.1 lr-0.2 --undo").text
    assert again == "Nothing changed for lr-0.1 (run-0.1), lr-0.2 (run-0.2): not archived.\n"


def test_ambiguous_experiment_names_are_reported(notebook: Notebook, home: Path) -> None:
    first, second, other = experiment("a"), experiment("a"), experiment("b")
    assert home.is_dir()
    # The newest stands last, as in listings of words.
    both = f"a [{first.id}], a [{second.id}]"
    several = "a matches 2 experiments, and all were changed. Use an id to select one: %loops"
    assert notebook.run("%loops note a hello").text == f"Noted for {both}.\n{several} note {first.id} TEXT\n"
    assert (
        notebook.run("%loops tag a x").text
        == f"a [{first.id}]: x.\na [{second.id}]: x.\n{several} tag {first.id} TAG\n"
    )
    assert notebook.run("%loops tag a").text == f"a [{first.id}]: x.\na [{second.id}]: x.\n"
    assert notebook.run(f"%loops note {first.id} hello").text == "Noted for a.\n"
    assert f"Archived 2 experiments ({both})." in notebook.run("%loops archive a").text
    assert f"Nothing changed for {both}: already archived." in notebook.run("%loops archive a").text
    assert notebook.run("%loops archive b").text.startswith("Archived 1 experiment")
    assert other.name == "b"


@pytest.mark.usefixtures("sweep")
def test_params_pair_without_set_is_rejected(notebook: Notebook) -> None:
    refused = notebook.run('%loops params lr-0.1 --set lr=1e-3 "weird key=hello world"', fails=True).text
    assert "'weird key=hello world' is missing --set. Nothing was changed." in refused
    assert "--set 'data set=v2'" in refused
    assert notebook.run("%loops params lr-0.1").value["lr-0.1"].tolist() == [0.1, 8]
    with experiment("lr=1"):
        assert "lr=1" in notebook.run("%loops params lr=1 --set x=2").value


@pytest.mark.usefixtures("sweep")
def test_experiment_errors_are_one_line_with_a_hint(notebook: Notebook) -> None:
    assert "Did you mean lr-0.2 or lr-0.1?" in notebook.run("%loops metrics lr-0.3", fails=True).text
    assert "There is loss." in notebook.run("%loops best -m los", fails=True).text
    assert "Give either --min or --max" in notebook.run("%loops best --min --max", fails=True).text
    assert "The note is empty" in notebook.run("%loops note lr-0.1", fails=True).text
    assert "must be NAME=VALUE" in notebook.run("%loops params lr-0.1 --set data", fails=True).text
    assert "has no known ending" in notebook.run("%loops export sweep.txt", fails=True).text
    assert (
        "Did you mean %loops export sweep.csv lr-0.1" in notebook.run("%loops export lr-0.1 sweep.csv", fails=True).text
    )
    assert "needs --request-log FILE" in notebook.run("%loops track", fails=True).text
    assert "There is no file" in notebook.run("%loops track --request-log absent.jsonl --once", fails=True).text


@pytest.mark.usefixtures("sweep")
def test_export_and_import_round_trip(notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep.csv"
    assert "Wrote 2 experiments" in notebook.run(f"%loops export {path}").text
    assert "Skipped 2 experiments that already existed" in notebook.run(f"%loops import {path}").text
    notebook.run(f"%loops export {tmp_path / 'one.csv'} lr-0.1")
    assert "Skipped 1 experiment that" in notebook.run(f"%loops import {tmp_path / 'one.csv'}").text
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    assert "Added 2 experiments" in notebook.run(f"%loops import {path}").text
    assert len(notebook.run("%loops metrics").value) == 6


def test_track_reads_and_follows_a_request_log(notebook: Notebook, tmp_path: Path) -> None:
    script = Script(tmp_path / "loops.jsonl")
    assert "There is no file" in notebook.run(f"%loops track --request-log {script.path}").text
    script.made()
    script.step(2.0)
    assert "followed" in notebook.run("%loops track").text
    assert "contains my run (abc1234)" in notebook.run(f"%loops track --request-log {script.path} --once").text
    assert notebook.run("%loops metrics abc1234 -m loss").value["value"].tolist() == [2.0]
    notebook.run(f"%loops track --request-log {script.path}")
    stopped = notebook.run("%loops track --stop").text
    assert stopped == f"Stopped following {script.path}. Recorded data is kept: %loops experiments\n"
    assert notebook.run("%loops track --stop").text == "No file is followed. Nothing was changed.\n"
    assert "was not followed" in notebook.run(f"%loops track --request-log {script.path} --stop").text


@pytest.mark.usefixtures("sweep")
def test_completion_offers_experiments(notebook: Notebook) -> None:
    assert "%loops metrics lr-0.1" in notebook.completions("%loops metrics lr-")
    assert "%loops tag run-0.2" in notebook.completions("%loops tag run-")
    assert "%loops best --metric loss" in notebook.completions("%loops best --metric l")


def test_with_metrics_adds_tags_without_changing_listings(live: Notebook) -> None:
    before = live.run("df = %loops runs\ndf").value
    run = before["id"].tolist()[0]
    assert "baseline" in live.run(f"%loops tag {run} baseline").text
    live.run(f"%loops note {run} stable")
    listing = live.run("%loops runs").value
    columns = [column.name for column in KINDS["runs"].columns]
    assert list(before) == list(listing) == list(live.run("%loops find --newer-than 9999d").value) == columns
    said = listing.loops.with_metrics()
    assert said[said["id"] == run][["tags", "note"]].to_numpy().tolist() == [["baseline", "stable"]]
    assert "Nothing is recorded for 'unknown'" in live.run("%loops tag unknown x", fails=True).text


def test_sweep_says_which_parameter_matters(notebook: Notebook, home: Path) -> None:
    for index in range(12):
        with experiment(f"s{index}", params={"lr": index % 4, "rank": index % 3}, tags=["big"]) as exp:
            exp.log(step=0, loss=float(index % 4), kl=1.0)
    assert home.is_dir()
    frame = notebook.run("df = %loops sweep --tag big --metric loss\ndf").value
    assert frame["parameter"].tolist() == ["lr", "rank"]
    assert "lr matters most for loss" in notebook.plain(frame)
    assert "lr matters most for loss" in notebook.html(frame)
    assert notebook.run("%loops sweep s0 s1 s2").value["experiments"].tolist() == [3, 3]
    assert "No experiment has the tag 'small'" in notebook.run("%loops sweep --tag small", fails=True).text
    assert "Add --min or --max" in notebook.run("%loops sweep -m kl", fails=True).text
    assert "Give either --min or --max" in notebook.run("%loops sweep --min --max", fails=True).text
    assert "--tag" in notebook.run("%loops sweep --help").text


def test_samples_are_listed_by_step_and_text(notebook: Notebook, home: Path) -> None:
    exp = experiment("grpo-1")
    for step in (0, 100):
        for number in range(2):
            exp.sample(step=step, prompt=f"{number} + 1 =", completion=f"<b>{number + step}</b>", reward=step / 100)
    exp.close()
    frame = notebook.run("df = %loops samples grpo-1\ndf").value
    assert frame["step"].tolist() == [0, 0, 100, 100]
    assert "&lt;b&gt;100" in notebook.html(frame)
    assert notebook.run("%loops samples grpo-1 --step 100").value["completion"].tolist() == ["<b>100</b>", "<b>101</b>"]
    assert len(notebook.run("%loops samples --contains '1 + '").value) == 2
    assert "None of 4 samples" in notebook.run("%loops samples --contains zebra").value.attrs["loops_empty"]
    assert "samples at 0, 100" in notebook.run("%loops samples grpo-1 --step 7").value.attrs["loops_empty"]
    shown = notebook.run("%loops watch samples grpo-1 --step 0 --step 100").text
    assert "step 100, reward 1: <b>100</b>" in shown
    assert "Did you mean grpo-1" in notebook.run("%loops watch samples grpo1").text
    assert notebook.completions("%loops watch samples gr") == ["%loops watch samples grpo-1"]
    notebook.run("def exact_match(completion): return 1.0")
    assert notebook.completions("%loops evaluate a.jsonl r --score exa") == [
        "%loops evaluate a.jsonl r --score exact_match"
    ]
    assert notebook.context.connection.current is None
    assert home.is_dir()


def projects() -> None:
    for number, project in enumerate(["bot", "bot", "search"]):
        with experiment(f"lr-{number}", params={"lr": number}, tags=["a"], project=project) as exp:
            exp.log(step=1, loss=1.0 + number)
        exp.summary["test accuracy"] = 0.1 * number


@pytest.mark.usefixtures("home")
def test_projects_select_experiments_and_their_curves(notebook: Notebook) -> None:
    projects()
    frame = notebook.run("%loops experiments --project bot --sort '-summary.test accuracy'").value
    assert frame["name"].tolist() == ["lr-1", "lr-0"]
    assert "project" in notebook.plain(notebook.run("%loops experiments").value).splitlines()[0]
    assert notebook.run("%loops experiments --where \"project == 'search'\"").value["name"].tolist() == ["lr-2"]
    shown = notebook.run("%loops curves --project bot").text
    assert "lr-0" in shown
    assert "lr-2" not in shown
    assert "No experiment is of the project 'boot'" in notebook.run("%loops sweep --project boot", fails=True).text
    wrong = notebook.run("%loops sweep --project bot --tag b", fails=True).text
    assert "No experiment of the project 'bot' has the tag 'b'" in wrong


@pytest.mark.usefixtures("home")
def test_delete_shows_what_goes_and_asks(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    projects()
    asked: list[str] = []

    def answer(reply: str) -> None:
        def reply_to(question: str) -> str:
            asked.append(question)
            return reply

        monkeypatch.setattr("builtins.input", reply_to)

    answer("n")
    out = notebook.run("%loops delete experiment lr-0 'lr-[12]'").out
    assert out.splitlines()[0] == "3 experiments with 3 values:"
    assert "  lr-0 [" in out
    assert "]: 1 value of 1 metric, began 20" in out
    assert "finished, project bot, tags a" in out
    assert "Runs and checkpoints of the service stay." in out
    assert out.splitlines()[-1] == "Nothing was deleted."
    assert asked == ["Delete these 3 experiments for good? [y/N] "]
    assert len(notebook.run("%loops experiments").value) == 3
    answer("y")
    assert notebook.run("%loops delete experiment lr-0").out.splitlines()[-1] == "Deleted 1 experiment."
    assert notebook.run("%loops experiments").value["name"].tolist() == ["lr-2", "lr-1"]
    assert len(asked) == 2
    notebook.run("%loops delete experiment 'lr-*' -y")
    assert len(asked) == 2
    assert "No experiments yet" in notebook.plain(notebook.run("%loops experiments").value)


@pytest.mark.usefixtures("home")
def test_delete_refuses_what_is_running_or_not_clear(notebook: Notebook) -> None:
    exp = experiment("open")
    exp.log(loss=1)
    ran = notebook.run("%loops delete experiment open -y", fails=True)
    assert "is running: what is logged next would begin it again. Nothing was deleted. exp.close()" in ran.text
    experiment("open").close()
    assert "Say which by id" in notebook.run("%loops delete experiment open -y", fails=True).text
    assert notebook.run(f"%loops delete experiment {exp.id} -y --force").out.endswith("Deleted 1 experiment.\n")
    exp.close()
    assert "Did you mean open" in notebook.run("%loops delete experiment opne -y", fails=True).text
    assert "NAME is missing" in notebook.run("%loops delete experiment", fails=True).text


def test_metrics_of_a_recipe_are_followed_until_told_to_stop(notebook: Notebook, tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    folder.mkdir()
    assert "There is no file" in notebook.run(f"%loops track --metrics {folder}/metrics.jsonl").text
    (folder / "metrics.jsonl").write_text('{"step": 0, "loss": 2.5}\n', encoding="utf-8")
    said = notebook.run(f"%loops track --metrics {folder}").text
    assert f"{folder}/metrics.jsonl contains sft (" in said
    assert "metrics.jsonl: followed. " in notebook.run("%loops track").text
    assert "2.5" in notebook.run("%loops metrics sft").text
    assert "Stopped following" in notebook.run(f"%loops track --metrics {folder} --stop").text
    assert "exclude each other" in notebook.run("%loops track --metrics a --request-log b", fails=True).text


def test_runs_of_tensorboard_are_imported_and_what_is_left_out_is_said(notebook: Notebook, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, scalar("loss", 0.5, 1, 1.7e9), other("weights", 5, 1, 1.7e9))
    said = notebook.run(f"%loops import {tmp_path / 'runs'}").text
    assert "Added 2 experiments" in said
    assert "They are called a, b" in said
    assert "Left out: 2 histograms (weights)." in said
    assert "Skipped 2 experiments" in notebook.run(f"%loops import {tmp_path / 'runs'}").text
