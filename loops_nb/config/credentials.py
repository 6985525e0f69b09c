"""The API key: resolution, storage in the keyring or a file, and redaction."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.config.file_systems import file_system_of
from loops_nb.config.local_services import own_service
from loops_nb.config.paths import home_dir
from loops_nb.errors import ConfigError, CredentialsError

if TYPE_CHECKING:
    from pathlib import Path

logger: logging.Logger = logging.getLogger(__name__)
ENV_KEY = "BASETEN_API_KEY"
_SERVICE = "loops-nb"
_ACCOUNT = "baseten-api-key"
_SCHEMES = ("bearer ", "api-key ")
#: No key is shorter; the placeholder "local" is an ordinary word that must not be redacted.
_SHORTEST = 8
#: Sent to a service that takes any key.
PLACEHOLDER = "local"


class Secret:
    """A string that no repr, format, log or pickle shows.

    Parameters
    ----------
    text : str
        The secret.  Call `reveal` only where it is needed, and do not store the result.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def redact(self, text: str) -> str:
        """Return a text with every occurrence of the secret replaced."""
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
    """The key for an address on this machine: the token of the user's own local service there, else the given key.

    The token is looked up for each request, so that a client finds a service that starts later, and does not send the
    token once the service has ended and its port may belong to another program.

    Parameters
    ----------
    text : str
        Sent where no service of this user runs.
    url : str
        The address.
    given : bool
        Whether the caller gave the key explicitly; only such a key is sent to an own service that takes any.
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
        # Not the key of the environment, which belongs to the hosted service.
        return service.token() or (self._text if self._given else PLACEHOLDER)

    def redact(self, text: str) -> str:
        """Return a text without the key that is sent now, and without the one that was given."""
        return Secret(self.reveal()).redact(super().redact(text))


class FoundKey(NamedTuple):
    """A key and where it came from: ``argument``, ``BASETEN_API_KEY``, ``keyring`` or ``file``."""

    secret: Secret
    source: str


def resolve_key(argument: str | None = None, *, stored: bool = True) -> FoundKey | None:
    """Return the API key to use: the argument, ``BASETEN_API_KEY``, then the stored key; None if there is none.

    Parameters
    ----------
    argument : str, optional
        The key that the caller gave.
    stored : bool, default True
        Whether to read a stored key.

    Raises
    ------
    CredentialsError
        If a key was found that is not valid (blank, or with spaces or control characters).
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


def resolve_key_for(url: str, argument: str | None = None, *, is_loopback: bool) -> FoundKey:
    """Return the API key for an address.

    Parameters
    ----------
    url : str
        Root of the API.
    argument : str, optional
        The key that the caller gave.
    is_loopback : bool
        Whether the address is this machine: a stored key is not read then, and an own service gets its token.

    Raises
    ------
    CredentialsError
        If there is no key, or one that cannot be used.
    """
    found = resolve_key(argument, stored=not is_loopback)
    if is_loopback:
        return _loopback_key(found, url)
    if found is not None:
        return found
    raise CredentialsError(
        f"No API key for {url}: none was given, {ENV_KEY} is not set and none is stored.",
        hint="Type %loops login to store one, or %loops local start to work without a key;"
        " then loops = %loops connect is the notebook's own connection.",
    )


def _loopback_key(found: FoundKey | None, url: str) -> FoundKey:
    service = own_service(url)
    given = found is not None and found.source == "argument"
    secret = LoopbackKey(PLACEHOLDER if found is None else found.secret.reveal(), url, given=given)
    if service is not None and service.token():
        return FoundKey(secret, "local token")
    if found is None or (service is not None and not given):
        return FoundKey(secret, "local placeholder")
    return FoundKey(secret, found.source)


