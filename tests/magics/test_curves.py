"""``%loops curves``, and ``%loops compare`` where runs are named."""

from __future__ import annotations

from pathlib import Path

import pytest

import loops_nb
from loops_nb.errors import InvalidArgumentError, LoopsError
from tests.magics.conftest import Notebook
from tests.magics.test_kernel import executed, kernel_environment  # noqa: F401 - a fixture

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")


@pytest.fixture
def recorded(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Two experiments were recorded, and the page's code need not be built."""
    monkeypatch.setattr("loops_nb.panels.curves.page_code", lambda _: "export default { render() {} }")
    for name, rate in (("slow", 1), ("fast", 3)):
        with loops_nb.experiment(name, params={"lr": rate / 1e4, "rank": 8}) as experiment:
            for step in range(21):
                experiment.log(step=step, loss=3 / (1 + rate * step / 20), accuracy=step / 20)
    return notebook


def test_a_terminal_gets_the_numbers_in_words(recorded: Notebook) -> None:
    out = recorded.run("%loops curves").out
    assert "loss by step" in out
    assert "1.5 @ 20" in out
    assert "0.75 @ 20" in out
    assert "lr" in out.split("Parameters that differ")[1]
    assert "rank" not in out


def test_one_run_another_key_another_axis(recorded: Notebook) -> None:
    out = recorded.run("%loops curves fast --key accuracy --by elapsed --smooth 0.9").out
    assert "accuracy by time since the beginning" in out
    assert "slow" not in out


@pytest.mark.parametrize(
    ("line", "near", "there"),
    [
        ("fst", "Did you mean fast?", "Recorded are fast"),
        ("slow fst", "Did you mean fast?", "Nothing was recorded yet of fst"),
        ("fast --key los", "Did you mean loss?", "Recorded are loss"),
        ("--key accuracyy", "Did you mean accuracy?", "Recorded are accuracy"),
        ("nothing-like-it", "With --wait", "Recorded are"),
        ("zz9zz9z", "With --wait", "Recorded are"),
    ],
)
def test_a_typing_error_opens_no_panel(line: str, near: str, there: str, recorded: Notebook) -> None:
    error = recorded.run(f"%loops curves {line}", fails=True).error
    assert isinstance(error, InvalidArgumentError)
    assert near in str(error.hint)
    assert there in str(error)
    assert "Nothing was recorded yet of" in recorded.run(f"%loops curves {line} --wait").out


def test_a_run_that_deploys_or_has_failed_says_so_where_it_has_no_numbers(live: Notebook) -> None:
    live.run("runs = %loops runs\ndeployments = %loops deployments")
    runs, deployments = live.shell.user_ns["runs"], live.shell.user_ns["deployments"].set_index("id")["status"]
    states = {
        run: deployments[deployment] for run, deployment in zip(runs["id"], runs["deployment_id"], strict=True) if deployment in deployments
    }
    for state in ("CREATED", "FAILED"):
        run = next(run for run, found in states.items() if found == state)
        out = live.run(f"%loops curves {run}").out
        assert f"No numbers of run {run} yet: it is " in out
        assert f", its trainer {state}. %loops watch {run}" in out


def test_compare_takes_runs_of_which_something_was_recorded(recorded: Notebook) -> None:
    out = recorded.run("%loops compare slow fast").out
    assert "Curves of slow, fast" in out
    # What is no experiment is a checkpoint still, for which somebody has to be asked.
    assert isinstance(recorded.run("%loops compare slow neither", fails=True).error, LoopsError)


@pytest.mark.parametrize("line", ["--smooth 7", "--smooth much", "--by sideways"])
def test_what_makes_no_sense_is_refused(line: str, recorded: Notebook) -> None:
    assert isinstance(recorded.run(f"%loops curves {line}", fails=True).error, InvalidArgumentError)


def test_where_nothing_was_recorded_it_says_so(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.panels.curves.page_code", lambda _: "export default { render() {} }")
    assert "Nothing was recorded yet." in notebook.run("%loops curves to-come").out


def test_an_executed_notebook_ends_with_the_whole_picture(kernel_environment: Path) -> None:  # noqa: F811 - the fixture
    book = executed(
        kernel_environment,
        "%load_ext loops_nb",
        "p = %loops curves sweep",
        "import loops_nb\nwith loops_nb.experiment('sweep') as e:\n    for i in range(40):\n        e.log(step=i, loss=1 / (i + 1))",
    )
    report, live = book.cells[1].outputs
    assert "<svg" in report.data["text/html"]
    assert "0.025 @ 39" in report.data["text/html"], "what the cells below recorded, too"
    assert live.data["text/plain"] == "(live panel: needs a running kernel)"
