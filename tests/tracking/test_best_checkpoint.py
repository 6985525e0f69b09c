"""Values of checkpoints: evaluated inline or later, in any order, after resumptions, by other processes."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest

from loops_nb import experiment
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.tracking import Experiment
from loops_nb.tracking.metrics import Metrics
from tests.tracking.test_frames import checkpoint, listing

STEPS = (25, 50, 75, 100)
RUN = "run0001"


def train(exp: Experiment, steps: range, *, scale: float = 1.0) -> None:
    """Log a loss at each step and save at each of `STEPS`."""
    for step in steps:
        exp.log(step=step, loss=scale / step)
        if step in STEPS:
            exp.saved(f"step-{step}", uri=f"bt://loops:{RUN}/weights/step-{step}")


def best(metric: str = "acc") -> dict[int, float]:
    frame = Metrics().best(metric, mode="max")
    assert frame["metric_step"].equals(frame["step"])
    return dict(zip(frame["step"].tolist(), frame["value"].tolist(), strict=True))


def beside(metric: str = "acc") -> dict[int, float]:
    """Return the joined values of the checkpoints of a listing."""
    frame = listing("checkpoints", *(checkpoint(RUN, f"step-{step}") for step in STEPS)).loops.with_metrics()
    return dict(zip(frame["step"].tolist(), frame[metric].tolist(), strict=True))


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids=str)
def test_late_evaluations_belong_to_their_checkpoints_in_any_order(order: tuple[int, ...]) -> None:
    with experiment("later", run=RUN) as exp:
        train(exp, range(1, 101))
        for step in order:
            exp.log(step=step, acc=step / 100)
            exp.log({"eval/loss": 1 - step / 100}, step=step)
        # Training continues in the same attempt.
        exp.log(step=101, loss=0)
    assert best() == beside() == {step: step / 100 for step in STEPS}
    assert best("eval/loss") == {step: 1 - step / 100 for step in STEPS}
    assert set(exp.frame(wide=False).query("key == 'loss'")["attempt"]) == {1}


def test_checkpoints_evaluated_twice_show_the_later_values() -> None:
    with experiment("twice", run=RUN) as exp:
        train(exp, range(1, 101))
        for turn, order in enumerate([(50, 100, 25, 75), (75, 25, 50, 100)]):
            for step in order:
                exp.log(step=step, acc=turn + step / 100)
    assert best() == beside() == {step: 1 + step / 100 for step in STEPS}


def test_checkpoints_evaluated_by_another_process_show_its_values() -> None:
    with experiment("elsewhere", run=RUN) as exp:
        train(exp, range(1, 101))
    program = f"""
import loops_nb
with loops_nb.experiment("elsewhere", run={RUN!r}) as exp:
    for step in (75, 25, 100, 50):
        exp.log(step=step, acc=step / 100)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert best() == beside() == {step: step / 100 for step in STEPS}


def test_experiment_of_evaluations_gives_the_values_of_its_run() -> None:
    with experiment("train", run=RUN) as exp:
        train(exp, range(1, 101))
        exp.log(step=50, acc=-1)
    with experiment("eval", run=RUN) as other:
        for step in (75, 25, 100):
            other.log(step=step, acc=step / 100)
    # For step 75 the experiment that saved it has only an earlier value, and the other one has that step.
    assert beside() == {25: 0.25, 50: -1, 75: 0.75, 100: 1}


@pytest.mark.parametrize("is_saved_first", [True, False])
@pytest.mark.parametrize("is_same_process", [True, False])
def test_repeated_step_has_the_values_of_each_attempt(
    is_saved_first: bool,
    is_same_process: bool,
) -> None:
    def attempt(exp: Experiment, scale: float, steps: tuple[int, ...]) -> None:
        for step in steps:
            exp.log(step=step, loss=scale / step)
            if not is_saved_first:
                exp.log(step=step, acc=scale + step)
            exp.saved(f"step-{step}", step=step)
            if is_saved_first:
                exp.log(step=step, acc=scale + step)

    with experiment("again", run=RUN) as exp:
        attempt(exp, 1000, (25, 50, 75))
        if is_same_process:
            attempt(exp, 2000, (75, 100) if is_saved_first else (50, 75, 100))
    if not is_same_process:
        with experiment("again", run=RUN) as exp:
            attempt(exp, 2000, (50, 75, 100))
    frame = Metrics().best("acc", mode="max").sort_values(["step", "value"])
    found = [(step, value) for step, value in frame[["step", "value"]].to_numpy().tolist() if step == 75]
    assert found == [(75, 1075), (75, 2075)]


def test_value_of_the_saved_attempt_has_precedence() -> None:
    with experiment("crashed", run=RUN) as exp:
        train(exp, range(1, 101))
        for step in range(51, 90):
            exp.log(step=step, loss=999)
    assert best("loss") == {step: 1 / step for step in STEPS}


def test_best_frame_has_the_step_of_an_earlier_value() -> None:
    with experiment("sparse", run=RUN) as exp:
        exp.log(step=20, acc=0.2)
        train(exp, range(1, 101))
        exp.log(step=70, acc=0.7)
    frame = Metrics().best("acc")
    rows = {row.checkpoint: (row.value, row.metric_step) for row in frame.itertuples()}
    assert (rows["step-75"], rows["step-50"]) == ((0.7, 70), (0.2, 20))
    assert (
        "4 checkpoints have no acc of the same step: the column metric_step says which step it is from."
        in frame.attrs[NOTES_ATTR]
    )
    listed = listing("checkpoints", *(checkpoint(RUN, f"step-{step}") for step in (25, 75))).loops.with_metrics()
    assert listed[["acc", "acc_step"]].to_numpy().tolist() == [[0.2, 20], [0.7, 70]]
    assert "loss_step" not in listed
    assert any("acc_step says" in note for note in listed.attrs[NOTES_ATTR])


def test_checkpoint_before_the_first_value_has_none() -> None:
    with experiment("early", run=RUN) as exp:
        train(exp, range(1, 101))
        exp.log(step=60, acc=0.6)
    frame = Metrics().best("acc")
    assert frame["value"].isna().tolist() == [False, False, True, True]
    assert frame["metric_step"].isna().tolist().count(True) == 2
