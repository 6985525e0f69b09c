"""One sample service for all that only read, and fresh ones with a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service import AnyService, running_service


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.millis = 1_750_000_000_000

    def __call__(self) -> int:
        return self.millis

    def forward(self, seconds: float) -> None:
        self.millis += round(seconds * 1000)


@pytest.fixture(scope="session")
def sample_service() -> Iterator[AnyService]:
    with running_service(sample=True) as service:
        yield service


@pytest.fixture(scope="session")
def sample(sample_service: AnyService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sample_service.url, headers=sample_service.headers, timeout=30) as client:
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock, tmp_path: Path) -> Iterator[AnyService]:
    """A fresh service whose time only moves when the test says so."""
    with running_service(in_process=True, speed=1.0, clock=clock, data_dir=tmp_path / "data") as found:
        yield found


@pytest.fixture
def api(service: AnyService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
        yield client


@pytest.fixture
def session_id(api: httpx.Client) -> str:
    return str(api.post("/v1/loops/sessions").json()["session"]["id"])
