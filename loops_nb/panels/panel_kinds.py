"""The kinds of panels that ``%loops watch`` opens."""

from __future__ import annotations

from typing import NamedTuple


class PanelKind(NamedTuple):
    """A kind of panel that ``%loops watch`` opens.

    Parameters
    ----------
    resource : str
        The resource of `loops_nb.Loops` whose ``watch`` opens it.
    options : tuple of str
        Parameters of that method which are options of the magic.
    """

    resource: str
    options: tuple[str, ...]


#: By the word after ``%loops watch``: "" for all runs, ``run`` for the id or the name of a run.
WATCHED: dict[str, PanelKind] = {
    "": PanelKind("runs", ("scope", "team_id", "base_model", "notify")),
    "run": PanelKind("runs", ("scope", "team_id", "notify")),
    "samplers": PanelKind("samplers", ("scope", "team_id", "notify")),
    "deployments": PanelKind("deployments", ("scope", "notify")),
    "checkpoints": PanelKind("checkpoints", ("run_id", "base_model")),
    "system": PanelKind("system", ("since",)),
    # Recorded on this machine: no listings of the service.
    "experiments": PanelKind(
        "metrics", ("tags", "where", "project", "author", "since", "sort", "limit", "metric", "archived")
    ),
    "samples": PanelKind("metrics", ("steps",)),
    # Log lines of one run, deployment or sampler, which no listing has.
    "logs": PanelKind("logs", ("half", "since", "grep", "min_level", "limit")),
}
