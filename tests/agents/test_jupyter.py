"""Jupyter's server for agents finds the tools that only read."""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from loops_nb.agents.registry import TOOLS, jupyter_tools


def test_the_entry_point_names_the_tools_that_only_read() -> None:
    (found,) = entry_points(group="jupyter_server_mcp.tools", name="loops")
    assert found.load() is jupyter_tools
    assert jupyter_tools() == [tool.path for tool in TOOLS if tool.access == "read"]
    documented = (Path(__file__).parents[2] / "docs" / "agents.md").read_text("utf-8")
    for tool in TOOLS:
        assert f"`{tool.path.partition(':')[2]}`" in documented
        assert tool.function().__name__ == tool.path.partition(":")[2]


def test_jupyter_server_mcp_serves_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extension: Any = pytest.importorskip("jupyter_server_mcp.extension", reason="in an environment of its own")
    from fastmcp import Client
    from jupyter_server_mcp.mcp_server import MCPServer

    for name in ("BASETEN_API_KEY", "LOOPS_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    app = extension.MCPExtensionApp()
    app.mcp_server_instance = MCPServer()
    app._register_tools([spec for spec in app._discover_entrypoint_tools() if spec.startswith("loops_nb.")])

    async def call() -> tuple[Any, Any]:
        async with Client(app.mcp_server_instance.mcp) as client:
            return await client.list_tools(), await client.call_tool("loops_leaderboard", raise_on_error=False)

    tools, result = asyncio.run(call())
    assert [tool.name for tool in tools] == [path.partition(":")[2] for path in jupyter_tools()]
    (curves,) = [tool for tool in tools if tool.name == "loops_curves"]
    assert curves.input_schema["properties"]["max_points"]["description"] == "Most points of a curve."
    assert "No experiments yet" in result.content[0].text
