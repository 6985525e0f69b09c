"""Connections to a team's store: opening, creation and upgrade of its tables, transactions."""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from loops_nb.config.credentials import Secret, stored_password
from loops_nb.config.postgres_address import HOW_TO_GIVE, PostgresAddress
from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.location import StoreAwayError
from loops_nb.tracking.postgres.translation import SCHEMA, translated, translated_step
from loops_nb.tracking.schema import SCHEMA_VERSION, STEPS

if TYPE_CHECKING:
    import psycopg

_logger = logging.getLogger(__name__)
#: Threads of which psycopg logs nothing.
own_threads: set[int] = set()

#: Seconds until a server that does not answer counts as away.
CONNECT_SECONDS = 5
_SILENT_SECONDS = 10
AWAY_HINT = "What is logged waits on this machine and is sent later. %loops doctor checks the store."
# Advisory locks of the database: shared by transactions, held alone by what must not run beside any.
_LOCK = 0x6C6F6F70735F6E62
_VERSION = f"SELECT max(version) FROM {SCHEMA}.schema_version"  # noqa: S608 - no text of the user
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
#: Rows of `deliveries` that count what is written, several so that writers seldom wait for each other.
_COUNTERS = 32
_CHANGES = "changes/"
_COUNT_CHANGE = """
    INSERT INTO deliveries (stream, number) VALUES (?, 1)
    ON CONFLICT (stream) DO UPDATE SET number = deliveries.number + 1"""


class PostgresConnection:
    """A connection that takes the SQL of SQLite.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode.
    address : PostgresAddress
        What it is connected to.
    """

    def __init__(self, connection: psycopg.Connection[Any], address: PostgresAddress) -> None:
        self._connection = connection
        self.address = address
        #: When it was used last, on the monotonic clock.
        self.used_at = time.monotonic()

    @property
    def is_usable(self) -> bool:
        return not self._connection.closed

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        self.used_at = time.monotonic()
        return self._connection.execute(cast("Any", translated(sql)), _without_nul(parameters), binary=True)

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Execute a statement, and return the first column of its first row."""
        row = self.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(cast("Any", translated(sql)), [_without_nul(row) for row in parameters])

    def fetch_each(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
        """Execute a statement for each row of parameters; all of them take one round trip."""
        with self._connection.cursor(binary=True) as cursor:
            cursor.executemany(cast("Any", translated(sql)), [_without_nul(row) for row in rows], returning=True)
            found = [cursor.fetchall()]
            while cursor.nextset():
                found.append(cursor.fetchall())
        return found

    def read_together(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        """Return the rows of statements that all see the store as it is at the first; they take one round trip."""
        try:
            with self._connection.pipeline():
                self.execute(_SNAPSHOT)
                found = [self.execute(sql, parameters) for sql, parameters in statements]
                self.execute("ROLLBACK")
        except BaseException:
            self.roll_back()
            raise
        return [cursor.fetchall() for cursor in found]

    @contextlib.contextmanager
    def transaction(
        self, *, alone: bool = False, first: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> Iterator[list[list[Any]]]:
        """Write everything inside, or nothing; yields the rows of the first statements.

        Parameters
        ----------
        alone : bool, default False
            Wait until no other transaction of ``loops_nb`` runs, and let none begin.
        first : sequence of (str, sequence), default ()
            Statements that return rows; their round trip is that in which the transaction begins.

        Raises
        ------
        TrackingError
            If a newer version of ``loops_nb`` has upgraded the store.
        psycopg.Error
            If it is not certain that everything was written.
        """
        lock = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
        try:
            with self._connection.pipeline():
                self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                self.execute(f"SELECT {lock}(?)", (_LOCK,))
                version, *cursors = [self.execute(sql, values) for sql, values in ((_VERSION, ()), *first)]
                self._check(version.fetchall()[0][0])
                yield [cursor.fetchall() for cursor in cursors]
                self.execute("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def count_change(self) -> None:
        """Tell readers that something has changed, at the end of a transaction: the row is locked until then."""
        self.execute(_COUNT_CHANGE, (f"{_CHANGES}{random.randrange(_COUNTERS)}",))  # noqa: S311 - spreads writers

    def change_count(self) -> int:
        """Return how many transactions have written, those of any process; cheap, however many there were."""
        # The bounds find them in the index, which is sorted by bytes.
        sql = "SELECT sum(number) FROM deliveries WHERE stream >= 'changes/' AND stream < 'changes0'"
        return int(self.value(sql) or 0)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Make several reads see the store as it is at the first of them."""
        self.execute(_SNAPSHOT)
        try:
            yield
        finally:
            self.roll_back()

    def roll_back(self) -> None:
        """End a transaction; a connection on which that fails is closed."""
        try:
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")
        except Exception:
            _logger.debug("A transaction could not be ended: the connection is of no use.", exc_info=True)
            self.close()

    def check_version(self) -> None:
        """Raise unless the store has the version that this program knows."""
        self._check(self.value(_VERSION))

    def _check(self, version: int | None) -> None:
        found = version or 0
        if found > SCHEMA_VERSION:
            raise TrackingError(
                f"The experiments in {self.address} are kept by a newer version of loops_nb (schema {found}, this one"
                f" knows {SCHEMA_VERSION}). Nothing was changed.",
                hint="Upgrade loops_nb: what is logged until then waits on this machine, and is sent afterwards.",
            )
        if found < SCHEMA_VERSION:
            raise _older(self.address, found)

    def close(self) -> None:
        try:
            self._connection.close()
        except Exception:
            _logger.debug("A connection could not be closed.", exc_info=True)

    def fileno(self) -> int:
        return self._connection.fileno()


