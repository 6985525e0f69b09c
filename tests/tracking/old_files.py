"""Files of experiments as an earlier version wrote them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from loops_nb.tracking.schema import STEPS

_TABLES = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def downgrade(path: Path, version: int) -> None:
    """Change a file to one of an earlier version, with everything that such a file can hold."""
    copy = path.with_name(f"{path.name}.copy")
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("VACUUM INTO ?", (str(copy),))
    for (table,) in connection.execute(_TABLES).fetchall():
        connection.execute(f"DROP TABLE {table}")
    for step in STEPS[:version]:
        for statement in step:
            connection.execute(statement)
    connection.execute("ATTACH ? AS new", (str(copy),))
    for (table,) in connection.execute(_TABLES).fetchall():
        columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
        connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")  # noqa: S608
    connection.execute("DETACH new")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    copy.unlink()
