"""A server that ends idle kernels spares a kernel whose cell runs below a panel until that cell has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.cells import busy
from tests.browser.conftest import NotebookOpener
from tests.browser.jupyter import JupyterServer
from tests.browser.notebook import wait_for
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState

#: Seconds that a kernel may be idle.
_IDLE_SECONDS = 4
_CULL = (
    f"--MappingKernelManager.cull_idle_timeout={_IDLE_SECONDS}",
    "--MappingKernelManager.cull_interval=1",
)


@pytest.fixture(scope="module")
def culling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server that ends idle kernels."""
    server = JupyterServer(tmp_path_factory.mktemp("culling"), "lab", _CULL).start()
    yield server
    server.stop()


@pytest.mark.parametrize("kernel", ["ipykernel74"])
def test_server_culls_a_kernel_with_a_panel_only_after_its_cell_has_ended(
    kernel: str, culling: JupyterServer, context: BrowserContext, state: ServiceState, connected: dict[str, str]
) -> None:
    state.run("the one that trains")
    stop, ended = culling.root / f"stop-{kernel}", culling.root / f"ended-{kernel}"
    opener = NotebookOpener(culling, context, f"culling-{kernel}")
    cell = f"%load_ext loops_nb\n%loops watch\n{busy('sleeping', stop.name)}\npathlib.Path({ended.name!r}).touch()"
    notebook = opener.notebook(cell, kernel=kernel, environment=connected)
    (training,) = [found["id"] for found in culling.kernels()]
    notebook.start(0)
    Panel(notebook.page).shown().says("the one that trains")
    # Closed like a tab, its kernel kept.
    notebook.page.close()

    # An unused one: once it was ended, the other had as much time to be.
    idle = culling.start_kernel(kernel)
    wait_for(lambda: all(found["id"] != idle for found in culling.kernels()), "the server ends an idle kernel")
    assert {found["id"]: found["execution_state"] for found in culling.kernels()} == {training: "busy"}

    stop.touch()
    wait_for(ended.exists, "the cell ends by itself")
    wait_for(lambda: not culling.kernels(), "the server ends the kernel of a panel whose page was closed")
