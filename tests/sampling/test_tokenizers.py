"""Tokenizers: exact for the local models, clear errors where one is missing, and no long waits."""

from __future__ import annotations

import importlib
import importlib.util
import json
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import loops_nb
from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.sampling.tokenizers import ByteLevel, find_tokenizer, need_tokenizer, pieces_of, wrap_tokenizer
from loops_nb.sampling.tokenizers.chat_template import template_of
from tests.client.scripted_server import closed_port

ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHIPPED = Path(loops_nb.__file__).parent / "local" / "tokenizers" / "tiny"
HOSTED = "Qwen/Qwen3-8B"


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")


@ANY_MACHINE
@given(st.text())
def test_byte_level_roundtrip(text: str) -> None:
    tokenizer = ByteLevel()
    assert tokenizer.decode(tokenizer.encode(text)) == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


@ANY_MACHINE
@given(st.lists(st.integers(0, 300)))
def test_pieces_hold_every_token_once_and_all_of_the_text(tokens: list[int]) -> None:
    tokenizer = ByteLevel()
    pieces = pieces_of(tokens, tokenizer)
    assert [at for piece in pieces for at in range(piece.start, piece.stop)] == list(range(len(tokens)))
    assert "".join(piece.text for piece in pieces) == tokenizer.decode(tokens)
    assert all(piece.is_special == (tokens[piece.start] in {256, 257}) for piece in pieces)


@ANY_MACHINE
@given(st.text(st.characters(codec="utf-8")))
def test_each_piece_of_a_text_is_one_character(text: str) -> None:
    tokenizer = ByteLevel()
    shown = [piece.text for piece in pieces_of(tokenizer.encode(text), tokenizer)]
    assert shown == list(text)


def test_byte_level_equals_the_shipped_tokenizer() -> None:
    vocabulary = json.loads((SHIPPED / "tokenizer.json").read_text("utf-8"))
    special = {one["id"]: one["content"] for one in vocabulary["added_tokens"] if one["special"]}
    tokenizer = ByteLevel()
    assert {token: tokenizer.decode([token]) for token in special} == special
    assert [token for token in range(300) if tokenizer.is_special(token)] == sorted(special)


def test_the_local_models_need_no_package() -> None:
    for name in ("loops-local/tiny", "loops-local/small"):
        assert isinstance(need_tokenizer(name), ByteLevel)
        assert isinstance(find_tokenizer(name, "hf:///somewhere/tokenizers/tiny"), ByteLevel)


class Words:
    """The user's own tokenizer: words, with a space before all but the first."""

    vocabulary = ("<s>", "a", "bb", "ccc")
    all_special_ids = (0,)

    def encode(self, text: str) -> list[int]:
        return [self.vocabulary.index(word) for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        return " ".join(self.vocabulary[token] for token in tokens)


def test_pieces_of_a_context_dependent_tokenizer() -> None:
    tokenizer = wrap_tokenizer(Words())
    assert tokenizer.encode("a bb") == [1, 2]
    assert [(piece.text, piece.is_special) for piece in pieces_of([1, 2, 3, 0, 1], tokenizer)] == [
        ("a", False),
        (" bb", False),
        (" ccc", False),
        (" <s>", True),
        (" a", False),
    ]


def test_object_without_encode_and_decode_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="must have encode"):
        wrap_tokenizer("Qwen/Qwen3-8B")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.sampling.tokenizers.loader._package", lambda _: None)
    with pytest.raises(LoopsError, match="Install it \\(pip install tokenizers\\), or give token ids"):
        need_tokenizer("org/no-such-model")
    assert find_tokenizer("org/no-such-model") is None


def test_without_a_base_model_there_is_no_tokenizer() -> None:
    with pytest.raises(LoopsError, match="did not send the base model"):
        need_tokenizer(None)
    assert find_tokenizer(None) is None


