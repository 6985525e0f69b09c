"""Experiments by lines: what was recorded, what is best, what a person says about it; most of it without any connection."""

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
from tests.tracking.test_request_log import Script


@pytest.fixture
def sweep(home: Path) -> None:
    for rate in (0.1, 0.2):
        with experiment(f"lr-{rate}", params={"lr": rate, "rank": 8}, tags=["sweep"], run=f"run-{rate}") as exp:
            for step in range(1, 4):
                exp.log(step=step, loss=3 / step - rate)
            exp.saved("step-3", uri=f"bt://loops:run-{rate}/weights/step-3", target="trainer")


@pytest.mark.usefixtures("sweep")
def test_what_was_recorded_is_listed_without_a_connection(notebook: Notebook) -> None:
    frame = notebook.run("df = %loops experiments\ndf").value
    assert frame["name"].tolist() == ["lr-0.2", "lr-0.1"]
    assert "params.lr" in notebook.html(frame)
    assert len(notebook.run("%loops metrics").value) == 6
    wide = notebook.run("%loops metrics lr-0.1 --keys loss --wide").value
    assert wide["loss"].tolist() == pytest.approx([2.9, 1.4, 0.9])
    assert notebook.run("%loops metrics run-0.1 --marks").value["text"].tolist() == ["step-3"]
    assert "None of these" not in notebook.run("%loops best").text
    assert notebook.run("%loops best --metric loss --min").value["uri"].tolist()[0] == "bt://loops:run-0.2/weights/step-3"
    assert notebook.run("%loops best --max").value["name"].tolist()[0] == "lr-0.1"
    assert notebook.run("%loops params").value["parameter"].tolist() == ["lr", "rank"]
    assert notebook.desk.connection.live is None


def test_how_far_an_experiment_is_stands_before_its_parameters_where_room_is_short(notebook: Notebook, home: Path) -> None:
    with experiment("many", params={f"parameter-{number}": "a long value" for number in range(9)}) as exp:
        exp.log(step=41, loss=1.0)
    assert home.is_dir()
    heads = notebook.plain(notebook.run("%loops experiments").value).splitlines()[0].split()
    assert {"id", "name", "points", "last_step"} <= set(heads)
    assert any(head.startswith("params.parameter-") for head in heads)


def test_the_loss_stands_before_how_long_things_took(notebook: Notebook, home: Path) -> None:
    with experiment("tracked") as exp:
        exp.log({"save_seconds": 0.1, "sample/seconds": 0.2, "sample/tokens": 3, "grad_norm": 4, "loss": 5}, step=0)
    assert home.is_dir()
    frame = notebook.run("%loops metrics tracked --wide").value
    assert frame.columns[-5:].tolist() == ["loss", "grad_norm", "save_seconds", "sample/seconds", "sample/tokens"]
    asked = notebook.run("%loops metrics tracked --wide --keys save_seconds,loss").value
    assert asked.columns[-2:].tolist() == ["save_seconds", "loss"]
    heads = notebook.plain(frame.assign(**{f"sample/{number}-of-many": 1.0 for number in range(9)})).splitlines()[0].split()
    assert {"step", "name", "loss", "grad_norm"} <= set(heads)


def test_a_nan_that_was_logged_is_told_from_a_value_that_is_missing(notebook: Notebook, home: Path) -> None:
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


def test_the_best_says_which_way_it_went_or_asks(notebook: Notebook, home: Path) -> None:
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
    assert "Say which: %loops best 'x y' -m kl --min, or --max" in refused
    assert notebook.run("%loops best 'x y' -m kl --max").value["value"].tolist() == [0.9, 0.5]


def test_a_tag_that_none_has_is_said_so_also_where_nothing_is_or_all_is_archived(notebook: Notebook, home: Path) -> None:
    nothing = notebook.run("%loops experiments --tag a").value
    assert "No experiments yet." in notebook.plain(nothing)
    assert len(nothing.columns) > 5
    for name in ("one", "two"):
        experiment(name, tags=["a"] if name == "one" else ["b"]).close()
    assert home.is_dir()
    notebook.run("%loops archive one")
    assert "Only what is archived has the tag 'a' (1 experiment): add --archived" in notebook.plain(
        notebook.run("%loops experiments --tag a").value
    )
    assert notebook.run("%loops experiments --tag a --archived").value["name"].tolist() == ["one"]
    notebook.run("%loops archive two")
    assert "All 2 experiments are archived" in notebook.plain(notebook.run("%loops experiments --tag b").value)


