"""The first listing is displayed without pandas, as its DataFrame is."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from loops_nb import console
from loops_nb.cli.json_rows import rows
from loops_nb.frames import KINDS, ListingRows, decoded_listing
from loops_nb.magics.listing_table import listing_columns
from tests.magics.conftest import Notebook

#: A cell, and how many listings it displays.
CELLS = {
    "%loops runs": 1,
    "\n%loops  runs --alive  # those": 1,
    "n = 1\n%loops runs": 1,
    "df = %loops runs": 0,
    "%loops runs;": 0,
    "%loops runs\nn = 1": 0,
    "if True:\n    %loops runs": 0,
    "for _n in range(2):\n    df = %loops runs": 0,
    "%loops samplers\n%loops runs": 1,
    "df = %loops runs\n%loops runs": 1,
    "%%capture captured\n%loops runs": 0,
    "%%timeit -n 2 -r 1\n%loops runs": 0,
    "listed()": 1,
    "x = listed()\n%loops runs": 1,
    "%loops runs --base-model none": 1,
}


#: Those of them that IPython displays.
NOT_EARLY = {"listed()", "df = %loops runs\n%loops runs"}


@pytest.fixture
def without_pandas(live: Notebook, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Give this test a shell that takes pandas for not yet imported."""
    monkeypatch.setattr("loops_nb.magics.early_display._has_pandas", lambda: False)
    # Called between the display and the frame.
    monkeypatch.setattr("loops_nb.magics.early_display.preload_pandas", lambda: console.say("(before its frame)"))
    live.run("def listed():\n    found = %loops runs\n    return found")
    return live


@pytest.mark.parametrize("cell", CELLS)
def test_cell_displays_what_it_would_with_pandas(without_pandas: Notebook, cell: str) -> None:
    before = set(without_pandas.shell.user_ns["Out"])
    ran = without_pandas.run(cell)
    assert ran.out.count("(before its frame)") == (0 if cell in NOT_EARLY else CELLS[cell])
    assert ran.out.count("Out[") == CELLS[cell]
    new = {number: value for number, value in without_pandas.shell.user_ns["Out"].items() if number not in before}
    assert len(new) == CELLS[cell]
    if new:
        ((number, value),) = new.items()
        assert type(value) is pd.DataFrame
        assert value.loops.kind == "runs"
        assert ran.value is value
        assert without_pandas.shell.user_ns["_"] is without_pandas.shell.user_ns[f"_{number}"] is value
        assert (
            ran.out.replace("(before its frame)", "").partition(":")[2].strip() == without_pandas.plain(value).strip()
        )


def listings(book: Notebook) -> dict[str, ListingRows]:
    loops = book.run("loops = %loops connect\nloops").value
    found = {
        name: getattr(loops, name).listing() for name in ("runs", "samplers", "deployments", "capabilities", "teams")
    }
    run_id = found["runs"].values("id")[-1]
    return {**found, "checkpoints": loops.checkpoints.listing(run_id=run_id)}


def test_listings_are_displayed_and_written_as_their_frames(live: Notebook) -> None:
    for kind, listing in listings(live).items():
        frame = listing.frame()
        assert len(frame), kind
        assert live.html(listing) == live.html(frame)
        assert live.plain(listing) == live.plain(frame)
        assert json.dumps(list(rows(listing, kind))) == json.dumps(list(rows(frame, kind)))
        live.run("%config LoopsMagics.row_limit = 2\n%config LoopsMagics.time_zone = 'Asia/Tokyo'")
        assert live.html(listing) == live.html(frame)
        live.run("%config LoopsMagics.row_limit = 20\n%config LoopsMagics.time_zone = 'local'")


def test_filtered_listing_is_that_of_the_filtered_frame(live: Notebook) -> None:
    for listing in listings(live).values():
        keep = [number % 2 == 0 for number in range(len(listing))]
        pd.testing.assert_frame_equal(listing.where(keep).frame(), listing.frame()[keep].reset_index(drop=True))


@pytest.mark.parametrize(
    ("at", "is_plain"),
    [
        ("2026-10-01T12:30:00Z", True),
        ("2026-10-01T12:30:00.123+02:00", True),
        ("2026-10-01T12:30:00", True),
        (None, True),
        ("2026-10-01", False),
        ("2026-10-01T12:30:00.123456789Z", False),
        ("0001-01-01T00:00:00Z", False),
        ("2026-13-01T12:30:00Z", False),
    ],
)
def test_only_plain_times_are_read_without_pandas(notebook: Notebook, at: str | None, is_plain: bool) -> None:
    body: dict[str, Any] = {"teams": [{"id": "t1", "name": "research", "created_at": at}]}
    listing = decoded_listing(json.dumps(body).encode(), KINDS["teams"])
    columns = listing_columns(listing)
    assert (columns is not None) is is_plain
    if columns is not None:
        frame = listing.frame()
        assert [list(map(pd.isna, one.cells)) for one in columns] == [list(frame[one.label].isna()) for one in columns]
        assert notebook.html(listing) == notebook.html(frame)