def checked_key(text: str, where: str) -> Secret:
    """Check a key, and remove the scheme that is often pasted along with it.

    Raises
    ------
    CredentialsError
        If it is not a key.  The text itself is never shown.
    """
    key = text.strip() if isinstance(text, str) else ""
    for scheme in _SCHEMES:
        if key.lower().startswith(scheme):
            key = key[len(scheme) :].strip()
    if not key:
        raise CredentialsError(
            f"{where} is empty.", hint="Get a key from your Baseten workspace, then type %loops login"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsError(
            f"{where} is not an API key: it has spaces, line breaks or characters outside ASCII (the text is not "
            f"shown).",
            hint="Copy the key again and type %loops login",
        )
    return Secret(key)


def store_key(key: str) -> str:
    """Store a key for later sessions: in the system keyring, or without one in a file that only its owner can read.

    Returns
    -------
    str
        ``"keyring"`` or ``"file"``.

    Raises
    ------
    CredentialsError
        If it is not a key, or could not be stored.
    """
    secret = checked_key(key, "The key")
    ring = _keyring()
    if ring is not None:
        try:
            ring.set_password(_SERVICE, _ACCOUNT, secret.reveal())
            if ring.get_password(_SERVICE, _ACCOUNT) == secret.reveal():
                # An older file would otherwise be used again after the keyring entry is removed.
                key_file().unlink(missing_ok=True)
                return "keyring"
        except Exception as error:  # noqa: BLE001 - backends raise errors of their own libraries; the key goes into a file then
            # Without the error's text, which may quote the key.
            logger.warning("The system keyring could not store the key (%s).", type(error).__name__)
    try:
        _write_private(key_file(), secret)
    except OSError as error:
        raise CredentialsError(
            f"The key could not be stored: no system keyring, and {key_file()} cannot be written ({error.strerror}).",
            hint=f"Set {ENV_KEY} in the environment instead.",
        ) from None
    return "file"


def forget_key() -> bool:
    """Remove the stored key from the keyring and the file; return whether there was one."""
    had = False
    ring = _keyring()
    if ring is not None:
        try:
            if ring.get_password(_SERVICE, _ACCOUNT):
                ring.delete_password(_SERVICE, _ACCOUNT)
                had = True
        except Exception:
            logger.warning("The system keyring could not remove the key.", exc_info=True)
    if key_file().exists():
        key_file().unlink()
        had = True
    return had


def key_file() -> Path:
    """Return the file that holds the key where there is no keyring."""
    return home_dir() / "api-key"


def _from_file() -> str:
    try:
        # A file that others can read is used, but made private: refusing it would not undo that it could be read.
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
        # Before anything is written: SMB and some FUSE mounts give every file the same mode.
        if sys.platform != "win32" and os.fstat(handle).st_mode & 0o077:
            part.unlink()
            raise CredentialsError(
                f"The key was not stored: there is no system keyring, and {path.parent} shows each file to other users "
                f"({file_system_of(path.parent)}).",
                hint=f"Set {ENV_KEY} in the environment instead, or LOOPS_NB_HOME to a folder on another file system.",
            )
        file.write(secret.reveal() + "\n")
    part.replace(path)


def _from_keyring() -> str:
    ring = _keyring()
    if ring is None:
        return ""
    try:
        return ring.get_password(_SERVICE, _ACCOUNT) or ""
    except Exception:
        logger.debug("The system keyring could not be read.", exc_info=True)
        return ""


def has_keyring_package() -> bool:
    """Return whether the package is installed through which the system keyring is used (extra ``keyring``)."""
    try:
        import keyring  # noqa: F401
    except ImportError:
        return False
    return True


def stored_password(account: str) -> Secret | None:
    """Return a password that the user has put into the keyring under the service ``loops-nb``; None if there is none.

    Parameters
    ----------
    account : str
        What it is for, such as the address of a database.
    """
    ring = _keyring()
    if ring is None:
        return None
    try:
        found = ring.get_password(_SERVICE, account)
    except Exception:
        logger.debug("The system keyring could not be read.", exc_info=True)
        return None
    return Secret(found) if found else None


def _keyring() -> Any:
    """Return the system keyring, or None where there is none that works."""
    try:
        import keyring  # slow to import, and only needed without a key in the environment

        ring = keyring.get_keyring()
        works = ring.priority > 0
    except Exception:
        logger.debug("There is no system keyring that works.", exc_info=True)
        return None
    return ring if works else None
