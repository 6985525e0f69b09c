"""The SDK finds the tokenizer of the local models with no network: the service's answer names a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sdk.conftest import MODEL

TEXTS = ["the cat sat on the mat.", "naïve façade, 東京 🦊\n\ttabs", "", " leading and trailing "]


@pytest.fixture
def clients(trainer: Callable[..., Any], loops: Any) -> dict[str, Any]:
    """Give every kind of client that has a tokenizer."""
    client = trainer()
    path = client.save_state("here").result(timeout=60).path
    published = client.save_weights_for_sampler("there").result(timeout=60).path
    return {
        "trainer": client,
        "resumed": loops.create_training_client_from_state(path),
        "paired": client.save_weights_and_get_sampling_client("there"),
        "checkpoint": loops.create_sampling_client(model_path=published),
        "base": loops.create_sampling_client(base_model=MODEL),
    }


def test_every_client_has_the_same_tokenizer_and_text_goes_round(clients: dict[str, Any]) -> None:
    for name, client in clients.items():
        tokenizer = client.get_tokenizer()
        for text in TEXTS:
            ids = tokenizer.encode(text, add_special_tokens=False)
            assert ids == list(text.encode()), name
            assert tokenizer.decode(ids) == text, name


def test_the_end_of_a_text_is_a_token_of_its_own(trainer: Callable[..., Any]) -> None:
    tokenizer = trainer().get_tokenizer()
    assert tokenizer.eos_token_id is not None
    assert tokenizer.eos_token_id >= 256
    assert tokenizer.decode([104, 105, tokenizer.eos_token_id], skip_special_tokens=True) == "hi"
    assert len(tokenizer) > 256
