"""Invalid arguments are refused before any request; the error names the argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loops_nb import Loops
from loops_nb.errors import CredentialsError, InvalidArgumentError, InvalidURIError
from tests.client.scripted_server import serving

RUN: dict[str, Any] = {"session_id": "s", "base_model": "Qwen/Qwen3-8B"}
TRAINER_URI = "bt://loops:k4q95w5/weights/step-100"
SAMPLER_URI = "bt://loops:k4q95w5/sampler_weights/step-100"
NOW = datetime.now(UTC)

BAD: list[tuple[str, Callable[[Loops], object], str]] = [
    ("no filter", lambda n: n.checkpoints.list(), "exactly one of run_id, base_model or checkpoint_path"),
    ("two filters", lambda n: n.checkpoints.list(run_id="a", base_model="b"), "run_id and base_model were given"),
    ("malformed uri", lambda n: n.checkpoints.list(checkpoint_path="s3://x"), "checkpoint_path"),
    ("tinker uri", lambda n: n.checkpoints.list(checkpoint_path="tinker://x/weights/y"), "bt://loops:"),
    ("uri with query", lambda n: n.checkpoints.list(checkpoint_path=TRAINER_URI + "?x=1"), "name"),
    ("uri climbing", lambda n: n.checkpoints.list(checkpoint_path="bt://loops:../weights/x"), "run id"),
    ("uri named ..", lambda n: n.checkpoints.list(checkpoint_path="bt://loops:k/weights/.."), "checkpoint name"),
    ("trainer uri for a sampler", lambda n: n.samplers.create(session_id="s", model_path=TRAINER_URI), SAMPLER_URI),
    ("sampler uri for a run", lambda n: n.runs.create(**RUN, path=SAMPLER_URI), TRAINER_URI),
    ("trainer uri to validate", lambda n: n.checkpoints.validate(TRAINER_URI), "sampler"),
    ("empty id", lambda n: n.runs.get(""), "run_id is empty"),
    ("blank id", lambda n: n.samplers.get("  "), "sampler_id is empty"),
    ("no text", lambda n: n.runs.get(7), "run_id must be a string"),  # type: ignore[arg-type]
    ("uri for an id", lambda n: list(n.checkpoints.files(SAMPLER_URI)), "must be an id, not the URI"),
    ("climbing id", lambda n: n.runs.get("../deployments"), "run_id is not an id"),
    ("id with ?", lambda n: n.runs.get("a?scope=org"), "run_id"),
    ("id with #", lambda n: n.deployments.get("a#b"), "deployment_id"),
    ("id with %2f", lambda n: n.deployments.get("a%2fb"), "deployment_id"),
    ("id ..", lambda n: n.checkpoints.source(".."), "checkpoint_id"),
    ("id with newline", lambda n: n.runs.deactivate("a\nb"), "run_id"),
    ("team", lambda n: n.runs.list(team_id=" "), "team_id"),
    ("rank 0", lambda n: n.runs.create(**RUN, lora_rank=0), "lora_rank must be at least 1, not 0"),
    ("rank True", lambda n: n.runs.create(**RUN, lora_rank=True), "lora_rank must be a whole number"),
    ("rank text", lambda n: n.runs.create(**RUN, lora_rank="8"), "lora_rank"),  # type: ignore[arg-type]
    (
        "delay 0",
        lambda n: n.runs.create(**RUN, scale_down_delay_seconds=0),
        "scale_down_delay_seconds must be between 1 and 3600",
    ),
    ("delay 3601", lambda n: n.trainers.create(**RUN, scale_down_delay_seconds=3601), "between 1 and 3600, not 3601"),
    ("long name", lambda n: n.runs.create(**RUN, name="x" * 256), "name must be a printable string of 1 to 255"),
    ("empty model", lambda n: n.runs.create(session_id="s", base_model=""), "base_model"),
    ("availability", lambda n: n.runs.create(**RUN, availability_model="cheap"), "dedicated, spot"),
    ("replicas", lambda n: n.runs.create(**RUN, replicas=0), "replicas must be at least 1"),
    ("sampler of nothing", lambda n: n.samplers.create(session_id="s"), "base_model"),
    ("text for list", lambda n: deploy(n, "abc"), "checkpoint_ids must be a list"),
    ("empty list", lambda n: deploy(n, []), "checkpoint_ids is an empty list"),
    ("page size 0", lambda n: list(n.checkpoints.files("c", page_size=0)), "page_size must be at least 1"),
    ("debug page size", lambda n: list(n.deployments.debug_files("d", page_size=1001)), "between 1 and 1000"),
    ("limit", lambda n: n.deployments.logs("d", limit=1001), "limit must be between 1 and 1000"),
    ("level", lambda n: n.deployments.logs("d", min_level="LOUD"), "DEBUG, INFO, WARNING, ERROR"),
    ("direction", lambda n: n.deployments.logs("d", direction="up"), "asc, desc"),
    ("naive time", lambda n: n.deployments.logs("d", start=datetime(2026, 1, 1)), "no time zone"),  # noqa: DTZ001
    ("window", lambda n: n.deployments.logs("d", start=NOW - timedelta(days=8), end=NOW), "at most 7 days"),
    (
        "backwards",
        lambda n: n.deployments.metrics("d", start=NOW, end=NOW - timedelta(1)),
        "start must not be after end",
    ),
    ("use case", lambda n: n.capabilities.list(use_case="dpo"), "rl, sft"),
    ("nothing to change", lambda n: n.user_config.update(), "Nothing to change"),
    ("empty priority", lambda n: n.user_config.update(trainer_accelerator_priority=[]), "trainer_accelerator_priority"),
    ("unknown status", lambda n: n.runs.find(status="BUSY"), "status must be one of ACTIVE"),
    ("age", lambda n: n.runs.find(newer_than="1h"), "newer_than"),  # type: ignore[arg-type]
    ("legacy", lambda n: n.legacy.create_trainer("s", model="m", checkpoint_path=SAMPLER_URI), "checkpoint_path"),
]


def deploy(loops: Loops, ids: Any) -> object:
    return loops.checkpoints.deploy(checkpoint_ids=ids, model_name="m", instance_type_id="i", hf_secret_name="h")


@pytest.mark.parametrize(("act", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_is_refused_before_any_request(act: Callable[[Loops], object], words: str) -> None:
    with serving({}) as server, Loops("key", server.url) as loops:
        with pytest.raises(InvalidArgumentError) as caught:
            act(loops)
        assert server.received == []
    assert words in str(caught.value)
    assert caught.value.argument
    assert "\n" not in str(caught.value)


def test_uri_of_the_wrong_target_suggests_the_right_one() -> None:
    with pytest.raises(
        InvalidURIError, match=r"names a trainer checkpoint .* use bt://loops:k4q95w5/sampler_weights/step-100"
    ):
        Loops("key", "http://127.0.0.1:1").samplers.create(session_id="s", model_path=TRAINER_URI)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://example.com", CredentialsError),
        ("http://192.168.1.5:8787", CredentialsError),
        ("http://127.0.0.1.example.com", CredentialsError),
        ("http://localhost.example.com", CredentialsError),
        ("http://0.0.0.0:80", CredentialsError),
        ("ftp://127.0.0.1", InvalidArgumentError),
        ("127.0.0.1:8787", InvalidArgumentError),
        ("", InvalidArgumentError),
        ("http://", InvalidArgumentError),
        ("https://user:hunter2@api.baseten.co", InvalidArgumentError),
        ("https://api.baseten.co/?x=1", InvalidArgumentError),
        ("https://api.baseten.co/#x", InvalidArgumentError),
        ("http://127.0.0.1:99999", InvalidArgumentError),
        ("http://127.0.0.1:0", InvalidArgumentError),
        ("https://api.base ten.co", InvalidArgumentError),
        (f"https://{'a' * 64}.example", InvalidArgumentError),
        ("https://a..example", InvalidArgumentError),
    ],
)
def test_untrusted_address_is_refused(url: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        Loops("sekret-key", url)
    assert "hunter2" not in str(caught.value)
    assert "sekret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://127.9.9.9:1/",
        "http://localhost:1",
        "http://loops.localhost:1",
        "http://[::1]:1",
        "https://a.b/c/",
    ],
)
def test_valid_address_is_accepted(url: str) -> None:
    assert Loops("key", url).base_url == url.rstrip("/")


def test_non_ascii_address_is_requested_in_ascii_form() -> None:
    assert (
        Loops("key", "https://bücher.example:8443/käse%20").base_url
        == "https://xn--bcher-kva.example:8443/k%C3%A4se%20"
    )


@pytest.mark.parametrize("digits", [400, 5000])
def test_number_beyond_64_bits_is_refused(digits: int) -> None:
    number = 10**digits
    with pytest.raises(InvalidArgumentError, match="at most 64 bits"):
        Loops("key", "http://127.0.0.1:1").runs.create(**RUN, seed=number)


@pytest.mark.parametrize("arguments", [{"timeout": 0}, {"timeout": float("nan")}, {"timeout": True}])
def test_other_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        Loops("key", "http://127.0.0.1:1", **arguments)


def test_auth_scheme() -> None:
    with pytest.raises(CredentialsError, match="Bearer, Api-Key"):
        Loops("key", "http://127.0.0.1:1", auth_scheme="Basic")
