"""DataFrames of experiments, joins with listings, and exports."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loops_nb import AsyncLoops, Loops, RecordedMetrics, experiment, frames
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.computed import COMPUTED_KINDS
from loops_nb.tracking import ExperimentStore, TrackingWarning
from loops_nb.tracking.frames import marks_frame
from loops_nb.tracking.leaderboard import experiments_frame
from loops_nb.tracking.metric_mode import infer_mode
from loops_nb.tracking.metrics import Metrics
from tests.frames.test_table import PANDAS

FORMATS = [
    ".jsonl",
    ".csv",
    pytest.param(
        ".parquet",
        marks=pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"),
    ),
]

pytestmark = pytest.mark.once


def sweep() -> Metrics:
    for number, rate in enumerate((0.1, 0.2, 0.3)):
        with experiment(f"lr-{rate}", params={"lr": rate, "rank": 8}, tags=["sweep"], run=f"run000{number}") as exp:
            for step in range(1, 11):
                exp.log(step=step, loss=10 / step - rate, grad_norm=rate, tokens_seen=step * 100)
                if step % 5 == 0:
                    exp.saved(f"step-{step}", uri=f"bt://loops:run000{number}/weights/step-{step}", target="trainer")
            exp.note("done")
    return Metrics()


def keeps_dtypes(frame: pd.DataFrame) -> None:
    for column in COMPUTED_KINDS[frame.attrs["loops_kind"]].columns:
        dtype = frame[column.name].dtype
        assert (PANDAS.get(column.dtype) or (lambda found: found == np.float64))(dtype), f"{column.name} is {dtype}"


def test_long_and_wide_frames_have_every_point_and_dtype() -> None:
    exp = experiment("points", run="run0001")
    for step, loss in [(1, 1.0), (2, 2.0), (2, 2.5), (1, math.nan)]:
        exp.log(step=step, loss=loss)
    exp.log(step=2, other=7, at=8)
    long = exp.frame(wide=False)
    keeps_dtypes(long)
    assert long[long["key"] == "loss"][["step", "attempt"]].to_numpy().tolist() == [[1, 1], [2, 1], [2, 1], [1, 2]]
    wide = exp.frame()
    keeps_dtypes(wide)
    assert wide[["attempt", "step", "repeat"]].to_numpy().tolist() == [
        [1, 1, 1],
        [1, 2, 1],
        [1, 2, 2],
        [2, 1, 1],
        [2, 2, 1],
    ]
    assert wide["loss"].tolist()[:3] == [1.0, 2.0, 2.5]
    assert wide["other"].tolist()[-1] == 7
    # A key with the name of a column of the frame.
    assert wide["metric:at"].tolist()[-1] == 8
    assert exp.frame(keys=["other"])["other"].tolist() == [7]


def test_frames_without_rows_have_their_columns_and_dtypes() -> None:
    metrics = Metrics()
    for frame in (metrics.experiments(), metrics.frame(), metrics.frame(wide=True), metrics.marks(), metrics.params()):
        assert len(frame) == 0
        keeps_dtypes(frame)
    exp = experiment("nothing yet")
    assert len(exp.frame()) == len(exp.frame(wide=False)) == 0


def test_experiments_frame_has_parameters_tags_and_last_step() -> None:
    frame = sweep().experiments()
    keeps_dtypes(frame)
    assert frame["name"].tolist() == ["lr-0.3", "lr-0.2", "lr-0.1"]
    assert frame["params.lr"].tolist() == [0.3, 0.2, 0.1]
    assert set(frame["tags"]) == {"sweep"}
    assert set(frame["note"]) == {"done"}
    assert set(frame["points"]) == {20}
    assert set(frame["last_step"]) == {10}
    assert frame.loops.kind == "experiments"


def test_best_frame_begins_with_the_best_checkpoint() -> None:
    metrics = sweep()
    best = metrics.best("loss")
    keeps_dtypes(best)
    assert best.iloc[0][["name", "checkpoint", "uri"]].tolist() == [
        "lr-0.3",
        "step-10",
        "bt://loops:run0002/weights/step-10",
    ]
    assert best["value"].tolist() == sorted(best["value"])
    assert len(best) == 6
    assert metrics.best("grad_norm", ["lr-0.1", "run0001"], mode="max").iloc[0]["name"] == "lr-0.2"
    with experiment("no checkpoint") as exp:
        for value in (math.nan, 3, -5, 4):
            exp.log(loss=value)
    assert metrics.best("loss").iloc[0][["name", "value", "step"]].tolist() == ["no checkpoint", -5, 2]
    with pytest.raises(TrackingError, match="Nothing was logged as 'los'"):
        metrics.best("los")
    with pytest.raises(InvalidArgumentError, match="min or max"):
        metrics.best("loss", mode="lowest")


@pytest.mark.parametrize(
    ("key", "mode"),
    [
        *(
            (key, "min")
            for key in (
                "loss",
                "eval/loss",
                "loss/train",
                "evalLoss",
                "perplexity",
                "nll",
                "word_error_rate",
                "reward_loss",
            )
        ),
        *((key, "max") for key in ("accuracy", "eval/acc", "mean_reward", "score", "macro_f1", "success_rate", "F1")),
        *(
            (key, None)
            for key in (
                "grad_norm",
                "kl",
                "lr",
                "reward_std",
                "loss_scale",
                "toxicity_score",
                "error_score",
                "",
                "neg_loss",
            )
        ),
    ],
)
def test_infer_mode_answers_only_for_unambiguous_keys(key: str, mode: str | None) -> None:
    assert infer_mode(key) == mode


def test_best_needs_a_mode_for_ambiguous_keys() -> None:
    metrics = Metrics()
    with experiment("x") as exp:
        for step, value in enumerate([0.5, 0.9, 0.7]):
            exp.log(step=step, acc=value, loss=1 - value, kl=value)
            exp.saved(f"step-{step}")
    best = metrics.best("acc")
    assert best["value"].tolist() == [0.9, 0.7, 0.5]
    assert best.attrs[NOTES_ATTR] == [
        'The highest acc is taken as the best; --min reverses that, in Python mode="min".'
    ]
    assert metrics.best("acc", mode="min")["value"].tolist() == [0.5, 0.7, 0.9]
    assert "The lowest loss is taken as the best" in metrics.best("loss").attrs[NOTES_ATTR][0]
    with pytest.raises(
        InvalidArgumentError, match="'kl' does not tell whether lower or higher values are better"
    ) as caught:
        metrics.best("kl")
    assert caught.value.hint == 'Say mode="min" or mode="max".'
    assert metrics.best("kl", mode="max")["checkpoint"].tolist()[0] == "step-1"


def test_best_frame_notes_experiments_without_checkpoints() -> None:
    for name in ("a", "a", "b"):
        with experiment(name) as exp:
            exp.log(step=1, loss=1)
            if name == "b":
                exp.saved("step-1")
    _, note, _ = Metrics().best("loss").attrs[NOTES_ATTR]
    assert note.startswith(
        "No checkpoint was saved at a step of a, a: its best step stands instead. exp.saved(NAME) marks one"
    )
    assert len(Metrics().best("loss", "b").attrs[NOTES_ATTR]) == 1


def test_empty_listing_mentions_archived_experiments() -> None:
    metrics = sweep()
    metrics.archive(["lr-0.1", "lr-0.2", "lr-0.3"])
    for frame in (metrics.experiments(), metrics.frame(), metrics.marks(), metrics.params(), metrics.best("loss")):
        words = frame.attrs["loops_empty"]
        assert words.startswith(
            "All 3 experiments are archived, and nothing of them is deleted: %loops experiments --archived shows them"
        )
    assert "loops_empty" not in metrics.experiments(archived=True).attrs


def test_experiments_frame_has_parameters_before_times() -> None:
    columns = sweep().experiments().columns.tolist()
    assert columns[columns.index("created_at") - 2 : columns.index("created_at")] == ["params.lr", "params.rank"]
    assert columns[-1] == "archived"


def test_unknown_key_is_reported_with_the_existing_ones() -> None:
    metrics = sweep()
    frame = metrics.frame("lr-0.1", keys=["loss", "nope"], wide=True)
    assert frame.attrs[NOTES_ATTR] == ["Nothing was logged as 'nope'; there is loss, grad_norm."]
    nothing = metrics.frame("lr-0.1", keys=["nope"])
    assert nothing.attrs["loops_empty"] == "Nothing was logged as 'nope'; there is loss, grad_norm."
    assert NOTES_ATTR not in metrics.frame("lr-0.1", keys=["loss"]).attrs


def test_params_frame_begins_with_differing_parameters() -> None:
    metrics = sweep()
    metrics.set_params("lr-0.1", {"data": "v2"})
    frame = metrics.params()
    assert frame["parameter"].tolist() == ["lr", "data", "rank"]
    assert frame["differs"].tolist() == [True, True, False]
    assert frame["lr-0.2"].tolist() == [0.2, None, 8]


def test_patterns_select_names_that_are_not_archived() -> None:
    metrics = sweep()
    assert len(metrics.ids("lr-*")) == 3
    assert [row.name for row in metrics.find("lr-0.[12]")] == ["lr-0.1", "lr-0.2"]
    metrics.archive("lr-0.1")
    assert [row.name for row in metrics.find("lr-*")] == ["lr-0.2", "lr-0.3"]
    with pytest.raises(TrackingError, match="Nothing is recorded for 'x-"):
        metrics.ids("x-*")
    exact = experiment("lr-*")
    assert metrics.ids("lr-*") == [exact.id]


def test_selectors_match_ids_runs_and_names() -> None:
    metrics = sweep()
    first = experiment("twice")
    second = experiment("twice")
    assert metrics.ids("twice") == [first.id, second.id]
    assert metrics.ids([second.id, "run0000"])[0] == second.id
    with pytest.raises(TrackingError, match=r"Nothing is recorded for 'lr-0\.4'.*Did you mean"):
        metrics.ids("lr-0.4")
    metrics.archive("twice")
    assert "twice" not in set(metrics.experiments()["name"])
    assert "twice" in set(metrics.experiments(archived=True)["name"])
    metrics.tag("run0000", "a", "b")
    metrics.tag("run0000", "a", remove=True)
    metrics.note("run0000", "look", step=3)
    row = metrics.find("run0000")[0]
    assert (row.tags, row.notes) == (("b", "sweep"), ("done", "look"))


def listing(kind: str, *rows: dict[str, object]) -> pd.DataFrame:
    frame: pd.DataFrame = getattr(frames, f"{kind}_frame")(json.dumps({kind: list(rows)}).encode())
    return frame


def test_with_metrics_joins_the_loss_at_each_save() -> None:
    sweep()
    lora = {"r": 8}
    rows = [
        {
            "id": f"c{run}{step}",
            "run_id": run,
            "checkpoint_id": f"step-{step}",
            "checkpoint_type": "lora",
            "created_at": "2026-11-21T10:00:00Z",
            "base_model": "m",
            "lora_adapter_config": lora,
            "target": target,
            "size_bytes": 1,
        }
        for run, step, target in [
            ("run0000", 5, "trainer"),
            ("run0002", 10, "trainer"),
            ("run0002", 7, "sampler"),
            ("strange", 1, "trainer"),
        ]
    ]
    frame = listing("checkpoints", *rows)
    joined = frame.loops.with_metrics(at="save")
    assert joined.loops.kind == "checkpoints"
    assert joined["step"].tolist() == [5, 10, 7, 1]
    # A checkpoint without a mark: joined by the step in its name.
    assert joined["loss"].tolist()[:3] == pytest.approx([1.9, 0.7, 10 / 7 - 0.3])
    assert math.isnan(joined["loss"].tolist()[3])
    assert joined.sort_values("loss").iloc[0].uri == "bt://loops:run0002/weights/step-10"
    assert "loss" not in frame
    assert "grad_norm" not in frame.loops.with_metrics(keys=["loss"])
    with pytest.raises(InvalidArgumentError, match="at must be save"):
        frame.loops.with_metrics(at="last")


def checkpoint(run: str, name: str) -> dict[str, object]:
    return {
        "id": f"{run}{name}",
        "run_id": run,
        "checkpoint_id": name,
        "checkpoint_type": "lora",
        "created_at": "2026-11-21T10:00:00Z",
        "base_model": "m",
        "target": "trainer",
    }


def run_of(name: str) -> dict[str, object]:
    return {
        "id": name,
        "base_model": "m",
        "created_at": "2026-11-21T10:00:00Z",
        "session_id": "s",
        "status": {"name": "ACTIVE"},
        "base_url": "http://x",
    }


def test_with_metrics_merges_experiments_of_one_run() -> None:
    with experiment("train", run="run0000") as first:
        for step in range(530):
            first.log(step=step, loss=530 - step, lr=1)
        first.saved("step-100", step=100, uri="bt://loops:run0000/weights/step-100")
    frame = listing("checkpoints", *(checkpoint("run0000", name) for name in ("step-525", "step-100")))
    runs = listing("runs", run_of("run0000"))
    before = frame.loops.with_metrics()[["step", "loss", "lr"]].to_numpy().tolist()
    assert before == [[525, 5, 1], [100, 430, 1]]
    with experiment("later", run="run0000") as second:
        second.log(step=600, loss=-5, acc=0.5)
    joined = frame.loops.with_metrics()
    assert joined[["step", "loss", "lr"]].to_numpy().tolist() == before
    assert joined["acc"].isna().tolist() == [True, True]
    assert runs.loops.with_metrics()[["loss", "lr", "acc"]].to_numpy().tolist() == [[-5, 1, 0.5]]
    assert runs.loops.with_metrics("max")["loss"].tolist() == [530]
    with experiment("early", run="run0000") as third:
        third.log(step=3, loss=1000)
    # The value of the first experiment is nearer to the step.
    assert frame.loops.with_metrics()[["step", "loss", "lr"]].to_numpy().tolist() == before
    with experiment("eval", run="run0000") as fourth:
        fourth.log(step=525, loss=4)
        fourth.log(step=100, loss=math.nan)
    # Of two at the same step the later one, unless one is of the experiment that saved the checkpoint.
    assert frame.loops.with_metrics()[["step", "loss", "lr"]].to_numpy().tolist() == [[525, 4, 1], [100, 430, 1]]
    Metrics().archive(["later", "early", "eval"])
    assert frame.loops.with_metrics()[["step", "loss", "lr"]].to_numpy().tolist() == before
    assert runs.loops.with_metrics("min")["loss"].tolist() == [1]
    Metrics().archive("train")
    assert runs.loops.with_metrics("min")["loss"].tolist() == [-5]


def test_selectors_match_archived_experiments_last() -> None:
    metrics = Metrics()
    old, new = experiment("lr", run="run0000"), experiment("lr")
    metrics.archive(old.id)
    assert metrics.ids("lr") == [new.id]
    assert metrics.ids("run0000") == metrics.ids(old.id) == [old.id]
    metrics.note("lr", "of today")
    assert metrics.store.experiment(old.id).notes == ()
    metrics.archive("lr")
    assert metrics.ids("lr") == [old.id, new.id]
    metrics.archive(new.id, archived=False)
    metrics.archive("lr", archived=False)
    assert {row.archived for row in metrics.find("lr")} == {False}


def test_experiments_with_one_name_are_distinguished() -> None:
    for loss in (1, 2):
        with experiment("twin") as exp:
            exp.log(step=1, loss=loss)
            exp.saved("step-1")
    words = "2 experiments are called twin: the column experiment, their id, distinguishes them."
    assert Metrics().best("loss").attrs[NOTES_ATTR][1:] == [words]
    assert Metrics().frame(wide=True).attrs[NOTES_ATTR] == [words]


def test_with_metrics_joins_values_tags_and_notes_of_runs() -> None:
    sweep()
    base = {
        "base_model": "m",
        "created_at": "2026-11-21T10:00:00Z",
        "session_id": "s",
        "status": {"name": "ACTIVE"},
        "base_url": "http://x",
    }
    frame = listing("runs", {"id": "run0001", **base}, {"id": "strange", **base})
    joined = frame.loops.with_metrics()
    assert joined["loss"].tolist()[0] == pytest.approx(0.8)
    assert joined[["tags", "note"]].iloc[0].tolist() == ["sweep", "done"]
    assert pd.isna(joined["tags"]).tolist() == [False, True]
    strange = frame[frame["id"] == "strange"]
    with pytest.warns(TrackingWarning, match="Nothing is recorded of these runs on this machine") as caught:
        strange.loops.with_metrics()
    assert caught[0].filename == __file__
    with pytest.warns(TrackingWarning, match="Nothing was logged as 'nope'; there is loss, grad_norm"):
        assert "loss" in frame.loops.with_metrics(keys=["nope", "loss"])
    assert len(frame.iloc[:0].loops.with_metrics()) == 0
    assert frame.loops.with_metrics("max", keys=["loss"])["loss"].tolist()[0] == pytest.approx(9.8)
    with pytest.raises(InvalidArgumentError, match="for runs and checkpoints"):
        listing("samplers", {"id": "x", "base_model": "m"}).loops.with_metrics()


@pytest.mark.parametrize("ending", FORMATS)
def test_export_and_import_are_lossless(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = sweep()
    with experiment('odd, "name"\r\n', params={"deep": {"x": [1.5, None, "é"]}}, tags=["a,b", "\N{ROCKET}"]) as exp:
        for step, value in [(5, math.nan), (3, math.inf), (3, -math.inf), (-(2**62), 0.1 + 0.2), (7, 5e-324)]:
            exp.log({"k,\n": value}, step=step)
        ExperimentStore().note(exp.id, "")
        exp.note("two\nlines")
        exp.saved("no uri")
    metrics.archive("lr-0.1")
    path = tmp_path / f"all{ending}"
    before = snapshot(ExperimentStore())
    rows = metrics.export(path)
    assert rows == 4 + 60 + 5 + 12
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    assert len(metrics.import_(path).new) == 4
    assert snapshot(ExperimentStore()) == before
    # A second import adds nothing, and the experiment can be resumed.
    assert metrics.import_(path) == ([], metrics.import_(path).known)
    assert snapshot(ExperimentStore()) == before
    with experiment("lr-0.2", resume=True) as exp:
        exp.log(loss=1)
    assert ExperimentStore().series(exp.id, "loss").attempt.tolist() == [1] * 10 + [2]


def snapshot(store: ExperimentStore) -> dict[str, object]:
    found: dict[str, object] = {}
    for row in store.experiments(archived=True):
        series = {
            key.key: [repr(column.tolist()) for column in store.series(row.id, key.key)[:5]]
            for key in store.keys(row.id)
        }
        found[row.id] = (row, series, store.marks(row.id))
    return found


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.jsonl", "not json\n", r"row 1 cannot be read \(it is not JSON\)\. Nothing was changed"),
        ("x.jsonl", '{"a": 1}\n', r"row 1 cannot be read \(it has no 'record'\)"),
        (
            "x.jsonl",
            '{"record": "point", "experiment": "a"}\n',
            r"row 1 cannot be read \(no row before it is the experiment 'a'\)",
        ),
        ("x.jsonl", "[]\n", "row 1 cannot be read"),
        ("x.csv", "a,b\n1,2\n", "its columns are others"),
        ("x.jsonl", "[" * 100_000, "row 1 cannot be read .its JSON is nested too deeply."),
        ("metrics.jsonl", '{"step": 0, "loss": 1}\n' + "[" * 100_000 + "\n", "line 2 is not an object of JSON"),
        ("x.txt", "", "was not written by a tracker that is known. Nothing was imported. What can be imported"),
    ],
)
def test_import_of_a_foreign_file_changes_nothing(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises((TrackingError, InvalidArgumentError), match=says):
        Metrics().import_(path)
    assert Metrics().store.experiments() == []
    for absent in ("absent.jsonl", "absent"):
        with pytest.raises(InvalidArgumentError, match=f"no file or folder .*{absent}. Nothing was imported"):
            Metrics().import_(tmp_path / absent)


def test_export_to_a_folder_is_refused_without_naming_hidden_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgumentError, match="is a folder, not a file"):
        Metrics().import_(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgumentError, match=r"^\. is a folder, not a file\. Name a file: experiments\.jsonl"):
        Metrics().export(Path())
    sweep()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / ".x.csv.hidden.csv"))

    monkeypatch.setattr("loops_nb.tracking.interchange.tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(TrackingError) as caught:
        Metrics().export(tmp_path / "x.csv")
    assert (
        str(caught.value)
        == f"{tmp_path / 'x.csv'} cannot be written (Permission denied). The experiments are as they were."
    )


def test_export_without_experiments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="there is nothing to export") as caught:
        Metrics().export(tmp_path / "x.csv")
    assert "begins an experiment" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_checkpoint_without_uri_has_its_saved_step() -> None:
    with experiment("by hand", run="run0000") as exp:
        for step in range(10):
            exp.log(step=step, loss=10 - step)
        exp.saved("step-5", step=6)
    joined = listing("checkpoints", checkpoint("run0000", "step-5")).loops.with_metrics()
    assert joined[["step", "loss"]].to_numpy().tolist() == [[6, 4]]
    assert Metrics().best("loss")[["step", "value"]].to_numpy().tolist() == [[6, 4]]


def test_metrics_are_the_same_for_every_connection_and_without_one() -> None:
    sweep()
    assert len(RecordedMetrics().frame("lr-0.1", keys=["loss"])) == 10
    with Loops("key", "http://127.0.0.1:1") as loops:
        assert len(loops.metrics.frame("lr-0.1", keys=["loss"])) == 10
    assert len(AsyncLoops("key", "http://127.0.0.1:1").metrics.frame("lr-0.1", keys=["loss"])) == 10


def test_marks_frame_has_saves_and_notes() -> None:
    metrics = sweep()
    frame = metrics.marks("lr-0.1")
    keeps_dtypes(frame)
    assert frame["text"].tolist() == ["step-5", "step-10", "done"]
    assert marks_frame(metrics.store, []).empty
    assert len(experiments_frame(metrics.store)) == 3


def test_points_of_many_experiments_are_a_few_reads(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a network each read waits for a lock of the file.
    metrics = sweep()
    reads: list[ExperimentStore] = []
    opened = ExperimentStore._reading

    def count(self: ExperimentStore) -> Any:
        reads.append(self)
        return opened(self)

    monkeypatch.setattr(ExperimentStore, "_reading", count)
    counts = {}
    for names in (["lr-0.1"], ["lr-0.1", "lr-0.2", "lr-0.3"]):
        for wide in (False, True):
            reads.clear()
            frame = metrics.frame(names, wide=wide)
            assert frame["name"].nunique() == len(names)
            counts[len(names), wide] = len(reads)
    assert counts[1, False] == counts[3, False] == counts[1, True] == counts[3, True]
    # In the order of the question, whatever the order in the file is.
    monkeypatch.setattr("loops_nb.tracking.store._IDS_A_READ", 2)
    ids = [row.id for row in reversed(store.experiments())]
    parts = store.series_by_experiment(ids, ["loss"])
    assert [list(of) for of in parts.values()] == [["loss"]] * 3
    assert [row.id for row in store.experiments_by_id(ids)] == ids
    assert store.series_by_experiment(ids, []) == {experiment_id: {} for experiment_id in ids}
    with pytest.raises(TrackingError, match="There is no experiment 'missing'"):
        store.experiments_by_id([*ids, "missing"])
