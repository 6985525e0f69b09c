"""What is in the cells: the same as the naive way reads, and what the naive way stumbles over."""

from __future__ import annotations

import gc
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb import frames
from loops_nb.api.decoding import decode_many
from loops_nb.api.models import Checkpoint
from loops_nb.errors import UnreadableAnswerError
from loops_nb.frames import json_rows
from loops_nb.frames.columns import CHECKPOINTS, Dtype
from tests.frames.strategies import ANY_MACHINE, JUNK, rows_of

WHOLE = {"id": "a", "run_id": "r", "checkpoint_id": "step-1", "target": "trainer"}


def checkpoints(*changes: dict[str, Any]) -> pd.DataFrame:
    return frames.checkpoints_frame(json.dumps({"checkpoints": [{**WHOLE, **change} for change in changes]}).encode())


@ANY_MACHINE
@given(st.lists(rows_of(CHECKPOINTS), max_size=6))
def test_cells_equal_what_the_naive_way_reads(listing: list[dict[str, Any]]) -> None:
    frame = frames.checkpoints_frame(json.dumps({"checkpoints": listing}).encode())
    for row, sent in enumerate(listing):
        named = {**sent, "run_id": sent.get("trainer_id") if sent.get("run_id") is None else sent["run_id"]}
        for column in CHECKPOINTS.columns:
            cell: Any = frame.loc[row, column.name]
            if column.combine is not None or "." in column.sources[0]:
                continue
            value = named.get(column.name)
            if value is None:
                assert pd.isna(cell)
            elif column.dtype is Dtype.TIME:
                assert cell == pd.to_datetime(value, format="ISO8601", utc=True).as_unit("us")
            else:
                assert cell == value


@ANY_MACHINE
@given(st.lists(rows_of(CHECKPOINTS), min_size=1, max_size=4))
def test_the_uri_is_that_of_the_models(listing: list[dict[str, Any]]) -> None:
    body = json.dumps(
        {"checkpoints": [{**sent, "run_id": "r", "lora_adapter_config": None} for sent in listing]}
    ).encode()
    assert frames.checkpoints_frame(body)["uri"].tolist() == [
        found.uri for found in decode_many(body, "checkpoints", Checkpoint)
    ]


def test_times_with_and_without_fractions_in_one_listing() -> None:
    texts = [
        "2026-07-01T20:50:39Z",
        "2026-07-01T20:50:39.854Z",
        "2026-07-01T20:50:39.854321Z",
        "2026-07-01T20:50:39.854321987Z",
        "2026-07-01T22:50:39.5+02:00",
        "2026-07-01T20:50:39+00:00",
        "2026-07-01T20:50:39",
        None,
    ]
    frame = checkpoints(*({"created_at": text} for text in texts))
    assert frame["created_at"].dtype == pd.DatetimeTZDtype("us", "UTC")
    second = pd.Timestamp("2026-07-01T20:50:39Z")
    micros = [
        None if pd.isna(time) else int((time - second) / pd.Timedelta(microseconds=1)) for time in frame["created_at"]
    ]
    assert micros == [0, 854_000, 854_321, 854_321, 500_000, 0, 0, None]


def test_times_that_pandas_cannot_keep_in_nanoseconds() -> None:
    far = ({"created_at": "9999-12-31T23:59:59.999999Z"}, {"created_at": "0999-01-01T00:00:00Z"})
    if int(pd.__version__.split(".")[0]) < 3:
        # pandas 2 reads all texts in nanoseconds.
        with pytest.raises(
            UnreadableAnswerError, match=r"9999-12-31T23:59:59.999999Z.* as created_at of checkpoints\[0\]"
        ):
            checkpoints(*far)
    else:
        assert [time.year for time in checkpoints(*far)["created_at"]] == [9999, 999]


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "now",
        "today",
        "",
        "nan",
        "NaT",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-07-01T25:00:00Z",
        "٢٠٢٦-01-01",
    ],
)
def test_a_text_that_is_no_time_names_its_column_and_row(text: str) -> None:
    with pytest.raises(UnreadableAnswerError, match=r"created_at of checkpoints\[1\], which is no ISO 8601 time"):
        checkpoints({"created_at": "2026-07-01T20:50:39Z"}, {"created_at": text}, {"created_at": None})


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2015 07:28:00 GMT", "now", "", "soon"])
def test_a_files_time_is_plain_text_and_may_be_no_time(text: str) -> None:
    page = {"presigned_urls": [{"url": "u", "relative_file_name": "f", "last_modified": text}], "next_page_token": None}
    frame = frames.files_frame([json.dumps(page).encode()])
    assert frame["last_modified"].isna().all()
    assert frame["last_modified"].dtype == pd.DatetimeTZDtype("us", "UTC")


