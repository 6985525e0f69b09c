"""From bytes to objects: what is unchanged stays the same object, whatever else a service sends."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.decoding import decode_many
from loops_nb.errors import UnreadableAnswerError
from loops_nb.live.shelf import MODELS, Shelf
from loops_nb.live.source import status_name
from loops_nb.models import Run
from tests.live.stage import body, run

_ids = st.text("abcdef", min_size=1, max_size=3)
_run = st.fixed_dictionaries(
    {"id": _ids},
    optional={
        "status": st.one_of(st.none(), st.fixed_dictionaries({"name": st.sampled_from(["ACTIVE", "INACTIVE", "NEW_STATE", None])})),
        "name": st.one_of(st.none(), st.text(max_size=5)),
        "created_at": st.sampled_from(["2026-11-20T10:00:00Z", None]),
        "from_the_future": st.one_of(st.integers(-9, 9), st.lists(st.booleans(), max_size=2)),
    },
)
_listing = st.lists(_run, max_size=8, unique_by=lambda item: str(item["id"]))


@given(st.lists(_listing, min_size=1, max_size=5))
def test_after_every_answer_the_shelf_is_what_the_service_listed(listings: list[list[dict[str, Any]]]) -> None:
    shelf = Shelf("runs")
    before: dict[str, Any] = {}
    sent_before: dict[str, Any] = {}
    for index, listing in enumerate(listings):
        # Fields in another order are another text to the shelf, which compares what was sent.
        sent = {item["id"]: list(item.items()) for item in listing}
        changed = shelf.put(body("runs", *listing))
        assert [item.to_dict() for item in shelf.items.values()] == listing
        assert list(shelf.items) == list(sent)
        for key, item in shelf.items.items():
            assert (item is before.get(key)) == (sent_before.get(key) == sent[key])
        assert changed == (index == 0 or list(sent.items()) != list(sent_before.items()))
        if changed:
            assert {item.id for item in shelf.fresh} == {key for key in sent if sent_before.get(key) != sent[key]}
            assert set(shelf.gone) == set(sent_before) - set(sent)
        before, sent_before = shelf.items, sent


@given(st.binary(max_size=60))
def test_any_bytes_are_a_listing_or_refused_and_refused_ones_leave_all_as_it_was(noise: bytes) -> None:
    shelf = Shelf("runs")
    shelf.put(body("runs", run("a")))
    before = shelf.items
    with pytest.raises(UnreadableAnswerError):
        shelf.put(noise)
    assert shelf.items is before
    assert not shelf.put(body("runs", run("a")))


def test_an_unchanged_answer_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf("runs")
    shelf.put(body("runs", run("a"), run("b")))
    decoded = []

    def decode(sent: bytes, kind: Any) -> Any:
        decoded.append(sent)
        return msgspec.json.decode(sent, type=kind)

    monkeypatch.setattr("loops_nb.live.shelf.decode_object", decode)
    assert not shelf.put(body("runs", run("a"), run("b")))
    assert decoded == []
    assert shelf.put(body("runs", run("a"), run("b", "INACTIVE")))
    assert len(decoded) == 1, "only the one that is different"


def test_spaces_between_objects_and_fields_beside_them_are_no_change() -> None:
    shelf = Shelf("runs")
    one = msgspec.json.encode(run("a")).decode()
    assert shelf.put(f'{{"runs":[{one}]}}'.encode())
    assert not shelf.put(f'{{"runs": [ {one} ], "at": 5}}'.encode())
    assert shelf.version == 1


def test_an_empty_listing_is_news_the_first_time() -> None:
    shelf = Shelf("runs")
    assert shelf.put(body("runs"))
    assert not shelf.put(body("runs"))
    assert shelf.put(body("runs", run("a")))
    assert shelf.clear()
    assert not shelf.clear()
    assert shelf.items == {}
    assert shelf.put(body("runs", run("a"))), "what was cleared is there again"


def test_another_order_is_a_change() -> None:
    shelf = Shelf("runs")
    shelf.put(body("runs", run("a"), run("b")))
    a = shelf.items["a"]
    assert shelf.put(body("runs", run("b"), run("a")))
    assert list(shelf.items) == ["b", "a"]
    assert shelf.items["a"] is a
    assert shelf.fresh == []


BOTH_ERAS: dict[str, list[dict[str, Any]]] = {
    "runs": [
        {"run_id": "k4q95w5", "session_id": "sess_xyz789", "base_model": "Qwen/Qwen3-8B"},
        {"id": "e3mvjo3", "status": {"name": "ACTIVE"}, "deployment_id": None, "sampler": None, "user": {"email": None}},
    ],
    "deployments": [
        {"id": "dep_def456", "status": {"name": "RUNNING"}, "active_run_id": "k4q95w5"},
        {"id": "new1234", "status": {"name": "SOMETHING_NEW"}, "sampler": {"id": "samp_def789"}},
    ],
    "samplers": [{"id": "samp_def789", "base_url": "https://x/sync"}, {"id": "new1234", "status": {"name": "ACTIVE"}, "model_id": None}],
    "checkpoints": [
        {"id": "chkpt_abc123", "run_id": "k4q95w5", "checkpoint_id": "step-100", "lora_adapter_config": None},
        {"id": "VqKXRGB", "run_id": "e3mvjo3", "checkpoint_id": "final", "target": "sampler", "sync_status": "NEW", "lora_config": None},
    ],
}


@pytest.mark.parametrize("kind", BOTH_ERAS)
def test_both_eras_are_read_as_the_client_reads_them(kind: Any) -> None:
    sent = body(kind, *BOTH_ERAS[kind])
    shelf = Shelf(kind)
    shelf.put(sent)
    assert list(shelf.items.values()) == decode_many(sent, kind, MODELS[kind])
    assert [item.to_dict() for item in shelf.items.values()] == BOTH_ERAS[kind]


def test_an_unknown_status_is_the_text_that_it_is() -> None:
    shelf = Shelf("runs")
    shelf.put(body("runs", run("a", "HIBERNATING"), {"run_id": "b"}))
    statuses = [status_name(item) for item in shelf.items.values() if isinstance(item, Run)]
    assert statuses == ["HIBERNATING", None]
