"""A service with a run that was trained a little."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from loops_nb import Loops
from tests.local.responses import good
from tests.local.training_client import TrainingClient
from tests.service import AnyService, running_service

WORDS = b"the quick brown fox jumps over the lazy dog."
EARLY, LATE = 10, 40
NAME = "sampled run"


@dataclass
class Trained:
    """A run that has published weights after a few steps and after more of them."""

    service: AnyService
    trainer: TrainingClient
    run_id: str
    sampler_id: str

    @property
    def url(self) -> str:
        return self.service.url

    def client(self) -> Loops:
        """Return a client of our own."""
        return Loops(base_url=self.url)


@pytest.fixture(scope="session")
def trained() -> Iterator[Trained]:
    """Train for some steps, and publish weights twice; tests only sample."""
    with running_service() as service, httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
        session = good(api.post("/v1/loops/sessions", json={}))["session"]["id"]
        trainer = TrainingClient(api, session, name=NAME).init()
        sampler = trainer.sampler()
        for step in range(1, LATE + 1):
            trainer.step(list(WORDS))
            if step in {EARLY, LATE}:
                trainer.do("save_weights_for_sampler", name=f"step-{step}", bump_version=True)
        yield Trained(service, trainer, trainer.run["id"], sampler["id"])
