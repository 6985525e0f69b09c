"""A listing that is nearly as it was is cut as one that is read from the beginning."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import UnreadableAnswerError
from loops_nb.live import cutting
from loops_nb.live.cutting import Cut
from tests.frames.documents import ANY_MACHINE
from tests.live.stage import run

_object = st.sampled_from(
    [{}, {"id": "a"}, {"id": "b", "x": [1, 2]}, {"id": "c", "note": '},{"id":"d"}'}, {"id": "d", "note": "], [" * 3}, {"id": "ä\\"}]
)
_listing = st.lists(_object, max_size=12)
_written = st.sampled_from([(",", ":"), (", ", ": ")])


@ANY_MACHINE
@given(st.lists(_listing, min_size=2, max_size=5), _written, st.sampled_from(["{%s}", '{%s, "at": 5}', ' {%s , "runs2": []}\n']))
def test_each_answer_after_another_is_cut_as_if_it_were_the_first(listings: list[Any], written: Any, envelope: str) -> None:
    cut = None
    for listing in listings:
        said = (envelope % f'"runs":{json.dumps(listing, separators=written)}').encode()
        cut = Cut.of(said, "runs", cut)
        assert cut.objects == [json.dumps(item, separators=written).encode() for item in listing]


@ANY_MACHINE
@given(_listing, st.binary(max_size=8), st.integers(0, 200), st.integers(0, 20))
def test_damage_is_found_wherever_it_is(listing: list[Any], noise: bytes, at: int, width: int) -> None:
    whole = json.dumps({"runs": listing}).encode()
    damaged = whole[:at] + noise + whole[at + width :]

    def read(former: Cut | None) -> list[bytes] | str:
        try:
            return Cut.of(damaged, "runs", former).objects
        except UnreadableAnswerError as error:
            return str(error)

    assert read(Cut.of(whole, "runs", None)) == read(None)


@pytest.mark.parametrize("place", [0, 1, 500, 998, 999])
@pytest.mark.parametrize("change", ["other", "more", "gone"])
def test_of_a_thousand_objects_only_the_different_one_is_read(monkeypatch: pytest.MonkeyPatch, place: int, change: str) -> None:
    listing = [run(f"r{n:04}") for n in range(1000)]
    before = Cut.of(json.dumps({"runs": listing}, separators=(",", ":")).encode(), "runs", None)
    fresh = [] if change == "gone" else [run("new", "INACTIVE")]
    listing[place : place if change == "more" else place + 1] = fresh
    body = json.dumps({"runs": listing}, separators=(",", ":")).encode()
    # Whatever needs the whole answer read would fail.
    monkeypatch.setattr(cutting, "_parts", None)
    assert Cut.of(body, "runs", before).objects == [json.dumps(item, separators=(",", ":")).encode() for item in listing]
