"""Display of listings and API objects."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from loops_nb import frames
from loops_nb.api.decoding import decode_many, decode_one
from loops_nb.api.models import APIObject, CheckpointFile, Run, UserConfig
from tests.magics.conftest import Notebook


def runs_body(count: int, **changed: Any) -> bytes:
    rows = [
        {
            "id": f"k{number}",
            "session_id": "sess_1",
            "name": f"math-{number}",
            "base_model": "Qwen/Qwen3-8B",
            "base_url": "https://trainer.example.invalid",
            "status": {"name": "ACTIVE"},
            "created_at": f"2026-07-01T{number % 24:02}:30:00.5Z",
            "user": {"email": "ada@example.com"},
            **changed,
        }
        for number in range(count)
    ]
    return json.dumps({"runs": rows}).encode()


def test_row_limit_is_noted(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(213))
    for shown in (notebook.html(frame), notebook.plain(frame)):
        assert "Showing 20 of 213 rows" in shown
        assert "math-19" in shown
        assert "math-20" not in shown
    notebook.run("%config LoopsMagics.row_limit = 0")
    assert "math-212" in notebook.plain(frame)
    assert "Showing" not in notebook.plain(frame)
    assert len(frame) == 213


def test_times_are_displayed_in_the_time_zone_of_the_heading(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(1))
    notebook.run("%config LoopsMagics.time_zone = 'Asia/Tokyo'")
    assert "created_at (Asia/Tokyo)" in notebook.html(frame)
    assert "2026-07-01 09:30:00" in notebook.html(frame)
    notebook.run("%config LoopsMagics.time_zone = 'UTC'")
    assert "created_at (UTC)" in notebook.plain(frame)
    assert "2026-07-01 00:30:00" in notebook.plain(frame)
    notebook.run("%config LoopsMagics.time_zone = 'local'")
    assert "created_at (local, " in notebook.plain(frame)
    assert str(frame["created_at"].dtype) == "datetime64[us, UTC]"


def test_text_of_the_service_is_escaped(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(1, name="<img src=x onerror=alert(1)>\x1b[31m\nsecond", base_model="<b>&"))
    html = notebook.html(frame)
    assert "<img" not in html
    assert "&lt;img" in html
    assert "&lt;b&gt;&amp;" in html
    text = notebook.plain(frame)
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 5
    run = decode_many(runs_body(1, name="<script>", extra_field="<i>"), "runs", Run)[0]
    card = notebook.html(run)
    assert "<script>" not in card
    assert "&lt;i&gt;" in card


def test_filtered_sorted_and_selected_frames_keep_the_display(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(30))
    for part in (
        frame[frame["id"] != "k0"],
        frame.sort_values("name"),
        frame[["id", "created_at"]],
        frame[["name", "status"]],
        frame.head(3),
    ):
        assert "loops-nb" in notebook.html(part)
    added = frame[["name", "status"]].assign(mine="")
    assert "mine" in notebook.plain(added).splitlines()[0], (
        "a column that the person added is shown, also when it is empty"
    )
    assert "loops-nb" in notebook.html(frame.set_index("id"))
    assert "k5" in notebook.html(frame.set_index("id"))


def test_other_frames_keep_the_display_of_pandas(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(3))
    theirs = pd.DataFrame({"id": ["a"], "status": ["b"]})
    for other in (theirs, frame.describe(), frame.T, pd.DataFrame(), frame.groupby("base_model")[["gpu_count"]].sum()):
        assert notebook.html(other) == getattr(other, "_repr_html_")()  # noqa: B009 - not in the types of pandas
        assert notebook.plain(other) == repr(other)
    assert notebook.plain([theirs]) == f"[{theirs!r}]".replace("\n", "\n ")


def test_empty_frame_shows_a_message(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(3))
    for shown in (notebook.html(frame[frame["id"] == "zz"]), notebook.plain(frame[frame["id"] == "zz"])):
        assert "No runs in this DataFrame" in shown


def test_columns_that_do_not_fit_are_listed(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = notebook.plain(frames.runs_frame(runs_body(3)))
    heading = text.splitlines()[0]
    assert len(heading) <= 80
    assert heading.startswith("id")
    assert "status" in heading
    assert "Columns that did not fit:" in text
    assert "base_url" in text.split("Columns that did not fit:")[1]
    assert "base_url" in notebook.html(frames.runs_frame(runs_body(3)))


def test_presigned_urls_are_hidden(notebook: Notebook) -> None:
    files = {
        "url": "https://s3.invalid/x?sig=SENTINEL",
        "relative_file_name": "adapter.safetensors",
        "node_rank": 0,
        "size_bytes": 16_777_216,
    }
    body = json.dumps(
        {"presigned_urls": [{**files, "last_modified": "2026-07-01T00:00:00Z"}], "next_page_token": None}
    ).encode()
    frame = frames.files_frame([body], urls=True)
    one = decode_many(body, "presigned_urls", CheckpointFile)[0]
    for thing in (frame, one):
        for shown in (notebook.html(thing), notebook.plain(thing)):
            assert "SENTINEL" not in shown
            assert "adapter.safetensors" in shown
            assert "16.8 MB" in shown


@pytest.mark.parametrize(
    "kind", ["runs", "samplers", "checkpoints", "deployments", "capabilities", "logs", "sessions", "teams"]
)
def test_empty_listing_of_every_kind_shows_a_message(notebook: Notebook, kind: str) -> None:
    name = {"capabilities": "supported_models"}.get(kind, kind)
    frame = getattr(frames, f"{kind}_frame")(json.dumps({name: []}).encode())
    assert f"No {kind} in this DataFrame" in notebook.plain(frame)


def test_ids_and_uris_are_never_truncated(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "a-rather-long-checkpoint-name-that-goes-on-and-on-" + "x" * 40
    row = {
        "id": "c1",
        "run_id": "k1",
        "checkpoint_id": name,
        "target": "sampler",
        "size_bytes": 1,
        "created_at": "2026-07-01T00:00:00Z",
    }
    frame = frames.checkpoints_frame(json.dumps({"checkpoints": [row]}).encode())
    uri = frame["uri"].iloc[0]
    assert uri in notebook.html(frame)
    shown = notebook.plain(frame[["id", "uri"]])
    assert uri in "".join(line.removeprefix("c1").strip() for line in shown.splitlines())
    assert max(map(len, shown.splitlines())) <= 60


def test_object_is_a_table_alone_and_a_repr_in_a_list(notebook: Notebook) -> None:
    body = json.dumps(
        {
            "run": {
                "id": "k1",
                "base_model": "M",
                "status": {"name": "ACTIVE"},
                "user": {"email": None},
                "sampler": {"id": "s1", "status": {"name": "LOADING_MODEL"}, "base_url": "u"},
                "created_at": "2026-07-01T00:00:00Z",
                "something_new": {"a": [1, 2], "b": True},
            }
        }
    ).encode()
    run: APIObject = decode_one(body, "run", Run)
    card = notebook.plain(run)
    assert card.splitlines()[0] == "Run k1"
    for line in ("s1 (LOADING_MODEL)", "something_new", "a: 1, 2, b: yes", "ACTIVE"):
        assert line in card
    assert "Run k1</caption>" in notebook.html(run)
    assert notebook.plain([run]) == f"[{run!r}]"


def test_dollar_signs_are_not_rendered_as_math(notebook: Notebook) -> None:
    frame = frames.runs_frame(runs_body(1, name=r"$\href{javascript:alert(1)}{x}$"))
    run = decode_many(runs_body(1, name="$x$"), "runs", Run)[0]
    for thing in (frame, run, frame[:0]):
        opening = notebook.html(thing).split(">", 1)[0]
        assert {"tex2jax_ignore", "mathjax_ignore"} <= set(opening.split('"')[1].split())


def test_long_names_wrap_and_short_ones_do_not(notebook: Notebook) -> None:
    long = notebook.html(frames.runs_frame(runs_body(1, name="a" * 1500)))
    assert '<td class="w">' + "a" * 239 + "…</td>" in long
    assert '<td class="w">' not in notebook.html(frames.runs_frame(runs_body(1, name="a" * 80)))


def test_columns_align_in_any_script(notebook: Notebook) -> None:
    wcwidth = pytest.importorskip("wcwidth")
    names = ["ascii", "日本語", "💥", "e\u0301te\u0301", "日本語の名前" * 9, "한국어"]
    bodies = [json.loads(runs_body(1, id=f"k{at}", name=name))["runs"][0] for at, name in enumerate(names)]
    frame = frames.runs_frame(json.dumps({"runs": bodies}).encode())[["id", "name", "status"]]
    lines = notebook.plain(frame).splitlines()[1 : len(names) + 1]
    assert len({wcwidth.wcswidth(line.partition("ACTIVE")[0]) for line in lines}) == 1
    assert lines[4].partition("ACTIVE")[0].rstrip().endswith("…")


def test_timeline_is_displayed_as_a_listing(notebook: Notebook) -> None:
    hostile = "\x1b[31mred\n<i>"
    rows = [
        json.loads(runs_body(1, id=f"k{day}", name=hostile, created_at=f"2026-07-0{day}T00:00:05Z"))["runs"][0]
        for day in (3, 1)
    ]
    notebook.run("%config LoopsMagics.time_zone = 'UTC'")
    timeline = frames.runs_frame(json.dumps({"runs": rows}).encode()).loops.timeline()
    text = notebook.plain(timeline)
    assert "\x1b" not in text
    assert "time (UTC)" in text.splitlines()[0]
    assert [line.split()[:2] for line in text.splitlines()[1:3]] == [
        ["2026-07-01", "00:00:05"],
        ["2026-07-03", "00:00:05"],
    ]
    assert "2 d 00:00:00" in text
    assert "&lt;i&gt;" in notebook.html(timeline)
    assert "No events in this DataFrame" in notebook.plain(timeline[:0])


def test_object_table_formats_sizes_lists_and_no_fields(notebook: Notebook) -> None:
    file = {
        "url": "u",
        "relative_file_name": "a",
        "node_rank": 0,
        "size_bytes": 254,
        "last_modified": "2026-07-01T00:00:00Z",
    }
    body = json.dumps({"presigned_urls": [file]}).encode()
    card = notebook.plain(decode_many(body, "presigned_urls", CheckpointFile)[0])
    assert "254 bytes" in card
    assert "(254 bytes)" not in card
    points = [{"value": float(at), "timestamp": f"t{at}"} for at in range(61)]
    run = decode_many(runs_body(1, series=points), "runs", Run)[0]
    assert "61 records, the last one value: 60.0, timestamp: t60" in notebook.plain(run)
    for shown in (notebook.plain(UserConfig()), notebook.html(UserConfig())):
        assert "None is set: those of your organisation hold." in shown
