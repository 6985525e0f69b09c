"""Checkpoints over time: every one is there, where and as large as it should be."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from loops_nb.errors import ConfigError, InvalidArgumentError
from loops_nb.frames import runs_frame
from loops_nb.plots import timeline
from tests.plots.frames import checkpoint, listed, many_runs, moved
from tests.plots.reading import SVG, bundle, hovers, read, with_hover, words


def test_each_checkpoint_is_a_mark_that_says_what_it_is() -> None:
    plot = timeline(listed(checkpoint("abc1234", 1), checkpoint("abc1234", 2, "trainer")), time_zone="Europe/Berlin")
    root = read(plot.svg)
    assert [one.find(f"{SVG}title").text for one in with_hover(root, "use")] == [  # type: ignore[union-attr]
        "bt://loops:abc1234/sampler_weights/step-50\n2026-11-07 10:00:00\n20.8 MB"
    ]
    assert [one.find(f"{SVG}title").text for one in with_hover(root, "circle")] == [  # type: ignore[union-attr]
        "bt://loops:abc1234/weights/step-100\n2026-11-07 10:30:00\n62.4 MB"
    ]
    assert plot.title == "Checkpoints of 1 run over time"
    assert plot.notes == ["2 checkpoints, 83.2 MB together, 2026-11-07 10:00 to 10:30."]
    assert {"trainer", "sampler", "50 MB"} <= set(words(root))


def test_the_run_that_began_last_stands_on_top() -> None:
    plot = timeline(many_runs(3, 4), time_zone="UTC")
    root = read(plot.svg)
    written = ["".join(span.itertext()) for span in root.iter(f"{SVG}tspan")]
    assert [word for word in written if word.startswith("run")] == ["run0002", "run0001", "run0000"]
    assert list(plot.table["run_id"].unique()) == ["run0002", "run0001", "run0000"]
    assert "Qwen/Qwen3-8B" in written


def test_marks_stand_at_their_times_and_have_areas_of_their_sizes() -> None:
    rows = [
        checkpoint("abc1234", number, "trainer", size_bytes=size) for number, size in ((0, 90_000_000), (1, 22_500_000), (4, 90_000_000))
    ]
    circles = with_hover(read(timeline(listed(*rows), time_zone="UTC").svg), "circle")
    across = [float(circle.attrib["cx"].rstrip("%")) for circle in circles]
    assert (across[1] - across[0]) / (across[2] - across[0]) == pytest.approx(0.25)
    radii = [float(circle.attrib["r"]) for circle in circles]
    assert radii[0] == radii[2]
    assert radii[1] == pytest.approx(radii[0] / 2)


def test_targets_differ_in_shape_and_colour_and_place() -> None:
    rows = [checkpoint("abc1234", 1, target) for target in ("trainer", "sampler", "something new")]
    root = read(timeline(listed(*rows), time_zone="UTC").svg)
    groups = [one for one in root.iter(f"{SVG}g") if any(child.find(f"{SVG}title") is not None for child in one) and "stroke" in one.attrib]
    assert len({group.attrib["stroke"] for group in groups}) == len({group.attrib["transform"] for group in groups}) == 3
    shapes = {one.attrib["d"] for one in root.iter(f"{SVG}path") if "id" in one.attrib}
    assert len(shapes) >= 2
    assert "something new" in words(root)


def test_every_shape_that_is_used_is_defined() -> None:
    root = read(timeline(many_runs(4, 9), time_zone="UTC").svg)
    used = {one.attrib["href"].removeprefix("#") for one in root.iter(f"{SVG}use")}
    assert used
    assert used <= {one.attrib["id"] for one in root.iter() if "id" in one.attrib}


def test_checkpoints_without_a_time_or_a_size() -> None:
    frame = listed(checkpoint("abc1234", 1), checkpoint("abc1234", 2, created_at=None), checkpoint("abc1234", 3, size_bytes=None))
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
    assert len(with_hover(root, "use")) + len(with_hover(root, "circle")) <= 2000


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
    with pytest.raises(InvalidArgumentError, match=r"plot\.timeline is for checkpoints; this is a frame of runs\. Start from df = %loops"):
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
