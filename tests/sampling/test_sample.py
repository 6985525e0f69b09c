"""``loops.samplers.sample``: requests, answers and error messages."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.api.models import Sampler
from loops_nb.client.address import Address
from loops_nb.errors import (
    BadRequestError,
    ConflictError,
    CredentialsError,
    InvalidArgumentError,
    InvalidURIError,
    LoopsError,
    NeverReachedError,
    NotFoundError,
    RateLimitError,
    RedirectRefusedError,
    ServerError,
    ServiceUnreachableError,
    UnreadableAnswerError,
    WaitTimeoutError,
)
from loops_nb.sampling import Completions
from loops_nb.sampling.sampler_address import sampler_address
from tests.client.scripted_server import HANG_UP, Answer
from tests.sampling.sampler_server import AT_SAMPLER, NEWEST, PIN, RUN, SAMPLER, SamplerServer, choice, completions

QUICK = RetryPolicy(attempts=3, total_seconds=20, first_wait_seconds=0.01, longest_wait_seconds=0.02)
KEY = "sentinel-key-0123456789"

Flavour = Callable[..., Completions]


def sample_sync(server: SamplerServer, sampler: Any = SAMPLER, prompt: Any = "say", **wanted: Any) -> Completions:
    with Loops(KEY, server.url, retry=QUICK, timeout=5) as loops:
        return loops.samplers.sample(sampler, prompt, quiet=True, **wanted)


def sample_async(server: SamplerServer, sampler: Any = SAMPLER, prompt: Any = "say", **wanted: Any) -> Completions:
    async def go() -> Completions:
        async with AsyncLoops(KEY, server.url, retry=QUICK, timeout=5) as loops:
            return await loops.samplers.sample(sampler, prompt, quiet=True, **wanted)

    return asyncio.run(go())


@pytest.fixture(params=[sample_sync, sample_async], ids=["sync", "async"])
def sample(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


@pytest.fixture
def server() -> Iterator[SamplerServer]:
    with SamplerServer() as made:
        yield made


def refused(server: SamplerServer, kind: type[LoopsError], sample: Flavour = sample_sync, **wanted: Any) -> str:
    """Return the error message, which never has the key."""
    with pytest.raises(kind) as caught:
        sample(server, **wanted)
    text = str(caught.value)
    assert KEY not in text
    assert type(caught.value) is kind
    return text


def test_the_documented_request_and_answer(sample: Flavour, server: SamplerServer) -> None:
    server.answers = [completions(choice("ab"), choice("c", finish_reason="length"), version="7")]
    found = sample(server, n=2, max_tokens=9, temperature=0.5, top_p=0.9, top_k=5, seed=3, stop="\n")
    (request,) = server.asked
    assert request.json == {
        "prompt": [115, 97, 121],
        "n": 2,
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "seed": 3,
        "stop": "\n",
        "logprobs": 0,
        "return_tokens_as_token_ids": True,
    }
    assert request.headers["authorization"] == f"Api-Key {KEY}"
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}", "of the API itself, as the connection says"
    assert request.headers["idempotency-key"]
    assert [one.tokens for one in found] == [[97, 98], [99]]
    assert found.texts == ["ab", "c"]
    assert found[0].logprobs == [-0.5, -0.5]
    assert (found[0].logprob, found[0].mean_logprob) == (-1.0, -0.5)
    assert [one.stop_reason for one in found] == ["stop", "length"]
    assert (found.policy_version, found.sampler_id, found.run_id, found.prompt) == (7, SAMPLER, RUN, "say")
    assert found.seconds is not None
    assert found.seconds > 0


def test_run_object_and_run_id_select_its_sampler(sample: Flavour, server: SamplerServer) -> None:
    with Loops(KEY, server.url) as loops:
        things = [RUN, SAMPLER, loops.runs.get(RUN), loops.samplers.get(SAMPLER)]
    for thing in things:
        assert sample(server, thing).sampler_id == SAMPLER
        assert server.asked[-1].headers["x-run-id"] == RUN
        assert "x-sampler-id" not in server.asked[-1].headers


def test_paired_sampler_answers_with_the_newest_weights(server: SamplerServer) -> None:
    sample_sync(server)
    headers = server.asked[-1].headers
    # The checkpoint until published weights are live; one that is still being written is none yet.
    assert (headers["x-checkpoint-path"], headers["x-min-policy-version"]) == (NEWEST, "1")
    server.checkpoints = [("only-for-training", "trainer", "COMPLETE")]
    sample_sync(server)
    headers = server.asked[-1].headers
    assert {"x-checkpoint-path", "x-min-policy-version"} & headers.keys() == set()


@pytest.mark.parametrize("named", [PIN, "step-10", f"{PIN}/"])
def test_a_checkpoint_is_pinned(server: SamplerServer, named: str) -> None:
    found = sample_sync(server, checkpoint=named)
    headers = server.asked[-1].headers
    assert (headers["x-checkpoint-path"], headers["x-run-id"]) == (PIN, RUN)
    assert "x-min-policy-version" not in headers
    assert (found.checkpoint, found.source) == (PIN, PIN.removeprefix("bt://loops:"))


def test_a_checkpoint_object_of_another_run_names_its_run_by_itself(server: SamplerServer) -> None:
    with Loops(KEY, server.url) as loops:
        own = loops.checkpoints.list(run_id=RUN)[0]
        assert loops.samplers.sample(SAMPLER, "say", checkpoint=own).checkpoint == PIN
    sample_sync(server, checkpoint="bt://loops:another/sampler_weights/x", min_policy_version=4)
    headers = server.asked[-1].headers
    assert headers["x-checkpoint-path"] == "bt://loops:another/sampler_weights/x"
    assert headers["x-min-policy-version"] == "4"
    assert {"x-run-id", "x-sampler-id"} & headers.keys() == set()


def test_min_policy_version_alone_sends_no_checkpoint(server: SamplerServer) -> None:
    sample_sync(server, min_policy_version=4)
    headers = server.asked[-1].headers
    assert headers["x-min-policy-version"] == "4"
    assert "x-checkpoint-path" not in headers


def test_the_base_model_of_a_runs_sampler(server: SamplerServer) -> None:
    sample_sync(server, min_policy_version=0)
    assert {"x-checkpoint-path", "x-min-policy-version"} & server.asked[-1].headers.keys() == set()


def test_on_shared_capacity_no_weights_are_live(server: SamplerServer) -> None:
    server.model_id = None
    assert "Name a checkpoint instead" in refused(server, InvalidArgumentError, min_policy_version=4)
    assert server.asked == []


def test_standalone_sampler_is_identified_by_a_header(server: SamplerServer) -> None:
    server.paired = False
    assert sample_sync(server).run_id is None
    headers = server.asked[-1].headers
    assert headers["x-sampler-id"] == SAMPLER
    assert {"x-run-id", "x-checkpoint-path", "x-min-policy-version"} & headers.keys() == set()
    assert "belongs to no run" in refused(server, InvalidArgumentError, checkpoint="step-10")
    assert "has no sampler" in refused(server, InvalidArgumentError, sampler=RUN)


def test_unknown_sampler_is_not_found(sample: Flavour, server: SamplerServer) -> None:
    assert "There is no sampler and no run 'unknown'" in refused(server, NotFoundError, sample, sampler="unknown")
    assert server.asked == []


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": [1, "2"]}, r"prompt\[1\] must be a whole number"),
        ({"prompt": [-1]}, r"prompt\[0\] must be between 0"),
        ({"prompt": b"bytes"}, "must be a string or a list of token ids"),
        ({"prompt": 7}, "must be a string or a list of token ids"),
        ({"n": 0}, "n must be at least 1"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"temperature": -1}, "temperature must be a number at least 0"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"temperature": float("inf")}, "temperature must be a number"),
        ({"top_p": 0}, "top_p must be a number above 0 and at most 1"),
        ({"top_p": "0.5"}, "top_p must be a number"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"stop": ""}, "stop is an empty string"),
        ({"stop": []}, "stop must be a string"),
        ({"stop": ["a", 1]}, "stop must be a string"),
        ({"stop": 3}, "stop must be a string"),
        ({"prompt_logprobs": 21}, "prompt_logprobs must be between 0 and 20"),
        ({"min_policy_version": -1}, "min_policy_version must be at least 0"),
        ({"timeout": 0}, "timeout must be a number of seconds"),
        ({"tokenizer": object()}, "tokenizer must have encode"),
        ({"sampler": "a/b"}, "sampler is not an id"),
        ({"sampler": 3}, "sampler must be a string"),
    ],
)
def test_arguments_are_refused_before_anything_is_sent(
    server: SamplerServer, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        sample_sync(server, **wanted)
    assert server.received == []


def test_a_trainer_checkpoint_cannot_be_sampled(server: SamplerServer) -> None:
    assert "sampler" in refused(server, InvalidURIError, checkpoint=f"bt://loops:{RUN}/weights/step-10")
    assert server.received == []


@pytest.mark.parametrize(
    ("stop", "field", "sent"),
    [
        ("x", "stop", "x"),
        (["x", "y"], "stop", ["x", "y"]),
        ([256, 10], "stop_token_ids", [256, 10]),
        (("x",), "stop", ["x"]),
    ],
)
def test_stop_is_sent_as_strings_or_token_ids(server: SamplerServer, stop: Any, field: str, sent: Any) -> None:
    sample_sync(server, stop=stop)
    assert server.asked[-1].json[field] == sent
    assert {"stop", "stop_token_ids"} & server.asked[-1].json.keys() == {field}


ODD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"logprobs": None}, {"tokens": [97, 98], "logprobs": None, "text": "ab"}),
    ({"logprobs": {"token_logprobs": [-1, None]}}, {"logprobs": [-1.0, None], "logprob": None}),
    ({"logprobs": {"token_logprobs": [-1]}}, {"logprobs": [-1.0, None]}),
    ({"logprobs": {"token_logprobs": [-1, -2, -3]}}, {"logprobs": [-1.0, -2.0]}),
    ({"logprobs": {"token_logprobs": "?"}}, {"logprobs": None}),
    ({"logprobs": [1]}, {"logprobs": None}),
    ({"token_ids": None}, {"tokens": [97, 98]}),
    ({"token_ids": None, "logprobs": {"tokens": [97, "token_id:98"]}}, {"tokens": [97, 98]}),
    ({"token_ids": None, "logprobs": {"tokens": ["a", "b"], "token_logprobs": [-1, -2]}}, {"tokens": [], "text": "ab"}),
    ({"token_ids": ["token_id:x"], "logprobs": None}, {"tokens": [], "text": "ab"}),
    ({"token_ids": [115, 97, 121, 97]}, {"tokens": [97]}),
    ({"text": None}, {"text": "ab"}),
    ({"text": 5}, {"text": "ab"}),
    ({"token_ids": [], "logprobs": None, "text": ""}, {"tokens": [], "text": "", "logprob": None}),
    ({"finish_reason": None}, {"stop_reason": None}),
    ({"finish_reason": "content_filter"}, {"stop_reason": "content_filter"}),
    ({"finish_reason": 7}, {"stop_reason": None}),
    ({"token_ids": [97, 999_999]}, {"tokens": [97, 999_999]}),
]


@pytest.mark.parametrize(("sent", "expected"), ODD, ids=lambda value: "" if "tokens" in value else str(value)[:40])
def test_incomplete_answers_are_decoded_leniently(
    server: SamplerServer, sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    server.answers = [completions({**choice(), **sent})]
    (found,) = sample_sync(server)
    assert {name: getattr(found, name) for name in expected} == expected


def test_counted_completion_that_repeats_the_prompt_is_kept(server: SamplerServer) -> None:
    echo = completions(choice("saysay"))
    server.answers = [
        echo,
        Answer({**echo.body, "usage": {"completion_tokens": 6}}),
        Answer({**echo.body, "usage": {"completion_tokens": 3}}),
    ]
    assert [len(sample_sync(server)[0].tokens) for _ in range(3)] == [3, 6, 3]


def test_choice_without_tokens_and_no_choice(server: SamplerServer) -> None:
    server.answers = [completions({}), Answer({"choices": []})]
    (found,) = sample_sync(server)
    assert (found.tokens, found.logprobs, found.text, found.stop_reason) == ([], None, None, None)
    assert len(sample_sync(server)) == 0


def test_nan_and_infinity_are_decoded(server: SamplerServer) -> None:
    body = b'{"choices": [{"token_ids": [97, 98], "logprobs": {"token_logprobs": [NaN, -Infinity]}}]}'
    server.answers = [Answer(body, headers={"x-trainers-policy-version": "later"})]
    found = sample_sync(server)
    assert found[0].logprobs == [None, float("-inf")]
    assert found.policy_version is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html><body>Welcome</body></html>", headers={"content-type": "text/html"}),
        Answer(b'{"choices": [{'),
        Answer(b""),
        Answer(b"\xff\xfe"),
        Answer(b"[" * 100_000),
        Answer([1]),
        Answer({"choices": "none"}),
        Answer({"choices": [3]}),
        Answer({"error": "hidden in a 200"}),
    ],
    ids=["html", "cut", "empty", "bytes", "deep", "list", "text", "number", "error"],
)
def test_undecodable_answer_is_an_error(server: SamplerServer, answer: Answer) -> None:
    server.answers = [answer]
    refused(server, UnreadableAnswerError)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer({"error": {"message": f"bad seed {KEY}"}}, status=422), BadRequestError, "bad seed <api key>"),
        (Answer({"message": "no such adapter"}, status=400), BadRequestError, "no such adapter"),
        (Answer({"message": "gone"}, status=404), NotFoundError, "gone"),
        (Answer({"message": "no"}, status=409), ConflictError, "no"),
        (Answer(b"<html>", status=500), ServerError, "a web page instead of JSON"),
        (Answer({"message": "?"}, status=501), ServerError, "501"),
        (Answer({}, status=307, headers={"location": "http://127.0.0.1:1/x"}), RedirectRefusedError, "not followed"),
    ],
)
def test_refusal_is_not_retried(
    sample: Flavour, server: SamplerServer, answer: Answer, kind: type[LoopsError], words: str
) -> None:
    server.answers = [answer]
    assert words in refused(server, kind, sample)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retry_keeps_the_idempotency_key(sample: Flavour, server: SamplerServer, status: int) -> None:
    server.answers = [Answer({"message": "busy"}, status=status), HANG_UP, completions()]
    assert sample(server).texts == ["ab"]
    assert len(server.asked) == 3
    assert len({one.headers["idempotency-key"] for one in server.asked}) == 1


def test_retries_end(sample: Flavour, server: SamplerServer) -> None:
    server.answers = [Answer({"message": "busy"}, status=503)]
    assert "after 3 tries" in refused(server, ServerError, sample)
    server.answers = [HANG_UP]
    assert "after 3 tries" in refused(server, ServiceUnreachableError, sample)
    server.answers = [Answer({"message": "slow down"}, status=429, headers={"retry-after": "3600"})]
    before = len(server.asked)
    refused(server, RateLimitError, sample)
    assert len(server.asked) == before + 1


def test_old_weights_are_polled_with_pauses(sample: Flavour, server: SamplerServer) -> None:
    server.answers = [Answer({}, status=408), Answer({}, status=408), completions(version="9")]
    assert sample(server, min_policy_version=9).policy_version == 9
    server.answers = [Answer({}, status=408)]
    before = len(server.asked)
    text = refused(server, WaitTimeoutError, sample, min_policy_version=12, timeout=1.2)
    assert "its weights have not reached version 12 after 1.2 s" in text
    assert len(server.asked) - before < 8


def test_slow_answer_is_a_wait_timeout(sample: Flavour, server: SamplerServer) -> None:
    over = threading.Event()
    server.answers = [Answer(hang_until=over)]
    try:
        assert "no answer within 1 s" in refused(server, WaitTimeoutError, sample, timeout=1)
        assert len(server.asked) == 1, "what may still be at work is not started a second time"
        server.answers = [Answer(hang_until=over)]
        text = refused(server, WaitTimeoutError, sample, timeout=1, min_policy_version=12)
        assert "no answer within 1 s, for weights of version 12 or later" in text
        assert "Publish such weights first" in text
    finally:
        over.set()


def test_sampler_scaled_to_zero_is_woken_and_waited_for(sample: Flavour, server: SamplerServer) -> None:
    server.statuses = ["SCALED_TO_ZERO", "SCALED_TO_ZERO", "WAKING_UP", "ACTIVE"]
    server.answers = [Answer({"message": "model not loaded"}, status=404), completions()]
    assert sample(server, RUN).texts == ["ab"]
    (woken,) = server.at(f"{AT_SAMPLER}/wake")
    assert (woken.method, woken.headers["x-run-id"]) == ("POST", RUN)


def test_sampler_is_woken_again_after_scaling_to_zero_again(server: SamplerServer) -> None:
    server.statuses = [*["SCALED_TO_ZERO"] * 3, "WAKING_UP", "SCALED_TO_ZERO", "SCALED_TO_ZERO", "ACTIVE"]
    assert sample_sync(server).texts == ["ab"]
    assert len(server.at(f"{AT_SAMPLER}/wake")) == 2


def test_wake_address_replaces_sync(server: SamplerServer) -> None:
    server.base_url = f"{server.url}{AT_SAMPLER}/sync"
    server.statuses = ["SCALED_TO_ZERO", "SCALED_TO_ZERO", "ACTIVE"]
    with pytest.raises(NotFoundError):
        sample_sync(server)
    assert len(server.at(f"{AT_SAMPLER}/wake")) == 1
    assert len(server.at(f"{AT_SAMPLER}/sync/sample")) == QUICK.attempts, (
        "one that just came up may not know its model yet"
    )


def test_a_sampler_that_cannot_be_woken(server: SamplerServer) -> None:
    server.statuses = ["SCALED_TO_ZERO"]
    server.wake = Answer({"message": "not yours"}, status=409)
    assert "Could not wake sampler" in refused(server, ConflictError)
    server.wake = Answer({}, status=503)
    assert "SCALED_TO_ZERO" in refused(server, WaitTimeoutError, timeout=1)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "words"),
    [("INACTIVE", "has ended"), ("DEACTIVATING", "has ended"), ("BUILD_FAILED", "failed"), ("FAILED", "failed")],
)
def test_ended_sampler_is_never_reached(sample: Flavour, server: SamplerServer, status: str, words: str) -> None:
    server.statuses = [status]
    text = refused(server, NeverReachedError, sample)
    assert words in text
    assert status in text
    assert server.asked == []
    # Reported before a missing tokenizer, which would not help.
    server.model = "org/no-such-model"
    assert words in refused(server, NeverReachedError, sample)


def test_sampler_that_fails_to_start_is_never_reached(sample: Flavour, server: SamplerServer) -> None:
    server.statuses = ["BUILDING", "BUILDING", "BUILD_FAILED"]
    assert "BUILD_FAILED" in refused(server, NeverReachedError, sample, sampler=RUN)


@pytest.mark.parametrize("status", [None, "SOMETHING_NEW"])
def test_unknown_state_is_waited_for(server: SamplerServer, status: str | None) -> None:
    server.statuses = [status]  # type: ignore[list-item]
    if status is None:
        assert sample_sync(server).texts == ["ab"], "the first documents had none"
    else:
        assert "SOMETHING_NEW" in refused(server, WaitTimeoutError, timeout=1)


STRANGERS = [
    "http://127.0.0.1:1/samplers/x",
    "https://evil.example/sync",
    "http://evil.example/sync",
    "http://localhost.evil.example/",
    "https://127.0.0.1.nip.io/x",
]


@pytest.mark.parametrize("url", STRANGERS)
def test_key_is_not_sent_to_an_untrusted_sampler(sample: Flavour, server: SamplerServer, url: str) -> None:
    server.base_url = url
    server.statuses = ["SCALED_TO_ZERO"]
    text = refused(server, CredentialsError, sample)
    assert "nothing was" in text
    assert server.at(f"{AT_SAMPLER}/wake") == server.asked == []


@pytest.mark.parametrize(
    "url", [None, "nowhere", "ftp://127.0.0.1/x", "http://user:hunter2@127.0.0.1/x", "http://127.0.0.1/x?key=1"]
)
def test_invalid_sampler_address_is_an_error(server: SamplerServer, url: str | None) -> None:
    server.base_url = url
    text = refused(server, UnreadableAnswerError)
    assert "hunter2" not in text
    assert "key=1" not in text


def test_shared_capacity_answers_later(sample: Flavour, server: SamplerServer) -> None:
    server.model_id = None
    server.answers = [Answer({"operation_id": "op/1", "schema_version": 1}, status=202)]
    server.operations = [
        Answer({}, status=408),
        Answer({}, status=502),
        Answer({"status": "done", "result": {"choices": [choice("yes")]}}),
    ]
    found = sample(server)
    assert found.texts == ["yes"]
    assert (server.asked[0].json["model"], server.asked[0].json["lora"]) == ("loops-local/tiny", NEWEST)
    assert "x-min-policy-version" not in server.asked[0].headers
    assert {one.target for one in server.received if "operations" in one.target} == {f"{AT_SAMPLER}/operations/op%2F1"}
    assert server.received[-1].headers["x-run-id"] == RUN
    assert found.checkpoint == NEWEST


@pytest.mark.parametrize(
    ("operation", "kind", "words"),
    [
        (
            {"status": "error", "error": f"no {KEY} here", "error_class": "ValueError"},
            BadRequestError,
            "with ValueError (no <api key> here)",
        ),
        ({"status": "error", "error": "out of memory", "error_class": "RuntimeError"}, ServerError, "out of memory"),
        ({"status": "error"}, ServerError, "it failed there"),
        ({"status": "done"}, UnreadableAnswerError, "choices"),
        ([], UnreadableAnswerError, "choices"),
        (Answer({}, status=404), ServerError, "no longer knows the request"),
    ],
)
def test_shared_capacity_fails_later(server: SamplerServer, operation: Any, kind: type[LoopsError], words: str) -> None:
    server.model_id = None
    server.answers = [Answer({"operation_id": "op1"}, status=202)]
    server.operations = [operation if isinstance(operation, Answer) else Answer(operation)]
    assert words in refused(server, kind)


@pytest.mark.parametrize("accepted", [{}, {"operation_id": ""}, {"operation_id": 7}, []])
def test_acceptance_without_an_operation_id_is_an_error(server: SamplerServer, accepted: Any) -> None:
    server.answers = [Answer(accepted, status=202)]
    assert "without an operation id" in refused(server, ServerError)


def test_abandoned_operation_is_cancelled(sample: Flavour, server: SamplerServer) -> None:
    server.model_id = None
    server.answers = [Answer({"operation_id": "op1"}, status=202)]
    server.operations = [Answer({}, status=408)]
    refused(server, WaitTimeoutError, sample, timeout=1)
    assert len(server.at(f"{AT_SAMPLER}/operations/op1/cancel")) == 1


def test_cancelled_task_cancels_its_operation() -> None:
    with SamplerServer(Answer({"operation_id": "op1"}, status=202)) as server:
        server.model_id = None
        server.operations = [Answer({}, status=408)]

        async def go() -> None:
            async with AsyncLoops(KEY, server.url) as loops:
                task = asyncio.create_task(loops.samplers.sample(SAMPLER, "say"))
                assert await asyncio.to_thread(server.polled.wait, 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(go())
        assert len(server.at(f"{AT_SAMPLER}/operations/op1/cancel")) == 1


def test_prompt_logprobs(server: SamplerServer) -> None:
    scored = [None, {"97": {"logprob": -0.25, "rank": 1}, "99": {"logprob": -2.0}}, {"100": {"logprob": -1}}, "odd"]
    server.answers = [completions(choice(prompt_logprobs=scored))]
    found = sample_sync(server, prompt_logprobs=2)
    assert server.asked[-1].json["prompt_logprobs"] == 2
    assert found.prompt_logprobs == [None, -0.25, None]
    assert found.top_prompt_logprobs == [None, {97: -0.25, 99: -2.0}, {100: -1.0}, None]


def test_placeholder_key_is_not_redacted(server: SamplerServer) -> None:
    server.answers = [Answer({"message": "the local trainer says no"}, status=422)]
    with Loops(base_url=server.url) as loops, pytest.raises(BadRequestError, match="the local trainer says no"):
        loops.samplers.sample(SAMPLER, "say")


def test_closed_client_reopens(server: SamplerServer) -> None:
    loops = Loops(KEY, server.url)
    assert loops.samplers.sample(SAMPLER, "say").texts == ["ab"]
    loops.close()
    assert loops.samplers.sample(SAMPLER, [1, 2]).texts == ["ab"]
    loops.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals reach a thread on POSIX only")
def test_ctrl_c_cancels_its_operation(server: SamplerServer) -> None:
    server.model_id = None
    server.answers = [Answer({"operation_id": "op1"}, status=202)]
    over = threading.Event()
    server.operations = [Answer(hang_until=over), Answer({}, status=409)]
    me = threading.get_ident()

    def stop() -> None:
        assert server.polled.wait(10)
        signal.pthread_kill(me, signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            sample_sync(server)
    finally:
        over.set()
        thread.join()
    assert len(server.at(f"{AT_SAMPLER}/operations/op1/cancel")) == 1


def test_sampler_of_the_organisation_is_found(server: SamplerServer) -> None:
    server.own = False
    assert sample_sync(server).run_id == RUN


def test_ids_that_a_tokenizer_does_not_know_are_shown_as_ids(server: SamplerServer) -> None:
    class Two:
        def encode(self, text: str) -> list[int]:
            return [0, 1]

        def decode(self, tokens: list[int]) -> str:
            return "".join("ab"[token] for token in tokens)

    server.answers = [completions({"token_ids": [0, 7]})]
    (found,) = sample_sync(server, tokenizer=Two())
    assert (found.text, found.tokens, found.pieces) == (None, [0, 7], [])


HOSTED = Address("https://api.baseten.co", "default", is_loopback=False)
OWN = Address("https://loops.example.com:8443", "argument", is_loopback=False)


@pytest.mark.parametrize(
    ("service", "url", "trusted"),
    [
        (HOSTED, "https://model-abc.api.baseten.co/deployment/def/sync", True),
        (HOSTED, "https://loops.baseten.co/", True),
        (HOSTED, "https://api.baseten.co/x", True),
        (HOSTED, "https://MODEL-ABC.api.baseten.co:443/x", True),
        (HOSTED, "https://model-abc.api.baseten.co:8443/x", False),
        (HOSTED, "http://model-abc.api.baseten.co/x", False),
        (HOSTED, "https://api.baseten.co.evil.example/x", False),
        (HOSTED, "https://evilbaseten.co/x", False),
        (HOSTED, "http://127.0.0.1:8787/samplers/x", False),
        (OWN, "https://loops.example.com:8443/samplers/x", True),
        (OWN, "https://loops.example.com/samplers/x", False),
        (OWN, "https://other.example.com:8443/samplers/x", False),
        (OWN, "https://model-abc.api.baseten.co/x", False),
    ],
)
def test_trusted_sampler_addresses(service: Address, url: str, *, trusted: bool) -> None:
    sampler = Sampler(id="s1", base_url=url)
    if trusted:
        assert sampler_address(sampler, service).url == url.rstrip("/")
    else:
        with pytest.raises(CredentialsError):
            sampler_address(sampler, service)
