"""Paths below ``/v1``."""

from __future__ import annotations

from loops_nb.client import checks


def loops_path(*parts: str, team_id: str | None = None) -> str:
    """Return ``/v1/loops/...``, or the same within a team; the parts are already quoted."""
    root = "/v1/loops" if team_id is None else f"/v1/teams/{checks.path_part('team_id', team_id)}/loops"
    return "/".join([root, *parts])