def test_an_experiment_that_is_named_twice_is_drawn_and_called_once(notebook: Notebook, home: Path) -> None:
    with experiment("s1") as exp:
        exp.log(step=1, loss=1)
    assert home.is_dir()
    text = notebook.run("%loops curves s1 s1").text
    assert "Curves of s1\n" in text
    assert "Curves of s1, s1" not in text
    assert "elapsed" in notebook.run("%loops curves --help").text


def test_long_keys_do_not_flood_what_is_said_of_columns_without_room(notebook: Notebook, home: Path) -> None:
    with experiment("keys") as exp:
        exp.log({f"{'a very long key ' * 60}{number}": 1.0 for number in range(200)}, step=0)
    assert home.is_dir()
    frame = notebook.run("%loops metrics keys --wide").value
    text = notebook.plain(frame)
    told = text.split("Columns that did not fit:")[1]
    assert len(told) < 1500
    assert "more." in told
    assert len(notebook.html(frame)) < 200 * 400


def test_a_listing_of_the_service_is_drawn_without_opening_what_was_recorded() -> None:
    code = """
import sys
import pandas as pd
from loops_nb.frames.arrays import KIND_ATTR
from loops_nb.magics.listings import listing_table
frame = pd.DataFrame({"id": ["a"], "mine": [1]})
frame.attrs[KIND_ATTR] = "runs"
listing_table(frame, "runs", row_limit=5, time_zone="UTC")
sys.exit("sqlite3" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.usefixtures("sweep")
def test_a_person_says_something_about_a_run(notebook: Notebook) -> None:
    assert notebook.run("%loops tag lr-0.1 good").text == "lr-0.1 (run-0.1): good, sweep.\n"
    assert notebook.run("%loops tag lr-0.1 sweep --remove").text == "lr-0.1 (run-0.1): good.\n"
    assert notebook.run("%loops experiments --tag good").value["name"].tolist() == ["lr-0.1"]
    assert "No experiment has the tag 'none'" in notebook.plain(notebook.run("%loops experiments --tag none").value)
    assert "at step 2" in notebook.run("%loops note lr-0.1 it jumps here --step 2").text
    assert notebook.run("%loops metrics lr-0.1 --marks").value["text"].tolist() == ["step-3", "it jumps here"]
    params = notebook.run("%loops params lr-0.1 --set data=v2 --set steps=10").value
    assert dict(zip(params["parameter"], params["lr-0.1"], strict=True)) == {"lr": 0.1, "rank": 8, "data": "v2", "steps": 10}
    assert "1 experiment put out of sight" in notebook.run("%loops archive lr-0.1").text
    assert notebook.run("%loops experiments").value["name"].tolist() == ["lr-0.2"]
    assert notebook.run("%loops archive lr-0.1").text == "lr-0.1 (run-0.1) was archived already: nothing was changed.\n"
    some = notebook.run("%loops archive lr-0.1 lr-0.2").text
    assert "lr-0.1 (run-0.1) was archived already" in some
    assert "1 experiment put out of sight" in some
    assert "2 experiments brought back" in notebook.run("%loops archive lr-0.1 lr-0.2 --undo").text
    again = notebook.run("%loops archive lr-0.1 lr-0.2 --undo").text
    assert again == "lr-0.1 (run-0.1), lr-0.2 (run-0.2) were not archived: nothing was changed.\n"


def test_a_word_that_means_several_is_said_to(notebook: Notebook, home: Path) -> None:
    first, second, other = experiment("a"), experiment("a"), experiment("b")
    assert home.is_dir()
    # The newest stands last, as in listings of words.
    both = f"a [{first.id}], a [{second.id}]"
    several = "a means 2 experiments, and all were changed. An id means one alone: %loops"
    assert notebook.run("%loops note a hello").text == f"Noted for {both}.\n{several} note {first.id} TEXT\n"
    assert notebook.run("%loops tag a x").text == f"a [{first.id}]: x.\na [{second.id}]: x.\n{several} tag {first.id} TAG\n"
    assert notebook.run("%loops tag a").text == f"a [{first.id}]: x.\na [{second.id}]: x.\n"
    assert notebook.run(f"%loops note {first.id} hello").text == "Noted for a.\n"
    assert f"2 experiments ({both}) put out of sight" in notebook.run("%loops archive a").text
    assert f"{both} were archived already" in notebook.run("%loops archive a").text
    assert notebook.run("%loops archive b").text.startswith("1 experiment put out of sight")
    assert other.name == "b"


@pytest.mark.usefixtures("sweep")
def test_a_parameter_without_its_set_is_told_what_it_lacks(notebook: Notebook) -> None:
    refused = notebook.run('%loops params lr-0.1 --set lr=1e-3 "weird key=hello world"', fails=True).text
    assert "'weird key=hello world' stands without --set. Nothing was changed." in refused
    assert "--set 'data set=v2'" in refused
    assert notebook.run("%loops params lr-0.1").value["lr-0.1"].tolist() == [0.1, 8]
    with experiment("lr=1"):
        assert "lr=1" in notebook.run("%loops params lr=1 --set x=2").value


@pytest.mark.usefixtures("sweep")
def test_faults_are_one_line_with_the_way_out(notebook: Notebook) -> None:
    assert "Did you mean lr-0.2 or lr-0.1?" in notebook.run("%loops metrics lr-0.3", fails=True).text
    assert "There is loss." in notebook.run("%loops best -m los", fails=True).text
    assert "Either --min or --max" in notebook.run("%loops best --min --max", fails=True).text
    assert "There is no text to note" in notebook.run("%loops note lr-0.1", fails=True).text
    assert "must be NAME=VALUE" in notebook.run("%loops params lr-0.1 --set data", fails=True).text
    assert "tells no format" in notebook.run("%loops export sweep.txt", fails=True).text
    assert "Meant is %loops export sweep.csv lr-0.1" in notebook.run("%loops export lr-0.1 sweep.csv", fails=True).text
    assert "which file to follow" in notebook.run("%loops track", fails=True).text
    assert "There is no file" in notebook.run("%loops track --request-log absent.jsonl --once", fails=True).text


@pytest.mark.usefixtures("sweep")
def test_experiments_go_to_a_file_and_come_back(notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sweep.csv"
    assert "Wrote 2 experiments" in notebook.run(f"%loops export {path}").text
    assert "2 experiments of it were here already" in notebook.run(f"%loops import {path}").text
    notebook.run(f"%loops export {tmp_path / 'one.csv'} lr-0.1")
    assert "1 experiment of it was here already and stayed as it was." in notebook.run(f"%loops import {tmp_path / 'one.csv'}").text
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    assert "Added 2 experiments" in notebook.run(f"%loops import {path}").text
    assert len(notebook.run("%loops metrics").value) == 6


def test_a_request_log_is_read_and_followed(notebook: Notebook, tmp_path: Path) -> None:
    script = Script(tmp_path / "loops.jsonl")
    assert "There is no file" in notebook.run(f"%loops track --request-log {script.path}").text
    script.made()
    script.step(2.0)
    assert "followed" in notebook.run("%loops track").text
    assert "tells of my run (abc1234)" in notebook.run(f"%loops track --request-log {script.path} --once").text
    assert notebook.run("%loops metrics abc1234 --keys loss").value["value"].tolist() == [2.0]
    notebook.run(f"%loops track --request-log {script.path}")
    stopped = notebook.run("%loops track --stop").text
    assert stopped == f"{script.path} is not followed any more. What was recorded stays: %loops experiments.\n"
    assert notebook.run("%loops track --stop").text == "Nothing is followed, so nothing was changed.\n"
    assert "was not followed" in notebook.run(f"%loops track --request-log {script.path} --stop").text


@pytest.mark.usefixtures("sweep")
def test_tab_knows_what_was_recorded(notebook: Notebook) -> None:
    assert "%loops metrics lr-0.1" in notebook.completions("%loops metrics lr-")
    assert "%loops tag run-0.2" in notebook.completions("%loops tag run-")
    assert "%loops best --metric loss" in notebook.completions("%loops best --metric l")


def test_tags_of_a_run_come_with_its_metrics_and_change_no_columns_of_listings(live: Notebook) -> None:
    before = live.run("df = %loops runs\ndf").value
    run = before["id"].tolist()[0]
    assert "baseline" in live.run(f"%loops tag {run} baseline").text
    live.run(f"%loops note {run} stable")
    listing = live.run("%loops runs").value
    columns = [column.name for column in KINDS["runs"].columns]
    assert list(before) == list(listing) == list(live.run("%loops find --newer-than 9999d").value) == columns
    said = listing.loops.with_metrics()
    assert said[said["id"] == run][["tags", "note"]].to_numpy().tolist() == [["baseline", "stable"]]
    assert "Nothing is recorded for 'nobody'" in live.run("%loops tag nobody x", fails=True).text
