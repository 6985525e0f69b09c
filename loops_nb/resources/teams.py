"""``loops.teams``: the teams of the organisation."""

from __future__ import annotations

from loops_nb.api.models import Team
from loops_nb.client.operations import server
from loops_nb.resources.base import Resource


class Teams(Resource):
    """The teams of the organisation."""

    def list(self) -> list[Team]:
        """List the teams (``GET /v1/teams``).

        Returns
        -------
        list of Team
            In the order of the service.

        Examples
        --------
        >>> {team.name: team.id for team in loops.teams.list()}
        """
        return self._transport.send(server.teams())
