"""``%loops curves``, and ``%loops compare`` with runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import loops_nb
from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.magics.completion import LineCompleter
from tests.magics.conftest import Notebook

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")


@pytest.fixture
def recorded(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Two experiments were recorded, and the page's code need not be built."""
    monkeypatch.setattr("loops_nb.panels.curves.panel.page_code", lambda _: "export default { render() {} }")
    for name, rate in (("slow", 1), ("fast", 3)):
        with loops_nb.experiment(name, params={"lr": rate / 1e4, "rank": 8}) as experiment:
            for step in range(21):
                experiment.log(step=step, loss=3 / (1 + rate * step / 20), accuracy=step / 20)
    return notebook


def test_curves_in_a_terminal_are_text(recorded: Notebook) -> None:
    out = recorded.run("%loops curves").out
    assert "loss by step" in out
    assert "1.5 @ 20" in out
    assert "0.75 @ 20" in out
    assert "lr" in out.split("Parameters that differ")[1]
    assert "rank" not in out


def test_curves_of_one_run_by_key_and_axis(recorded: Notebook) -> None:
    out = recorded.run("%loops curves fast --metric accuracy --by elapsed --smooth 0.9").out
    assert "accuracy by time since the start" in out
    assert "slow" not in out


@pytest.mark.parametrize(
    ("line", "shown"),
    [("'f*'", {"fast"}), ("'[fs]*'", {"fast", "slow"}), ("--tag chosen", {"slow"}), ("'*' --tag chosen", {"slow"})],
)
def test_curves_of_a_pattern_or_a_tag(line: str, shown: set[str], recorded: Notebook) -> None:
    recorded.run("%loops tag slow chosen")
    out = recorded.run(f"%loops curves {line}").out
    assert {name for name in ("fast", "slow") if name in out} == shown


def test_curves_rejects_patterns_and_tags_of_nothing(recorded: Notebook) -> None:
    assert "Nothing was recorded yet of x*" in recorded.run("%loops curves 'x*'", fails=True).text
    assert "Nothing was recorded yet of try[2]" in recorded.run("%loops curves 'try[2]' --wait").out
    assert "No experiment has the tag 'none'" in recorded.run("%loops curves --tag none", fails=True).text
    assert "None of these experiments has the tag" in recorded.run("%loops curves fast --tag none", fails=True).text


@pytest.mark.parametrize(
    ("line", "near", "there"),
    [
        ("fst", "Did you mean fast?", "Recorded are fast"),
        ("slow fst", "Did you mean fast?", "Nothing was recorded yet of fst"),
        ("fast --metric los", "Did you mean loss?", "Recorded are loss"),
        ("--metric accuracyy", "Did you mean accuracy?", "Recorded are accuracy"),
        ("nothing-like-it", "With --wait", "Recorded are"),
        ("zz9zz9z", "With --wait", "Recorded are"),
    ],
)
def test_curves_rejects_unknown_names_and_keys(line: str, near: str, there: str, recorded: Notebook) -> None:
    error = recorded.run(f"%loops curves {line}", fails=True).error
    assert isinstance(error, InvalidArgumentError)
    assert near in str(error.hint)
    assert there in str(error)
    assert "Nothing was recorded yet of" in recorded.run(f"%loops curves {line} --wait").out


def test_curves_report_the_state_of_runs_without_metrics(live: Notebook) -> None:
    live.run("runs = %loops runs\ndeployments = %loops deployments")
    runs, deployments = live.shell.user_ns["runs"], live.shell.user_ns["deployments"].set_index("id")["status"]
    states = {
        run: deployments[deployment]
        for run, deployment in zip(runs["id"], runs["deployment_id"], strict=True)
        if deployment in deployments
    }
    for state in ("CREATED", "FAILED"):
        run = next(run for run, found in states.items() if found == state)
        out = live.run(f"%loops curves {run}").out
        assert f"No metrics of run {run} yet: it is " in out
        assert f", its trainer {state}. %loops watch {run}" in out


def test_compare_shows_curves_of_recorded_runs(recorded: Notebook) -> None:
    out = recorded.run("%loops compare slow fast").out
    assert "Curves of slow, fast" in out
    # Names that are not experiments are checkpoints, which need a connection.
    assert isinstance(recorded.run("%loops compare slow neither", fails=True).error, LoopsError)


@pytest.mark.parametrize("line", ["--smooth 7", "--smooth much", "--by sideways"])
def test_curves_rejects_wrong_options(line: str, recorded: Notebook) -> None:
    assert isinstance(recorded.run(f"%loops curves {line}", fails=True).error, InvalidArgumentError)


