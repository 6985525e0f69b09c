"""A PostgreSQL of the tests: Debian's, in a temporary folder, on a port of this machine.

``python -m tests.tracking.postgres_server`` installs it where that is possible; ``make test`` does so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.browser.ports import free_port
from tests.browser.prepare import apt_installed

_FOLDERS = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
_WAIT_SECONDS = 30.0
_PAUSE_SECONDS = 0.02
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'loops_nb' AND tablename <> 'schema_version'"
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
"""
_FAST = """
fsync = off
autovacuum = off
"""


def programs() -> Path | None:
    """Return the folder with ``initdb`` and ``postgres``; None if PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found is not None and shutil.which("postgres", path=str(Path(found).parent)):
        return Path(found).parent
    places = [place for folder in _FOLDERS for place in sorted(Path(folder).glob("**/bin/initdb"), reverse=True)]
    return places[0].parent if places else None


class PostgresServer:
    """A server with one user, who has no password and may do everything.

    Parameters
    ----------
    folder : Path
        An empty folder for its files.
    is_durable : bool, default False
        As it is installed; else faster, as nothing of a test has to survive a failure of the power.
    """

    def __init__(self, folder: Path, *, is_durable: bool = False) -> None:
        found = programs()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed")
        self._programs = found
        self._data = folder / "data"
        self._log = folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        initdb = [
            str(self._programs / "initdb"),
            "-D",
            str(self._data),
            "-U",
            "team",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ]
        subprocess.run([*initdb, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder, **self._user)
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS if is_durable else _SETTINGS + _FAST)

    def address(self, database: str, *, port: int | None = None) -> str:
        """Return the address of a database, directly or through a proxy."""
        return f"postgresql://team@127.0.0.1:{port or self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Create an empty database, and return its address."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 STRATEGY wal_log')
        return self.address(name)

    def with_password(self, user: str, password: str) -> str:
        """Create a user who has to give a password, and return an address for that user."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD '{password}'")
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres"

    def delete_experiments(self) -> None:
        """Empty the tables of ``loops_nb`` in the first database; faster than a new one."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            found = connection.execute(_TABLES).fetchall()
            if found:
                tables = ", ".join(f"loops_nb.{name}" for (name,) in found)
                connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._data, start_new_session=True, **self._user
            )
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                psycopg.connect(self.address("postgres"), connect_timeout=1).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL did not start: {self._log.read_text()[-500:]}") from error
                time.sleep(_PAUSE_SECONDS)
            else:
                return

    def kill(self) -> None:
        """End it and all of its processes at once, as ``kill -9`` does."""
        # A child that a test forks ends its own copy of the fixtures.
        if self._process is not None and os.getpid() == self._owner:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it quickly; connections are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "daemon"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise FileNotFoundError("There is no user that PostgreSQL could run as.")


def main() -> int:
    """Install PostgreSQL where that is possible; the tests that need it are skipped elsewhere."""
    if programs() is not None:
        return 0
    print("Installing Debian's PostgreSQL for the tests of a team's store.", flush=True)
    said = apt_installed("postgresql")
    if programs() is None:
        print(f"Tests of a team's store are skipped: PostgreSQL is not installed. {said or ''}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
