"""Sampling from the real local sampler: a small model trained for this test."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import httpx
import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.api.serving import openai_base_url
from loops_nb.errors import BadRequestError, NeverReachedError
from loops_nb.sampling import Completions
from tests.local.responses import good, problem
from tests.sampling.conftest import EARLY, LATE, WORDS, Trained
from tests.service import running_service

pytestmark = pytest.mark.once
PROMPT = "the quick "
REST = WORDS.decode().removeprefix(PROMPT)


def test_run_completes_what_it_was_trained_on(trained: Trained) -> None:
    with trained.client() as loops:
        found = loops.samplers.sample(trained.run_id, PROMPT, temperature=0, max_tokens=len(REST))
        again = loops.samplers.sample(trained.sampler_id, list(PROMPT.encode()), temperature=0, max_tokens=len(REST))
    assert found.texts == again.texts == [REST]
    assert found.policy_version == LATE
    assert (found.run_id, found.sampler_id, found.checkpoint) == (trained.run_id, trained.sampler_id, None)
    assert again.prompt == PROMPT, "read back from the ids"
    assert found[0].stop_reason == "length"
    assert found[0].logprobs is not None
    assert found[0].mean_logprob is not None
    assert math.exp(found[0].mean_logprob) > 0.5
    assert [piece.text for piece in found[0].pieces] == list(REST)


def test_checkpoints_differ(trained: Trained) -> None:
    with trained.client() as loops:
        early, late = (
            loops.samplers.sample(
                trained.run_id, WORDS.decode(), checkpoint=f"step-{step}", prompt_logprobs=1, max_tokens=1
            )
            for step in (EARLY, LATE)
        )
    assert (early.policy_version, late.policy_version) == (EARLY, LATE)
    assert early.checkpoint == f"bt://loops:{trained.run_id}/sampler_weights/step-{EARLY}"
    scores = []
    for found in (early, late):
        assert found.prompt_logprobs is not None
        assert found.prompt_logprobs[0] is None
        assert len(found.prompt_logprobs) == len(WORDS)
        scores.append(sum(score for score in found.prompt_logprobs[1:] if score is not None))
    assert scores[1] > scores[0] + 10, "more steps know the sentence better"


def test_the_base_model_has_learnt_nothing(trained: Trained) -> None:
    with trained.client() as loops:
        found = loops.samplers.sample(trained.run_id, PROMPT, temperature=0, max_tokens=len(REST), min_policy_version=0)
    assert found.texts != [REST]
    assert not found.policy_version


def test_seeds_and_several(trained: Trained) -> None:
    with trained.client() as loops:
        one, two = (
            loops.samplers.sample(trained.run_id, "the ", n=3, seed=5, temperature=1.5, max_tokens=12) for _ in range(2)
        )
        other = loops.samplers.sample(trained.run_id, "the ", n=3, seed=6, temperature=1.5, max_tokens=12)
    assert one.texts == two.texts != other.texts
    assert len(set(one.texts)) > 1
    assert len(one.frame) == 3


def test_stop_ends_the_completion(trained: Trained) -> None:
    with trained.client() as loops:
        found = loops.samplers.sample(trained.run_id, PROMPT, temperature=0, stop=" fox")
        by_id = loops.samplers.sample(trained.run_id, PROMPT, temperature=0, stop=[ord("f")])
    assert [found[0].stop_reason, by_id[0].stop_reason] == ["stop", "stop"]
    assert found.texts[0] is not None
    assert found.texts[0].startswith("brown")
    assert len(by_id[0].tokens) <= len("brown f")


def test_the_async_twin_in_parallel(trained: Trained) -> None:
    async def go() -> list[Completions]:
        async with AsyncLoops(base_url=trained.url) as loops:
            return await asyncio.gather(
                *(loops.samplers.sample(trained.run_id, PROMPT, temperature=0, max_tokens=5) for _ in range(3))
            )

    assert [found.texts for found in asyncio.run(go())] == [["brown"]] * 3


def test_refusal_of_the_sampler(trained: Trained) -> None:
    with trained.client() as loops, pytest.raises(BadRequestError, match="Could not sample from sampler"):
        loops.samplers.sample(trained.run_id, [1] * 10_000, max_tokens=1)


def test_a_standalone_sampler_and_one_that_has_ended(trained: Trained) -> None:
    with trained.client() as loops:
        session = loops.sessions.create()
        made = loops.samplers.create(session_id=session.id, base_model="loops-local/tiny")
        found = loops.samplers.sample(made, PROMPT, temperature=0, max_tokens=len(REST), quiet=True)
        assert found.run_id is None
        assert found.texts != [REST], "the base model has learnt nothing"
        pinned = loops.samplers.sample(
            made,
            PROMPT,
            temperature=0,
            max_tokens=5,
            checkpoint=f"bt://loops:{trained.run_id}/sampler_weights/step-{LATE}",
        )
        assert pinned.texts == ["brown"]
        loops.samplers.deactivate(made.id)
        with pytest.raises(NeverReachedError, match="has ended"):
            loops.samplers.sample(made, PROMPT)


def test_sampler_scaled_to_zero_is_woken(tmp_path: Path) -> None:
    # So fast that it falls asleep after four seconds without a question, and slow enough to be seen doing so.
    with running_service(speed=2000.0, data_dir=tmp_path) as service, Loops(base_url=service.url) as loops:
        made = loops.samplers.create(session_id=loops.sessions.create().id, base_model="loops-local/tiny")
        asleep = loops.samplers.wait(made.id, "SCALED_TO_ZERO", timeout=60, quiet=True)
        assert asleep.status is not None
        assert asleep.status.name == "SCALED_TO_ZERO"
        assert len(loops.samplers.sample(asleep, PROMPT, max_tokens=3, quiet=True)[0].tokens) == 3


def test_deployed_checkpoint_answers_as_openai(trained: Trained) -> None:
    chat = [{"role": "user", "content": "Hello"}]
    with trained.client() as loops, httpx.Client(headers=trained.service.headers, timeout=60) as api:
        made = loops.checkpoints.deploy(
            checkpoint_ids=[ref.id for ref in loops.checkpoints.resolve(run_id=trained.run_id, target="sampler")],
            model_name="fox",
            instance_type_id="local-cpu-1",
            hf_secret_name="hf_access_token",
        )
        loops.model_deployments.wait(made.model_id, made.deployment_id, quiet=True)
        base = openai_base_url(made.model_id, made.deployment_id, loops.base_url)
        served = [one["id"] for one in good(api.get(f"{base}/models"))["data"]]
        assert set(served) == {f"step-{EARLY}", f"step-{LATE}", "loops-local/tiny"}
        asked = {"messages": chat, "max_tokens": 12, "temperature": 0}
        for step in (EARLY, LATE):
            answer = good(api.post(f"{base}/chat/completions", json={**asked, "model": f"step-{step}"}))
            wanted = loops.samplers.sample(
                trained.run_id, chat, checkpoint=f"step-{step}", max_tokens=12, temperature=0, quiet=True
            )
            assert answer["choices"][0]["message"] == {"role": "assistant", "content": wanted[0].text}
            assert answer["usage"]["prompt_tokens"] == len("[user] Hello\n[assistant] ")
        refused = problem(api.post(f"{base}/chat/completions", json={**asked, "model": "step-1"}), 404)
        assert "There is no model 'step-1'; there are step-" in refused["message"]
        problem(api.post(f"{base}/chat/completions", json={**asked, "model": "step-10", "stream": True}), 400)
        problem(api.post(f"{base}/chat/completions", json={"model": "step-10"}), 400, field="messages")
        loops.model_deployments.deactivate(made.model_id, made.deployment_id)
        sampler = loops.samplers.get(trained.sampler_id)
        other = openai_base_url(str(sampler.model_id), str(sampler.deployment_id), loops.base_url)
        problem(api.get(f"{other}/models"), 404)
