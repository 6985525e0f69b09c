"""The callback for transformers, driven by the library's own handler of callbacks; no model is trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from loops_nb.integrations.transformers import ExperimentCallback
from loops_nb.tracking.metrics import Metrics


def run_training(tmp_path: Path, callback: ExperimentCallback, *, is_main: bool = True) -> None:
    args = TrainingArguments(str(tmp_path / "sft-out"), learning_rate=3e-4, hub_token="sentinel-of-a-token")
    state, control = TrainerState(is_world_process_zero=is_main), TrainerControl()
    handler = CallbackHandler([callback], None, None, None, None)
    handler.on_train_begin(args, state, control)
    for step in range(1, 6):
        state.global_step, state.num_input_tokens_seen = step, 100 * step
        handler.on_log(args, state, control, {"loss": 3.0 - step / 2, "grad_norm": 1.0, "epoch": step / 5})
    handler.on_evaluate(args, state, control, metrics={"eval_loss": 0.75})
    handler.on_log(args, state, control, {"eval_loss": 0.75, "eval_runtime": 1.5})
    handler.on_save(args, state, control)
    handler.on_log(args, state, control, {"train_runtime": 9.0, "total_flos": 0.0})
    handler.on_train_end(args, state, control)


def test_training_becomes_an_experiment(tmp_path: Path, metrics: Metrics) -> None:
    run_training(tmp_path, ExperimentCallback(tags=["t"], project="chat", params={"lora_rank": 8}))
    row = metrics.experiments().iloc[0]
    assert (row["name"], row["project"], row["state"]) == ("sft-out", "chat", "finished")
    assert (row["params.learning_rate"], row["params.lora_rank"]) == (3e-4, 8)
    loss = metrics.frame(keys=["train/loss"])
    assert loss["value"].tolist() == [2.5, 2.0, 1.5, 1.0, 0.5]
    assert loss["step"].tolist() == [1, 2, 3, 4, 5]
    assert loss["tokens"].tolist() == [100.0, 200.0, 300.0, 400.0, 500.0]
    assert metrics.frame(keys=["eval/loss"])["value"].tolist() == [0.75]
    assert metrics.marks()[["step", "text"]].values.tolist() == [[5, "checkpoint-5"]]
    assert "sentinel" not in metrics.experiments().to_csv()


def test_processes_other_than_the_main_one_record_nothing(tmp_path: Path, metrics: Metrics) -> None:
    run_training(tmp_path, ExperimentCallback("x"), is_main=False)
    assert len(metrics.experiments()) == 0


def test_loops_nb_does_not_import_transformers() -> None:
    program = "import sys, loops_nb, loops_nb.integrations; assert 'transformers' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
