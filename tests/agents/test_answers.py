"""The text of an answer: its bound, and what is escaped and left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loops_nb.agents.answers import MOST_BYTES, OPEN, AnswerSection, answer

DEEP: Any = "x"
for _ in range(50):
    DEEP = {"a": [DEEP]}


@pytest.mark.parametrize(
    "row",
    [
        "é" * 20_000,
        ["\x00" * 2_000] * 100,
        {f"k{n}": "<" * 900 for n in range(900)},
        {"<" * 9_000: 1},
        DEEP,
        [[list(range(500))] * 500] * 500,
        10**9_000,
        {"a": float("nan"), "b": float("-inf"), "c": 1e300, "d": "\ud800"},
    ],
    ids=["text", "controls", "fields", "name", "deep", "wide", "number", "odd"],
)
def test_any_rows_stay_within_the_bound(row: Any) -> None:
    text = answer(AnswerSection("one", [row] * 8, narrow="Ask for less."), AnswerSection("two", [{"id": "kept"}]))
    assert len(text.encode()) <= MOST_BYTES
    lines = text.splitlines()
    first = lines.index(OPEN) + 1
    json.loads(lines[first])
    assert "\x00" not in text


def test_secrets_are_left_out_of_values_and_hashes_of_commits_are_kept() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    row = {"git.commit": commit, "hf_token": "plain", "note": "https://x.example/f?X-Amz-Signature=abc", "id": "k"}
    text = answer(AnswerSection("one", [row]))
    assert commit in text
    assert "plain" not in text
    assert 'abc"' not in text
    assert '"id": "k"' in text
