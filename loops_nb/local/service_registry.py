"""The registry file by which other processes of this user find a running service, and its token."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loops_nb.config.file_systems import file_system_of
from loops_nb.config.local_services import TOKEN_FILE, machine_suffix, new_token, read_token
from loops_nb.config.paths import home_dir
from loops_nb.local.errors import StoreError
from loops_nb.local.files import private_folder, write_private


class ServiceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A running local service.

    Parameters
    ----------
    url : str
        Where it answers, such as ``http://127.0.0.1:8787``.
    pid : int
        Its process.
    data_dir : str
        Folder of its records and files.
    version : str
        Version of ``loops_nb`` that it runs.
    started_at : datetime
        When it was ready, in UTC.
    instance : str
        Random id that its ``/health`` answers too.
    notice : str, default ""
        Message about the start, such as weights that were moved aside; usually empty.
    any_key : bool, default False
        Whether it takes any key in place of its token.
    """

    url: str
    pid: int
    data_dir: str
    version: str
    started_at: datetime
    instance: str
    notice: str = ""
    any_key: bool = False


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def local_folder() -> Path:
    """Return the folder of everything that the local service keeps for this user."""
    return home_dir() / "local"


def default_data_dir(*, sample: bool) -> Path:
    """Return the default data folder; the sample workspace has its own, so that it never mixes with real work."""
    return local_folder() / ("sample" if sample else "data")


def registry_file() -> Path:
    """Return the path of the registry file of the service that notebooks of this machine share."""
    return local_folder() / f"service{machine_suffix()}.json"


def service_log(registry: Path) -> Path:
    """Return the log file of the service with this registry file."""
    return registry.with_suffix(".log")


def write_registry(path: Path, info: ServiceInfo) -> None:
    """Write the registry file."""
    private_folder(path.parent)
    write_private(path, msgspec.json.encode(info))


def read_registry(path: Path) -> ServiceInfo | None:
    """Return the registered service; None if there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServiceInfo)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remove_registry(path: Path, instance: str) -> None:
    """Remove the registry file, if it is still that of this instance."""
    found = read_registry(path)
    if found is not None and found.instance == instance:
        path.unlink(missing_ok=True)


def service_token(data_dir: Path) -> str:
    """Return the token of a data folder, made if there is none that only this user knows.

    It stays the same from one start to the next, so that programs which hold it go on after a restart.

    Raises
    ------
    StoreError
        If the file system shows every file to others: then no program finds the token.
    """
    found = read_token(data_dir)
    if not found:
        found = new_token()
        write_private(data_dir / TOKEN_FILE, found.encode() + b"\n")
        if read_token(data_dir) != found:
            raise StoreError(
                f"the token in {data_dir} cannot be kept from other users: its file system "
                f"({file_system_of(data_dir)}) does not keep the modes of files; name another folder, by LOOPS_NB_HOME "
                "or --data-dir"
            )
    return found
