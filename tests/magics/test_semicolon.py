"""A semicolon at the end of a line means: do it, and do not show it.  What is assigned is kept all the same."""

from __future__ import annotations

import pytest

from loops_nb.magics.semicolon import without_semicolon
from tests.magics.conftest import Notebook


def test_what_is_assigned_is_kept_and_what_is_not_is_not_shown(live: Notebook) -> None:
    for cell in ("df = %loops runs;", "%%time\ndf = %loops runs ; ", "df: object = %loops runs;;", "if True:\n    df = %loops runs;"):
        live.shell.user_ns["df"] = None
        live.run(cell)
        assert len(live.shell.user_ns["df"]) > 1, cell
    shown = live.run("%loops runs;")
    assert shown.value is None
    assert shown.out == ""


@pytest.mark.parametrize(
    "line",
    [
        "%loops runs;",
        "df = %loops find --name 'a;'",
        "df = %other runs;",
        "text = 'x = %loops runs;'",
        "# df = %loops runs;",
        "x = 1;",
        "df;",
        "",
    ],
)
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert without_semicolon([line + "\n"]) == [line + "\n"]
    assert without_semicolon(["%%writefile x.py\n", "df = %loops runs;\n"])[1] == "df = %loops runs;\n"