def test_a_new_state_is_one_more_category_at_the_end() -> None:
    body = json.dumps(
        {
            "samplers": [
                {"id": str(i), "status": {"name": name}}
                for i, name in enumerate(["ACTIVE", "FROZEN", "BUILDING", "FROZEN"])
            ]
        }
    )
    status = frames.samplers_frame(body.encode())["status"]
    assert status.tolist() == ["ACTIVE", "FROZEN", "BUILDING", "FROZEN"]
    assert status.cat.categories[-1] == "FROZEN"
    assert status.cat.ordered
    assert status.sort_values().tolist() == ["BUILDING", "ACTIVE", "FROZEN", "FROZEN"]
    # Nothing of it stays for the next listing.
    assert "FROZEN" not in frames.samplers_frame(b'{"samplers":[]}')["status"].cat.categories


def test_more_new_states_than_small_codes_can_count() -> None:
    names = [f"STATE_{i}" for i in range(40_000)]
    body = json.dumps({"samplers": [{"id": name, "status": {"name": name}} for name in names]}).encode()
    assert frames.samplers_frame(body)["status"].tolist() == names


def test_states_have_their_documented_order() -> None:
    states = {"a": "FAILED", "b": "CREATED", "c": "RUNNING"}
    body = json.dumps({"deployments": [{"id": name, "status": {"name": state}} for name, state in states.items()]})
    frame = frames.deployments_frame(body.encode())
    assert frame.sort_values("status")["id"].tolist() == ["b", "c", "a"]
    assert (frame["status"] <= "RUNNING").tolist() == [False, True, True]


@ANY_MACHINE
@given(JUNK)
def test_an_adapter_config_of_any_form_never_fails_the_listing(config: Any) -> None:
    rank = checkpoints(
        {"lora_adapter_config": config}, {"lora_adapter_config": {"r": 16, "target_modules": "all-linear"}}
    )["lora_rank"]
    assert rank.dtype == pd.Int64Dtype()
    assert rank[1] == 16
    expected = config.get("r") if isinstance(config, dict) else None
    assert rank[0] is pd.NA if type(expected) is not int else rank[0] == expected


@pytest.mark.parametrize(
    ("config", "rank"),
    [
        (None, None),
        ({}, None),
        ({"r": None}, None),
        ({"r": 8}, 8),
        ({"r": "8"}, None),
        ({"r": 8.5}, None),
        ({"r": True}, None),
        ({"r": [8]}, None),
        ({"r": {"q_proj": 8}}, None),
        ({"r": 8, "target_modules": "all-linear"}, 8),
        ({"r": 8, "target_modules": ["q_proj"], "rank_pattern": {"a": {"b": []}}}, 8),
        ("frozen", None),
        ([1, 2], None),
        (5, None),
        (1.5, None),
        (False, None),
    ],
)
def test_lora_rank(config: Any, rank: int | None) -> None:
    found = checkpoints({"lora_adapter_config": config})["lora_rank"][0]
    assert found is pd.NA if rank is None else found == rank


def test_sizes_are_nullable_64_bit_integers() -> None:
    sizes = checkpoints({"size_bytes": 2**63 - 1}, {"size_bytes": None}, {})["size_bytes"]
    assert sizes.dtype == pd.Int64Dtype()
    assert sizes[0] == 2**63 - 1
    assert sizes.isna().tolist() == [False, True, True]


@pytest.mark.parametrize("size", [2**63, -(2**63) - 1, 10**30])
def test_a_size_beyond_64_bits_is_an_error_and_not_another_number(size: int) -> None:
    with pytest.raises(UnreadableAnswerError, match=r"size_bytes of checkpoints\[1\]|size_bytes"):
        checkpoints({"size_bytes": None}, {"size_bytes": size})


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "'; DROP TABLE runs; --",
        "../../etc/passwd",
        "\x1b[31mred",
        "a\nb",
        "\u202eevil",
        "\U0001d49c",
        "nan",
        "None",
        "",
    ],
)
def test_hostile_names_are_data(name: str) -> None:
    frame = checkpoints({"checkpoint_id": name, "base_model": name, "sync_status": name, "checkpoint_type": name})
    for column in ("checkpoint_id", "base_model", "sync_status", "checkpoint_type"):
        assert frame.loc[0, column] == name
    assert frame.loc[0, "uri"] == f"bt://loops:r/weights/{name}"
    assert "<script>" not in frame.to_html()


