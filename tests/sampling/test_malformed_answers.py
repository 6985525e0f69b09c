"""Any answer of a sampler gives completions or a `LoopsError` in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops_nb import Loops, RetryPolicy
from loops_nb.errors import CredentialsError, LoopsError, UnreadableAnswerError
from tests.client.scripted_server import Answer
from tests.client.test_malformed_answers import HOSTILE_HEADERS, HOSTILE_VALUES, STATUSES
from tests.sampling.sampler_server import SAMPLER, SamplerServer

PARTS = [
    b'{"choices": %s}',
    b'{"choices": [%s]}',
    b'{"choices": [{"token_ids": %s}]}',
    b'{"choices": [{"token_ids": [%s, 97]}]}',
    b'{"choices": [{"text": %s}]}',
    b'{"choices": [{"finish_reason": %s, "text": "a"}]}',
    b'{"choices": [{"text": "a", "logprobs": %s}]}',
    b'{"choices": [{"token_ids": [97], "logprobs": {"token_logprobs": [%s]}}]}',
    b'{"choices": [{"logprobs": {"tokens": [%s]}}]}',
    b'{"choices": [{"text": "a", "prompt_token_ids": [%s]}]}',
    b'{"choices": [{"text": "a", "prompt_logprobs": [%s]}]}',
    b'{"choices": [{"text": "a", "prompt_logprobs": [{"97": %s}]}]}',
    b'{"choices": [{"text": "a", "prompt_logprobs": [{"97": {"logprob": %s}}]}]}',
    b'{"choices": [{"text": "a"}], "usage": {"completion_tokens": %s}}',
    b'{"operation_id": %s}',
    b'{"status": "error", "error": %s, "error_class": %s}',
]
MORE_VALUES = [b'"token_id:' + b"9" * 5000 + b'"', b'"token_id:-1"', b'{"' + b"9" * 5000 + b'": 1}', b"-" + b"9" * 400]
HEADERS = [*HOSTILE_HEADERS, {"x-trainers-policy-version": "9" * 5000}, {"x-trainers-policy-version": "9" * 30}]


def sample(server: SamplerServer) -> Any:
    with Loops("key", server.url, retry=RetryPolicy(attempts=1), timeout=5) as loops:
        return loops.samplers.sample(SAMPLER, [97, 98], quiet=True, timeout=1)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    part=st.sampled_from(PARTS),
    value=st.sampled_from([*HOSTILE_VALUES, *MORE_VALUES]),
    headers=st.sampled_from(HEADERS),
    status=st.sampled_from([one for one in STATUSES if one != 408]),
)
def test_any_answer_gives_completions_or_a_loops_error(
    part: bytes, value: bytes, headers: dict[str, str], status: int
) -> None:
    with SamplerServer(Answer(part.replace(b"%s", value), status, headers)) as server:
        try:
            completions = sample(server)
        except LoopsError as error:
            text = str(error)
        else:
            text = ""
            repr(completions)
            assert len(completions.frame) == len(completions)
    assert text.isprintable()
    assert "a fault of loops_nb" not in text


@pytest.mark.parametrize(
    "address",
    [
        "//[",
        "javascript:alert(1)",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "https://" + "a" * 90,
        "\x1b[2J",
        "http://me:pw@127.0.0.1/",
    ],
)
def test_sampler_without_an_address_is_an_error(address: str) -> None:
    with SamplerServer() as server:
        server.base_url = address
        with pytest.raises((UnreadableAnswerError, CredentialsError)) as caught:
            sample(server)
        assert str(caught.value).isprintable()
        assert server.asked == []
