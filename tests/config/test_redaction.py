"""Command lines without keys: options, settings, headers, URLs, and keys by their shape."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.config.redaction import HIDDEN, redact_command

SECRET = "s3ntinel"  # a fixture, no password
URL = "https://store.example/bucket/file"


@pytest.mark.parametrize(
    "words",
    [
        ["--api-key", SECRET],
        ["--api_key", SECRET],
        [f"--api-key={SECRET}"],
        [f"--token={SECRET}"],
        ["--token", SECRET],
        ["--hf-token", SECRET],
        ["--apiKey", SECRET],
        ["--wandb.api_key", SECRET],
        [f"--password=my {SECRET} word"],
        ["--passwd", SECRET],
        ["--client-secret", SECRET],
        ["--aws-secret-access-key", SECRET],
        ["--api-keys", "first", SECRET],
        ["--credentials", SECRET],
        ["-token", SECRET],
        [f"trainer.api_key={SECRET},x"],
        [f"+logger.token={SECRET}"],
        [f"WANDB_API_KEY={SECRET}"],
        ["--set", f"db.password={SECRET}"],
        ["--header", f"Authorization: Bearer {SECRET}"],
        ["--header", f"X-Api-Key: {SECRET}"],
        ["-H", f"Authorization: Api-Key {SECRET}"],
        ["--config", json.dumps({"model": {"api_key": SECRET}})],
        ["--config", f"{{'token': '{SECRET}'}}"],
        [f"--data={URL}?X-Amz-Signature={SECRET}"],
        [f"{URL}?sig={SECRET}&se=2026"],
        [f"https://user:{SECRET}@host.example/x"],
        [f"postgresql://{SECRET}@host.example/db"],
        ["--remote", f"git+https://{SECRET}@host.example/x.git"],
        ["--api-key", f"-{SECRET}"],
    ],
    ids=" ".join,
)
def test_secret_of_a_command_line_is_left_out(words: list[str]) -> None:
    shown = redact_command(["train.py", "--lr", "1e-4", *words, "--seed", "3"], {})
    assert SECRET not in " ".join(shown)
    assert HIDDEN in " ".join(shown).replace("<signature>", HIDDEN)
    assert shown[:3] == ["train.py", "--lr", "1e-4"]
    assert shown[-2:] == ["--seed", "3"]


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefghijklmnop1234",
        "hf_abcdefghijklmnopqrstuv",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12",
        "Abc12345.aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF",
        "0123456789abcdef0123456789abcdef01234567",
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
        "aZ09bY18cX27dW36_eV45fU54-gT63hS72iR81jQ90",
    ],
)
@pytest.mark.parametrize("form", ["{}", "--value={}", "--value={},{}", "name={}"])
def test_value_with_the_form_of_a_key_is_left_out(key: str, form: str) -> None:
    shown = redact_command([form.format(key, key)], {})
    assert key not in shown[0]
    assert not any(part and part in shown[0] for part in key.split(".") if len(part) > 10)


@pytest.mark.parametrize(
    "words",
    [
        ["train.py", "--lr", "1e-4", "--max-tokens", "100", "--rank=16", "-v", "--use-auth", "--steps", "-1"],
        ["--model", "Qwen/Qwen3-30B-A3B-Instruct-2507", "--name", "qwen3-8b-lora-r16-lr1e4-seed0"],
        ["--data", "/data/run_0001/step-000100/model.safetensors", "bt://loops:k4q95w5/weights/step-100"],
        ["--revision", "0123456789abcdef0123456789abcdef01234567"],
        ["--cache", "/home/u/models--Qwen/snapshots/0123456789abcdef0123456789abcdef01234567/x"],
        ["--token-budget", "4096", "--key-dim=64", "--tokens", "12"],
        ["--url", "https://api.example.com/v1/loops", "--id", "123e4567-e89b-12d3-a456-426614174000"],
        ["--where", "lr < 1e-3 and rank == 16", "C:\\data\\file.txt", "optimizer.lr=3e-4", ""],
    ],
)
def test_ordinary_command_line_stays_as_it_is(words: list[str]) -> None:
    assert redact_command(words, {}) == words


def test_value_of_a_secret_variable_is_left_out_wherever_it_stands() -> None:
    variables = {"HF_TOKEN": SECRET, "MY_API_KEY": f"{SECRET}-longer", "HOME": "/home/user", "USER_KEY": "short"}
    words = ["--login", SECRET, f"--x=a{SECRET}-longerb", "/home/user/short"]
    assert redact_command(words, variables) == ["--login", HIDDEN, f"--x=a{HIDDEN}b", "/home/user/short"]


def test_long_command_lines_are_cut() -> None:
    shown = redact_command(["x" * 2000, *map(str, range(300))], {})
    assert shown[0] == "<2,000 characters>"
    assert shown[-2:] == ["198", "<101 more>"]


@given(st.lists(st.text(), max_size=5))
def test_any_command_line_is_taken(words: list[str]) -> None:
    assert len(redact_command(words, {})) == len(words)


def test_redaction_of_a_long_word_is_fast() -> None:
    for word in ("a-" * 499, "A" * 999, "eyJ" * 333, "=" * 999, "x:" * 499, "://@" * 249):
        redact_command([word] * 200, {})
