"""``loops.secrets``: the names of the secrets that the service keeps."""

from __future__ import annotations

from loops_nb.api.models import SecretName
from loops_nb.client.operations import server
from loops_nb.resources.base import Resource


class Secrets(Resource):
    """The names of the secrets that the service keeps; it never sends their values."""

    def list(self, *, team_id: str | None = None) -> list[SecretName]:
        """List the names of secrets (``GET /v1/secrets`` or ``GET /v1/teams/{team_id}/secrets``).

        Parameters
        ----------
        team_id : str, optional
            Only those of this team, given by id or name.

        Returns
        -------
        list of SecretName
            With ``name`` and ``team_name``.

        Raises
        ------
        NotFoundError
            If there is no such team.

        Examples
        --------
        >>> [secret.name for secret in loops.secrets.list()]
        """
        return self._transport.send(server.secrets(team_id=self._team_id(team_id)))
