"""``tinker_cookbook.supervised.train`` and ``tinker_cookbook.rl.train``, unmodified, on the local service."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tinker_cookbook.rl import train as rl
from tinker_cookbook.supervised import train as supervised
from tinker_cookbook.supervised.data import FromConversationFileBuilder
from tinker_cookbook.supervised.types import ChatDatasetBuilderCommonConfig

from loops_nb import Loops
from loops_nb.local.base_models import TINY, tokenizer_folder
from tests.recipes.addition import RENDERER, SumDatasetBuilder, write_conversations
from tests.service import AnyService, running_service

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service() as running:
        yield running


@pytest.fixture(autouse=True)
def environment(service: AnyService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", service.url)
    monkeypatch.setenv("BASETEN_API_KEY", service.key)


@pytest.fixture
def model_name() -> str:
    """The folder of a tokenizer is a model's name for the recipes and for the service."""
    return str(tokenizer_folder(TINY.name))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def check_checkpoints(service: AnyService, folder: Path) -> None:
    """Check that the service has what the recipe says it has saved."""
    saved = lines(folder / "checkpoints.jsonl")
    assert saved[-1]["name"] == "final"
    with Loops(service.key, service.url) as loops:
        for entry in saved:
            for kind in ("state_path", "sampler_path"):
                if kind in entry:
                    assert loops.checkpoints.list(checkpoint_path=entry[kind]), entry


def test_supervised_training_learns_and_saves(
    service: AnyService, tmp_path: Path, model_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_LOOPS_SCOPE", "serverless")
    conversations = tmp_path / "conversations.jsonl"
    write_conversations(conversations, count=48)
    common = ChatDatasetBuilderCommonConfig(
        model_name_for_tokenizer=model_name, renderer_name=RENDERER, max_length=120, batch_size=16
    )
    config = supervised.Config(
        log_path=str(tmp_path / "log"),
        model_name=model_name,
        renderer_name=RENDERER,
        dataset_builder=FromConversationFileBuilder(common_config=common, file_path=str(conversations)),
        learning_rate=5e-3,
        num_epochs=4,
        lora_rank=8,
        save_every=6,
        eval_every=0,
    )
    asyncio.run(supervised.main(config))
    losses = [entry["train_mean_nll"] for entry in lines(tmp_path / "log" / "metrics.jsonl")]
    assert len(losses) == 12
    assert losses[-1] < losses[0] / 2
    check_checkpoints(service, tmp_path / "log")
    with Loops(service.key, service.url) as loops:
        assert loops.runs.frame()["serverless"].tolist() == [True]


@pytest.mark.parametrize("off_policy", [None, 2], ids=["synchronous", "asynchronous"])
def test_reinforcement_learning_runs_to_the_end(
    service: AnyService, tmp_path: Path, model_name: str, off_policy: int | None
) -> None:
    config = rl.Config(
        learning_rate=1e-3,
        dataset_builder=SumDatasetBuilder(model_name=model_name),
        model_name=model_name,
        max_tokens=12,
        renderer_name=RENDERER,
        log_path=str(tmp_path),
        lora_rank=8,
        eval_every=0,
        save_every=2,
        async_config=off_policy and rl.AsyncConfig(max_steps_off_policy=off_policy, groups_per_batch=2),
    )
    asyncio.run(rl.main(config))
    metrics = [entry for entry in lines(tmp_path / "metrics.jsonl") if "env/all/reward/total" in entry]
    assert len(metrics) == 3
    assert all(math.isfinite(entry["env/all/reward/total"]) for entry in metrics)
    check_checkpoints(service, tmp_path)
