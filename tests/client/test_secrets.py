"""The key goes to the service and nowhere else."""

from __future__ import annotations

import logging
import os
import pickle
import stat
import sys
import traceback
from pathlib import Path
from types import ModuleType

import keyring.backend
import keyring.backends.fail
import pytest

from loops_nb import Loops, RetryPolicy
from loops_nb.config import credentials
from loops_nb.errors import AuthenticationError, BadRequestError, CredentialsError, LoopsError
from tests.client.scripted_server import HANG_UP, Answer, serving

KEY = "sentinel-0123456789-key"
SIGNED = "https://bucket.example/file?X-Signature=sentinel-signature&x=1"


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)
    monkeypatch.delenv("LOOPS_BASE_URL", raising=False)
    keyring.set_keyring(keyring.backends.fail.Keyring())
    return tmp_path / "home"


class MemoryKeyring(keyring.backend.KeyringBackend):
    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.mark.parametrize("scheme", ["Bearer", "Api-Key", "api-key"])
def test_key_is_sent_with_the_configured_scheme(scheme: str) -> None:
    with serving({"runs": []}) as server, Loops(KEY, server.url, auth_scheme=scheme) as loops:
        loops.runs.list()
        assert server.received[0].headers["authorization"] == f"{'Bearer' if scheme == 'Bearer' else 'Api-Key'} {KEY}"


def test_key_is_in_no_text(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.INFO)
    faults = [
        Answer({"message": f"bad key {KEY}", "details": {"key": KEY, "urls": [SIGNED]}}, 401),
        Answer({"message": f"see {SIGNED}"}, 400),
        Answer(f"echo {KEY}".encode(), 400),
        Answer({"code": KEY}, 422),
        Answer({"runs": KEY}),
        Answer({}, 302, {"location": f"https://x.example/?{KEY}"}),
        HANG_UP,
    ]
    for fault in faults:
        with (
            serving(fault) as server,
            Loops(KEY, server.url, retry=RetryPolicy(attempts=2, first_wait_seconds=0.01)) as loops,
        ):
            with pytest.raises(LoopsError) as caught:
                loops.runs.list()
            error = caught.value
            shown = "".join(
                [
                    str(error),
                    repr(error),
                    str(vars(error)),
                    repr(loops),
                    str(vars(loops)),
                    repr(loops.config),
                    repr(loops.runs),
                ]
                + traceback.format_exception(error)
                + (error._render_traceback_())
            )
            assert "sentinel-signature" not in shown
            assert KEY not in shown
    assert KEY not in caplog.text + "".join(capfd.readouterr())


def test_secret_is_in_no_repr_format_or_pickle() -> None:
    secret = credentials.Secret(KEY)
    assert KEY not in f"{secret} {secret!r} {secret:}"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


def test_files_and_runs_show_no_url() -> None:
    page = {
        "presigned_urls": [{"url": SIGNED, "relative_file_name": "f", "size_bytes": 1}],
        "next_page_token": None,
        "total_count": 1,
    }
    with serving(page) as server, Loops(KEY, server.url) as loops:
        (file,) = loops.checkpoints.files("c")
    assert file.url == SIGNED
    assert "sentinel" not in f"{file} {file!r} {[file]}"


def test_key_source(monkeypatch: pytest.MonkeyPatch) -> None:
    hosted = "https://api.example.com"
    with pytest.raises(CredentialsError, match=r"No API key .* %loops login .* %loops local start .* %loops connect"):
        Loops(base_url=hosted)
    assert credentials.store_key("stored-key") == "file"
    assert Loops(base_url=hosted).key_source == "file"
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    ring.set_password("loops-nb", "baseten-api-key", "ring-key")
    assert Loops(base_url=hosted).key_source == "keyring"
    monkeypatch.setenv("BASETEN_API_KEY", KEY)
    assert Loops(base_url=hosted).key_source == "BASETEN_API_KEY"
    assert Loops("given", hosted).key_source == "argument"


def test_stored_key_is_not_read_for_a_local_service() -> None:
    credentials.store_key(KEY)
    with serving({"runs": []}) as server, Loops(base_url=server.url) as loops:
        loops.runs.list()
        assert loops.key_source == "local placeholder"
        assert server.received[0].headers["authorization"] == "Bearer local"


def test_base_url_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Loops(KEY).base_url == "https://api.baseten.co"
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:8787/")
    assert Loops(KEY).base_url == "http://127.0.0.1:8787"
    assert Loops(KEY, "https://other.example").base_url == "https://other.example"
    monkeypatch.setenv("LOOPS_BASE_URL", "nonsense")
    with pytest.raises(LoopsError, match="LOOPS_BASE_URL must be an address"):
        Loops(KEY)


def stored_source() -> str | None:
    found = credentials.resolve_key()
    return found.source if found is not None else None


def test_key_file_is_private(empty_home: Path) -> None:
    assert credentials.store_key(KEY) == "file"
    path = empty_home / "api-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert Loops(base_url="https://api.example.com").key_source == "file"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stored_source() == "file"
    assert credentials.forget_key()
    assert not credentials.forget_key()
    assert stored_source() is None
    assert list(empty_home.iterdir()) == []


def test_key_is_not_written_where_every_file_is_readable(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = os.open

    def open_for_all(path: Path, flags: int, mode: int = 0o777) -> int:
        # As mounts of SMB do it, whatever mode is asked for.
        handle = made(path, flags, mode)
        os.fchmod(handle, 0o755)
        return handle

    monkeypatch.setattr(os, "open", open_for_all)
    with pytest.raises(CredentialsError, match=r"was not stored: .* shows each file to other users") as caught:
        credentials.store_key(KEY)
    assert KEY not in str(caught.value)
    assert list(empty_home.iterdir()) == []


def test_keyring_is_preferred_to_the_file(empty_home: Path) -> None:
    credentials.store_key(KEY)
    keyring.set_keyring(MemoryKeyring())
    assert credentials.store_key(KEY) == "keyring"
    assert not (empty_home / "api-key").exists()
    assert credentials.forget_key()
    assert stored_source() is None


def test_broken_keyring_falls_back_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Locked(MemoryKeyring):
        def get_password(self, service: str, username: str) -> str | None:
            raise RuntimeError("locked")

        def set_password(self, service: str, username: str, password: str) -> None:
            raise RuntimeError("locked")

    keyring.set_keyring(Locked())
    assert credentials.store_key(KEY) == "file"
    assert stored_source() == "file"
    broken = ModuleType("keyring")
    monkeypatch.setitem(sys.modules, "keyring", broken)
    assert stored_source() == "file"


@pytest.mark.parametrize("key", ["", "  ", "a b", "a\nb", "ké", "a\x00b"])
def test_invalid_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        Loops(key, "https://api.example.com")
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("pasted", [f"Bearer {KEY}", f"Api-Key {KEY}\n", f" {KEY} "])
def test_pasted_scheme_is_removed_from_the_key(pasted: str) -> None:
    with serving({"runs": []}) as server, Loops(pasted, server.url) as loops:
        loops.runs.list()
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


def test_wrong_key_has_a_hint() -> None:
    with (
        serving(Answer({"message": "invalid"}, 401)) as server,
        pytest.raises(AuthenticationError, match="%loops login"),
    ):
        Loops(KEY, server.url).runs.list()


def test_loopback_traffic_bypasses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer({"message": "proxied"}, 400)) as proxy, serving({"runs": []}) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        Loops(KEY, server.url).runs.list()
        assert proxy.received == []
        with pytest.raises(BadRequestError):
            Loops(KEY, proxy.url).runs.list()
