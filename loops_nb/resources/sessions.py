"""``loops.sessions``: containers of runs and samplers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.models import Session
from loops_nb.client.operations import sessions
from loops_nb.resources.base import Resource

if TYPE_CHECKING:
    import pandas as pd


class Sessions(Resource):
    """Containers of runs and samplers; the API does not list them."""

    def create(self, *, training_project_id: str | None = None, team_id: str | None = None) -> Session:
        """Create a session (``POST /v1/loops/sessions``).

        Parameters
        ----------
        training_project_id : str, optional
            Project of the older API; default is the organisation's default project.
        team_id : str, optional
            Create it in this team, given by id or name; default is ``LOOPS_TEAM``, or else your default team.

        Returns
        -------
        Session
            With its ``id``.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> session = loops.sessions.create()
        """
        return self._transport.send(
            sessions.create(training_project_id=training_project_id, team_id=self._team_id(team_id, creates=True))
        )

    def get(self, session_id: str) -> Session:
        """Fetch a session (``GET /v1/loops/sessions/{session_id}``).

        Parameters
        ----------
        session_id : str
            Id of the session.

        Returns
        -------
        Session
            The session.

        Raises
        ------
        NotFoundError
            If there is no such session.

        Examples
        --------
        >>> loops.sessions.get("sess_1").id
        """
        return self._transport.send(sessions.get(session_id))

    def frame(self, session_id: str) -> pd.DataFrame:
        """Fetch a session as a DataFrame (``GET /v1/loops/sessions/{session_id}``).

        Parameters
        ----------
        session_id : str
            Id of the session.

        Returns
        -------
        pandas.DataFrame
            One row; columns of the kind ``sessions`` in `loops_nb.frames`.

        Raises
        ------
        NotFoundError
            If there is no such session.

        Examples
        --------
        >>> df = loops.sessions.frame("sess_1")
        """
        return self._frame(sessions.get(session_id), "sessions")
