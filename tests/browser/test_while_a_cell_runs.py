"""A panel moves while a cell runs, whatever the cell does; that is what panels are for."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.cells import BUSY, busy, fleet
from tests.browser.conftest import Desk
from tests.browser.notebook import wait_for
from tests.browser.panel import Panel
from tests.browser.prepare import KERNELS
from tests.browser.world import World


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", BUSY)
def test_moves_while_a_cell_is(kind: str, kernel: str, desk: Desk, world: World, connected: dict[str, str]) -> None:
    run = world.run("the one that comes up", up=False)
    stop = desk.server.root / f"{kind}-{kernel}-stop"
    notebook = desk.notebook(fleet(interval=None), busy(kind, stop.name), kernel=kernel, environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")

    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    looks = world.looks()
    world.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert world.looks() <= looks + 2, "it took more than one look after the change"
    assert not cell.over
    stop.touch()
    cell.wait()
    assert notebook.printed(1).endswith("the end\n")


@pytest.mark.parametrize("desk", ["lab", "notebook"], indirect=True)
def test_the_line_before_a_training_loop(desk: Desk, world: World, connected: dict[str, str]) -> None:
    run = world.run("the one that comes up", up=False)
    stop = desk.server.root / f"same-cell-{desk.server.application}-stop"
    training = f"%loops watch\n{busy('sleeping', stop.name)}"
    notebook = desk.notebook("%load_ext loops_nb", training, kernel="ipykernel74", environment=connected)
    notebook.run(0)
    cell = notebook.start(1)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")
    world.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert not cell.over
    stop.touch()
    cell.wait()


def test_messages_that_jupyter_dropped_are_made_up_for(desk: Desk, world: World, connected: dict[str, str]) -> None:
    run = world.run("the one that comes up", up=False)
    enough, stop = desk.server.root / "flood-enough", desk.server.root / "flood-stop"
    flood = f"import pathlib\nwhile not pathlib.Path({enough.name!r}).exists():\n    print('x' * 2_000, flush=True)\n"
    notebook = desk.notebook(fleet(), flood + busy("sleeping", stop.name), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")
    cell = notebook.start(1)
    # The server says so in the cell, and from here on drops what the kernel sends, the panel's messages included.
    expect(notebook.cell(1)).to_contain_text("IOPub data rate exceeded")
    looks = world.looks()
    world.everything_comes_up()
    wait_for(lambda: world.looks() > looks + 2, "the panel looks on", notebook.page)
    expect(panel.row(run.id)).to_contain_text("Created")
    enough.touch()
    expect(panel.row(run.id)).to_contain_text("Running")
    assert not cell.over
    stop.touch()
    cell.wait()
