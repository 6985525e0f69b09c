"""Checkpoints over time: every one is there, where and as large as it should be."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from loops_nb.charts import timeline
from loops_nb.errors import ConfigError, InvalidArgumentError
from loops_nb.frames import runs_frame
from tests.charts.frames import checkpoint, listed, many_runs, moved
from tests.charts.svg_reader import SVG, bundle, hover, hovers, marks, read, shape, size_of, with_hover, words


def test_each_checkpoint_is_a_mark_that_says_what_it_is() -> None:
    plot = timeline(listed(checkpoint("abc1234", 1), checkpoint("abc1234", 2, "trainer")), time_zone="Europe/Berlin")
    root = read(plot.svg)
    assert {hover(one) for one in with_hover(root, "use")} == {
        "bt://loops:abc1234/sampler_weights/step-50\n2026-11-07 10:00:00\n20.8 MB",
        "bt://loops:abc1234/weights/step-100\n2026-11-07 10:30:00\n62.4 MB",
    }
    assert plot.title == "Checkpoints of 1 run over time"
    assert plot.notes == ["2 checkpoints, 83.2 MB together, 2026-11-07 10:00 to 10:30."]
    assert {"trainer", "sampler", "50 MB", "time (Europe/Berlin)", "abc1234"} <= set(words(root))


def test_the_run_that_began_last_stands_on_top() -> None:
    plot = timeline(many_runs(3, 4), time_zone="UTC")
    root = read(plot.svg)
    written = words(root)
    assert [word for word in written if word.startswith("run")] == ["run0002", "run0001", "run0000"]
    assert list(plot.table["run_id"].unique()) == ["run0002", "run0001", "run0000"]
    assert "Qwen/Qwen3-8B" in written


def test_marks_stand_at_their_times_and_have_areas_of_their_sizes() -> None:
    rows = [
        checkpoint("abc1234", number, "trainer", size_bytes=size)
        for number, size in ((0, 90_000_000), (1, 22_500_000), (4, 90_000_000))
    ]
    root = read(timeline(listed(*rows), time_zone="UTC").svg)
    found = marks(root)
    across = [found[f"abc1234/weights/step-{step}"][0] for step in (0, 50, 200)]
    assert (across[1] - across[0]) / (across[2] - across[0]) == pytest.approx(0.25, abs=0.01)
    sizes = {hover(one).split("/")[-1][:8]: size_of(shape(root, one)) for one in with_hover(root, "use")}
    assert sizes["step-0\n2"] == sizes["step-200"]
    assert sizes["step-50\n"] == pytest.approx(sizes["step-200"] / 2, rel=0.1)


def test_targets_differ_in_shape_and_colour_and_place() -> None:
    rows = [checkpoint("abc1234", 1, target) for target in ("trainer", "sampler", "something new")]
    root = read(timeline(listed(*rows), time_zone="UTC").svg)
    drawn = with_hover(root, "use")
    colors = {
        one.attrib.get("fill") or parent.attrib["fill"] for parent in root.iter() for one in parent if one in drawn
    }
    assert len(colors) == len({one.attrib["y"] for one in drawn}) == len({shape(root, one) for one in drawn}) == 3
    assert "something new" in words(root)


def test_every_shape_that_is_used_is_defined() -> None:
    root = read(timeline(many_runs(4, 9), time_zone="UTC").svg)
    used = {one.attrib["href"].removeprefix("#") for one in root.iter(f"{SVG}use")}
    assert used
    assert used <= {one.attrib["id"] for one in root.iter() if "id" in one.attrib}


def test_checkpoints_without_a_time_or_a_size() -> None:
    frame = listed(
        checkpoint("abc1234", 1), checkpoint("abc1234", 2, created_at=None), checkpoint("abc1234", 3, size_bytes=None)
    )
    plot = timeline(frame, time_zone="UTC")
    root = read(plot.svg)
    assert plot.notes[1] == "1 checkpoint without a time is left out."
    assert len(plot.table) == 2
    assert len(with_hover(root, "use")) == 2
    assert "size not known" in words(root)
    assert any(text.endswith("\n-") for text in hovers(root))


@pytest.mark.parametrize("frame", [listed(), listed(checkpoint("abc1234", 1, created_at=None))])
def test_nothing_to_draw_is_a_sentence(frame: pd.DataFrame) -> None:
    plot = timeline(frame)
    assert plot.svg == ""
    assert plot.notes[-1] == "There are no checkpoints to draw."
    assert "<svg" not in bundle(plot)["text/html"]
    assert "There are no checkpoints to draw." in bundle(plot)["text/html"]
    assert "There are no checkpoints to draw." in bundle(plot)["text/plain"]


def test_two_hundred_checkpoints_are_a_small_picture() -> None:
    frame = many_runs(20, 8)
    assert len(frame) == 200
    plot = timeline(frame, time_zone="Europe/Berlin")
    assert len(plot.svg.encode()) <= 40_000
    assert len(bundle(plot)["text/html"].encode()) <= 100_000


def test_thousands_are_drawn_together_and_all_are_in_the_table() -> None:
    frame = many_runs(30, 200)
    plot = timeline(frame, time_zone="UTC")
    root = read(plot.svg)
    assert len(plot.table) == len(frame) == 7500
    assert any("checkpoints close together" in text for text in hovers(root))
    assert len(with_hover(root, "use")) <= 2000


def test_the_oldest_of_very_many_runs_are_left_to_the_table() -> None:
    plot = timeline(many_runs(70, 1), time_zone="UTC")
    assert plot.notes[1] == "The 60 runs that began last are drawn; plot.table has all 70."
    assert plot.table["run_id"].nunique() == 70


def test_one_moment_alone_has_an_axis() -> None:
    written = words(read(timeline(listed(checkpoint("abc1234", 0)), time_zone="UTC").svg))
    assert "08:30" in written
    assert "7 Nov" in written


def test_columns_that_are_not_needed_may_be_gone_and_rows_may_be_in_any_order() -> None:
    frame = many_runs(2, 5).sample(frac=1, random_state=3)[["run_id", "target", "created_at"]]
    plot = timeline(frame, time_zone="UTC")
    assert list(plot.table.columns) == ["run_id", "target", "created_at"]
    assert plot.table["created_at"].is_monotonic_increasing is False
    assert all(times.is_monotonic_increasing for _, times in plot.table.groupby("run_id")["created_at"])


def test_a_time_that_no_calendar_knows_is_left_out() -> None:
    frame = many_runs(1, 3)
    frame["created_at"] = frame["created_at"].dt.as_unit("s")
    frame.loc[0, "created_at"] = pd.Timestamp("9999-06-01", tz="UTC").as_unit("s")
    assert timeline(frame, time_zone="UTC").notes[1] == "1 checkpoint without a time is left out."


def test_sizes_that_are_no_sizes_are_not_known() -> None:
    frame = many_runs(1, 3).astype({"size_bytes": "Float64"})
    frame.loc[0, "size_bytes"] = -5
    frame.loc[1, "size_bytes"] = math.inf
    assert "size not known" in words(read(timeline(frame, time_zone="UTC").svg))


def test_a_frame_of_something_else_is_refused_in_words() -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"plot\.timeline is for checkpoints; this is a frame of runs\. Start from df = %loops",
    ):
        timeline(runs_frame(b'{"runs": []}'))
    with pytest.raises(InvalidArgumentError, match="this is a frame of drift"):
        timeline(moved())
    with pytest.raises(InvalidArgumentError, match="draws a DataFrame of checkpoints; this is a list"):
        timeline([1, 2])  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="needs the column 'created_at', which this frame does not have"):
        timeline(many_runs(1, 2).drop(columns="created_at"))
    frame = many_runs(1, 2)
    with pytest.raises(InvalidArgumentError, match="needs one column 'target', and this frame has several"):
        timeline(pd.concat([frame, frame[["target"]]], axis=1))
    with pytest.raises(InvalidArgumentError, match=r"times with a time zone in 'created_at'.*pd\.to_datetime"):
        timeline(frame.assign(created_at="2026-11-07T08:30:00Z"))
    with pytest.raises(ConfigError, match="there is no time zone 'Mars'"):
        timeline(frame, time_zone="Mars")


def test_a_title_of_ones_own() -> None:
    plot = timeline(many_runs(1, 2), title="Tuesday's <runs>")
    assert plot.title == "Tuesday's <runs>"
    assert read(plot.svg).find(f"{SVG}title").text == "Tuesday's <runs>"  # type: ignore[union-attr]


def weeks_apart(runs: int, every: int = 21) -> pd.DataFrame:
    """Return runs of a few hours each, some weeks apart."""
    frames = []
    for run in range(runs):
        frame = many_runs(1, 6)
        frames.append(frame.assign(run_id=f"run{run}", created_at=frame["created_at"] + pd.Timedelta(days=every * run)))
    return pd.concat(frames, ignore_index=True).drop(columns="uri")


@pytest.mark.parametrize("runs", [2, 5, 20])
def test_runs_that_lie_weeks_apart_can_still_be_read(runs: int) -> None:
    plot = timeline(weeks_apart(runs), time_zone="UTC")
    root = read(plot.svg)
    for run in range(runs):
        places = sorted({x for uri, (x, _) in marks(root).items() if uri.startswith(f"run{run}/")})
        assert len(places) == 6
        assert places[-1] - places[0] > 150 / runs, "each run has its part of the axis"
    gaps = (
        f"{runs - 1} gaps without checkpoints are shortened" if runs > 2 else "1 gap without checkpoints is shortened"
    )
    assert plot.notes[1].startswith(gaps)
    assert "20 d 22 h from 2026-11-07 10:54." in plot.notes[1]
    if runs == 2:
        assert "20 d" in words(root)


def test_runs_that_overlap_have_an_axis_of_even_time() -> None:
    frame = pd.concat([many_runs(1, 6), many_runs(1, 6).assign(run_id="other")], ignore_index=True)
    assert len(timeline(frame, time_zone="UTC").notes) == 1
    singles = timeline(many_runs(6, 1), time_zone="UTC")
    assert len(singles.notes) == 1, "checkpoints that are evenly spread are no gaps"
