"""The token of a local service: kept in a file of the user, found by loops_nb, needed by other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from loops_nb import Loops
from loops_nb.config.local_services import TOKEN_FILE, note_file, own_service, read_token
from loops_nb.errors import AuthenticationError
from loops_nb.local import launcher
from loops_nb.local.environment import without_secrets
from loops_nb.local.server.app import ROUTES
from loops_nb.local.service_registry import service_token
from tests.local.responses import MODEL, good, problem
from tests.local.training_client import TrainingClient
from tests.service import AnyService, running_service

HOSTED_KEY = "sentinel-of-the-hosted-service-0123456789"
OPEN = {"/", "/health"}
LINUX = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="the system says nothing about processes in /proc"
)


@pytest.fixture(scope="module")
def guarded() -> Iterator[AnyService]:
    with running_service(in_process=True, any_key=False) as service:
        yield service


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home") / "loops"
        patch.setenv("LOOPS_NB_HOME", str(folder))
        patch.delenv("LOOPS_BASE_URL", raising=False)
        yield folder


@pytest.fixture(scope="module")
def own(home: Path) -> Iterator[launcher.ServiceInfo]:
    """A service started with the hosted service's key and a proxy with a password in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASETEN_API_KEY", HOSTED_KEY)
        patch.setenv("COPY_OF_IT", f"Bearer {HOSTED_KEY}")
        patch.setenv("HTTPS_PROXY", "http://me:sentinel-of-the-proxy@proxy.invalid:3128")
        info = launcher.start(sample=False, speed=1000.0)
    yield info
    launcher.stop()


def command(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"LOOPS_NB_HOME": str(home)} if home else {})}
    line = [sys.executable, "-m", "loops_nb", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, env=environment, check=False)


def test_every_route_needs_the_token_except_signed_files_and_health(guarded: AnyService) -> None:
    with httpx.Client(base_url=guarded.url) as client:
        for route in ROUTES:
            path = "/".join("x" if part.startswith("{") else part for part in route.path.split("/"))
            for method in sorted(route.methods or ()):
                for key in (
                    "",
                    "Bearer local",
                    f"Api-Key {HOSTED_KEY}",
                    f"Bearer {guarded.key[:-1]}",
                    f"Basic {guarded.key}",
                ):
                    answer = client.request(method, path, headers={"Authorization": key} if key else {})
                    if path in OPEN:
                        assert answer.status_code == 200
                    elif path.startswith("/files/"):
                        assert answer.status_code in {403, 404}, "the signature in its URL is what opens it"
                    else:
                        assert answer.status_code == 401, (method, path)
                        assert answer.headers["www-authenticate"] == "Bearer"
        assert problem(client.get("/nonsense"), 401)["code"] == "UNAUTHORIZED"


def test_both_schemes_take_the_token(guarded: AnyService) -> None:
    for scheme in ("Bearer", "Api-Key", "bearer"):
        good(httpx.get(guarded.url + "/v1/loops/runs", headers={"Authorization": f"{scheme} {guarded.key}"}))


def test_the_refusal_says_how_to_get_the_token_and_shows_no_key(guarded: AnyService) -> None:
    for key in (None, HOSTED_KEY):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        said = problem(httpx.get(guarded.url + "/v1/loops/runs", headers=headers), 401)["message"]
        assert "loops-nb token" in said
        assert "BASETEN_API_KEY" in said
        assert HOSTED_KEY not in said
        assert guarded.key not in said


def test_a_data_plane_request_needs_the_token_too(guarded: AnyService) -> None:
    with httpx.Client(base_url=guarded.url, headers=guarded.headers) as client:
        session = good(client.post("/v1/loops/sessions"))["session"]["id"]
        run = good(client.post("/v1/loops/runs", json={"session_id": session, "base_model": MODEL}))["run"]
        address = f"{run['base_url']}/forward_backward"
        assert client.post(address, json={}).status_code != 401
        assert client.post(address, json={}, headers={"Authorization": "Bearer other"}).status_code == 401
        assert httpx.post(address, json={}).status_code == 401


