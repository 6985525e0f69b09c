"""A final semicolon hides the result, but not from an assignment."""

from __future__ import annotations

import pytest

from loops_nb.magics.extension import strip_semicolon
from tests.magics.conftest import Notebook


def test_semicolon_keeps_the_assigned_value(live: Notebook) -> None:
    for cell in (
        "df = %loops runs;",
        "%%time\ndf = %loops runs ; ",
        "df: object = %loops runs;;",
        "if True:\n    df = %loops runs;",
    ):
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
def test_other_lines_are_not_rewritten(line: str) -> None:
    assert strip_semicolon([line + "\n"]) == [line + "\n"]
    assert strip_semicolon(["%%writefile x.py\n", "df = %loops runs;\n"])[1] == "df = %loops runs;\n"