def _without_nul(parameters: Sequence[Any]) -> Sequence[Any]:
    # PostgreSQL has no text with this character, SQLite has.
    if any(isinstance(value, str) and "\0" in value for value in parameters):
        return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in parameters]
    return parameters


def _older(address: PostgresAddress, found: int) -> TrackingError:
    return TrackingError(
        f"The experiments in {address} have an older format (schema {found}, current is {SCHEMA_VERSION}). Nothing was"
        " changed.",
        hint="Opened for writing once, the store is upgraded: %loops experiments does that.",
    )


def driver() -> Any:
    """Return psycopg.

    Raises
    ------
    TrackingError
        If it is not installed.
    """
    try:
        import psycopg  # only for those who have a team's store
    except ImportError:
        raise StoreAwayError(
            "A team's store in PostgreSQL needs psycopg, which is not installed.",
            hint='%pip install "loops_nb[team]", then restart the kernel',
        ) from None
    # It warns of a pipeline whose connection was lost, beside raising; that would appear under an unrelated cell.
    logging.getLogger("psycopg").addFilter(_is_not_of_own_thread)
    return psycopg


def _is_not_of_own_thread(record: logging.LogRecord) -> bool:
    return record.thread not in own_threads


def connect(address: PostgresAddress, *, to_write: bool = False, read_only: bool = False) -> PostgresConnection | None:
    """Open a team's store; its tables are created or upgraded if needed.

    Parameters
    ----------
    address : PostgresAddress
        The store.
    to_write : bool, default False
        Create the tables if there are none.
    read_only : bool, default False
        Write nothing, not even an upgrade.

    Returns
    -------
    PostgresConnection or None
        None if there are no tables, and they need not be created.

    Raises
    ------
    TrackingError
        If psycopg is not installed, the server cannot be reached or refuses, or its tables are of another version.
    """
    connection = PostgresConnection(_connected(address), address)
    try:
        found = _found_version(connection)
        if found is None and not to_write:
            connection.close()
            return None
        if (found or 0) < SCHEMA_VERSION and not read_only:
            _upgrade(connection, is_new=found is None)
        connection.check_version()
    except driver().Error as error:
        connection.close()
        raise unusable(address, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(address: PostgresAddress) -> psycopg.Connection[Any]:
    psycopg = driver()
    options = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "loops_nb",
        "keepalives_idle": _SILENT_SECONDS,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": _SILENT_SECONDS * 1000,
    }
    options = {name: value for name, value in options.items() if f"{name}=" not in address.text}
    password = _passwords.get(address)
    try:
        try:
            return _opened(address, options, password)
        except psycopg.OperationalError as error:
            if password is not None or "no password supplied" not in str(error):
                raise
            found = stored_password(str(address))
            if found is None:
                raise
            connection = _opened(address, options, found)
            _passwords[address] = found
            return connection
    except psycopg.Error as error:
        raise unusable(address, error) from None


def _opened(address: PostgresAddress, options: dict[str, Any], password: Secret | None) -> psycopg.Connection[Any]:
    # No prepared statements: a pooler may give each transaction another session.
    secret = {} if password is None else {"password": password.reveal()}
    found: psycopg.Connection[Any] = driver().connect(
        address.text, autocommit=True, prepare_threshold=None, **options, **secret
    )
    return found


#: Passwords from the keyring, which is slow to read.
_passwords: dict[PostgresAddress, Secret] = {}


def _found_version(connection: PostgresConnection) -> int | None:
    if connection.value("SELECT to_regclass(?)", (f"{SCHEMA}.schema_version",)) is None:
        return None
    return int(connection.value(_VERSION) or 0)


def _upgrade(connection: PostgresConnection, *, is_new: bool) -> None:
    connection.execute("BEGIN")
    try:
        # Waits for the transactions of other processes; those that begin later see the new version.
        connection.execute("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
        if is_new:
            # Another process may have made them meanwhile.
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            connection.execute(f"CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_version (version BIGINT PRIMARY KEY)")
        for number in range(connection.value(_VERSION) or 0, SCHEMA_VERSION):
            for statement in STEPS[number]:
                connection.execute(translated_step(statement))
        connection.execute(f"DELETE FROM {SCHEMA}.schema_version")  # noqa: S608 - no text of the user
        connection.execute(f"INSERT INTO {SCHEMA}.schema_version VALUES (?)", (SCHEMA_VERSION,))  # noqa: S608
        connection.execute("COMMIT")
    except BaseException:
        connection.roll_back()
        raise


def unusable(address: PostgresAddress, error: Exception) -> StoreAwayError:
    """Return the error that says why a store cannot be used at the moment."""
    # What follows asks whether the server runs.
    why = one_line((str(error).splitlines() or [type(error).__name__])[0], limit=300).rstrip(".")
    hint = AWAY_HINT
    if "password" in why:
        hint = HOW_TO_GIVE
    return StoreAwayError(
        f"The experiments in {address} cannot be used for now ({why}). Nothing was harmed.", hint=hint
    )
