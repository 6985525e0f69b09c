"""The table of all tools: where each function is, and what calling it can do."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Access = Literal["read", "sample", "change"]


class AgentTool(NamedTuple):
    """A tool.

    Parameters
    ----------
    path : str
        ``module:function``; the tool has the name of the function.
    title : str
        What people see in place of the name.
    access : {"read", "sample", "change"}
        Whether it only reads, costs something, or changes something; only those that read are on by default.
    is_destructive : bool, default False
        Whether it can end or delete something.
    is_online : bool, default True
        Whether it asks the service, not only the records of this machine.
    """

    path: str
    title: str
    access: Access = "read"
    is_destructive: bool = False
    is_online: bool = True

    def function(self) -> Callable[..., str]:
        """Import the function."""
        module, _, name = self.path.partition(":")
        found: Callable[..., str] = getattr(import_module(module), name)
        return found


TOOLS = (
    AgentTool("loops_nb.agents.runs:loops_list_runs", "List training runs"),
    AgentTool("loops_nb.agents.runs:loops_describe_run", "Describe a run, and why it failed"),
    AgentTool("loops_nb.agents.logs:loops_logs", "Log lines, also around a failure"),
    AgentTool("loops_nb.agents.experiments:loops_leaderboard", "Experiments by a metric", is_online=False),
    AgentTool("loops_nb.agents.experiments:loops_curves", "Curves of metrics", is_online=False),
    AgentTool("loops_nb.agents.experiments:loops_compare_experiments", "Compare experiments", is_online=False),
    AgentTool("loops_nb.agents.checkpoints:loops_list_checkpoints", "List checkpoints"),
    AgentTool("loops_nb.agents.checkpoints:loops_best_checkpoint", "Best checkpoints by a metric", is_online=False),
    AgentTool("loops_nb.agents.workspace:loops_costs", "What runs hold and cost"),
    AgentTool("loops_nb.agents.workspace:loops_doctor", "Check connection and settings"),
    AgentTool("loops_nb.agents.sampling:loops_sample", "Complete a prompt", access="sample"),
    AgentTool("loops_nb.agents.changes:loops_note", "Add a note to an experiment", access="change", is_online=False),
    AgentTool("loops_nb.agents.changes:loops_deploy_checkpoint", "Deploy a checkpoint", access="change"),
    AgentTool(
        "loops_nb.agents.changes:loops_deactivate_run", "End a run for good", access="change", is_destructive=True
    ),
    AgentTool("loops_nb.agents.changes:loops_delete_run", "Delete a run", access="change", is_destructive=True),
    AgentTool(
        "loops_nb.agents.changes:loops_delete_checkpoints", "Delete checkpoints", access="change", is_destructive=True
    ),
)


def jupyter_tools() -> list[str]:
    """Return the paths of the tools that only read: the entry point of ``jupyter_server_mcp.tools``."""
    return [tool.path for tool in TOOLS if tool.access == "read"]
