"""Sizes along the steps or along time."""

from __future__ import annotations

import pytest

from loops_nb.charts import sizes
from loops_nb.errors import InvalidArgumentError
from tests.charts.frames import checkpoint, listed, many_runs, moved
from tests.charts.svg_reader import SVG, bundle, hovers, marks, read, with_hover, words


def test_sizes_stand_at_their_steps() -> None:
    frame = listed(*(checkpoint("abc1234", number, "trainer", size_bytes=number * 40_000_000) for number in (1, 2, 4)))
    plot = sizes(frame)
    root = read(plot.svg)
    across, down = zip(*(marks(root)[f"abc1234/weights/step-{step}"] for step in (50, 100, 200)), strict=True)
    assert (across[1] - across[0]) / (across[2] - across[0]) == pytest.approx(1 / 3, abs=2e-3)
    assert (down[0] - down[1]) / (down[0] - down[2]) == pytest.approx(1 / 3, abs=5e-3)
    assert hovers(root)[:-1] == [
        f"bt://loops:abc1234/weights/step-{n * 50}\nstep {n * 50}\n{n * 40}.0 MB" for n in (1, 2, 4)
    ]
    assert {"0", "50 MB", "100 MB", "150 MB", "step", "size", "200"} <= set(words(root))
    assert plot.title == "Sizes of checkpoints along the steps"
    assert plot.notes == ["3 checkpoints of 1 run, 40.0 MB to 160.0 MB each, 280.0 MB together."]
    assert plot.table["step"].tolist() == [50, 100, 200]


def test_targets_have_their_own_lines() -> None:
    root = read(sizes(many_runs(1, 8)).svg)
    lines = [one.attrib["stroke"] for one in root.iter(f"{SVG}path") if one.attrib.get("stroke-opacity") == "0.7"]
    assert len(set(lines)) == len(lines) == 2
    assert {"trainer", "sampler"} <= set(words(root))


def test_names_without_a_step_are_left_out_and_time_shows_them() -> None:
    frame = listed(checkpoint("abc1234", 1), checkpoint("abc1234", 2), checkpoint("abc1234", 3, checkpoint_id="final"))
    assert sizes(frame).notes[1] == '1 checkpoint whose name tells no step is left out (along="time" shows them).'
    timed = sizes(frame, along="time", time_zone="UTC")
    assert len(timed.notes) == 1
    assert len(timed.table) == 3
    assert "time (UTC)" in words(read(timed.svg))
    assert "bt://loops:abc1234/sampler_weights/final\n2026-11-07 10:00:00\n20.8 MB" in hovers(read(timed.svg))


def test_time_is_taken_where_few_names_tell_a_step() -> None:
    frame = listed(*(checkpoint("abc1234", number, checkpoint_id=f"good-{number}") for number in (1, 2, 3)))
    assert sizes(frame, time_zone="UTC").title == "Sizes of checkpoints along time"


def test_a_frame_by_step_keeps_its_steps() -> None:
    frame = many_runs(1, 3).assign(step=[7, 8, 9]).drop(columns=["checkpoint_id", "created_at"])
    assert sizes(frame, along="step").table["step"].tolist() == [7, 8, 9]


def test_very_different_sizes_are_drawn_by_their_ratios() -> None:
    frame = listed(*(checkpoint("abc1234", number, size_bytes=10 ** (3 + 2 * number)) for number in (1, 2, 3)))
    plot = sizes(frame)
    root = read(plot.svg)
    assert "The scale is logarithmic: equal distances are equal ratios." in plot.notes
    down = sorted(y for _, y in marks(root).values())
    assert down[0] - down[1] == pytest.approx(down[1] - down[2], abs=0.2)
    assert {"100 kB", "1 GB"} & set(words(root))


@pytest.mark.parametrize("runs", [1, 3, 8, 20])
def test_all_panels_share_one_scale(runs: int) -> None:
    written = words(read(sizes(many_runs(runs, 5)).svg))
    levels = {word for word in written if word.endswith(" MB")}
    assert levels
    assert all(written.count(level) == runs for level in levels)


def test_very_many_runs_are_left_to_the_table() -> None:
    plot = sizes(many_runs(45, 1))
    assert plot.notes[1] == "The 40 runs that began last are drawn; plot.table has all 45."
    assert plot.table["run_id"].nunique() == 45


@pytest.mark.parametrize("size", [0, 1, 2**62])
def test_any_size_alone_has_an_axis(size: int) -> None:
    root = read(sizes(listed(checkpoint("abc1234", 1, size_bytes=size))).svg)
    assert "0" in words(root)
    assert len(with_hover(root, "use")) == 1


def test_nothing_to_draw_is_a_sentence() -> None:
    plot = sizes(listed(checkpoint("abc1234", 1, size_bytes=None)))
    assert plot.notes == ["1 checkpoint without a size is left out.", "There are no checkpoints to draw."]
    assert plot.svg == ""
    assert "<svg" not in bundle(sizes(listed()))["text/html"]


def test_what_cannot_be_drawn_is_refused_in_words() -> None:
    frame = many_runs(1, 3)
    with pytest.raises(InvalidArgumentError, match=r"along cannot be 'steps'\. Did you mean 'step'\?"):
        sizes(frame, along="steps")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="needs the column 'size_bytes'"):
        sizes(frame.drop(columns="size_bytes"))
    with pytest.raises(InvalidArgumentError, match="needs the column 'created_at'"):
        sizes(frame.drop(columns="created_at"), along="time")
    with pytest.raises(InvalidArgumentError, match=r"plot\.sizes is for checkpoints; this is a frame of drift"):
        sizes(moved())
    with pytest.raises(InvalidArgumentError, match="draws a DataFrame"):
        sizes(None)  # type: ignore[arg-type]


def test_gaps_between_runs_are_shortened_along_time() -> None:
    plot = sizes(many_runs(3, 6), along="time", time_zone="UTC")
    assert plot.notes[1].startswith("2 gaps without checkpoints are shortened")
