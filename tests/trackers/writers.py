"""Programs that log with a real tracker, each run in a process of its own."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np


def tensorboard(folder: str = "runs") -> None:
    """Two runs with everything that ``SummaryWriter`` has."""
    from tensorboardX import SummaryWriter

    for rate in (0.1, 0.01):
        with SummaryWriter(f"{folder}/lr-{rate}") as writer:
            for step in range(20):
                writer.add_scalar("train/loss", math.exp(-rate * step), step, walltime=1_700_000_000 + step)
                if step % 5 == 0:
                    # With a description the value is written as a tensor's metadata has it.
                    writer.add_scalar("eval/acc", step / 20, step, display_name="Accuracy", summary_description="top 1")
            writer.add_scalar("odd", math.inf, 3)
            writer.add_text("samples", "hello <b>world</b>", 2)
            writer.add_histogram("weights", np.arange(100.0), 1)
            writer.add_image("picture", np.zeros((3, 8, 8)), 1)
            writer.add_pr_curve("pr", np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.3]), 1)
            writer.add_hparams({"lr": rate, "optimizer": "adam", "bias": True, "rank": 16}, {"hparam/acc": 0.9})


def tensorboard_tensors(folder: str = "runs") -> None:
    """A run whose scalars, texts and parameters are tensors, as TensorFlow 2 and TensorBoard's own writer have them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.text.metadata import create_summary_metadata
    from tensorboard.summary import Writer
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    writer = Writer(folder)
    for step in range(5):
        writer.add_scalar("epoch_loss", np.float32(step / 4), step, wall_time=1_700_000_000.5 + step)
    writer.close()
    events = EventFileWriter(folder, filename_suffix=".v2")
    text = Event(step=2, wall_time=1_700_000_002)
    value = text.summary.value.add(tag="notes", metadata=create_summary_metadata("notes", ""))
    value.tensor.CopyFrom(make_tensor_proto(["one", "two"], dtype=np.object_))
    start = plugin_data_pb2.SessionStartInfo()
    start.hparams["units"].number_value = 32
    start.hparams["dropout"].number_value = 0.25
    start.hparams["bias"].bool_value = False
    start.hparams["name"].string_value = "x"
    start.hparams["layers"].list_value.extend([8, "wide"])
    session = Event(wall_time=1_700_000_003)
    for tag, data in (
        ("_hparams_/session_start_info", plugin_data_pb2.HParamsPluginData(session_start_info=start)),
        (
            "_hparams_/session_end_info",
            plugin_data_pb2.HParamsPluginData(
                session_end_info=plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
            ),
        ),
    ):
        value = session.summary.value.add(tag=tag)
        value.metadata.plugin_data.plugin_name = "hparams"
        value.metadata.plugin_data.content = data.SerializeToString()
    for event in (text, session):
        events.add_event(event)
    events.close()


def tensorboard_restarted(folder: str = "runs") -> None:
    """One run that a second process continued from an earlier step."""
    from tensorboardX import SummaryWriter

    for number, steps in enumerate((range(5), range(3, 8))):
        with SummaryWriter(folder, filename_suffix=f".{number}") as writer:
            for step in steps:
                writer.add_scalar("loss", 10 * number + step, step)


