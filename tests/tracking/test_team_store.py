"""A team's store while processes, the server and the network fail; what only a store in PostgreSQL has."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loops_nb import experiment
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import ConfigError, TrackingError
from loops_nb.magics.verbs import doctor
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.tracking import ExperimentStore, TrackingWarning, store_path
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.outbox import waiting_values
from loops_nb.tracking.postgres import connection as connection_module
from loops_nb.tracking.postgres import sender
from loops_nb.tracking.postgres.connection import connect
from loops_nb.tracking.schema import SCHEMA_VERSION, STEPS, open_store
from tests.panels.curves.fake_page import Page
from tests.tracking.postgres_server import PostgresServer
from tests.tracking.processes import read_number, running
from tests.tracking.scripts import run_script
from tests.tracking.tcp_proxy import TcpProxy
from tests.tracking.team_store import end_use
from tests.tracking.test_processes import AT_EXIT

PATIENCE = 30.0


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < until, f"waited in vain for: {what}"
        time.sleep(0.05)


@pytest.fixture
def team(home: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOOPS_NB_TRACKING", database)
    return database


def steps_of(store: ExperimentStore, name: str) -> list[list[int]]:
    """Return the steps of each attempt of an experiment."""
    (row,) = [row for row in store.experiments() if row.name == name]
    series = store.series(row.id, "loss")
    assert series.value.tolist() == series.step.tolist()
    return [series.step[series.attempt == attempt].tolist() for attempt in np.unique(series.attempt)]


def test_killed_processes_server_and_network_lose_nothing(
    team: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = {name: tmp_path / name for name in ("alpha", "beta")}
    with ExitStack() as stack, ExperimentStore() as store, TcpProxy(postgres.port) as proxy:

        def start(name: str, address: str) -> Any:
            monkeypatch.setenv("LOOPS_NB_HOME", str(homes[name]))
            monkeypatch.setenv("LOOPS_NB_TRACKING", address)
            try:
                return stack.enter_context(running("logging_process", name))
            finally:
                monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "notebook"))
                monkeypatch.setenv("LOOPS_NB_TRACKING", team)

        addresses = {"alpha": team, "beta": postgres.address("postgres", port=proxy.port)}
        direct, remote = (start(name, address) for name, address in addresses.items())
        done = {"alpha": read_number(direct), "beta": read_number(remote)}
        page = Page(store, ["alpha", "beta"], spec=ChartSpec(key="loss"))  # type: ignore[arg-type]
        stack.callback(page.close)
        page.plot(key="loss", columns=4000)

        def has_reached(step: int) -> bool:
            return any(line["x"] and max(line["x"]) >= step for line in page.lines.values())

        page.wait(lambda: has_reached(max(done.values())))

        direct.kill()
        direct.wait()
        done["alpha"] = max(done["alpha"], *(int(line) for line in direct.stdout), 0)

        postgres.kill()
        away = [read_number(remote) for _ in range(5)]
        postgres.start()
        page.wait(lambda: has_reached(away[-1]))

        proxy.cut()
        away = [read_number(remote) for _ in range(5)]
        proxy.restore()
        page.wait(lambda: has_reached(away[-1]))

        again = start("alpha", team)
        read_number(again)
        for name, process in (("alpha", again), ("beta", remote)):
            process.kill()
            process.wait()
            done[f"{name} at last"] = max((int(line) for line in process.stdout), default=0)
            # The next process of that user, which only reads, sends what the killed one left.
            monkeypatch.setenv("LOOPS_NB_HOME", str(homes[name]))
            with ExperimentStore(addresses[name]) as reader:
                reader.experiments()
                wait_until(nothing_is_left, f"what {name} left")
        first, second = steps_of(store, "alpha")
        assert first == list(range(len(first)))
        assert len(first) >= done["alpha"] > 0
        assert second == list(range(len(second)))
        assert len(second) >= done["alpha at last"]
        (only,) = steps_of(store, "beta")
        assert only == list(range(len(only)))
        assert len(only) >= max(done["beta at last"], away[-1])


def nothing_is_left() -> bool:
    file = open_store(store_path())
    try:
        return not waiting_values(file)
    finally:
        file.close()


def test_slow_network_slows_no_loop(team: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with TcpProxy(postgres.port, delay_seconds=0.1) as proxy:
        monkeypatch.setenv("LOOPS_NB_TRACKING", postgres.address("postgres", port=proxy.port))
        exp = experiment("far away")
        began, calls = time.perf_counter(), []
        for step in range(2_000):
            start = time.perf_counter()
            exp.log(step=step, **{f"metric{number}": float(step) for number in range(10)})
            calls.append(time.perf_counter() - start)
        assert time.perf_counter() - began < 2
        assert float(np.percentile(calls, 99)) < 0.01
        exp.close()
        with ExperimentStore(team) as near:
            wait_until(lambda: len(near.series(exp.id, "metric9").step) == 2_000, "values over a slow network")
            assert near.series(exp.id, "metric3").value.tolist() == [float(step) for step in range(2_000)]
        end_use(str(exp.location))


def test_store_that_does_not_answer_holds_up_no_flush(
    team: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TcpProxy(postgres.port) as proxy:
        monkeypatch.setenv("LOOPS_NB_TRACKING", postgres.address("postgres", port=proxy.port))
        exp = experiment("frozen")
        assert exp.flush()
        monkeypatch.setattr(sender, "_STUCK_SECONDS", 0.2)
        proxy.swallow()
        exp.log(step=0, loss=0)
        with pytest.warns(TrackingWarning, match="has not answered for some seconds. What is logged is kept in"):
            assert exp.flush()
        began = time.perf_counter()
        for step in range(1, 4):
            exp.log(step=step, loss=step)
            assert exp.flush()
        assert time.perf_counter() - began < 3
        proxy.restore()
        with ExperimentStore(team) as near:
            wait_until(lambda: near.series(exp.id, "loss").step.tolist() == [0, 1, 2, 3], "values of a frozen store")
        end_use(str(exp.location))


def test_store_is_upgraded_beside_running_writers(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = PostgresAddress.parse(postgres.new_database("upgraded"))
    row = ("e1", "kept", 1, 1, "{}")
    writer = connect(address, to_write=True)
    assert writer is not None
    monkeypatch.setattr(connection_module, "STEPS", (*STEPS, ("ALTER TABLE tags ADD COLUMN extra INTEGER",)))
    with ThreadPoolExecutor() as pool:
        with writer.transaction():
            writer.execute(
                "INSERT INTO experiments (id, name, created_at, last_at, params) VALUES (?, ?, ?, ?, ?)", row
            )
            monkeypatch.setattr(connection_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
            with pytest.raises(TrackingError, match="older format"):
                connect(address, read_only=True)
            upgraded = pool.submit(connect, address, to_write=True)
            time.sleep(0.2)
            assert not upgraded.done(), "it waits for the transaction"
        newer = upgraded.result()
    assert newer is not None
    assert newer.execute("SELECT name, extra FROM experiments LEFT JOIN tags ON extra = 1").fetchall() == [
        ("kept", None)
    ]
    monkeypatch.setattr(connection_module, "SCHEMA_VERSION", SCHEMA_VERSION)
    with pytest.raises(TrackingError, match="newer version"), writer.transaction():
        pass
    newer.close()
    writer.close()


def test_training_begins_and_ends_while_the_store_is_away(team: str, postgres: PostgresServer) -> None:
    with experiment("before") as known:
        known.log(step=0, loss=1)
    postgres.stop()
    try:
        with pytest.warns(TrackingWarning) as warned:  # noqa: PT031 - each of them warns
            begun = experiment("before", resume=True)
            resumed = experiment("before", resume=known.id)
            begun.log(step=0, loss=2)
            resumed.log(step=1, loss=3)
            assert begun.flush()
            assert resumed.flush()
        first, second, third = (str(one.message) for one in warned)
        assert "is a new experiment, even if there is one to resume" in first
        assert "cannot be used for now" in second
        assert f"is kept in {store_path()} and sent" in second
        assert f"goes on under its id {known.id}" in third
        with pytest.raises(TrackingError, match="cannot be used for now") as caught, ExperimentStore() as store:
            store.experiments()
        assert "waits on this machine" in (caught.value.hint or "")
        file = open_store(store_path(), read_only=True)
        (waiting,) = waiting_values(file)
        file.close()
        assert (waiting.store, waiting.refused) == (team, 0)
        assert waiting.size >= 2
        team_store = doctor._team_store(store_path())
        assert team_store.lines[0] == f"Experiments: {team}"
        assert f"Waiting for {team} in {store_path()}: {waiting.size} value" in team_store.lines[1]
        assert "cannot be used for now" in team_store.lines[2]
        assert team_store.fix.startswith("start the server")
    finally:
        postgres.start()
    assert begun.flush()
    with ExperimentStore() as store:
        wait_until(nothing_is_left, "what waits")
        assert store.series(known.id, "loss").value.tolist() == [1, 3]
        assert store.series(known.id, "loss").attempt.tolist() == [1, 2]
        assert store.series(begun.id, "loss").value.tolist() == [2]
        assert [row.name for row in store.experiments()] == ["before", "before"]


def test_values_wait_for_a_program_that_knows_a_newer_store(team: str) -> None:
    exp = experiment("long lived")
    exp.log(step=0, loss=0)
    assert exp.flush()
    connection = connect(PostgresAddress.parse(team), to_write=True)
    assert connection is not None
    connection.execute("UPDATE loops_nb.schema_version SET version = ?", (SCHEMA_VERSION + 1,))
    try:
        exp.log(step=1, loss=1)
        with pytest.warns(TrackingWarning, match="newer version of loops_nb.*Upgrade loops_nb.*is kept in"):
            assert exp.flush(), "safe in the file of this machine"
        exp.log(step=2, loss=2)
        assert exp.flush()
        with pytest.raises(TrackingError, match="newer version of loops_nb"), ExperimentStore() as store:
            store.series(exp.id, "loss")
    finally:
        connection.execute("UPDATE loops_nb.schema_version SET version = ?", (SCHEMA_VERSION,))
        connection.close()
    assert exp.flush()
    wait_until(nothing_is_left, "what waits")
    with ExperimentStore() as store:
        assert store.series(exp.id, "loss").value.tolist() == [0, 1, 2]


def test_batch_that_the_store_does_not_take_holds_up_no_other(team: str) -> None:
    exp = experiment("odd")
    connection = connect(PostgresAddress.parse(team), to_write=True)
    assert connection is not None
    connection.execute("ALTER TABLE marks ADD CONSTRAINT short CHECK (length(text) < 10)")
    try:
        exp.note("a note that is too long for it")
        with pytest.warns(TrackingWarning, match="1 value is not taken by .* and kept in"):
            assert exp.flush()
        exp.log(step=0, loss=1)
        assert exp.flush()
    finally:
        connection.execute("ALTER TABLE marks DROP CONSTRAINT short")
        connection.close()
    with ExperimentStore() as store:
        assert store.series(exp.id, "loss").value.tolist() == [1]
    file = open_store(store_path())
    (waiting,) = waiting_values(file)
    file.close()
    assert waiting.refused == 1
    assert "CheckViolation" in (waiting.reason or "")


def test_password_in_an_address_is_refused_and_shown_nowhere(
    team: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "correct-horse-battery"
    for address in (
        f"postgresql://team:{secret}@db/loops",
        f"postgresql://team@db/loops?password={secret}",
        f"postgresql://team@db/loops?passwd={secret}",
        f"postgresql+psycopg://team:{secret}@db/loops",
    ):
        monkeypatch.setenv("LOOPS_NB_TRACKING", address)
        for use in (lambda: experiment("x"), ExperimentStore, lambda: ExperimentStore(os.environ["LOOPS_NB_TRACKING"])):
            with pytest.raises(TrackingError, match="has a password in its address") as caught:
                use()
            assert secret not in str(caught.value)
            assert "PGPASSWORD" in (caught.value.hint or "")
    for address in (
        "postgresql://",
        "postgresql://db",
        "postgresql://db:x/loops",
        "mysql://db/loops",
        f"postgresql:team:{secret}@db/loops",
        f"postgresql://team:1/{secret}@db/loops",
        f"postgresql://team:1/2?{secret}@db/loops",
    ):
        with pytest.raises(ConfigError, match="must be the address of a PostgreSQL") as unusable:
            PostgresAddress.parse(address)
        assert secret not in str(unusable.value)
    assert PostgresAddress.parse("postgresql://team@db/loops?passfile=/run/pass").database == "loops"
    # From the keyring, and in nothing that is kept.
    monkeypatch.setattr("loops_nb.config.credentials._keyring", lambda: FakeKeyring({("loops-nb", team): secret}))
    monkeypatch.setenv("LOOPS_NB_TRACKING", team)
    exp = experiment("kept apart")
    exp.log(loss=1)
    exp.close()
    shown = f"{exp!r} {exp.location!r} {ExperimentStore()!r} {pickle.dumps(exp)!r} {caplog.text}"
    assert secret not in shown
    for file in store_path().parent.iterdir():
        assert secret.encode() not in file.read_bytes()


class FakeKeyring:
    """A keyring with some passwords."""

    def __init__(self, passwords: dict[tuple[str, str], str]) -> None:
        self._passwords = passwords

    def get_password(self, service: str, account: str) -> str | None:
        return self._passwords.get((service, account))


def test_password_comes_from_the_keyring(postgres: PostgresServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = postgres.with_password("guarded", "open sesame")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(home / "none"))
    with pytest.raises(TrackingError, match="password") as caught, ExperimentStore(address) as store:
        store.experiments()
    assert "keyring set loops-nb" in (caught.value.hint or "")
    monkeypatch.setattr(
        "loops_nb.config.credentials._keyring", lambda: FakeKeyring({("loops-nb", address): "open sesame"})
    )
    connection = connect(PostgresAddress.parse(address), to_write=True)
    assert connection is not None
    connection.close()


def test_without_psycopg_values_wait_and_reads_say_what_to_install(team: str) -> None:
    code = """if True:
        import sys
        sys.modules["psycopg"] = None
        import loops_nb
        from loops_nb.errors import TrackingError
        from loops_nb.tracking import ExperimentStore
        with loops_nb.experiment("bare") as exp:
            exp.log(loss=1)
        try:
            ExperimentStore().experiments()
        except TrackingError as error:
            print(error)
        """
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "loops_nb[team]"' in done.stdout
    assert 'pip install "loops_nb[team]"' in done.stderr
    with ExperimentStore() as store:
        store.experiments()
        wait_until(nothing_is_left, "what the other process left")
        assert [row.name for row in store.experiments()] == ["bare"]


def test_experiments_are_copied_there_and_back(team: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_NB_AUTHOR", "ada")
    file = tmp_path / "mine.sqlite"
    with experiment("old", path=file, params={"lr": 1e-4}, tags=["t"]) as exp:
        for step in (0, 1, 0):
            exp.log(step=step, loss=float("nan") if step else 0.5)
        exp.saved("step-1", step=1, uri="bt://x")
        exp.sample(prompt="p", completion="c", reward=1, step=1)
    running = experiment("still", path=file)
    running.log(loss=1)
    monkeypatch.setenv("LOOPS_NB_AUTHOR", "bob")
    assert Metrics(file).copy(team) == ([exp.id], [], [], [running.id])
    running.close()
    assert Metrics(file).copy(team) == ([running.id], [exp.id], [], [])
    back = tmp_path / "back.sqlite"
    assert set(Metrics(team).copy(back).new) == {exp.id, running.id}
    stores = [ExperimentStore(where) for where in (file, team, back)]
    for store in stores:
        assert store.experiment(exp.id) == stores[0].experiment(exp.id)
        assert store.experiment(exp.id).author == "ada"
        assert store.marks(exp.id) == stores[0].marks(exp.id)
        assert [one.completion for one in store.samples(exp.id)] == ["c"]
        for mine, other in zip(stores[0].series(exp.id, "loss"), store.series(exp.id, "loss"), strict=True):
            np.testing.assert_array_equal(mine, other)
        store.close()
    with pytest.raises(TrackingError, match="the same store"):
        Metrics(team).copy(team)
    experiment("mine").close()
    frame = Metrics(team).experiments()
    assert frame["author"].tolist() == ["bob", "ada", "ada"]
    assert Metrics(team).experiments(author="bob")["name"].tolist() == ["mine"]
    assert Metrics(team).experiments(where="author == 'ada'")["name"].tolist() == ["still", "old"]


def test_values_logged_at_process_end_wait_for_the_next_process(team: str, tmp_path: Path) -> None:
    done = run_script(tmp_path, AT_EXIT, flags=("-X", "dev", "-W", "error"))
    assert (done.returncode, done.stderr) == (0, "")
    with ExperimentStore() as store:
        rows = {row.name: row.id for row in store.experiments()}
        wait_until(nothing_is_left, "what the process left")
        keys = {key.key for key in store.keys(rows["ends"])}
        assert keys == {"loss", "thread", "later", "earlier", "deleted"}
        assert [key.key for key in store.keys(rows["begun at the end"])] == ["loss"]
