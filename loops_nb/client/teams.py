"""Teams by name: the API takes ids only, and a name costs one listing a connection (``GET /v1/teams``)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from loops_nb.client import checks
from loops_nb.client.operations import server
from loops_nb.client.transport import Transport
from loops_nb.config.creation_defaults import ENV_TEAM, creation_default
from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from loops_nb.api.models import Team
    from loops_nb.client.config import ClientConfig

_MOST_LISTED = 10


class TeamDirectory:
    """The teams of one service and key, as they were listed last.  An id takes precedence over a name."""

    def __init__(self) -> None:
        self._teams: tuple[Team, ...] = ()

    def add(self, teams: list[Team]) -> None:
        """Take a listing in."""
        self._teams = tuple(teams)

    def find(self, text: str) -> str | None:
        """Return the id of the team with an id or a name; None if no listed team has it.

        Raises
        ------
        InvalidArgumentError
            If several teams have the name; the text gives their ids.
        """
        teams = self._teams
        if any(team.id == text for team in teams):
            return text
        named = [team.id for team in teams if team.name == text]
        if len(named) > 1:
            raise InvalidArgumentError(
                f"{len(named)} teams are named {text!r:.80}, so the name does not say which.",
                argument="team_id",
                hint=f"Give the id of one: {first_and_more(named, _MOST_LISTED)}",
            )
        return named[0] if named else None

    def need(self, text: str, *, origin: str = "") -> str:
        """Return the id of the team with an id or a name.

        Parameters
        ----------
        text : str
            The id or the name.
        origin : str, default ""
            Where it comes from, where no line names it; for the message.

        Raises
        ------
        NotFoundError
            If no listed team has it; the hint names those there are.
        """
        found = self.find(text)
        if found is None:
            names = first_and_more([team.name or team.id for team in self._teams], _MOST_LISTED)
            raise NotFoundError(
                f"There is no team with the id or name {text!r:.80}{origin}. Nothing was sent for it.",
                status=404,
                hint=f"Your teams: {names}." if names else "The service lists no teams to you.",
            )
        return found


def team_directory(config: ClientConfig) -> TeamDirectory:
    """Return the teams known of a connection; the same object for all clients of one service and key."""
    return _directory(config.identity)


@lru_cache(maxsize=64)
def _directory(identity: Any) -> TeamDirectory:
    del identity  # the key of the cache
    return TeamDirectory()


def checked_team(team_id: Any) -> str | None:
    """Return the id or the name of a team, or None."""
    return checks.optional_text("team_id", team_id)


def team_of_creation(team_id: Any) -> str | None:
    """Return the team that something is created in: the argument's, else that of ``LOOPS_TEAM``."""
    return checked_team(creation_default(ENV_TEAM) if team_id is None else team_id)


def team_id_of(config: ClientConfig, team_id: Any) -> str | None:
    """Return the id of a team given by id or name, over a connection of its own; for panels.

    Raises
    ------
    NotFoundError, InvalidArgumentError
        As `TeamDirectory.need`.
    """
    wanted, directory = checked_team(team_id), team_directory(config)
    if wanted is None:
        return None
    found = directory.find(wanted)
    if found is not None:
        return found
    own = Transport(config)
    try:
        directory.add(own.send(server.teams()))
    except (PermissionDeniedError, NotFoundError):
        # Who may not list teams knows the id.
        return checks.identifier("team_id", wanted)
    finally:
        own.close()
    return directory.need(wanted)
