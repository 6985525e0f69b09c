"""A panel moves while a cell runs, whatever the cell does; that is what panels are for."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.cells import BUSY, busy, fleet
from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import wait_for
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState


@pytest.mark.parametrize(
    ("kind", "kernel"),
    [*((kind, "ipykernel74") for kind in BUSY), ("sleeping", "ipykernel6"), ("sleeping", "ipykernel73")],
)
def test_moves_while_a_cell_is(
    kind: str, kernel: str, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("the one that comes up", up=False)
    stop = opener.server.root / f"{kind}-{kernel}-stop"
    notebook = opener.notebook(fleet(interval=None), busy(kind, stop.name), kernel=kernel, environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")

    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    looks = state.looks()
    state.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert state.looks() <= looks + 2, "it took more than one look after the change"
    assert not cell.over
    stop.touch()
    cell.wait()
    assert notebook.printed(1).endswith("the end\n")


@pytest.mark.parametrize("opener", ["lab", "notebook"], indirect=True)
def test_the_line_before_a_training_loop(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("the one that comes up", up=False)
    stop = opener.server.root / f"same-cell-{opener.server.application}-stop"
    training = f"%loops watch\n{busy('sleeping', stop.name)}"
    notebook = opener.notebook("%load_ext loops_nb", training, kernel="ipykernel74", environment=connected)
    notebook.run(0)
    cell = notebook.start(1)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")
    state.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert not cell.over
    stop.touch()
    cell.wait()


def test_messages_that_jupyter_dropped_are_made_up_for(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("the one that comes up", up=False)
    enough, stop = opener.server.root / "flood-enough", opener.server.root / "flood-stop"
    flood = f"import pathlib\nwhile not pathlib.Path({enough.name!r}).exists():\n    print('x' * 2_000, flush=True)\n"
    notebook = opener.notebook(fleet(), flood + busy("sleeping", stop.name), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")
    cell = notebook.start(1)
    # The server says so in the cell, and from here on drops what the kernel sends, the panel's messages included.
    expect(notebook.cell(1)).to_contain_text("IOPub data rate exceeded")
    looks = state.looks()
    state.everything_comes_up()
    wait_for(lambda: state.looks() > looks + 2, "the panel looks on", notebook.page)
    expect(panel.row(run.id)).to_contain_text("Created")
    enough.touch()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert not cell.over
    stop.touch()
    cell.wait()
