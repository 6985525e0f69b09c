"""Fixtures of the SDK's tests: one service, clients that end their runs, a loopback guard."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.sdk import loopback_guard
from tests.sdk.environment import variables
from tests.service import AnyService, running_service

#: Left out of an ordinary run, whose Python or environment lacks the SDK; ``python -m tests.sdk`` makes one that has
#: it.
collect_ignore_glob = (
    [] if importlib.util.find_spec("baseten") and importlib.util.find_spec("baseten.loops") else ["test_*.py"]
)

MODEL = "loops-local/tiny"
#: A trainer is up in half a second, and sleeps after eighteen without work.
SPEED = 50.0
KEY = "sdk-test-key-0123456789"


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> Iterator[None]:
    loopback_guard.guard()
    yield
    assert loopback_guard.refused == []


@pytest.fixture(scope="session", autouse=True)
def _silent(tmp_path_factory: pytest.TempPathFactory) -> None:
    wanted = variables(tmp_path_factory.mktemp("home"))
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


@pytest.fixture(scope="session")
def service(_silent: None) -> Iterator[AnyService]:
    with running_service(speed=SPEED, any_key=False) as running:
        yield running


@pytest.fixture(scope="session")
def connected(service: AnyService) -> Iterator[AnyService]:
    """Put the service where the SDK looks for it."""
    with pytest.MonkeyPatch.context() as patch:
        yield at(service, patch)


def at(service: AnyService, monkeypatch: pytest.MonkeyPatch, url: str | None = None) -> AnyService:
    """Point the SDK's variables at a service."""
    monkeypatch.setenv("LOOPS_BASE_URL", url or service.url)
    monkeypatch.setenv("BASETEN_API_KEY", service.key)
    return service


@pytest.fixture
def loops(connected: AnyService) -> Iterator[Any]:
    """Give a ServiceClient whose trainers are ended when the test is over: a service has a limit of live ones."""
    from baseten.loops import ServiceClient

    with ending_runs(connected.url):
        yield ServiceClient()


@contextlib.contextmanager
def ending_runs(url: str) -> Iterator[None]:
    """Close and end, at the end, the runs that were made meanwhile, and every standalone sampler."""
    from baseten.loops import TrainingClient

    made: list[Any] = []
    original = TrainingClient.__init__

    def remember(self: Any, *arguments: Any, **named: Any) -> None:
        original(self, *arguments, **named)
        made.append(self)

    TrainingClient.__init__ = remember
    try:
        yield
    finally:
        TrainingClient.__init__ = original
        with httpx.Client(
            base_url=url, headers={"Authorization": f"Api-Key {os.environ['BASETEN_API_KEY']}"}, timeout=30
        ) as http:
            for client in made:
                client.close()
                http.post(f"/v1/loops/runs/{client.run_id}/deactivate").raise_for_status()
            for sampler in http.get("/v1/loops/samplers").json()["samplers"]:
                if sampler["status"]["name"] in {"ACTIVE", "SCALED_TO_ZERO"}:
                    # The sampler of a live run answers that it belongs to one.
                    http.post(f"/v1/loops/samplers/{sampler['id']}/deactivate")


@pytest.fixture(scope="module")
def shared(connected: AnyService) -> Iterator[Any]:
    """Give a training client that the tests of a file share, because none of them minds what another taught it."""
    from baseten.loops import ServiceClient

    with ending_runs(connected.url):
        yield ServiceClient().create_lora_training_client(MODEL, rank=8, seed=7)


@pytest.fixture
def trainer(loops: Any) -> Callable[..., Any]:
    """Give a maker of training clients."""

    def make(base_model: str = MODEL, **named: Any) -> Any:
        return loops.create_lora_training_client(base_model, **{"rank": 8, "seed": 7, **named})

    return make
