"""The client that all verbs of a shell share: its address, its key, and the reason for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.client.address import ENV_URL, HOSTED_URL, configured_url
from loops_nb.config.credentials import ENV_KEY
from loops_nb.config.local_services import own_services
from loops_nb.config.trusted_hosts import is_trusted_for_project
from loops_nb.errors import CredentialsError, LoopsError, one_line, with_hint
from loops_nb.magics.suggest import join_or

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.completion_cache import CompletionCache
    from loops_nb.resources.loops import Loops

_BY_PROJECT = "from pyproject.toml"
_BY_CONFIG = "set by %config LoopsMagics.base_url"
_BY_CONNECT = "chosen with %loops connect"
#: Why the address is used, for each source of `configured_url`.
_REASONS = {"setting": _BY_CONFIG, ENV_URL: f"from {ENV_URL}", "project": _BY_PROJECT}
LOCAL = "the local service running on this machine"


class Target(NamedTuple):
    """Where to connect.

    Parameters
    ----------
    url : str
        Root of the API.
    because : str
        The reason, as half a sentence.
    """

    url: str
    because: str


class ConnectionSettings(NamedTuple):
    """The settings of the connection; ``project_url`` comes from a ``pyproject.toml``."""

    base_url: str
    project_url: str
    auth_scheme: str
    timeout: float


class SharedClient:
    """The client that all verbs of a shell share; created when needed, and again when the settings or the key changed.

    Parameters
    ----------
    settings : callable
        Returns the current settings.
    cache
        What is known of the service; forgotten when the connection goes elsewhere.
    """

    def __init__(self, settings: Callable[[], ConnectionSettings], cache: CompletionCache) -> None:
        self._settings = settings
        self._cache = cache
        self._selected: Target | None = None
        self._client: Loops | None = None
        self._target: Target | None = None
        self._inputs_used: tuple[Any, ...] = ()
        #: The service that the cache is of.
        self._known_url = ""

    @property
    def current(self) -> Loops | None:
        """The client if there is one; None before it is needed."""
        return self._client

    def target(self) -> Target | None:
        """Return where a line would connect now; None when there is no address, no key and no running local service.

        As long as nothing that the connection stands on has changed, that is where it is.
        """
        if self._client is not None and self._inputs_used == self._inputs():
            return self._target
        return self._configured()

    def _configured(self) -> Target | None:
        """Return where the settings say to connect.

        ``%loops connect`` or ``%loops local start`` comes first, then the order of `configured_url`, then the hosted
        service if there is an API key, then a running local service: the one of ``%loops local start``, else the only
        one that ``loops-nb serve`` runs.
        """
        if self._selected is not None:
            return self._selected
        settings = self._settings()
        found = configured_url(setting=settings.base_url, project=settings.project_url)
        if found is not None:
            return Target(found.url, _REASONS[found.source])
        from loops_nb.config.credentials import resolve_key  # asks the system keyring, which is slow

        if resolve_key() is not None:
            return Target(HOSTED_URL, "the hosted service, because there is an API key")
        from loops_nb.local import launcher

        running = launcher.status()
        if running is not None:
            return Target(running.url, LOCAL)
        served = own_services()
        return Target(served[0].url, LOCAL) if len(served) == 1 else None

    def key_url(self) -> str:
        """Return the address that a new API key is for: the configured one, else the hosted service.

        Raises
        ------
        CredentialsError
            If a project's file names an untrusted service.
        """
        settings = self._settings()
        found = configured_url(setting=settings.base_url, project=settings.project_url)
        if found is None:
            return HOSTED_URL
        self._check_trust(Target(found.url, _REASONS[found.source]))
        return found.url

    def client(self) -> Loops:
        """Return the shared client.

        Raises
        ------
        CredentialsError
            If there is nowhere to connect to, or no key for it.
        """
        if self._client is not None and self._inputs_used == self._inputs():
            return self._client
        return self._switch_to(self._configured())

    def connect(self, url: str | None, *, because: str = _BY_CONNECT) -> Loops:
        """Connect to an address; a new client is kept only if the service answered.

        Parameters
        ----------
        url : str or None
            Root of the API; None for the configured one.
        because : str
            The reason, as half a sentence.

        Raises
        ------
        LoopsError
            If the address is invalid, nothing answers there, or the key is refused.  The former connection stays then,
            even if a setting or a key has changed meanwhile.
        """
        target = self._configured() if url is None else Target(url, because)
        if target is None or (url is None and (self._client is None or self.target() == target)):
            client = self.client()
            check_connection(client)
            return client
        try:
            if url is None:
                self._check_trust(target)
            client = self._checked_client(target)
        except LoopsError as error:
            raise with_hint(error, f"{self._keep()} {error.hint}") from None
        if url is not None:
            target = self._selected = Target(client.base_url, because)
        self._use(client, target)
        return client

    def _checked_client(self, target: Target) -> Loops:
        client = self._new_client(target)
        try:
            check_connection(client)
        except BaseException:
            client.close()
            raise
        return client

    def _switch_to(self, target: Target | None) -> Loops:
        if target is None and (served := own_services()):
            raise CredentialsError(
                f"Not connected: there is no API key, and {len(served)} local services are running.",
                hint=f"They are on {join_or([one.url for one in served])}; choose one: %loops connect {served[0].url}",
            )
        if target is None:
            raise CredentialsError(
                "Not connected: there is no API key, and no local service is running.",
                hint="Type %loops local start (sample data, no key needed) or %loops login",
            )
        self._check_trust(target)
        client = self._new_client(target)
        self._use(client, target)
        return client

    def _keep(self) -> str:
        """Keep the connection with the current key and settings; return the sentence that says so."""
        if self._client is None or self._target is None:
            return "Nothing was changed."
        try:
            if self._inputs_used != self._inputs():
                self._switch_to(self._target)
        except LoopsError:
            # It cannot be kept with the current settings; the next line reports why.
            return "Nothing was changed."
        return f"You stay connected to {self._client.base_url}."

    def follow_local(self) -> str | None:
        """Connect to a local service that was restarted on another port, and return its new address.

        None if it does not run, or the connection was not to the local service.
        """
        from loops_nb.local import launcher

        target = self._target
        if target is None or target.because != LOCAL:
            return None
        try:
            running = launcher.status()
        except LoopsError:
            return None
        if running is None or running.url == target.url:
            return None
        restarted = None
        if self._selected is not None:
            restarted = Target(running.url, LOCAL)
        self.select(restarted)
        return running.url

    def select(self, target: Target | None) -> None:
        """Connect to a target from now on; None for the configured one."""
        self.drop()
        self._selected = target

    def drop(self) -> None:
        """Close the client; the next line creates a new one."""
        if self._client is not None:
            self._client.close()
        self._client = self._target = None
        self._inputs_used = ()

    @property
    def because(self) -> str:
        """The reason for the current address."""
        if self._target is None:
            return ""
        return self._target.because

    def is_selected(self, url: str) -> bool:
        """Tell whether the connection goes to an address."""
        return any(target is not None and target.url == url for target in (self._target, self._selected))

    def _new_client(self, target: Target) -> Loops:
        from loops_nb.resources.loops import Loops  # brings httpx in

        settings = self._settings()
        try:
            return Loops(base_url=target.url, auth_scheme=settings.auth_scheme, timeout=settings.timeout)
        except LoopsError as error:
            if target.because == _BY_CONNECT:
                raise
            back = ""
            if target.because == _BY_CONFIG:
                back = " (%config LoopsMagics.base_url = '' resets it)"
            raise with_hint(
                error, f"{error.hint} The address {redacted_url(target.url)} is {target.because}{back}."
            ) from None

    def _use(self, client: Loops, target: Target) -> None:
        if self._client is not None and self._client is not client:
            self._client.close()
        if self._known_url not in {"", client.base_url}:
            self._cache.clear()
        self._known_url = client.base_url
        self._client, self._target, self._inputs_used = client, target, self._inputs()

    def _inputs(self) -> tuple[Any, ...]:
        # Only the hash of the key, not the key itself.
        return (self._settings(), self._selected, os.environ.get(ENV_URL), hash(os.environ.get(ENV_KEY)))

    @staticmethod
    def _check_trust(target: Target) -> None:
        if target.because == _BY_PROJECT and not is_trusted_for_project(target.url):
            raise CredentialsError(
                f"pyproject.toml of this folder names {redacted_url(target.url)}, which is not Baseten's, so your "
                "API key was not sent there.",
                hint=f"If you trust it, type %loops connect {redacted_url(target.url)}",
            )


def redacted_url(url: str) -> str:
    """Return an address in one line, without user name and password."""
    before, at, _ = url.partition("//")[2].rpartition("@")
    if at:
        url = url.replace(f"{before}@", "<hidden>@", 1)
    return one_line(url, limit=300)


def check_connection(client: Loops) -> None:
    """Send a small request that needs a valid key.

    Raises
    ------
    LoopsError
        If it does not answer, or refuses the key.
    """
    from loops_nb.errors import NotFoundError, PermissionDeniedError

    try:
        client.capabilities.list()
    except (PermissionDeniedError, NotFoundError):
        # The key is valid; an older service does not have this route.
        client.runs.list()
