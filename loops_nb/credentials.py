"""The API key: where it comes from, where it is kept, and how it stays out of sight."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.errors import ConfigError, CredentialsError
from loops_nb.home import home_dir
from loops_nb.tokens import own_service

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
ENV_KEY = "BASETEN_API_KEY"
_SERVICE = "loops-nb"
_ACCOUNT = "baseten-api-key"
_SCHEMES = ("bearer ", "api-key ")
#: No key is shorter.  What stands for one, as the word "local", is an ordinary word, and sentences need it.
_SHORTEST = 8
#: What is sent where a service wants a key and any will do.
PLACEHOLDER = "local"


class Secret:
    """A text that no repr, format, log or pickle shows.

    Parameters
    ----------
    text
        The secret.  Call `reveal` at the very place where it is needed, and keep the result in no variable.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def redact(self, text: str) -> str:
        """Return a text with every occurrence of the secret blotted out."""
        return text.replace(self._text, "<api key>") if len(self._text) >= _SHORTEST else text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("A Secret cannot be pickled: it would land in a file in the clear.")


class LoopbackKey(Secret):
    """The key for an address on this machine: the token of the user's own local service there, else what was given.

    The token is looked up for each request, so that a client finds a service that starts later, and sends the token nowhere once the
    service has ended and its port may be another program's.

    Parameters
    ----------
    text
        What is sent where no service of this user runs.
    url
        The address.
    given
        Whether the caller named the key itself; only such a key is sent to an own service that takes any.
    """

    __slots__ = ("_given", "_url")

    def __init__(self, text: str, url: str, *, given: bool) -> None:
        super().__init__(text)
        self._url = url
        self._given = given

    def reveal(self) -> str:
        """Return the key to send now."""
        service = own_service(self._url)
        if service is None:
            return self._text
        # Not a key of the environment: it is that of the hosted service.
        return service.token() or (self._text if self._given else PLACEHOLDER)

    def redact(self, text: str) -> str:
        """Return a text without the key that is sent now, and without the one that was given."""
        return Secret(self.reveal()).redact(super().redact(text))


class FoundKey(NamedTuple):
    """A key and where it came from: ``argument``, ``BASETEN_API_KEY``, ``keyring`` or ``file``."""

    secret: Secret
    source: str


def resolve_key(argument: str | None = None, *, stored: bool = True) -> FoundKey | None:
    """Return the API key to use: the argument, ``BASETEN_API_KEY``, then what `store_key` kept; None if there is none.

    Parameters
    ----------
    argument
        What the caller gave.
    stored
        Whether to look for a stored key too.

    Raises
    ------
    CredentialsError
        If a key was found that cannot be one (blank, or with spaces or control characters).
    """
    if argument is not None:
        return FoundKey(checked_key(argument, "The api_key argument"), "argument")
    if os.environ.get(ENV_KEY, "").strip():
        return FoundKey(checked_key(os.environ[ENV_KEY], ENV_KEY), ENV_KEY)
    if stored and (kept := _from_keyring()):
        return FoundKey(checked_key(kept, "The key in the system keyring"), "keyring")
    if stored and (kept := _from_file()):
        return FoundKey(checked_key(kept, f"The key in {key_file()}"), "file")
    return None


def checked_key(text: str, where: str) -> Secret:
    """Return a text as a key, without the scheme that people paste along with it.

    Raises
    ------
    CredentialsError
        If it cannot be a key.  The text itself is never shown.
    """
    key = text.strip() if isinstance(text, str) else ""
    for scheme in _SCHEMES:
        if key.lower().startswith(scheme):
            key = key[len(scheme) :].strip()
    if not key:
        raise CredentialsError(f"{where} is empty.", hint="Get a key from your Baseten workspace, then type %loops login")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsError(
            f"{where} cannot be an API key: it has spaces, line breaks or characters outside ASCII (the text is not shown).",
            hint="Copy the key again and type %loops login",
        )
    return Secret(key)


def store_key(key: str) -> str:
    """Keep a key for later sessions: in the system keyring, or where there is none in a file only its owner can read.

    Returns
    -------
    str
        ``"keyring"`` or ``"file"``.

    Raises
    ------
    CredentialsError
        If it cannot be a key, or could not be stored anywhere.
    """
    secret = checked_key(key, "The key")
    ring = _keyring()
    if ring is not None:
        try:
            ring.set_password(_SERVICE, _ACCOUNT, secret.reveal())
            if ring.get_password(_SERVICE, _ACCOUNT) == secret.reveal():
                # An older file would otherwise come back after the keyring entry is removed.
                key_file().unlink(missing_ok=True)
                return "keyring"
        except Exception as error:  # noqa: BLE001 - backends raise errors of their own libraries; the key goes into a file then
            # Without the error's text, which may quote the key.
            _LOG.warning("The system keyring could not store the key (%s).", type(error).__name__)
    try:
        _write_private(key_file(), secret)
    except OSError as error:
        raise CredentialsError(
            f"The key could not be kept: no system keyring, and {key_file()} cannot be written ({error.strerror}).",
            hint=f"Set {ENV_KEY} in the environment instead.",
        ) from None
    return "file"


def forget_key() -> bool:
    """Remove the stored key from the keyring and the file; tell whether there was one."""
    had = False
    ring = _keyring()
    if ring is not None:
        try:
            if ring.get_password(_SERVICE, _ACCOUNT):
                ring.delete_password(_SERVICE, _ACCOUNT)
                had = True
        except Exception:  # noqa: BLE001 - backends raise errors of their own libraries
            _LOG.warning("The system keyring could not remove the key.", exc_info=True)
    if key_file().exists():
        key_file().unlink()
        had = True
    return had


def stored_key_source() -> str | None:
    """Tell where a key is stored: ``"keyring"``, ``"file"`` or None."""
    if _from_keyring():
        return "keyring"
    return "file" if _from_file() else None


def key_file() -> Path:
    """Return the file that holds the key where there is no keyring."""
    return home_dir() / "api-key"


def _from_file() -> str:
    try:
        # A file that others can read is still used, but closed at once: refusing it would not make it unread.
        if key_file().stat().st_mode & 0o077:
            key_file().chmod(0o600)
        return key_file().read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError, ConfigError):
        # Without a home folder there is none either.
        return ""


def _write_private(path: Path, secret: Secret) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secret.reveal() + "\n")
    part.replace(path)


def _from_keyring() -> str:
    ring = _keyring()
    if ring is None:
        return ""
    try:
        return ring.get_password(_SERVICE, _ACCOUNT) or ""
    except Exception:  # noqa: BLE001 - backends raise errors of their own libraries; a locked ring counts as none
        _LOG.debug("The system keyring could not be read.", exc_info=True)
        return ""


def _keyring() -> Any:
    """Return the system keyring, or None where there is none that works."""
    try:
        import keyring  # noqa: PLC0415 - slow to import, and only needed without a key in the environment

        ring = keyring.get_keyring()
        works = ring.priority > 0
    except Exception:  # noqa: BLE001 - a broken keyring must not keep anybody from working
        _LOG.debug("There is no system keyring that works.", exc_info=True)
        return None
    return ring if works else None
