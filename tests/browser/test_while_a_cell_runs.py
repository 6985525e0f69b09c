"""A panel moves while a cell runs, whatever the cell does; that is what panels are for."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Desk
from tests.browser.panel import Panel
from tests.browser.prepare import KERNELS
from tests.browser.world import World

OPEN = "import loops_nb\nloops = loops_nb.Loops()\npanel = loops.runs.watch()\npanel"
#: Cells that run until the test lets them end; none of them gives the kernel's main thread back before that.
LOOPS = {
    "sleeping": "import pathlib, time\nwhile not pathlib.Path(STOP).exists():\n    time.sleep(0.05)",
    "computing": "import pathlib\nwhile not pathlib.Path(STOP).exists():\n    sum(n * n for n in range(20_000))",
    "printing": "import pathlib\nwhile not pathlib.Path(STOP).exists():\n    print('x' * 2_000, flush=True)",
}


def looping(kind: str, name: str) -> str:
    return f"STOP = {name!r}\n{LOOPS[kind]}\nprint('the end')"


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", LOOPS)
def test_moves_while_a_cell_is(kind: str, kernel: str, desk: Desk, world: World, connected: dict[str, str]) -> None:
    run = world.run("the one that ends")
    stop = desk.server.root / f"{kind}-{kernel}-stop"
    notebook = desk.notebook(OPEN, looping(kind, stop.name), kernel=kernel, environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("RUNNING")

    busy = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    looks = world.looks()
    world.end(run)
    expect(panel.row(run.id)).to_contain_text("STOPPED")
    assert world.looks() <= looks + 2, "it took more than one look after the change"
    assert not busy.over
    stop.touch()
    busy.wait()
    assert notebook.printed(1).endswith("the end\n")
