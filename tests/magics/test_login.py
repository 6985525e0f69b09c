"""``%loops login``: prompt, check and storage of the API key, which is never shown."""

from __future__ import annotations

import getpass
import os
import sqlite3
import stat
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loops_nb.errors import AuthenticationError, CredentialsError, InvalidArgumentError, LoopsError
from tests.client.scripted_server import Answer, Received, ScriptedServer, closed_port
from tests.magics.conftest import Notebook

SENTINEL = "SENTINELkey0123456789abcdefXYZ"
#: PartialLine on lines by mistake, so it does stand in the history.
TYPED = "TYPEDkey0123456789abcdefXYZ00"
WRONG = "WRONGkey0123456789abcdefghijk"


def script(request: Received) -> Answer:
    if request.headers.get("authorization") != f"Bearer {SENTINEL}":
        return Answer({"code": "UNAUTHENTICATED", "message": "The API key is not valid."}, status=401)
    return Answer({"supported_models": [], "runs": [], "samplers": [], "deployments": []})


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """Run a service that wants the sentinel, and take it for the hosted one."""
    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        yield server


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Type this when a key is asked for."""

    def will_type(text: str) -> None:
        monkeypatch.setattr(getpass, "getpass", lambda _prompt="": text)

    return will_type


def test_login_checks_the_key_and_stores_it_privately(
    notebook: Notebook, hosted: ScriptedServer, typing: Callable[[str], None], home: Path
) -> None:
    typing(f"Bearer {SENTINEL}\n")
    said = notebook.run("%loops login").out
    assert f"The key works at {hosted.url}" in said
    assert "%loops logout removes it" in said
    assert "%pip install" not in said
    kept = home / "api-key"
    assert kept.read_text("utf-8").strip() == SENTINEL
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "The stored key is removed" in notebook.run("%loops logout").out
    assert not kept.exists()
    assert "No key was stored" in notebook.run("%loops logout").out


def test_login_without_the_package_of_keyrings_says_how_to_use_one(
    notebook: Notebook, hosted: ScriptedServer, typing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    typing(SENTINEL)
    said = notebook.run("%loops login").out
    assert "in a file that only you can read" in said
    assert '%pip install "loops_nb[keyring]"' in said


def test_rejected_key_is_not_stored(
    notebook: Notebook, hosted: ScriptedServer, typing: Callable[[str], None], home: Path
) -> None:
    typing(WRONG)
    ran = notebook.run("%loops login", fails=True)
    assert isinstance(ran.error, CredentialsError)
    assert f"{hosted.url} does not accept this key, so it was not stored." in ran.out
    assert WRONG not in ran.out
    assert not (home / "api-key").exists()


def test_unchecked_key_is_stored_with_a_notice(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, typing: Callable[[str], None], home: Path
) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    typing(SENTINEL)
    said = notebook.run("%loops login").out
    assert "could not be checked" in said
    assert (home / "api-key").exists()


@pytest.mark.parametrize("text", ["", "   ", "two words", "käse"])
def test_invalid_key_is_rejected_without_showing_it(
    notebook: Notebook, hosted: ScriptedServer, typing: Callable[[str], None], text: str
) -> None:
    typing(text)
    ran = notebook.run("%loops login", fails=True)
    assert isinstance(ran.error, CredentialsError)
    assert not text.strip() or text not in ran.out
    assert hosted.received == []


@pytest.mark.parametrize(
    "line",
    [f"login {TYPED}", f"login --key {TYPED}", f"login --api-key={TYPED}", f"login x {TYPED}", f"login '{TYPED}"],
)
def test_key_on_the_line_is_rejected_and_not_repeated(notebook: Notebook, home: Path, line: str) -> None:
    ran = notebook.run(f"%loops {line}", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert TYPED not in ran.out
    assert not (home / "api-key").exists()


@pytest.mark.parametrize(
    "line", [f"login {TYPED}", f"login --key {TYPED}", f"login --api-key={TYPED}", f"login x {TYPED}"]
)
def test_key_on_the_line_error_explains_why(notebook: Notebook, line: str) -> None:
    said = notebook.run(f"%loops {line}", fails=True).out
    assert "saved in the history (and with a notebook)" in said
    assert "run %loops login alone" in said


def test_login_without_a_prompt_fails(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_prompt(_prompt: str = "") -> str:
        raise NotImplementedError("getpass was called, but this frontend does not support input requests.")

    def shown(_prompt: str = "") -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return SENTINEL

    for asking in (no_prompt, shown):
        monkeypatch.setattr(getpass, "getpass", asking)
        assert "Set BASETEN_API_KEY in the environment" in notebook.run("%loops login", fails=True).out


def test_environment_key_takes_precedence_and_login_says_so(
    notebook: Notebook, hosted: ScriptedServer, typing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", SENTINEL)
    typing(SENTINEL)
    assert "BASETEN_API_KEY is set and takes precedence over the stored key" in notebook.run("%loops login").out
    assert "is still used" in notebook.run("%loops logout").out


LINES = (
    "",
    "runs",
    "samplers",
    "deployments",
    "run nope",
    "find --newer-than 1d",
    "capabilities",
    "connect",
    "doctor",
    "local",
    "create session",
    "files nope",
    "checkpoints nope",
    "deactivate run nope -y",
    "rnus",
    "login",
    "logout",
    "--help",
)


@pytest.mark.parametrize("key", [SENTINEL, WRONG])
def test_key_is_in_no_output_history_traceback_or_namespace(
    notebook: Notebook,
    hosted: ScriptedServer,
    typing: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    tmp_path: Path,
) -> None:
    os.environ.pop("BASETEN_API_KEY", None)
    monkeypatch.setenv("BASETEN_API_KEY", key)
    typing(key)
    seen = []
    notebook.run("%xmode Verbose")
    try:
        for line in LINES:
            ran = notebook.run(f"x = %loops {line}" if line in {"runs", "connect"} else f"%loops {line}", fails=None)
            seen += [ran.out, repr(ran.error), str(getattr(ran.error, "__dict__", ""))]
            seen += [
                notebook.plain(value) for value in (ran.value, notebook.shell.user_ns.get("x")) if value is not None
            ]
            if ran.error is not None:
                seen.append(notebook.run("%tb", fails=None).out)
    finally:
        notebook.run("%xmode Context")
    seen.append(notebook.run("%config LoopsMagics").out)
    seen.append(notebook.run("%history -n").out)
    seen += [repr(value) for name, value in notebook.shell.user_ns.items() if not name.startswith("__")]
    notebook.shell.history_manager.writeout_cache()
    with sqlite3.connect(notebook.shell.history_manager.hist_file) as base:
        seen += [str(row) for row in base.execute("select * from history")]
    base.close()
    assert len(seen) > len(LINES)
    assert not [text for text in seen if key in text]
    assert any(key in request.headers.get("authorization", "") for request in hosted.received), "it was really sent"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "api-key"]
    assert not [path for path in files if key.encode() in path.read_bytes()]


def test_rejected_key_error_is_one_line_with_a_hint(
    notebook: Notebook, hosted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", WRONG)
    ran = notebook.run("%loops runs", fails=True)
    assert isinstance(ran.error, AuthenticationError)
    assert len(ran.out.splitlines()) == 1
    assert "%loops login" in ran.out or "BASETEN_API_KEY" in ran.out
    assert "To fix: " in notebook.run("%loops doctor").out
    monkeypatch.setenv("BASETEN_API_KEY", SENTINEL)
    assert "No runs yet" in notebook.run("%loops runs").out, "a new key in the environment is used at once"


def test_traceback_of_a_bug_does_not_contain_the_key(
    notebook: Notebook, hosted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", SENTINEL)

    def faulty(text: str) -> Callable[..., Any]:
        def fetch(*_: object, **__: object) -> Any:
            raise RuntimeError(text)

        return fetch

    notebook.run("loops = %loops connect")
    monkeypatch.setattr(notebook.shell.user_ns["loops"].runs, "listing", faulty("a fault"))
    assert "Traceback" in notebook.run("%loops runs", fails=True).out
    monkeypatch.setattr(notebook.shell.user_ns["loops"].runs, "listing", faulty(f"header Bearer {SENTINEL} is bad"))
    ran = notebook.run("%loops runs", fails=True)
    assert type(ran.error) is LoopsError
    assert SENTINEL not in ran.out
    assert "unexpected RuntimeError" in ran.out
