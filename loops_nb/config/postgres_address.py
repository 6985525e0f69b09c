"""The address of a team's store in PostgreSQL, which never holds a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from loops_nb.errors import ConfigError

SCHEMES = ("postgresql", "postgres")
EXAMPLE = "postgresql://team@db.example.com/loops"
_LONGEST = 2000
#: Options of libpq that are secrets, and what is mistaken for them.
_SECRET = re.compile(r"pass(?!file$)|pwd|secret|^scram_", re.IGNORECASE)
#: How a password is given.
HOW_TO_GIVE = "Give the password as PGPASSWORD, in ~/.pgpass or in the keyring: keyring set loops-nb ADDRESS"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A database of PostgreSQL.

    Parameters
    ----------
    text : str
        ``postgresql://USER@HOST:PORT/DATABASE``, as libpq takes it; no password is in it.
    database : str
        Name of the database.
    host : str
        Its host; empty for a socket of this machine.
    """

    text: str
    database: str
    host: str

    @classmethod
    def parse(cls, text: str, what: str = "tracking") -> PostgresAddress:
        """Return the address that a text is.

        Parameters
        ----------
        text : str
            The text.
        what : str, default "tracking"
            Where it was given, for errors.

        Raises
        ------
        ConfigError
            If it is none, or has a password.  The text is not shown then.

        Examples
        --------
        >>> PostgresAddress.parse("postgresql://team@db/loops").database
        'loops'
        """
        try:
            parts = urlsplit(text.strip())
            port = parts.port
            words = parse_qsl(parts.query, keep_blank_values=True)
            is_usable = parts.scheme in SCHEMES and len(text) <= _LONGEST and text.strip().isprintable()
            # With one slash, or after a slash in a password, the rest of the address would be taken for a name.
            is_usable &= "://" in text and "@" not in parts.path and all("@" not in name for name, _ in words)
        except ValueError:
            raise _unusable(what) from None
        if parts.password is not None or any(_SECRET.search(name) for name, _ in words):
            raise ConfigError(
                f"{what} has a password in its address (it is not shown): an address is shared, and shown in listings.",
                hint=HOW_TO_GIVE,
            )
        database = unquote(parts.path.lstrip("/"))
        if not is_usable or not database or port == 0 or parts.fragment:
            raise _unusable(what)
        user = "" if parts.username is None else f"{quote(unquote(parts.username), safe='')}@"
        place = parts.netloc.rpartition("@")[2]
        query = f"?{parts.query}" if parts.query else ""
        return cls(f"postgresql://{user}{place}/{quote(database, safe='')}{query}", database, parts.hostname or "")

    def __str__(self) -> str:
        return self.text


def is_postgres_address(text: object) -> bool:
    """Return whether a text is the address of a PostgreSQL, or something that was meant to be one."""
    return isinstance(text, str) and text.strip().lower().startswith(tuple(f"{scheme}:" for scheme in SCHEMES))


def _unusable(what: str) -> ConfigError:
    return ConfigError(
        f"{what} must be the address of a PostgreSQL database (what was given is not shown: it may hold a password).",
        hint=f"For example {EXAMPLE}",
    )
