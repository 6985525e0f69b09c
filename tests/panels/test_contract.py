"""The page's types are those of the kernel."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any, cast

import pytest

from loops_nb.magics.lexer import split_words
from loops_nb.magics.parser import find_verb, parse
from loops_nb.panels.columns import COLUMNS, LINES, TONES

ROOT = Path(__file__).resolve().parents[2]


def test_generated_typescript_types_are_up_to_date() -> None:
    for path, contract in runpy.run_path(str(ROOT / "js" / "contract.py"))["CONTRACTS"].items():
        assert path.read_text("utf-8") == contract(), "run: python js/contract.py"


@pytest.mark.parametrize(("table", "words", "line"), [(t, w, line) for t, lines in LINES.items() for w, line in lines])
def test_every_line_that_a_row_offers_can_be_typed(table: Any, words: str, line: str) -> None:
    filled = line.format_map({column.name: "abc123" for column in COLUMNS[cast("Any", table)]})
    assert words
    if "%loops" in filled:
        from loops_nb.magics.verbs import VERBS

        typed = split_words(filled.partition("%loops")[2], str)
        assert find_verb(VERBS, typed)
        assert not parse(VERBS, typed).wants_help
    else:
        compile(filled, "line", "exec")


def test_every_column_is_named_once() -> None:
    for table, columns in COLUMNS.items():
        names = [column.name for column in columns]
        assert len(names) == len(set(names)), table
        assert names[0] == "id"


def test_tones_are_of_documented_states_only() -> None:
    assert "NEW_STATE" not in TONES