def test_the_token_is_kept_for_a_folder_and_for_its_owner(tmp_path: Path) -> None:
    token = service_token(tmp_path)
    path = tmp_path / TOKEN_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert service_token(tmp_path) == token == read_token(tmp_path)
    path.chmod(0o640)
    assert read_token(tmp_path) == "", "others may have read it"
    assert service_token(tmp_path) not in {"", token}
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "local-", HOSTED_KEY, "local-" + "g" * 48, "local-" + "0" * 49, "\xff"])
def test_nothing_but_a_token_is_read_as_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / TOKEN_FILE
    path.write_bytes(text.encode("latin-1"))
    path.chmod(0o600)
    assert read_token(tmp_path) == ""
    assert service_token(tmp_path) == read_token(tmp_path) != ""


def test_a_link_is_not_followed_to_another_secret(tmp_path: Path) -> None:
    service_token(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / TOKEN_FILE).symlink_to(tmp_path / TOKEN_FILE)
    assert read_token(tmp_path / "folder") == ""


def test_this_users_clients_find_the_token_whatever_key_they_were_given(
    own: launcher.ServiceInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = read_token(Path(own.data_dir))
    port = own.url.rpartition(":")[2]
    with Loops(base_url=own.url) as loops:
        assert loops.runs.list() == []
        assert loops.key_source == "local token"
        assert loops.reveal_key() == token
        assert token not in f"{loops!r} {loops.config!r} {loops.config.key!r}"
    with Loops("local", own.url) as loops:
        loops.runs.list()
    monkeypatch.setenv("BASETEN_API_KEY", HOSTED_KEY)
    with Loops(base_url=f"http://localhost:{port}") as loops:
        loops.runs.list()
        assert loops.reveal_key() == token
        assert loops.base_url == own.url, "another user may listen where localhost leads to"


def test_a_client_of_another_user_is_told_how_to_get_in(
    own: launcher.ServiceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = read_token(Path(own.data_dir))
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)
    for key in (None, "guess"):
        with Loops(key, own.url) as loops, pytest.raises(AuthenticationError) as caught:
            loops.runs.list()
        assert "loops-nb token" in str(caught.value)
        assert "%loops login" not in str(caught.value)
    monkeypatch.setenv("BASETEN_API_KEY", token)
    with Loops(base_url=own.url) as loops:
        assert loops.runs.list() == []


def test_the_token_goes_to_the_very_address_of_a_living_service_only(own: launcher.ServiceInfo, tmp_path: Path) -> None:
    port = own.url.rpartition(":")[2]
    for elsewhere in (
        f"http://127.0.0.2:{port}",
        f"http://[::1]:{port}",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:x",
    ):
        assert own_service(elsewhere) is None
    assert Loops(base_url=f"http://127.0.0.2:{port}").reveal_key() == "local"
    # One that was killed leaves its note; what listens there now may be another user's.
    note = note_file("http://127.0.0.1:2")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    written = json.loads(note_file(own.url).read_bytes()) | {"url": "http://127.0.0.1:2"}
    loops = Loops("mine", "http://127.0.0.1:2")
    try:
        for pid, known in ((os.getpid(), True), (gone.pid, False), (0, False), (-1, False), ("x", False)):
            note.write_text(json.dumps(written | {"pid": pid}))
            assert (own_service("http://127.0.0.1:2") is not None) is known
            assert (loops.reveal_key() == "mine") is not known
        (tmp_path / "lock").touch()
        note.write_text(json.dumps(written | {"data_dir": str(tmp_path)}))
        assert own_service("http://127.0.0.1:2") is None, "its number is another process's now"
        for spoilt in ("", "{", "[]", "null", '{"url": 1}', "[" * 100_000):
            note.write_text(spoilt)
            assert own_service("http://127.0.0.1:2") is None
    finally:
        note.unlink()


def test_the_hosted_key_is_not_sent_to_an_own_service_that_takes_any(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", HOSTED_KEY)
    with running_service() as service:
        assert any(line.startswith("Warning: any key opens this service") for line in getattr(service, "lines", []))
        with Loops(base_url=service.url) as loops:
            assert loops.runs.list() == []
            assert (loops.reveal_key(), loops.key_source) == ("local", "local placeholder")
        with Loops("chosen", service.url) as loops:
            assert loops.reveal_key() == "chosen"
        said = command("token", "--port", service.url.rpartition(":")[2])
        assert said.returncode == 2
        assert "any key opens it" in said.stderr
    assert not note_file(service.url).exists()


@LINUX
def test_neither_token_nor_hosted_key_is_in_arguments_environments_logs_or_records(
    own: launcher.ServiceInfo, home: Path
) -> None:
    token = read_token(Path(own.data_dir))
    with httpx.Client(base_url=own.url, headers={"Authorization": f"Bearer {token}"}) as client:
        TrainingClient(client, good(client.post("/v1/loops/sessions"))["session"]["id"]).init()
    processes = [own.pid, *children(own.pid)]
    assert len(processes) >= 2
    for pid in processes:
        for name in ("cmdline", "environ"):
            text = Path(f"/proc/{pid}/{name}").read_text("utf-8", errors="replace")
            for secret in (token, HOSTED_KEY, "sentinel-of-the-proxy"):
                assert secret not in text, (pid, name)
    holders = [path for path in home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]
    assert holders == [Path(own.data_dir) / TOKEN_FILE]
    assert not [path for path in home.rglob("*") if path.is_file() and HOSTED_KEY.encode() in path.read_bytes()]
    for folder in (home, home / "local", note_file(own.url).parent, Path(own.data_dir)):
        assert folder.stat().st_mode & 0o077 == 0, folder
    assert note_file(own.url).stat().st_mode & 0o077 == 0


def children(pid: int) -> list[int]:
    return [
        int(found) for task in Path(f"/proc/{pid}/task").iterdir() for found in (task / "children").read_text().split()
    ]


def test_the_command_prints_the_token_of_what_runs(
    own: launcher.ServiceInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = read_token(Path(own.data_dir))
    assert command("token").stdout == f"{token}\n"
    with running_service(any_key=False) as other:
        several = command("token")
        assert several.returncode == 2
        assert own.url in several.stderr
        assert other.url in several.stderr
        assert command("token", "--port", other.url.rpartition(":")[2]).stdout == f"{other.key}\n"
    none = command("token", home=tmp_path)
    assert none.returncode == 2
    assert "loops-nb serve" in none.stderr


def test_a_home_that_cannot_be_written_is_warned_of_and_the_service_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOOPS_NB_HOME", str(tmp_path / "file" / "below"))
        with running_service(any_key=False) as service:
            assert getattr(service, "lines", [""])[0].startswith("Warning: the note ")
            good(httpx.get(service.url + "/v1/loops/runs", headers=service.headers))


def test_variables_that_hold_secrets_are_left_out_and_the_others_kept() -> None:
    kept = {
        "PATH": "/bin",
        "HOME": "/h",
        "LOOPS_NB_HOME": "/l",
        "TOKENIZERS_PARALLELISM": "1",
        "PYTHON_KEYRING_BACKEND": "k",
        "KEYBOARD": "x",
    }
    dropped = {
        "BASETEN_API_KEY": HOSTED_KEY,
        "MY_COPY": f"x{HOSTED_KEY}y",
        "HF_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "s",
        "aws_session_token": "s",
        "PGPASSWORD": "p",
        "DATABASE_URL": "postgres://me:word@host/base",
        "https_proxy": "http://proxy:1",
        "NO_PROXY": "localhost",
        "WANDB_APIKEY": "w",
    }
    assert without_secrets({**kept, **dropped}) == kept