def test_curves_without_recorded_data_say_so(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.panels.curves.panel.page_code", lambda _: "export default { render() {} }")
    assert "Nothing was recorded yet." in notebook.run("%loops curves to-come").out


@pytest.fixture
def sweep(recorded: Notebook) -> Notebook:
    """Two learning rates with two seeds each, besides the two experiments."""
    for lr in (1e-4, 1e-3):
        for seed in (0, 1):
            params = {"lr": lr, "seed": seed, "rank": 16}
            with loops_nb.experiment(f"sft-{lr:g}-s{seed}", params=params, project="sft") as experiment:
                for step in range(10):
                    experiment.log(step=step, **{"loss": 1 + seed - lr * step, "eval/loss": 2.0})
    return recorded


def picture(notebook: Notebook, line: str) -> Any:
    notebook.run(f"plot = %loops curves {line}")
    found = notebook.shell.user_ns["plot"]
    assert type(found).__name__ == "Plot"
    return found


def test_grouped_curves_are_a_picture(sweep: Notebook) -> None:
    plot = picture(sweep, "'sft-*' --group-by seedless --metric loss --band minmax --color-by lr")
    assert plot.table["group"].tolist() == ["sft-0.0001", "sft-0.001"]
    assert "Grouped by name without seed: 2 groups of 2 experiments each." in plot.notes
    assert "Colors: lr (logarithmic scale)." in plot.notes


def test_a_picture_is_saved(sweep: Notebook, tmp_path: Path) -> None:
    out = sweep.run(f"%loops curves 'sft-*' --metric loss --save {tmp_path / 'loss.pdf'}").out
    assert f"Saved {tmp_path / 'loss.pdf'}." in out
    assert (tmp_path / "loss.pdf").read_bytes().startswith(b"%PDF")


def test_several_metrics_are_a_grid(sweep: Notebook) -> None:
    plot = picture(sweep, "'sft-*' -m loss --key 'eval/*'")
    assert [ax.get_ylabel() for ax in plot.figure.axes] == ["loss", "eval/loss"]
    assert len(picture(sweep, "--static").table["group"].unique()) == 6, "all experiments, not only the newest"


def test_a_baseline_is_compared(sweep: Notebook) -> None:
    plot = picture(sweep, "'sft-*' --metric loss --baseline sft-0.001-s0 --against ratio")
    assert plot.table.set_index("group").loc["sft-0.001-s0", "ratio"] == 1


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('--where "lr < 5e-4 and rank == 16"', {"sft-0.0001-s0", "sft-0.0001-s1"}),
        ("--project sft 'sft-0.001-*'", {"sft-0.001-s0", "sft-0.001-s1"}),
        ('slow --where "rank == 8" --since 1d', {"slow"}),
    ],
)
def test_curves_of_filtered_experiments(line: str, shown: set[str], sweep: Notebook) -> None:
    assert set(picture(sweep, f"{line} --static --metric loss").table["group"]) == shown
    out = sweep.run(f"%loops curves {line}").out
    assert all(name in out for name in shown)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('--where "lr > 5"', "No experiment passes the filters."),
        ("slow --project sft", "None of these experiments passes the filters."),
        ("--band minmax", "--band is of groups, and nothing is grouped."),
        ("--against ratio", "--against compares with a baseline, and none is named."),
        ("--static --wait", "--wait is of the live panel"),
        ("--group-by rnak", "has a parameter 'rnak'"),
        ("--group-by lr --band iqr", "iqr"),
        ("--static --metric lss", "Nothing was logged as 'lss'"),
        ("--metric loss --baseline x", "The baseline 'x' is neither a group here nor an experiment"),
        ("--static --save curves.xyz", "A plot is saved as .pdf, .png, .svg or .html"),
    ],
)
def test_what_cannot_be_drawn_is_refused(line: str, message: str, sweep: Notebook) -> None:
    assert message in sweep.run(f"%loops curves {line}", fails=True).text


def test_parameters_to_group_by_are_completed(sweep: Notebook) -> None:
    _, offered = LineCompleter(sweep.magics).complete("curves --group-by ")
    assert {"seedless", "tag", "lr", "rank"} <= {candidate for candidate, *_ in offered}


def test_rows_of_a_frame_are_shown_in_a_panel(sweep: Notebook) -> None:
    sweep.run('df = %loops experiments --where "lr == 1e-3"')
    out = sweep.run("panel = df.loops.curves('eval/loss')\nprint(panel.told())\npanel.close()").out
    assert "sft-0.001-s0" in out
    assert "sft-0.001-s1" in out
    assert "slow" not in out
    assert "eval/loss by step" in out
    error = sweep.run("df.iloc[:0].loops.curves()", fails=True).error
    assert isinstance(error, InvalidArgumentError)
    error = sweep.run("df.drop(columns='id').loops.curves()", fails=True).error
    assert isinstance(error, InvalidArgumentError)


def test_metrics_draw_the_same_picture(sweep: Notebook) -> None:
    sweep.run("from loops_nb import Loops\nmetrics = Loops('key', 'http://127.0.0.1:9').metrics")
    sweep.run("plot = metrics.plot('loss', 'sft-*', group_by='lr')")
    assert sweep.shell.user_ns["plot"].table["group"].tolist() == ["lr=0.0001", "lr=0.001"]
