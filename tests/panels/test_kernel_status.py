"""The state that a kernel publishes while one of its cells runs: what servers that cull idle kernels go by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.browser.prepare import KERNELS, kernel_folder

BUSY_WITH_A_CELL = ("busy", "execute_request")
_PATIENCE_SECONDS = 30.0
_CELL = """
import pathlib, time
from loops_nb.panels import CurvesPanel
panel = CurvesPanel()
panel.show()
print(panel.comm.comm_id, flush=True)
while not pathlib.Path("stop").exists():
    time.sleep(0.02)
"""


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockingKernelClient]:
    """A kernel of each supported generation of ipykernel."""
    manager = KernelManager(kernel_name="python3")
    paths = os.pathsep.join([str(kernel_folder(request.param)), str(Path(__file__).parents[2])])
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "LOOPS_NB_HOME": str(tmp_path / "home"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    manager.start_kernel(env=environment, cwd=str(tmp_path))
    client: BlockingKernelClient = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_PATIENCE_SECONDS)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _next(client: BlockingKernelClient, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = client.get_iopub_msg(timeout=_PATIENCE_SECONDS)
        if message["msg_type"] == kind:
            return message


def _state(status: dict[str, Any]) -> tuple[str, str]:
    return status["content"]["execution_state"], status["parent_header"]["msg_type"]


def _states_until(client: BlockingKernelClient, msg_id: str) -> list[tuple[str, str]]:
    """Return what the kernel says of itself, and about which message, until that one was handled."""
    found = []
    while True:
        status = _next(client, "status")
        found.append(_state(status))
        if status["parent_header"]["msg_id"] == msg_id and status["content"]["execution_state"] == "idle":
            return found


def _control(client: BlockingKernelClient, kind: str) -> str:
    message = client.session.msg(kind)
    client.control_channel.send(message)
    found: str = message["header"]["msg_id"]
    return found


def _answer(client: BlockingKernelClient, msg_id: str) -> dict[str, Any]:
    while (reply := client.get_control_msg(timeout=_PATIENCE_SECONDS))["parent_header"].get("msg_id") != msg_id:
        pass
    content: dict[str, Any] = reply["content"]
    return content


def test_kernel_says_busy_after_each_message_of_a_page_until_its_cell_ends(
    kernel: BlockingKernelClient, tmp_path: Path
) -> None:
    cell = kernel.execute(_CELL)
    comm = _next(kernel, "stream")["content"]["text"].strip()
    _states_until(kernel, _control(kernel, "usage_request"))
    assert _state(_next(kernel, "status")) == BUSY_WITH_A_CELL

    info = _answer(kernel, asked := _control(kernel, "kernel_info_request"))
    _states_until(kernel, asked)
    assert _state(_next(kernel, "status")) == BUSY_WITH_A_CELL
    # Without subshells a comm's message waits for the end of the cell.
    if "kernel subshells" in info.get("supported_features", []):
        subshell = _answer(kernel, _control(kernel, "create_subshell_request"))["subshell_id"]
        content = {
            "comm_id": comm,
            "data": {"method": "custom", "content": {"type": "view_visibility", "view": "v", "visible": True}},
        }
        message = kernel.session.msg("comm_msg", content)
        message["header"]["subshell_id"] = subshell
        kernel.shell_channel.send(message)
        _states_until(kernel, message["header"]["msg_id"])
        assert _state(_next(kernel, "status")) == BUSY_WITH_A_CELL

    (tmp_path / "stop").touch()
    assert _states_until(kernel, cell) == [("idle", "execute_request")]
    assert _states_until(kernel, _control(kernel, "usage_request")) == [
        ("busy", "usage_request"),
        ("idle", "usage_request"),
    ]
    assert _states_until(kernel, kernel.execute("")) == [BUSY_WITH_A_CELL, ("idle", "execute_request")]
