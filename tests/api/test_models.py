"""Both eras of every object are read, unknown things pass, and nonsense ends in one clear error."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops_nb.api import models
from loops_nb.api.decoding import decode_many, decode_one, decode_page
from loops_nb.api.models import Checkpoint, CheckpointFile, Run
from loops_nb.checkpoints.http.urls import parse_presigned
from loops_nb.errors import UnreadableAnswerError


def test_both_names_of_a_runs_id() -> None:
    for name in ("id", "run_id"):
        run = decode_one(msgspec.json.encode({"run": {name: "k4"}}), "run", Run)
        assert run.id == run.run_id == "k4"


def test_unknown_fields_are_kept_also_inside() -> None:
    sent = {"id": "k4", "color": "blue", "sampler": {"id": "s", "zone": 3, "status": {"name": "NEW_STATE", "why": "x"}}}
    run = decode_one(msgspec.json.encode({"run": sent}), "run", Run)
    assert run.extra == {"color": "blue"}
    assert run.sampler is not None
    assert run.sampler.extra == {"zone": 3}
    assert run.sampler.status is not None
    assert run.sampler.status.name == "NEW_STATE"
    assert run.to_dict() == sent


def test_a_service_cannot_pose_as_the_raw_json() -> None:
    run = decode_one(b'{"run": {"id": "k4", "__raw_json__": {"a": 1}}}', "run", Run)
    assert run.to_dict() == {"id": "k4", "__raw_json__": {"a": 1}}


def test_times_have_a_zone() -> None:
    run = decode_one(b'{"run": {"id": "k", "created_at": "2026-07-01T20:50:39.854+02:00"}}', "run", Run)
    assert run.created_at == datetime(2026, 7, 1, 18, 50, 39, 854000, tzinfo=UTC)


@pytest.mark.parametrize("target", ["sampler", "trainer", None])
def test_the_uri_of_a_checkpoint(target: str | None) -> None:
    sent = {"id": "c", "run_id": "k4", "checkpoint_id": "step-1", "target": target}
    checkpoint = decode_one(msgspec.json.encode({"checkpoint": sent}), "checkpoint", Checkpoint)
    # Old rows without a target count as sampler checkpoints.
    assert checkpoint.uri == f"bt://loops:k4/{'weights' if target == 'trainer' else 'sampler_weights'}/step-1"


RESOURCES = [
    c
    for c in vars(models).values()
    if isinstance(c, type) and issubclass(c, models.APIObject) and c is not models.APIObject
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


@given(body=st.binary() | json_values.map(msgspec.json.encode), kind=st.sampled_from(RESOURCES))
def test_nothing_but_our_own_error_comes_out_of_any_bytes(body: bytes, kind: Any) -> None:
    for decode in (
        lambda: decode_one(body, "x", kind),
        lambda: decode_many(body, "x", kind),
        lambda: decode_page(body),
    ):
        try:
            decode()
        except UnreadableAnswerError as error:
            assert str(error).isprintable()  # noqa: PT017 - most bytes are refused, which is the point


def _value_of(kind: Any) -> Any:
    """Return a value that is read as a required field of a kind."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {f.encode_name: _value_of(f.type) for f in msgspec.structs.fields(kind) if f.required}
    return {str: "text", float: 1.5, int: 1, bool: True}[kind]


# Each kind by itself: drawn at random, a kind that was never read passed most days.
@pytest.mark.parametrize("kind", RESOURCES)
@settings(max_examples=5)
@given(data=st.data(), extra=st.dictionaries(st.text(min_size=1), json_values, max_size=3))
def test_any_subset_of_the_optional_fields_is_read_and_given_back(
    kind: Any, data: st.DataObject, extra: dict[str, Any]
) -> None:
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind) if f.name != "raw_json"}
    sent: dict[str, Any] = {name: _value_of(f.type) for name, f in fields.items() if f.required}
    if kind is Run:
        sent["run_id"] = "k4"
    optional = [n for n, f in fields.items() if not f.required and n not in sent and "None" in str(f.type)]
    sent |= dict.fromkeys(data.draw(st.sets(st.sampled_from(optional))) if optional else [], None)
    sent = {k: v for k, v in extra.items() if k not in fields} | sent
    (found,) = decode_many(msgspec.json.encode({"xs": [sent]}), "xs", kind)
    assert found.to_dict() == sent
    assert set(found.extra) == set(extra) - set(fields)


def test_a_built_object_has_no_unknown_fields() -> None:
    file = CheckpointFile(url="https://x/?sig=1", relative_file_name="a")
    assert file.extra == {}
    assert file.to_dict()["relative_file_name"] == "a"
    assert "?sig=1" not in repr(file)


def by_pickle(file: CheckpointFile) -> CheckpointFile:
    again: CheckpointFile = pickle.loads(pickle.dumps(file))  # noqa: S301 - our own
    return again


@pytest.mark.parametrize("again", [by_pickle, copy.copy, copy.deepcopy])
def test_a_copy_of_a_file_entry_holds_no_presigned_url_and_says_how_to_get_one(
    again: Callable[[CheckpointFile], CheckpointFile],
) -> None:
    (file,), _, _ = decode_page(
        b'{"presigned_urls":[{"url":"https://x/?sig=SECRET","relative_file_name":"a","size_bytes":3,"node_rank":1,"other":"?sig=SECRET"}],'
        b'"total_count":1,"next_page_token":null}'
    )
    assert file.url == "https://x/?sig=SECRET"
    copied = again(file)
    assert (copied.relative_file_name, copied.size_bytes, copied.node_rank) == ("a", 3, 1)
    assert "loops.checkpoints.files(checkpoint_id)" in copied.url
    assert "SECRET" not in f"{copied!r} {copied} {copied.to_dict()} {msgspec.structs.asdict(copied)} {file!r} {file}"


def test_no_pickle_holds_a_presigned_url(tmp_path: Path) -> None:
    file = CheckpointFile(url="https://x/?sig=SECRET", relative_file_name="a")
    frame = pd.DataFrame({"file": [file]})
    frame.to_pickle(tmp_path / "frame")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert b"SECRET" not in pickle.dumps([file], protocol)
    assert b"SECRET" not in (tmp_path / "frame").read_bytes()
    with pytest.raises(TypeError, match="list the files again"):
        pickle.dumps(parse_presigned(file.url))
