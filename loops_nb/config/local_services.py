"""Tokens of the local services that this user runs.

A running service has a file in ``local/services`` below `home_dir`, and its token in the file ``token`` of its data
folder.  Only the user who started the service can read them, so they prove the identity of the user.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import re
import secrets
import stat
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from loops_nb.config.file_systems import file_system_of
from loops_nb.config.paths import home_dir

#: Files in the data folder of a service: the lock held while it runs, and its token.
LOCK_FILE = "lock"
TOKEN_FILE = "token"  # noqa: S105 - the name of a file
# Nothing else is ever read or sent as a token, and never an API key.
_TOKEN = re.compile(r"local-[0-9a-f]{48}")
_LOCALHOST = "localhost"


class OwnService(NamedTuple):
    """A local service that this user runs.

    Parameters
    ----------
    url : str
        Its address.
    pid : int
        Its process id.
    data_dir : pathlib.Path
        Its data folder, which has the token.
    any_key : bool
        Whether it takes any key, so that there is no token.
    """

    url: str
    pid: int
    data_dir: Path
    any_key: bool

    def token(self) -> str:
        """Return its token; empty if there is none."""
        return "" if self.any_key else read_token(self.data_dir)


def new_token() -> str:
    """Return a random token."""
    return f"local-{secrets.token_hex(24)}"


def read_token(data_dir: Path) -> str:
    """Return the token in a data folder; empty if there is none, or others could have read or written it."""
    path = data_dir / TOKEN_FILE
    try:
        # Without following a link, which could lead to another secret that would then be sent.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(200).decode("ascii").strip() if _is_private(os.fstat(file.fileno())) else ""
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _TOKEN.fullmatch(text) else ""


def _is_private(found: os.stat_result) -> bool:
    if sys.platform == "win32":
        return True  # access is controlled by lists that a new file inherits from the user's folder
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def services_folder() -> Path:
    """Return the folder with a file for each service that runs on this machine."""
    return home_dir() / "local" / f"services{machine_suffix()}"


def machine_suffix() -> str:
    """Return what the names of notes about running services end with: empty, unless other machines share the folder.

    A service is on the loopback of one machine: on another one, its note would send the token to whatever listens at
    that port.
    """
    if file_system_of(home_dir()).is_local:
        return ""
    return f"-{re.sub(r'[^A-Za-z0-9.-]', '-', platform.node())}"


def note_file(url: str) -> Path:
    """Return the file of the service at a URL."""
    return services_folder() / f"{urlsplit(url).port}.json"


def own_service(url: str) -> OwnService | None:
    """Return the service of this user that runs at a URL; None if there is none.

    The host must be the one that the service was started with: at another loopback address, or at that of
    ``localhost``, another user of this machine may listen on the same port.
    """
    try:
        asked = urlsplit(url)
        found = _read_note(note_file(url)) if asked.port else None
    except ValueError:  # no port, no home folder
        return None
    return found if found is not None and urlsplit(found.url).hostname == asked.hostname else None


def own_services() -> list[OwnService]:
    """Return every local service that this user runs."""
    try:
        files = sorted(services_folder().glob("*.json"))
    except (OSError, ValueError):  # no home folder
        return []
    return [found for found in map(_read_note, files) if found is not None]


def own_service_url(url: str) -> str:
    """Return the URL of this user's service for a ``localhost`` URL; every other URL unchanged."""
    try:
        asked = urlsplit(url)
        if asked.scheme != "http" or asked.hostname != _LOCALHOST or not asked.port:
            return url
        found = _read_note(note_file(url))
    except ValueError:
        return url
    return found.url + asked.path if found is not None and _is_loopback(found.url) else url


def _is_loopback(url: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False


def _read_note(path: Path) -> OwnService | None:
    try:
        note = json.loads(path.read_bytes())
        found = OwnService(
            str(note["url"]), int(note["pid"]), Path(str(note["data_dir"])), any_key=note.get("any_key") is True
        )
        urlsplit(found.url).port  # noqa: B018 - it raises when the URL is none
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    # A killed service leaves its file behind; its port and process id may belong to others now.
    return found if is_alive(found.pid) and _is_held(found.data_dir / LOCK_FILE) else None


def _is_held(lock: Path) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl  # not on Windows

    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass  # there is no such folder
    return False


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id runs, this user's or another's."""
    if pid <= 0:
        return False  # such ids are process groups
    if sys.platform == "win32":
        return True  # a signal 0 would end it there
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