class Hub:
    """Stands for the packages that know the hub, and has nothing in its cache."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def hf_hub_download(self, name: str, file: str, **how: Any) -> str:
        self.asked.append({"name": name, "file": file, **how})
        raise FileNotFoundError(file)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr("loops_nb.sampling.tokenizers.loader._package", lambda _: made)
    return made


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give a port of a server whose queue is full: a connection to it is never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


def test_unreachable_hub_fails_at_once(hub: Hub) -> None:
    with pytest.raises(LoopsError, match=r"its hub \(127.0.0.1\) cannot be reached") as caught:
        need_tokenizer(HOSTED)
    assert "Give token ids instead of a text, or your own tokenizer" in str(caught.value)
    assert [one["local_files_only"] for one in hub.asked] == [True]


def test_silent_hub_times_out_in_seconds(hub: Hub, monkeypatch: pytest.MonkeyPatch, silent_port: int) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent_port}")
    started = time.monotonic()
    with pytest.raises(LoopsError, match="cannot be reached"):
        need_tokenizer(HOSTED)
    assert time.monotonic() - started < 60
    assert len(hub.asked) == 1


def test_offline_variable_prevents_requests(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LoopsError, match="HF_HUB_OFFLINE is set"):
        need_tokenizer(HOSTED)


def test_refusing_hub_is_an_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.sampling.tokenizers.loader.importlib.import_module", lambda _: hub)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(LoopsError, match=r"could not be fetched from 127.0.0.1 \(FileNotFoundError\)"):
            need_tokenizer("org/refused", "hf://org/other@abc")
    assert {(one["name"], one["revision"]) for one in hub.asked} == {("org/other", "abc")}


@pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="the package tokenizers is not installed here"
)
def test_a_file_of_the_package_tokenizers() -> None:
    tokenizers = importlib.import_module("tokenizers")
    tokenizer = wrap_tokenizer(tokenizers.Tokenizer.from_file(str(SHIPPED / "tokenizer.json")))
    text = "naïve 😀 text\n"
    assert tokenizer.encode(text) == ByteLevel().encode(text)
    assert [piece.text for piece in pieces_of([*tokenizer.encode(text), 256], tokenizer)] == [*text, "<|endoftext|>"]


CHAT = [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "<Hello> {{ 7 * 7 }}"}]


def test_chat_of_local_models_follows_their_shipped_template() -> None:
    config = json.loads((SHIPPED / "tokenizer_config.json").read_text("utf-8"))
    template = template_of("loops-local/tiny", None, config)
    assert template is not None
    assert ByteLevel().decode(ByteLevel().encode_chat(CHAT)) == template.render(CHAT)


def test_chat_template_comes_from_the_files_of_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        "tokenizer.json": "{}",
        "tokenizer_config.json": json.dumps(
            {
                "bos_token": {"content": "<s>"},
                "chat_template": [
                    {"name": "tool_use", "template": "no"},
                    {
                        "name": "default",
                        "template": "{{ bos_token }}{% for m in messages %}\n"
                        "{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}\n"
                        "<{{ m.role }}>{{ m.content | tojson }}{% endfor %}<assistant>",
                    },
                ],
            }
        ),
    }
    encoded = []

    class Library:
        """Stands for ``tokenizers`` and ``huggingface_hub``, with the files of a model in the cache."""

        Tokenizer: Any

        def hf_hub_download(self, name: str, file: str, **how: Any) -> str:
            (tmp_path / file).write_text(files[file], "utf-8")
            return str(tmp_path / file)

        def from_file(self, _: str) -> Any:
            return self

        def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
            encoded.append((text, add_special_tokens))
            return [1]

        def decode(self, tokens: Sequence[int]) -> str:
            return str(tokens)

    Library.Tokenizer = Library()
    monkeypatch.setattr("loops_nb.sampling.tokenizers.loader._package", lambda _: Library.Tokenizer)
    for model in ("org/chat", "org/other"):
        tokenizer = need_tokenizer(model)
        if model == "org/other":
            del files["tokenizer_config.json"]
            with pytest.raises(LoopsError, match="has no chat template"):
                tokenizer.encode_chat(CHAT)
            continue
        assert tokenizer.encode_chat(CHAT) == [1]
        # The template has the special token, so the tokenizer adds none; texts are data, not template.
        assert encoded == [('<s><system>"Be terse."<user>"<Hello> {{ 7 * 7 }}"<assistant>', False)]
        with pytest.raises(LoopsError, match="refuses these messages: no tools here"):
            tokenizer.encode_chat([{"role": "tool", "content": "x"}])


@pytest.mark.parametrize(
    "template",
    ["{{ messages.__class__.__mro__ }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ missing.x }}", "{%"],
)
def test_templates_are_not_trusted(template: str) -> None:
    found = template_of("org/model", template, None)
    assert found is not None
    with pytest.raises(LoopsError, match="The chat template of org/model refuses these messages"):
        found.render(CHAT)
