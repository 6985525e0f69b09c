"""The connection of a shell: order of addresses, errors, the local service."""

from __future__ import annotations

import pytest

from loops_nb.errors import InvalidArgumentError, LocalServiceError, ServiceUnreachableError, UnreadableAnswerError
from loops_nb.resources.loops import Loops
from tests.browser.ports import free_port
from tests.client.scripted_server import Answer, ScriptedServer, closed_port, serving
from tests.magics.conftest import Notebook

EMPTY: dict[str, list[object]] = {"supported_models": [], "runs": [], "samplers": [], "deployments": []}


def where(book: Notebook) -> str:
    target = book.context.connection.target()
    assert target is not None
    return target.url


def test_address_resolution_order(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notebook.context.connection.target() is None
    monkeypatch.setenv("BASETEN_API_KEY", "some-key")
    assert where(notebook) == "https://api.baseten.co"
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:1")
    assert where(notebook) == "http://127.0.0.1:1"
    notebook.run("%config LoopsMagics.base_url = 'http://127.0.0.1:2'")
    assert where(notebook) == "http://127.0.0.1:2"
    with serving(EMPTY) as server:
        notebook.run(f"%loops connect {server.url}")
        assert where(notebook) == server.url
        notebook.run("%config LoopsMagics.base_url = 'http://127.0.0.1:3'")
        assert where(notebook) == "http://127.0.0.1:3", "the latest word wins"


def test_verbs_and_python_share_one_client(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(EMPTY) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        notebook.run("loops = %loops connect")
        loops = notebook.shell.user_ns["loops"]
        assert isinstance(loops, Loops)
        for line in ("runs", "samplers", "capabilities", "connect"):
            notebook.run(f"%loops {line}")
        assert notebook.run("%loops connect").value is loops
        assert loops.runs.list() == []
        assert server.connections == 1


def test_changed_settings_apply_to_the_next_request(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", "some-key")
    with serving(EMPTY) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        notebook.run("%loops capabilities")
        notebook.run("%config LoopsMagics.auth_scheme = 'Api-Key'")
        notebook.run("%loops capabilities")
        assert [request.headers["authorization"] for request in server.received] == [
            "Bearer some-key",
            "Api-Key some-key",
        ]


def test_failed_connect_keeps_the_connection(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(EMPTY) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        notebook.run("%loops runs")
        wrong = notebook.run(f"%loops connect http://127.0.0.1:{closed_port()}", fails=True)
        assert isinstance(wrong.error, ServiceUnreachableError)
        assert "nothing listens there" in wrong.out
        assert f"You stay connected to {server.url}." in wrong.out
        assert where(notebook) == server.url
        assert isinstance(notebook.run("%loops connect nonsense", fails=True).error, InvalidArgumentError)
        assert "clear" in notebook.run("%loops connect http://loops.example.invalid", fails=True).out
        notebook.run("%loops runs")


def test_failed_first_connect_reports_no_change(notebook: Notebook) -> None:
    for url in (f"http://127.0.0.1:{closed_port()}", "ftp://x", "http://loops.example.invalid"):
        assert "Nothing was changed." in notebook.run(f"%loops connect {url}", fails=True).out
        assert notebook.context.connection.target() is None


def test_invalid_address_error_names_its_source(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", "http://loops.example.invalid")
    said = notebook.run("%loops runs", fails=True).out
    assert "in the clear" in said
    assert "The address http://loops.example.invalid is from LOOPS_BASE_URL." in said
    assert "from LOOPS_BASE_URL" in notebook.run("%loops doctor").out


@pytest.mark.parametrize("runs", [True, False])
def test_unreachable_hosted_service_suggests_local_service(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", "some-key")
    monkeypatch.setattr("loops_nb.local.launcher.status", lambda: object() if runs else None)
    notebook.context.connection.client()
    with pytest.raises(ServiceUnreachableError) as caught, notebook.context.explain_unreachable():
        raise ServiceUnreachableError("No answer.", hint="Check the network.")
    assert ("%loops connect local" in str(caught.value)) is runs
    assert "Check the network." in str(caught.value)


def test_unreachable_service_is_one_line_with_a_hint(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    for line in ("runs", ""):
        ran = notebook.run(f"%loops {line}", fails=True)
        assert isinstance(ran.error, ServiceUnreachableError)
        assert len(ran.out.splitlines()) == 1
        assert "%loops local start" in ran.out
    doctor = notebook.run("%loops doctor").out
    assert "Connected: no." in doctor
    assert doctor.splitlines()[-1].startswith("To fix: ")


def test_html_response_is_reported(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer(b"<!doctype html><title>Sign in</title>", headers={"content-type": "text/html"})) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        ran = notebook.run("%loops capabilities", fails=True)
        assert isinstance(ran.error, UnreadableAnswerError)
        assert len(ran.out.splitlines()) == 1


def test_control_characters_are_removed_from_errors(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer({"code": "X", "message": "\x1b[2Jgone\nsecond line"}, status=403)) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        ran = notebook.run("%loops samplers", fails=True)
        assert "\x1b[2J" not in ran.out
        assert len(ran.out.splitlines()) == 1


def test_empty_workspace_suggests_next_steps(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(EMPTY) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        assert "No runs yet. Start one: s = %loops create session" in notebook.run("%loops runs").out
        assert "No samplers yet." in notebook.run("%loops samplers").out
        assert "No deployments yet." in notebook.run("%loops deployments").out
        assert "No runs yet. No samplers." in notebook.run("%loops").out


def test_find_works_without_permission_for_deployments(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(request: object) -> Answer:
        if "/deployments" in str(getattr(request, "target", "")):
            return Answer({"code": "FORBIDDEN", "message": "no"}, status=403)
        return Answer(
            {"runs": [{"id": "k1", "created_at": "2026-07-01T00:00:00Z", "name": "n", "status": {"name": "ACTIVE"}}]}
        )

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        assert list(notebook.run("%loops find --name n").value["id"]) == ["k1"]


def test_local_service_from_start_to_stop(notebook: Notebook) -> None:
    assert "No local service is running" in notebook.run("%loops local").out
    refused = notebook.run("%loops connect local", fails=True)
    assert isinstance(refused.error, LocalServiceError)
    assert "%loops local start" in refused.out
    started = notebook.run("%loops local start").out
    try:
        assert started.splitlines()[0].startswith("Local service on http://127.0.0.1:")
        assert "13 runs" in started or "runs in" in started
        frame = notebook.run("%loops runs").value
        assert len(frame) > 5
        assert "the local service running on this machine" in notebook.run("%loops").out
        again = notebook.run("%loops local start --speed 3").out
        assert "already running" in again
        assert "%loops local stop first" in again
        # A second notebook: nothing is remembered, and the service is found.
        notebook.run("%reload_ext loops_nb")
        assert len(notebook.run("%loops runs").value) == len(frame)
        assert "You are connected to it." in notebook.run("%loops local status").out
        assert "no key needed" in notebook.run("%loops connect local").out
        # Another notebook starts it again, on another port: a line fails and says where it is, and the next one goes
        # there.
        notebook.run("%reload_ext loops_nb")
        notebook.run("%loops runs")
        from loops_nb.local import launcher

        # The service comes back where it was; only another program there would drive it away.
        launcher.stop()
        moved = launcher.start(port=free_port())
        assert (
            f"The local service now runs on {moved.url}: run the line again."
            in notebook.run("%loops runs", fails=True).out
        )
        assert len(notebook.run("%loops runs").value) == len(frame)
    finally:
        stopped = notebook.run("%loops local stop").out
    assert "Its data is kept in" in stopped
    assert "Not connected yet" in notebook.run("%loops").out
    assert "No local service was running" in notebook.run("%loops local stop").out


def test_login_does_not_prompt_for_a_local_service(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    from loops_nb.local import launcher

    notebook.run("%loops local start --empty --any-key")
    try:
        said = notebook.run("%loops local status").out
        assert "It accepts any key" in said
        monkeypatch.setenv("LOOPS_BASE_URL", launcher.start().url)
        monkeypatch.setattr("getpass.getpass", lambda _: pytest.fail("a key was asked for"))
        refused = notebook.run("%loops login", fails=True)
        assert "is your local service, which needs no key" in refused.out
        assert "LOOPS_BASE_URL" in refused.out
    finally:
        launcher.stop()
