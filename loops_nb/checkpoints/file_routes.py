"""The routes by which the files of checkpoints are listed, over a connection or over one that a worker opens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from loops_nb.api.models import CheckpointFile, CheckpointSource

if TYPE_CHECKING:
    from loops_nb.client.transport import Transport


class FileRoutes:
    """The two routes that `Storage` needs; it may outlive the service that made it.

    Parameters
    ----------
    transport : Transport
        The connection.  Pickled, only its address is kept: the copy connects with the key of its own process.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __reduce__(self) -> tuple[Any, ...]:
        config = self._transport.config
        return OwnKeyRoutes, (config.address.url, config.scheme)

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint."""
        from loops_nb.client.operations import checkpoints

        for page in self._transport.pages(checkpoints.files(checkpoint_id, page_size=page_size)):
            yield from page.files

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return where a checkpoint's files are stored."""
        from loops_nb.client.operations import checkpoints

        return self._transport.send(checkpoints.source(checkpoint_id))


@dataclass(frozen=True)
class OwnKeyRoutes:
    """`FileRoutes` with the API key of this process (``BASETEN_API_KEY``, or the stored one), found at the first use.

    Parameters
    ----------
    url : str
        Root of the API.
    scheme : str
        How the key is sent.
    """

    url: str
    scheme: str

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint."""
        return self._routes.files(checkpoint_id, page_size=page_size)

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return where a checkpoint's files are stored."""
        return self._routes.source(checkpoint_id)

    @cached_property
    def _routes(self) -> FileRoutes:
        from loops_nb.client.config import ClientConfig
        from loops_nb.client.transport import Transport

        return FileRoutes(Transport(ClientConfig.resolve(None, self.url, auth_scheme=self.scheme)))

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnKeyRoutes, (self.url, self.scheme)


class DebugRoutes:
    """The routes of a debug archive in place of those of a checkpoint, by the id of the deployment.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    #: What has the id, in the sentences of errors.
    owner = "the debug archive of deployment"

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of the archive."""
        from loops_nb.client.operations import deployments

        for page in self._transport.pages(deployments.debug_files(checkpoint_id, page_size=page_size)):
            yield from page.files

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Return that its files have URLs."""
        del checkpoint_id
        return CheckpointSource(kind="s3")
