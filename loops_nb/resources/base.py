"""Base class of the resources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from loops_nb.api.models import CheckpointFile
from loops_nb.client import checks
from loops_nb.client.operations import server
from loops_nb.client.pagination import PageWalk
from loops_nb.client.request import Request
from loops_nb.client.teams import checked_team, team_directory, team_of_creation
from loops_nb.client.transport import Transport
from loops_nb.config.creation_defaults import ENV_TEAM
from loops_nb.errors import NotFoundError, PermissionDeniedError
from loops_nb.resources.frames import frame_of, listing_decoder

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames import ListingRows


class Resource:
    """A group of routes over one transport.

    Parameters
    ----------
    transport : Transport
        It is shared by all resources of a client.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _files(self, walk: PageWalk) -> Iterator[CheckpointFile]:
        for page in self._transport.pages(walk):
            for file in page.files:  # noqa: UP028 - async generators have no `yield from`
                yield file

    def _team_id(self, team_id: str | None, *, creates: bool = False) -> str | None:
        """Return the id of a team given by id or name; teams are listed once a connection."""
        wanted = team_of_creation(team_id) if creates else checked_team(team_id)
        if wanted is None:
            return None
        directory = team_directory(self._transport.config)
        found = directory.find(wanted)
        if found is not None:
            return found
        try:
            directory.add(self._transport.send(server.teams()))
        except (PermissionDeniedError, NotFoundError):
            # Who may not list teams knows the id.
            return checks.identifier("team_id", wanted)
        return directory.need(wanted, origin=f" ({ENV_TEAM} in the environment)" if team_id is None else "")

    def _listing(self, request: Request[Any], kind: str) -> ListingRows:
        return self._transport.send(request.with_decoder(listing_decoder(kind)))

    def _frame(self, request: Request[Any], kind: str) -> pd.DataFrame:
        return frame_of(self._listing(request, kind))
