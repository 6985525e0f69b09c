"""The cache of decoded listings: unchanged objects stay the same objects, malformed answers change nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.decoding import decode_many
from loops_nb.api.models import Run
from loops_nb.api.states import status_name
from loops_nb.errors import UnreadableAnswerError
from loops_nb.live.listings import MODELS, ListingCache
from tests.live.live_service import body, run

_ids = st.text("abcdef", min_size=1, max_size=3)
_run = st.fixed_dictionaries(
    {"id": _ids},
    optional={
        "status": st.one_of(
            st.none(), st.fixed_dictionaries({"name": st.sampled_from(["ACTIVE", "INACTIVE", "NEW_STATE", None])})
        ),
        "name": st.one_of(st.none(), st.text(max_size=5)),
        "created_at": st.sampled_from(["2026-11-20T10:00:00Z", None]),
        "from_the_future": st.one_of(st.integers(-9, 9), st.lists(st.booleans(), max_size=2)),
    },
)
_listing = st.lists(_run, max_size=8, unique_by=lambda item: str(item["id"]))


@given(st.lists(_listing, min_size=1, max_size=5))
def test_cache_equals_the_listing_after_every_update(listings: list[list[dict[str, Any]]]) -> None:
    cache = ListingCache("runs")
    before: dict[str, Any] = {}
    sent_before: dict[str, Any] = {}
    for index, listing in enumerate(listings):
        # Fields in another order are another text to the cache, which compares what was sent.
        sent = {item["id"]: list(item.items()) for item in listing}
        changed = cache.update(body("runs", *listing))
        assert [item.to_dict() for item in cache.items.values()] == listing
        assert list(cache.items) == list(sent)
        for key, item in cache.items.items():
            assert (item is before.get(key)) == (sent_before.get(key) == sent[key])
        assert changed == (index == 0 or list(sent.items()) != list(sent_before.items()))
        if changed:
            assert {item.id for item in cache.changed} == {key for key in sent if sent_before.get(key) != sent[key]}
            assert set(cache.removed) == set(sent_before) - set(sent)
        before, sent_before = cache.items, sent


@given(st.binary(max_size=60))
def test_invalid_bytes_raise_and_leave_the_cache_unchanged(noise: bytes) -> None:
    cache = ListingCache("runs")
    cache.update(body("runs", run("a")))
    before = cache.items
    with pytest.raises(UnreadableAnswerError):
        cache.update(noise)
    assert cache.items is before
    assert not cache.update(body("runs", run("a")))


def test_unchanged_objects_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ListingCache("runs")
    cache.update(body("runs", run("a"), run("b")))
    decoded = []

    def decode(sent: bytes, kind: Any) -> Any:
        decoded.append(sent)
        return msgspec.json.decode(sent, type=kind)

    monkeypatch.setattr("loops_nb.live.listings.decode_object", decode)
    assert not cache.update(body("runs", run("a"), run("b")))
    assert decoded == []
    assert cache.update(body("runs", run("a"), run("b", "INACTIVE")))
    assert len(decoded) == 1, "only the one that is different"


def test_whitespace_and_other_fields_are_no_change() -> None:
    cache = ListingCache("runs")
    one = msgspec.json.encode(run("a")).decode()
    assert cache.update(f'{{"runs":[{one}]}}'.encode())
    assert not cache.update(f'{{"runs": [ {one} ], "at": 5}}'.encode())
    assert cache.version == 1


def test_empty_listing_is_a_change_only_the_first_time() -> None:
    cache = ListingCache("runs")
    assert cache.update(body("runs"))
    assert not cache.update(body("runs"))
    assert cache.update(body("runs", run("a")))
    assert cache.clear()
    assert not cache.clear()
    assert cache.items == {}
    assert cache.update(body("runs", run("a"))), "what was cleared is there again"


def test_changed_order_is_a_change() -> None:
    cache = ListingCache("runs")
    cache.update(body("runs", run("a"), run("b")))
    a = cache.items["a"]
    assert cache.update(body("runs", run("b"), run("a")))
    assert list(cache.items) == ["b", "a"]
    assert cache.items["a"] is a
    assert cache.changed == []


BOTH_ERAS: dict[str, list[dict[str, Any]]] = {
    "runs": [
        {"run_id": "k4q95w5", "session_id": "sess_xyz789", "base_model": "Qwen/Qwen3-8B"},
        {
            "id": "e3mvjo3",
            "status": {"name": "ACTIVE"},
            "deployment_id": None,
            "sampler": None,
            "user": {"email": None},
        },
    ],
    "deployments": [
        {"id": "dep_def456", "status": {"name": "RUNNING"}, "active_run_id": "k4q95w5"},
        {"id": "new1234", "status": {"name": "SOMETHING_NEW"}, "sampler": {"id": "samp_def789"}},
    ],
    "samplers": [
        {"id": "samp_def789", "base_url": "https://x/sync"},
        {"id": "new1234", "status": {"name": "ACTIVE"}, "model_id": None},
    ],
    "checkpoints": [
        {"id": "chkpt_abc123", "run_id": "k4q95w5", "checkpoint_id": "step-100", "lora_adapter_config": None},
        {
            "id": "VqKXRGB",
            "run_id": "e3mvjo3",
            "checkpoint_id": "final",
            "target": "sampler",
            "sync_status": "NEW",
            "lora_config": None,
        },
    ],
}


@pytest.mark.parametrize("kind", BOTH_ERAS)
def test_both_api_versions_are_decoded_as_by_the_client(kind: Any) -> None:
    sent = body(kind, *BOTH_ERAS[kind])
    cache = ListingCache(kind)
    cache.update(sent)
    assert list(cache.items.values()) == decode_many(sent, kind, MODELS[kind])
    assert [item.to_dict() for item in cache.items.values()] == BOTH_ERAS[kind]


def test_unknown_status_is_kept_as_text() -> None:
    cache = ListingCache("runs")
    cache.update(body("runs", run("a", "HIBERNATING"), {"run_id": "b"}))
    statuses = [status_name(item) for item in cache.items.values() if isinstance(item, Run)]
    assert statuses == ["HIBERNATING", None]