def test_legacy_envelopes() -> None:
    trainers = frames.runs_frame(b'{"trainers":[{"trainer_id":"t1","session_id":"s","base_model":"m"}]}')
    assert list(trainers.loc[0, ["id", "session_id", "base_model"]]) == ["t1", "s", "m"]
    sampler = b'{"id":"p","base_url":"v","model_id":"m","deployment_id":"d"}'
    server = b'{"trainer_server":{"id":"t1","base_url":"u","sampling_server":' + sampler + b"}}"
    assert list(frames.runs_frame(server).loc[0, ["id", "base_url", "sampler_id"]]) == ["t1", "u", "p"]
    sampler = b'{"sampling_server":{"id":"p","base_url":"v","model_id":"m","deployment_id":"d"}}'
    assert list(frames.samplers_frame(sampler).loc[0, ["id", "base_url", "model_id", "deployment_id"]]) == [
        "p",
        "v",
        "m",
        "d",
    ]
    row = {"id": "c", "trainer_id": "t1", "checkpoint_id": "n", "target": "sampler", "size_bytes": 5}
    for body in ({"trainer_id": "t1", "checkpoints": [row]}, {"checkpoint": row}):
        found = frames.checkpoints_frame(json.dumps(body).encode())
        assert list(found.loc[0, ["id", "run_id", "uri", "size_bytes"]]) == [
            "c",
            "t1",
            "bt://loops:t1/sampler_weights/n",
            5,
        ]


def test_pages_of_files_follow_each_other() -> None:
    pages = [
        json.dumps(
            {
                "presigned_urls": [{"url": f"https://x/{i}", "relative_file_name": f"f{i}", "size_bytes": i}],
                "next_page_token": i,
            }
        ).encode()
        for i in range(3)
    ]
    frame = frames.files_frame(iter(pages))
    assert frame["relative_file_name"].tolist() == ["f0", "f1", "f2"]
    assert frame.loops.total_bytes == 3
    assert frames.files_frame([]).dtypes.equals(frame.dtypes)


def test_log_lines_keep_their_nanoseconds() -> None:
    lines = [
        {"timestamp": "1700000000000000002", "message": "b", "level": "ERROR"},
        {"timestamp": "1700000000000000001", "message": "a"},
    ]
    frame = frames.logs_frame(json.dumps({"logs": lines}).encode())
    assert [time.nanosecond for time in frame["timestamp"]] == [2, 1]
    assert frame["level"].isna().tolist() == [False, True]


@pytest.mark.parametrize("text", ["", "soon", "1.5", "99999999999999999999", "2026-07-01T20:50:39Z"])
def test_a_log_time_that_is_no_number_names_its_row(text: str) -> None:
    body = {"logs": [{"timestamp": "1", "message": "a"}, {"timestamp": text, "message": "b"}]}
    with pytest.raises(UnreadableAnswerError, match=r"timestamp of logs\[1\], which is no epoch in nanoseconds"):
        frames.logs_frame(json.dumps(body).encode())


def test_no_row_is_an_object_that_the_garbage_collector_tracks() -> None:
    config = {"r": 8, "target_modules": ["q_proj", "v_proj"], "nested": {"a": [1]}}
    body = json.dumps(
        {"checkpoints": [{**WHOLE, "id": str(i), "lora_adapter_config": config} for i in range(5000)]}
    ).encode()
    decoded = json_rows.decode(body, CHECKPOINTS, CHECKPOINTS.columns).items
    assert len(decoded) == 5000
    assert not any(gc.is_tracked(row) or gc.is_tracked(row.lora_adapter_config) for row in decoded)
    del decoded
    frames.checkpoints_frame(body)
    gc.collect()
    before = len(gc.get_objects())
    frame = frames.checkpoints_frame(body)
    assert len(gc.get_objects()) - before < 500
    assert len(frame) == 5000


def test_nobody_but_the_owner_is_affected_by_an_edit() -> None:
    body = json.dumps({"checkpoints": [WHOLE, WHOLE]}).encode()
    first, second = frames.checkpoints_frame(body), frames.checkpoints_frame(body)
    first.loc[0, "base_model"] = "edited"
    first.loc[0, "size_bytes"] = 1
    first.loc[0, "target"] = "sampler"
    first.attrs["mine"] = True
    assert second["base_model"].isna().all()
    assert second.loc[0, "size_bytes"] is pd.NA
    assert second.loc[0, "target"] == "trainer"
    assert "mine" not in second.attrs
