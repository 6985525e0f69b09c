"""A separate data folder for each test, and for tests of both stores a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from loops_nb.tracking import ExperimentStore, store_path
from loops_nb.tracking.location import store_location
from tests.tracking.postgres_server import PostgresServer, programs
from tests.tracking.team_store import end_use

#: Tests of these modules run on the file and on a team's store, but for those that are marked ``file_store``: they are
#: about what only a file has (its locks, its bytes, its folder).
BOTH_STORES = {
    "test_baseline",
    "test_deletion",
    "test_experiment",
    "test_later_values",
    "test_leaderboard",
    "test_processes",
    "test_samples",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_of_both = metafunc.module.__name__.rpartition(".")[2] in BOTH_STORES
    marks = list(metafunc.definition.iter_markers())
    is_of_file = any(
        mark.name == "file_store" or (mark.name == "parametrize" and "home" in mark.args[0]) for mark in marks
    )
    if is_of_both and not is_of_file:
        metafunc.parametrize("home", ["file", "team"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed: python -m tests.tracking.postgres_server installs it")
    # Not below the folders of pytest, which the user that the server runs as cannot enter.
    with TemporaryDirectory(prefix="loops-postgres-") as folder:
        server = PostgresServer(Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Address of a database without experiments."""
    address = postgres.address("postgres")
    postgres.delete_experiments()
    yield address
    end_use(address)


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    if getattr(request, "param", "file") == "team":
        address: Any = request.getfixturevalue("database")
        monkeypatch.setenv("LOOPS_NB_TRACKING", address)
    return folder


@pytest.fixture
def store(home: Path) -> Iterator[ExperimentStore]:
    found = ExperimentStore()
    assert store_path() == home / "experiments.sqlite"
    assert found.location == store_location()
    yield found
    found.close()
