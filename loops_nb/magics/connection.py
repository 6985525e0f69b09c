"""The one connection of a shell: where to, with which key, and why there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.client.address import ENV_URL, HOSTED_URL
from loops_nb.credentials import ENV_KEY
from loops_nb.errors import CredentialsError, LoopsError, one_line, with_hint

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.loops import Loops
    from loops_nb.magics.knowledge import Knowledge

_TRUSTED_DOMAIN = ".baseten.co"
_BY_PROJECT = "from pyproject.toml"
_BY_CONFIG = "set by %config LoopsMagics.base_url"
_BY_PERSON = "chosen with %loops connect"
LOCAL = "the local service running on this machine"


class Target(NamedTuple):
    """Where to connect.

    Parameters
    ----------
    url
        Root of the API.
    because
        Why there, as half a sentence.
    """

    url: str
    because: str


class Wishes(NamedTuple):
    """What the settings say about the connection; ``project_url`` is a file's word, the weakest."""

    base_url: str
    project_url: str
    auth_scheme: str
    timeout: float


class Connection:
    """The client that all verbs of a shell share; made at the first need, made again when what it stands on has changed.

    Parameters
    ----------
    wishes
        Returns the settings of now.
    knowledge
        What is known of the service; forgotten when the connection goes elsewhere.
    """

    def __init__(self, wishes: Callable[[], Wishes], knowledge: Knowledge) -> None:
        self._wishes = wishes
        self._knowledge = knowledge
        self._chosen: Target | None = None
        self._client: Loops | None = None
        self._target: Target | None = None
        self._stands_on: tuple[Any, ...] = ()
        #: The service that the knowledge is of.
        self._known_url = ""

    @property
    def live(self) -> Loops | None:
        """The client, if there is one already; never makes one."""
        return self._client

    def target(self) -> Target | None:
        """Return where a line would connect now; None when there is no address, no key and no running local service.

        As long as nothing that the connection stands on has changed, that is where it is.
        """
        if self._client is not None and self._stands_on == self._ground():
            return self._target
        return self._wanted()

    def _wanted(self) -> Target | None:
        """Return where the settings say to connect.

        In this order: ``%loops connect`` or ``%loops local start``, the setting ``base_url``, ``LOOPS_BASE_URL``, a project's file, the
        hosted service if there is a key, a running local service.
        """
        wishes = self._wishes()
        if self._chosen is not None:
            return self._chosen
        if wishes.base_url:
            return Target(wishes.base_url, _BY_CONFIG)
        if os.environ.get(ENV_URL, "").strip():
            return Target(os.environ[ENV_URL].strip(), f"from {ENV_URL}")
        if wishes.project_url:
            return Target(wishes.project_url, _BY_PROJECT)
        from loops_nb.credentials import resolve_key  # noqa: PLC0415 - asks the system keyring, which is slow

        if resolve_key() is not None:
            return Target(HOSTED_URL, "the hosted service, because there is an API key")
        from loops_nb.local import launcher  # noqa: PLC0415

        running = launcher.status()
        return None if running is None else Target(running.url, LOCAL)

    def key_url(self) -> str:
        """Return the address that a new API key is for: the one of the settings, else the hosted service.

        Raises
        ------
        CredentialsError
            If a project's file names a service of somebody else's.
        """
        wishes = self._wishes()
        if not wishes.base_url and not os.environ.get(ENV_URL, "").strip() and wishes.project_url:
            self._check_trust(Target(wishes.project_url, _BY_PROJECT))
        return wishes.base_url or os.environ.get(ENV_URL, "").strip() or wishes.project_url or HOSTED_URL

    def client(self) -> Loops:
        """Return the shared client.

        Raises
        ------
        CredentialsError
            If there is nowhere to connect to, or no key for it.
        """
        if self._client is not None and self._stands_on == self._ground():
            return self._client
        return self._at(self._wanted())

    def connect(self, url: str | None, *, because: str = _BY_PERSON) -> Loops:
        """Connect to an address, or with None to what the settings say; a new client is kept only if the service answered.

        Parameters
        ----------
        url
            Root of the API.
        because
            Why there, as half a sentence.

        Raises
        ------
        LoopsError
            If the address is none, nothing answers there, or the key is refused.  The former connection stays then, also where a
            setting or a key that has changed meanwhile would lead elsewhere: what the error says is where the next line goes.
        """
        target = self._wanted() if url is None else Target(url, because)
        if target is None or (url is None and (self._client is None or self.target() == target)):
            client = self.client()
            ask(client)
            return client
        try:
            if url is None:
                self._check_trust(target)
            client = self._answering(target)
        except LoopsError as error:
            raise with_hint(error, f"{self._stay()} {error.hint}") from None
        if url is not None:
            target = self._chosen = Target(client.base_url, because)
        self._use(client, target)
        return client

    def _answering(self, target: Target) -> Loops:
        """Return a client for an address at which the service answers."""
        client = self._make(target)
        try:
            ask(client)
        except BaseException:
            client.close()
            raise
        return client

    def _at(self, target: Target | None) -> Loops:
        """Connect there."""
        if target is None:
            raise CredentialsError(
                "Not connected: there is no API key, and no local service is running.",
                hint="Type %loops local start (sample data, no key needed) or %loops login",
            )
        self._check_trust(target)
        client = self._make(target)
        self._use(client, target)
        return client

    def _stay(self) -> str:
        """Keep the connection where it is, with the key and the settings of now; return what to say of it."""
        if self._client is None or self._target is None:
            return "Nothing was changed."
        try:
            if self._stands_on != self._ground():
                self._at(self._target)
        except LoopsError:
            # With the settings of now it cannot be kept, and the next line says why.
            return "Nothing was changed."
        return f"You stay connected to {self._client.base_url}."

    def follow_local(self) -> str | None:
        """Go on with the local service where it runs now, after nothing answered at its former address; return the new one.

        It was started again, on another port.  None if it does not run, or if the connection was never to the local service as such.
        """
        from loops_nb.local import launcher  # noqa: PLC0415

        target = self._target
        if target is None or target.because != LOCAL:
            return None
        try:
            running = launcher.status()
        except LoopsError:
            return None
        if running is None or running.url == target.url:
            return None
        self.choose(Target(running.url, LOCAL) if self._chosen is not None else None)
        return running.url

    def choose(self, target: Target | None) -> None:
        """Connect there from now on; None goes back to what the settings say."""
        self.drop()
        self._chosen = target

    def drop(self) -> None:
        """Close the client; the next line makes a new one."""
        if self._client is not None:
            self._client.close()
        self._client = self._target = None
        self._stands_on = ()

    @property
    def because(self) -> str:
        """Why the client is connected where it is."""
        return self._target.because if self._target is not None else ""

    def is_chosen(self, url: str) -> bool:
        """Tell whether the connection goes to an address."""
        return (self._target is not None and self._target.url == url) or (self._chosen is not None and self._chosen.url == url)

    def _make(self, target: Target) -> Loops:
        from loops_nb.loops import Loops  # noqa: PLC0415 - brings httpx in

        wishes = self._wishes()
        try:
            return Loops(base_url=target.url, auth_scheme=wishes.auth_scheme, timeout=wishes.timeout)
        except LoopsError as error:
            if target.because == _BY_PERSON:
                raise
            back = " (%config LoopsMagics.base_url = '' takes it back)" if target.because == _BY_CONFIG else ""
            raise with_hint(error, f"{error.hint} The address {shown(target.url)} is {target.because}{back}.") from None

    def _use(self, client: Loops, target: Target) -> None:
        if self._client is not None and self._client is not client:
            self._client.close()
        if self._known_url not in {"", client.base_url}:
            self._knowledge.forget()
        self._known_url = client.base_url
        self._client, self._target, self._stands_on = client, target, self._ground()

    def _ground(self) -> tuple[Any, ...]:
        # The key itself is not kept here, only whether it changed.
        return (self._wishes(), self._chosen, os.environ.get(ENV_URL), hash(os.environ.get(ENV_KEY)))

    @staticmethod
    def _check_trust(target: Target) -> None:
        from urllib.parse import urlsplit  # noqa: PLC0415

        from loops_nb.config.loopback import is_loopback  # noqa: PLC0415

        try:
            host = (urlsplit(target.url).hostname or "").lower()
        except ValueError:
            # What is no address goes nowhere; it is refused in words where the client is made.
            return
        if target.because == _BY_PROJECT and not is_loopback(host) and not host.endswith(_TRUSTED_DOMAIN):
            raise CredentialsError(
                f"pyproject.toml of this folder names {shown(target.url)}, which is not Baseten's, so your API key was not sent there.",
                hint=f"If you trust it, type %loops connect {shown(target.url)}",
            )


def shown(url: str) -> str:
    """Return an address as it can be shown: in one line, and without what may be a password."""
    before, at, _ = url.partition("//")[2].rpartition("@")
    return one_line(url.replace(f"{before}{at}", "<hidden>@", 1) if at else url, limit=300)


def ask(client: Loops) -> None:
    """Ask the service for something small that needs a valid key.

    Raises
    ------
    LoopsError
        If it does not answer, or refuses the key.
    """
    from loops_nb.errors import NotFoundError, PermissionDeniedError  # noqa: PLC0415

    try:
        client.capabilities.list()
    except (PermissionDeniedError, NotFoundError):
        # The key is known there; an older service has not this route.
        client.runs.list()