def wandb_offline(name: str = "base") -> None:
    """An offline run with everything that has a place, and media that have none."""
    import wandb

    run = wandb.init(
        project="proj",
        name=name,
        tags=["a", "b"],
        notes="my note",
        config={"lr": 1e-4, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}},
        group="g1",
        job_type="train",
    )
    run.define_metric("eval/*", step_metric="epoch")
    for step in range(30):
        run.log({"loss": 1 / (step + 1), "grad": {"norm": step}, "epoch": step // 10, "flag": True})
        if step % 10 == 0:
            run.log({"eval/acc": step / 30, "epoch": step // 10})
    run.log({"bad": math.nan, "big": math.inf, "word": "x"})
    picture = wandb.Image(np.zeros((4, 4, 3), dtype="uint8"))
    run.log({"h": wandb.Histogram(np.arange(10.0)), "i": picture, "t": wandb.Table(columns=["a"], data=[[1]])})
    run.summary["best"] = 0.5
    run.config["late"] = 7
    run.alert("watch", "loss is high")
    run.finish(exit_code=1 if name == "crashed" else 0)


def wandb_long() -> None:
    """A run of more than one block of its file."""
    import wandb

    run = wandb.init(project="proj", name="long", mode="offline")
    for step in range(3_000):
        run.log({"loss": step / 7, "a long name of a metric": -step})
    run.finish()


def wandb_resumed() -> None:
    """A run that was resumed."""
    import wandb

    for begin in (0, 5):
        run = wandb.init(project="proj", id="abc123", name="resumed", resume="allow", mode="offline")
        for step in range(begin, begin + 5):
            run.log({"loss": step}, step=step)
        run.finish()


def mlflow_runs(uri: str) -> None:
    """Runs in a folder or database: finished, failed with a child, deleted."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment('"Quoted": experiment é ' + "with a long name " * 8)
    with mlflow.start_run(run_name="base", tags={"team": "nlp", "flag": ""}, description="what it is"):
        mlflow.log_params({"lr": 0.001, "optimizer": "adam", "shuffle": True, "n": 16, "seed": "007"})
        for step in range(10):
            mlflow.log_metric("train/loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"bad": math.nan, "big": -math.inf}, step=3)
        mlflow.log_text("a report", "report.txt")
    try:
        with mlflow.start_run(run_name="failed"):
            mlflow.log_metric("loss", 1.0)
            with mlflow.start_run(run_name="child", nested=True):
                mlflow.log_metric("loss", 2.0)
            _fail()
    except RuntimeError:
        pass
    with mlflow.start_run(run_name="deleted") as run:
        mlflow.log_metric("loss", 1.0)
    mlflow.MlflowClient().delete_run(run.info.run_id)


def trackio_runs(count: str = "2") -> None:
    """Runs of one project, two of them with the same name."""
    import trackio

    for number in range(int(count)):
        run: Any = trackio.init(
            project="proj",
            name="same" if number else "first",
            config={"lr": 0.1 * number, "optimizer": {"beta": 0.9}},
            group="g",
            resume="never",
            embed=False,
        )
        for step in range(10):
            run.log({"loss": 1 / (step + 1), "grad": {"norm": step}})
        picture = trackio.Image(np.zeros((4, 4, 3), dtype="uint8"))
        run.log({"bad": math.nan, "big": math.inf, "picture": picture, "word": "hey"}, step=12)
        trackio.alert("watch", "loss is high")
        trackio.finish()


def _fail() -> None:
    raise RuntimeError(os.getpid())


def sink_to_mlflow(uri: str) -> None:
    """An experiment that goes to MLflow as well; its end is that of the process."""
    import mlflow

    import loops_nb

    mlflow.set_tracking_uri(uri)
    with loops_nb.experiment("base", params={"lr": 1e-3}, tags=["t"], project="proj", sink="mlflow") as exp:
        for step in range(50):
            exp.log({"train/loss": 1 / (step + 1), "odd@key": math.nan}, step=step)
        exp.params.update({"warmup": 100, "lr": 2e-3})
        exp.params.update(warmup=100)
        exp.summary.update(accuracy=0.93, verdict="good")
        exp.note("a note")
    open_until_the_end = loops_nb.experiment("open", project="proj", sink="mlflow")
    open_until_the_end.log(loss=2.5)


def sink_to_trackio() -> None:
    """An experiment that goes to Trackio as well, beside a run of Trackio's own; its end is that of the process."""
    import trackio

    import loops_nb

    trackio.init(project="own", name="own", embed=False)
    with loops_nb.experiment("base", params={"lr": 1e-3, "_x": 1}, tags=["t"], project="proj", sink="trackio") as exp:
        for step in range(50):
            exp.log({"train/loss": 1 / (step + 1), "time": 7}, step=step)
        exp.params.update({"warmup": 100, "lr": 2e-3, "opt": {"beta": 0.9}})
        exp.note("a note")
    exp.summary["accuracy"] = 0.93
    loops_nb.experiment("open", project="proj", sink="trackio").log(loss=2.5)
    trackio.log({"loss": 1.0})
