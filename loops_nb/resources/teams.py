"""``loops.teams``: the teams of the organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.models import Team
from loops_nb.client.operations import server
from loops_nb.client.teams import team_directory
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames import ListingRows


class Teams(Resource):
    """The teams of the organisation."""

    def list(self, *, name: str | None = None) -> list[Team]:
        """List the teams (``GET /v1/teams``).

        Parameters
        ----------
        name : str, optional
            Only the team with exactly this name.

        Returns
        -------
        list of Team
            In the order of the service.

        Examples
        --------
        >>> {team.name: team.id for team in loops.teams.list()}
        """
        found = self._transport.send(server.teams(name=name))
        if name is None:
            team_directory(self._transport.config).add(found)
        # A service that does not know the filter answers all.
        return [team for team in found if name is None or team.name == name]

    def frame(self) -> pd.DataFrame:
        """List the teams as a DataFrame (``GET /v1/teams``).

        Returns
        -------
        pandas.DataFrame
            One row a team; columns of the kind ``teams`` in `loops_nb.frames`.

        Examples
        --------
        >>> df = loops.teams.frame()
        """
        return frame_of(self.listing())

    def listing(self) -> ListingRows:
        """List the rows of `frame` (``GET /v1/teams``), without pandas.

        Returns
        -------
        ListingRows
            See `loops_nb.frames.ListingRows`; its method ``frame`` makes the DataFrame.

        Examples
        --------
        >>> loops.teams.listing().values("name")
        """
        return self._listing(server.teams(), "teams")

    def get(self, team_id: str) -> Team:
        """Fetch a team (``GET /v1/teams/{team_id}``).

        Parameters
        ----------
        team_id : str
            Id of the team, or its name, which costs a listing once a connection.

        Returns
        -------
        Team
            With its ``id`` and ``name``.

        Raises
        ------
        NotFoundError
            If there is no such team.

        Examples
        --------
        >>> loops.teams.get("research").id
        """
        return self._transport.send(server.team(self._team_id(team_id) or team_id))
