"""State machine test of the connection: the next line uses the connection that was reported."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from loops_nb.client.retry import RetryPolicy
from loops_nb.errors import LoopsError
from loops_nb.magics import connection as module
from loops_nb.magics.completion_cache import CompletionCache
from loops_nb.magics.connection import LOCAL, ConnectionSettings, SharedClient, Target, redacted_url
from loops_nb.resources.loops import Loops
from tests.client.scripted_server import Answer, Received, ScriptedServer, closed_port, serving
from tests.magics.conftest import CLEARED, Notebook

EMPTY: dict[str, list[object]] = {"supported_models": [], "runs": [], "samplers": [], "deployments": []}
KEYS = ("first-key-0123456789", "second-key-0123456789", "wrong-key-0123456789")


def script(request: Received) -> Answer:
    if "wrong" in request.headers.get("authorization", ""):
        return Answer({"message": "no"}, 401)
    return Answer(EMPTY)


class Places:
    """Three services, a port without one, and what the machine below may switch."""

    def __init__(self, hosted: str, local: str, moved: str, other: str, dead: str) -> None:
        self.hosted, self.local, self.moved, self.other, self.dead = hosted, local, moved, other, dead
        self.running: str | None = None


@pytest.fixture
def places(home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    with (
        ScriptedServer(script) as hosted,
        ScriptedServer(script) as local,
        ScriptedServer(script) as moved,
        ScriptedServer(script) as other,
    ):
        found = Places(hosted.url, local.url, moved.url, other.url, f"http://127.0.0.1:{closed_port()}")
        monkeypatch.setattr(module, "HOSTED_URL", hosted.url)
        monkeypatch.setattr("loops_nb.client.config.NEAR", RetryPolicy(attempts=2, first_wait_seconds=0.01))
        monkeypatch.setattr(
            "loops_nb.local.launcher.status",
            lambda: SimpleNamespace(url=found.running, pid=1) if found.running is not None else None,
        )
        yield found


def machine_of(places: Places) -> type[RuleBasedStateMachine]:  # noqa: C901 - one rule for each thing that can be done
    addresses = st.sampled_from(
        [places.other, places.hosted, places.dead, "nonsense", "http://loops.example.invalid", "ftp://x"]
    )

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            for name in CLEARED:
                os.environ.pop(name, None)
            places.running = None
            self.settings = ConnectionSettings("", "", "Bearer", 5.0)
            self.connection = SharedClient(lambda: self.settings, CompletionCache())

        def teardown(self) -> None:
            self.connection.drop()

        @rule(key=st.sampled_from(KEYS) | st.none())
        def set_key(self, key: str | None) -> None:
            os.environ.pop("BASETEN_API_KEY", None)
            if key is not None:
                os.environ["BASETEN_API_KEY"] = key

        @rule(url=addresses | st.none())
        def set_address(self, url: str | None) -> None:
            os.environ.pop("LOOPS_BASE_URL", None)
            if url is not None:
                os.environ["LOOPS_BASE_URL"] = url

        @rule(url=st.sampled_from([places.other, places.dead, ""]))
        def configure(self, url: str) -> None:
            self.settings = self.settings._replace(base_url=url)
            self.connection.select(None)

        @rule(running=st.sampled_from([places.local, places.moved, None]))
        def local_service(self, running: str | None) -> None:
            places.running = running

        @rule()
        def local_start(self) -> None:
            if places.running is not None:
                self.connection.select(Target(places.running, LOCAL))

        @rule()
        def logged_in(self) -> None:
            self.connection.select(None)

        @rule(url=addresses | st.none())
        def connect(self, url: str | None) -> None:
            try:
                client = self.connection.connect(url)
            except LoopsError as error:
                wrong = str(error)
            else:
                assert self.connection.client() is client
                assert url is None or client.base_url == url
                return
            said = re.search(r"You stay connected to (\S+?)\.(?: |$)", wrong)
            if said is not None:
                target = self.connection.target()
                assert target is not None
                assert target.url == said[1]
                assert self.connection.client().base_url == said[1]
            else:
                assert url is None or "Nothing was changed" in wrong

        @rule()
        def use(self) -> None:
            try:
                promised = self.connection.target()
                used = self.connection.client()
            except LoopsError:
                return
            assert promised is not None
            assert used.base_url == promised.url
            assert self.connection.because == promised.because

        @invariant()
        def a_used_client_has_the_key_of_now(self) -> None:
            live = self.connection.current
            if live is not None and self.connection._inputs_used == self.connection._inputs():
                assert live.key_source in {"BASETEN_API_KEY", "local placeholder"}
                assert live.key_source != "local placeholder" or "BASETEN_API_KEY" not in os.environ

    return Machine


def test_reported_connection_is_used_next(places: Places) -> None:
    run_state_machine_as_test(
        machine_of(places),
        settings=settings(
            max_examples=60,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_failed_connect_keeps_local_service_after_a_key_was_set(
    notebook: Notebook, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.running = places.local
    notebook.run("%loops capabilities")
    monkeypatch.setenv("BASETEN_API_KEY", KEYS[0])
    said = notebook.run(f"%loops connect {places.dead}", fails=True).out
    assert f"You stay connected to {places.local}." in said
    notebook.run("%loops capabilities")
    assert notebook.context.loops.base_url == places.local
    assert f"Address: {places.local}" in notebook.run("%loops doctor").out


def test_failed_connect_uses_a_corrected_key(
    notebook: Notebook, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", KEYS[2])
    notebook.run("%loops capabilities", fails=True)
    monkeypatch.setenv("BASETEN_API_KEY", KEYS[0])
    assert f"You stay connected to {places.hosted}." in notebook.run(f"%loops connect {places.dead}", fails=True).out
    notebook.run("%loops capabilities")


def test_connect_without_address_follows_settings(
    notebook: Notebook, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.running = places.local
    notebook.run("%loops capabilities")
    monkeypatch.setenv("BASETEN_API_KEY", KEYS[0])
    notebook.run(f"%loops connect {places.dead}", fails=True)
    loops = notebook.run("%loops connect").value
    assert isinstance(loops, Loops)
    assert loops.base_url == places.hosted


def test_restarted_local_service_is_followed_to_its_new_port(notebook: Notebook, places: Places) -> None:
    with serving(EMPTY) as gone:
        places.running = gone.url
        notebook.run("%loops connect local")
    places.running = places.moved
    assert (
        f"The local service now runs on {places.moved}: run the line again."
        in notebook.run("%loops capabilities", fails=True).out
    )
    notebook.run("%loops capabilities")
    assert notebook.context.loops.base_url == places.moved


def test_completion_cache_is_cleared_for_another_service(notebook: Notebook, places: Places) -> None:
    run = {"id": "k4q95w5", "created_at": "2026-07-01T00:00:00Z"}
    with serving({**EMPTY, "runs": [run]}) as first:
        notebook.run(f"%loops connect {first.url}")
        notebook.run("%loops runs")
        assert notebook.context.cache.known("run") == ["k4q95w5"]
        notebook.run(f"%config LoopsMagics.base_url = '{places.other}'")
        notebook.run("%loops capabilities")
        assert notebook.context.cache.known("run") == []


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:sentinel@api.example.com/x", "https://<hidden>@api.example.com/x"),
        ("https://me:sent/inel@api.example.com", "https://<hidden>@api.example.com"),
        ("https://api.example.com/\x1b[2J\n", "https://api.example.com/ [2J"),
        ("http://[\udcff", "http://["),
    ],
)
def test_displayed_address_hides_passwords(url: str, text: str) -> None:
    assert redacted_url(url) == text
