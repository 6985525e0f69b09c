"""df.loops."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb import frames
from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.columns import KINDS


def checkpoint(
    name: str, minute: int | None, *, run: str = "r1", target: str = "trainer", size: int | None = 10
) -> dict[str, Any]:
    return {
        "id": f"{run}-{target}-{name}",
        "run_id": run,
        "checkpoint_id": name,
        "target": target,
        "created_at": None if minute is None else f"2026-11-21T10:{minute:02d}:00Z",
        "size_bytes": size,
    }


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return frames.checkpoints_frame(json.dumps({"checkpoints": list(rows)}).encode())


CHECKPOINTS = frame_of(
    checkpoint("final", 40),
    checkpoint("step-200", 30, size=None),
    checkpoint("step-200", 31, target="sampler"),
    checkpoint("step-100", 20, run="r2"),
    checkpoint("step-0050", 10),
    checkpoint("step-9", None, run="r3"),
)
RUNS = frames.runs_frame(
    b'{"runs":[{"id":"r2","name":"second","created_at":"2026-11-21T10:05:00Z"},{"id":"r1","name":"first","created_at":"2026-11-21T10:00:00Z"}]}'
)


def test_the_kind_is_known_after_what_people_do_to_frames() -> None:
    some = CHECKPOINTS[CHECKPOINTS["target"] == "trainer"].sort_values("created_at").head(2)
    assert some.loops.kind == "checkpoints"
    assert some[["id", "created_at"]].loops.kind == "checkpoints"
    assert (
        some.reset_index(drop=True).assign(mine=1).rename(columns={"size_bytes": "bytes"}).loops.kind == "checkpoints"
    )
    assert CHECKPOINTS.copy().iloc[:0].loops.kind == "checkpoints"


@pytest.mark.parametrize("name", [name for name in KINDS if name not in {"sessions", "receipts"}])
def test_the_kind_is_told_by_the_columns_where_the_note_is_lost(name: str) -> None:
    kind = KINDS[name]
    bare = pd.DataFrame({column.name: [] for column in kind.columns})
    assert not bare.attrs
    assert bare.loops.kind == name
    assert bare.assign(mine=[]).loops.kind == name


def test_a_round_trip_through_a_file_keeps_the_kind() -> None:
    text = CHECKPOINTS.to_csv(index=False)
    assert pd.read_csv(io.StringIO(text)).loops.kind == "checkpoints"


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"a": [1]}), "fit no kind"),
        (pd.DataFrame(), "fit no kind"),
        (pd.DataFrame({"id": ["x"], "base_model": ["m"]}), "fit several kinds"),
    ],
)
def test_a_frame_of_no_kind(frame: pd.DataFrame, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        frame.loops.kind  # noqa: B018 - it raises


def test_nothing_secret_is_noted() -> None:
    assert CHECKPOINTS.attrs == {"loops_kind": "checkpoints"}


def test_latest_of_checkpoints_is_that_of_each_run_and_target() -> None:
    latest = CHECKPOINTS.loops.latest()
    assert latest["id"].tolist() == [
        "r1-trainer-final",
        "r1-sampler-step-200",
        "r2-trainer-step-100",
        "r3-trainer-step-9",
    ]
    assert latest.loops.kind == "checkpoints"
    assert latest.dtypes.equals(CHECKPOINTS.dtypes)


def test_latest_by_something_else() -> None:
    assert CHECKPOINTS.loops.latest(by="run_id")["id"].tolist() == [
        "r1-trainer-final",
        "r2-trainer-step-100",
        "r3-trainer-step-9",
    ]
    assert CHECKPOINTS.loops.latest(by=[])["id"].tolist() == ["r1-trainer-final"]
    assert CHECKPOINTS.loops.latest(by=["target"])["id"].tolist() == ["r1-trainer-final", "r1-sampler-step-200"]
    assert CHECKPOINTS.drop(columns=["run_id", "target"]).loops.latest()["id"].tolist() == ["r1-trainer-final"]


def test_latest_of_other_kinds_is_one_row() -> None:
    assert RUNS.loops.latest()["id"].tolist() == ["r2"]
    assert RUNS.iloc[::-1].loops.latest()["id"].tolist() == ["r2"]
    assert RUNS.iloc[:0].loops.latest().empty


def test_latest_without_any_time_keeps_the_services_order() -> None:
    frame = frames.runs_frame(b'{"runs":[{"run_id":"newest"},{"run_id":"older"}]}')
    assert frame.loops.latest()["id"].tolist() == ["newest"]


def test_by_step_adds_the_step_and_sorts_by_it() -> None:
    found = CHECKPOINTS.loops.by_step()
    assert found["step"].dtype == pd.Int64Dtype()
    assert found["id"].tolist() == [
        "r3-trainer-step-9",
        "r1-trainer-step-0050",
        "r2-trainer-step-100",
        "r1-trainer-step-200",
        "r1-sampler-step-200",
        "r1-trainer-final",
    ]
    assert found["step"].isna().tolist() == [False] * 5 + [True]
    assert "step" not in CHECKPOINTS
    assert found.loops.by_step()["id"].tolist() == found["id"].tolist()
    assert CHECKPOINTS.iloc[:0].loops.by_step()["step"].dtype == pd.Int64Dtype()


def test_uri_is_the_column_or_made_of_its_parts() -> None:
    assert CHECKPOINTS.loops.uri.tolist()[:2] == ["bt://loops:r1/weights/final", "bt://loops:r1/weights/step-200"]
    some = CHECKPOINTS.drop(columns="uri").iloc[2:4]
    pd.testing.assert_series_equal(some.loops.uri, CHECKPOINTS.iloc[2:4]["uri"])
    with pytest.raises(InvalidArgumentError, match="'target'"):
        CHECKPOINTS.drop(columns=["uri", "target"]).loops.uri  # noqa: B018 - it raises


def test_total_bytes_adds_what_is_known() -> None:
    assert CHECKPOINTS.loops.total_bytes == 50
    assert CHECKPOINTS.iloc[:0].loops.total_bytes == 0
    huge = frame_of(checkpoint("a", 1, size=2**62), checkpoint("b", 1, size=2**62), checkpoint("c", 1, size=2**62))
    assert huge.loops.total_bytes == 3 * 2**62


def test_timeline_is_one_line_of_time() -> None:
    line = RUNS.loops.timeline(CHECKPOINTS)
    assert line["event"].tolist() == ["run created"] * 2 + ["checkpoint saved"] * 5
    assert line["run_id"].tolist() == ["r1", "r2", "r1", "r2", "r1", "r1", "r1"]
    assert line["detail"].tolist() == ["first", "second", "step-0050", "step-100", "step-200", "step-200", "final"]
    assert line["elapsed"].iloc[-1] == pd.Timedelta(minutes=40)
    assert line["time"].is_monotonic_increasing
    assert line["time"].dtype == pd.DatetimeTZDtype("us", "UTC")
    empty = CHECKPOINTS.iloc[:0].loops.timeline()
    assert empty.dtypes.equals(line.dtypes)
    assert list(empty.columns) == ["time", "elapsed", "event", "run_id", "id", "detail"]


def test_timeline_of_logs_and_files() -> None:
    logs = frames.logs_frame(
        b'{"logs":[{"timestamp":"1700000000000000500","message":"late"},{"timestamp":"1700000000000000000","message":"early"}]}'
    )
    assert logs.loops.timeline()["detail"].tolist()[-1] in {"early", "late"}
    assert logs.loops.timeline()["time"].dtype == pd.DatetimeTZDtype("us", "UTC")
    files = frames.files_frame(
        [b'{"presigned_urls":[{"url":"u","relative_file_name":"f","last_modified":"2025-05-07T10:00:00Z"}]}']
    )
    assert files.loops.timeline()["event"].tolist() == ["file written"]


def test_timeline_of_times_in_another_zone_or_read_from_a_file() -> None:
    local = CHECKPOINTS.assign(created_at=CHECKPOINTS["created_at"].dt.tz_convert("Asia/Tokyo"))
    pd.testing.assert_frame_equal(local.loops.timeline(), CHECKPOINTS.loops.timeline())
    from_file = pd.read_csv(io.StringIO(CHECKPOINTS.to_csv(index=False)))
    with pytest.raises(InvalidArgumentError, match=r"a file keeps texts.*pd\.to_datetime"):
        from_file.loops.timeline()
    from_file["created_at"] = pd.to_datetime(from_file["created_at"], format="ISO8601", utc=True)
    assert len(from_file.loops.timeline()) == 5


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (RUNS.loops.by_step, "by_step is for checkpoints; this is a frame of runs"),
        (RUNS.loops.by_step, "Start from df = %loops checkpoints RUN"),
        (CHECKPOINTS.loops.timeline().loops.latest, "is a timeline"),
        (lambda: RUNS.loops.uri, "uri is for checkpoints"),
        (lambda: RUNS.loops.total_bytes, "total_bytes is for checkpoints and files"),
        (frames.capabilities_frame(b'{"supported_models":[]}').loops.timeline, "has no times"),
        (frames.capabilities_frame(b'{"supported_models":[]}').loops.latest, "'created_at'"),
        (CHECKPOINTS.drop(columns="created_at").loops.latest, "needs the column 'created_at'"),
        (CHECKPOINTS.drop(columns="created_at").loops.timeline, "needs the column 'created_at'"),
        (CHECKPOINTS.drop(columns="checkpoint_id").loops.by_step, "needs the column 'checkpoint_id'"),
        (lambda: CHECKPOINTS.drop(columns="size_bytes").loops.total_bytes, "needs the column 'size_bytes'"),
        (lambda: CHECKPOINTS.loops.latest(by="owner"), "needs the column 'owner'"),
        (lambda: RUNS.loops.timeline(pd.DataFrame({"a": [1]})), "fit no kind"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(use: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        use()


def test_it_says_what_it_is_and_what_it_can() -> None:
    assert (
        repr(RUNS.loops)
        == f"<df.loops: {len(RUNS)} rows of runs. It can latest(), timeline(), delete(), with_metrics(), curves().>"
    )
    assert "by_step(), uri, total_bytes" in repr(CHECKPOINTS.loops)
    assert "do nothing more" in repr(frames.capabilities_frame(b'{"supported_models":[]}').loops)
    assert "fit no kind" in repr(pd.DataFrame({"a": [1]}).loops)


def test_the_accessor_is_registered_by_its_import_alone() -> None:
    code = (
        "import sys, loops_nb; assert 'pandas' not in sys.modules\n"
        "import pandas as pd; assert not hasattr(pd.DataFrame, 'loops')\n"
        "import loops_nb.accessor; assert hasattr(pd.DataFrame, 'loops')"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_frames_of_experiments_alone_have_the_accessor(tmp_path: Path) -> None:
    code = "from loops_nb.tracking.metrics import Metrics; print(Metrics().experiments().loops.kind)"
    environment = os.environ | {"LOOPS_NB_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert done.stdout == "experiments\n"
