"""Base class of `Loops` and `AsyncLoops`: address, key and policy of their connection."""

from __future__ import annotations

from loops_nb.client.config import ClientConfig


class BaseClient:
    """A client of one service.

    Parameters
    ----------
    config : ClientConfig
        Address, key and request policy.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    @property
    def config(self) -> ClientConfig:
        """Address, key and request policy; clients with an equal ``config.identity`` share one poller."""
        return self._config

    @property
    def base_url(self) -> str:
        """Root of the API.

        Examples
        --------
        >>> loops.base_url
        'http://127.0.0.1:8787'
        """
        return self._config.address.url

    @property
    def is_local(self) -> bool:
        """Whether the service is on this machine.

        Examples
        --------
        >>> loops.is_local
        True
        """
        return self._config.address.is_loopback

    @property
    def key_source(self) -> str:
        """Where the key came from.

        One of ``argument``, ``BASETEN_API_KEY``, ``keyring``, ``file``, ``local token`` and ``local placeholder``.

        Examples
        --------
        >>> loops.key_source
        'keyring'
        """
        return self._config.key.source

    def reveal_key(self) -> str:
        """Return the key or token in the clear, for another client of the same service.

        Returns
        -------
        str
            A secret.

        Examples
        --------
        >>> service = ServiceClient(base_url=loops.base_url, api_key=loops.reveal_key())
        """
        return self._config.key.secret.reveal()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.base_url}, key from {self.key_source}>"
