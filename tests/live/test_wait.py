"""``wait`` for runs, samplers and deployments: results, errors, status lines, interrupts."""

from __future__ import annotations

import asyncio
import io
import pickle
import re
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from loops_nb import AsyncLoops, Loops
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES, status_name
from loops_nb.errors import (
    AuthenticationError,
    InvalidArgumentError,
    LoopsError,
    NeverReachedError,
    NotFoundError,
    ServiceUnreachableError,
    WaitTimeoutError,
)
from loops_nb.live import Poller, poller_for
from tests.client.scripted_server import Answer, Received, ScriptedServer, closed_port
from tests.live.live_service import Gate, live_service, until

Wait = Callable[..., Any]


@dataclass
class WaitScenario:
    """A service that is in the states that a test sets, and both ways to wait for them."""

    loops: Loops
    gate: Gate
    poller: Poller
    wait: Wait


@contextmanager
def wait_scenario(flavour: str, **settings: Any) -> Iterator[WaitScenario]:
    with live_service(**settings) as s:
        poller = poller_for(s.loops.config)
        poller.interval, poller.linger = 0.03, 0.05
        yield WaitScenario(s.loops, s.gate, poller, waiter(flavour, s.service.url))
        assert poller.last_traceback == ""
        until(lambda: not poller.is_running, "the poller ends after the wait")


def waiter(flavour: str, url: str) -> Wait:
    """Return a function that calls ``wait`` of a group, in one of the flavours."""

    def sync(group: str, *args: Any, **more: Any) -> Any:
        with Loops("sentinel-key", url) as loops:
            return getattr(loops, group).wait(*args, **more)

    def awaited(group: str, *args: Any, **more: Any) -> Any:
        async def go() -> Any:
            async with AsyncLoops("sentinel-key", url) as loops:
                return await getattr(loops, group).wait(*args, **more)

        return asyncio.run(go())

    return sync if flavour == "sync" else awaited


both = pytest.mark.parametrize("flavour", ["sync", "async"])


def make_run(loops: Loops, **more: Any) -> Any:
    session = loops.sessions.create()
    return loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", **more)


@both
def test_wait_returns_the_object_in_its_state(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    with wait_scenario(flavour, speed=100) as s:
        run = make_run(s.loops)
        reached = s.wait("runs", run.id, timeout=30)
        assert (reached.id, status_name(reached)) == (run.id, "ACTIVE")
        assert status_name(s.loops.deployments.get(run.deployment_id)) == "RUNNING"
        assert capsys.readouterr().out == f"run {run.id} is RUNNING, after 0 s\n"
        sampler = s.wait("samplers", run.sampler.id, timeout=30)
        assert status_name(sampler) == "ACTIVE"
        deployment = s.wait("deployments", run.deployment_id, timeout=30, quiet=True)
        assert status_name(deployment) == "RUNNING"
        assert capsys.readouterr().out == f"sampler {sampler.id} is ACTIVE, after 0 s\n"
        assert s.wait("runs", run.id, " active ", quiet=True).id == run.id


@both
def test_wait_sees_a_deactivation_newer_than_the_last_poll(flavour: str) -> None:
    with wait_scenario(flavour) as s:
        run = make_run(s.loops)
        s.wait("runs", run.id, quiet=True)
        s.poller.interval = 3600
        known = threading.Event()
        watching = s.poller.subscribe(
            needs_of(run.id), lambda snapshot, _: known.set() if run.id in snapshot.runs else None
        )
        assert known.wait(20)
        s.loops.runs.deactivate(run.id)
        with pytest.raises(NeverReachedError):
            s.wait("runs", run.id, quiet=True)
        watching.close()


def needs_of(run_id: str) -> Any:
    from loops_nb.live.wait import RunCondition

    return RunCondition(run_id, "RUNNING").queries(None)


@both
def test_wait_for_an_ended_run_raises_with_its_last_checkpoint(
    flavour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with wait_scenario(flavour, sample=True) as s:
        runs = {run.name: run for run in s.loops.runs.list(scope="org")}
        said = {}
        for name, run in runs.items():
            if status_name(run) == "INACTIVE":
                with pytest.raises(NeverReachedError) as caught:
                    s.wait("runs", run.id, quiet=True)
                said[name] = (caught.value, run, s.loops.checkpoints.list(run_id=run.id))
        assert len(said) >= 5
        for error, run, saved in said.values():
            trainer = [c for c in saved if c.target == "trainer"]
            assert f"Run {run.id} will not be RUNNING any more" in str(error)
            if trainer:
                newest = max(trainer, key=lambda c: c.created_at or 0)
                assert error.checkpoint_uri == newest.uri
                assert (
                    f'loops.runs.create(session_id="{run.session_id}", base_model="{run.base_model}", '
                    f'path="{newest.uri}")'
                ) in error.hint
            else:
                assert error.checkpoint_uri is None
                assert f"%loops checkpoints --run {run.id}" in error.hint or "no checkpoint" in error.hint
            copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
            assert (str(copied), copied.checkpoint_uri, copied.status) == (
                str(error),
                error.checkpoint_uri,
                error.status,
            )
        statuses = {error.status for error, _, _ in said.values()}
        assert {"STOPPED", "FAILED", "PREEMPTED", "INACTIVE"} <= statuses
        assert any("another run took over its deployment" in str(error) for error, _, _ in said.values())
        assert capsys.readouterr().out == ""


@both
def test_wait_finds_a_run_of_another_user(flavour: str) -> None:
    with wait_scenario(flavour, sample=True) as s:
        mine = {run.id for run in s.loops.runs.list()}
        theirs = [run for run in s.loops.runs.list(scope="org") if run.id not in mine]
        alive = next(run for run in theirs if status_name(run) == "ACTIVE")
        assert s.wait("runs", alive.id, "ACTIVE", quiet=True, timeout=30).id == alive.id


@both
def test_wait_for_an_unknown_id_raises_not_found(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    with wait_scenario(flavour) as s:
        for group in ("runs", "samplers", "deployments"):
            with pytest.raises(NotFoundError):
                s.wait(group, "nosuch")
        assert capsys.readouterr().out == "".join(
            f"{what} nosuch: nothing to wait for, after 0 s\n" for what in ("run", "sampler", "deployment")
        )


@both
def test_wait_past_its_timeout_raises_with_the_last_state(flavour: str, capsys: pytest.CaptureFixture[str]) -> None:
    with wait_scenario(flavour) as s:
        run = make_run(s.loops)
        s.wait("runs", run.id, quiet=True)
        with pytest.raises(WaitTimeoutError) as caught:
            s.wait("runs", run.id, "FAILED", timeout=0.2)
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, LoopsError)
        assert caught.value.status == "RUNNING"
        text = f"Run {run.id} is not FAILED after 0.2 s: it was ACTIVE, trainer RUNNING"
        assert text in str(caught.value)
        assert f'Wait on: loops.runs.wait("{run.id}", until="FAILED")' in str(caught.value)
        assert re.fullmatch(
            rf"run {run.id}: ACTIVE, trainer RUNNING.*, not FAILED, after 0 s\n", capsys.readouterr().out
        )
        assert status_name(s.loops.runs.get(run.id)) == "ACTIVE"


@both
def test_wait_with_an_unresponsive_service_raises_at_the_timeout(flavour: str) -> None:
    held = threading.Event()
    with ScriptedServer(lambda _: Answer(hang_until=held)) as server:
        with pytest.raises(WaitTimeoutError, match="the service did not send its state"):
            waiter(flavour, server.url)("runs", "a", timeout=0.2, quiet=True)
        held.set()


@both
def test_wait_with_an_unreachable_service_raises_at_once(flavour: str) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    wait = waiter(flavour, url)
    with pytest.raises(ServiceUnreachableError, match="Start the local service"):
        wait("runs", "a", quiet=True)


@both
@pytest.mark.parametrize(
    ("group", "args", "says"),
    [
        ("runs", ("a", "RUNING"), "Did you mean RUNNING?"),
        ("runs", ("a", "inactiv"), "Did you mean INACTIVE?"),
        ("samplers", ("a", "RUNNING"), "Did you mean ACTIVE?"),
        ("deployments", ("a", "active"), "Did you mean RUNNING?"),
        ("deployments", ("a", "zzz"), "until must be one of CREATED"),
        ("runs", ("a", 5), "until must be one of ACTIVE"),
        ("runs", ("a", None), "until must be one of ACTIVE"),
        ("runs", ("a/b",), "run_id is not an id"),
        ("samplers", ("",), "sampler_id is empty"),
        ("deployments", (7,), "deployment_id must be a string"),
    ],
)
def test_invalid_arguments_raise_before_any_request(flavour: str, group: str, args: Any, says: str) -> None:
    with wait_scenario(flavour) as s:
        with pytest.raises(InvalidArgumentError) as caught:
            s.wait(group, *args)
        assert says in str(caught.value)
        for timeout in (0, -1, float("nan"), "5", True):
            with pytest.raises(InvalidArgumentError, match="timeout"):
                s.wait("runs", "a", timeout=timeout)
        assert s.gate.asked == []


class ScriptedRun:
    """A service whose one run goes through states, one a look at the deployments."""

    def __init__(
        self, *states: tuple[str, str | None], serverless: bool = False, checkpoints: Answer | None = None
    ) -> None:
        self.states = list(states)
        self.serverless = serverless
        self.checkpoints = checkpoints or Answer({"checkpoints": []})
        self.deployments: Answer | None = None

    def __call__(self, received: Received) -> Answer:
        own, trainer = self.states[0]
        run = {
            "id": "a",
            "session_id": "s",
            "base_model": "m",
            "status": {"name": own},
            "deployment_id": None if self.serverless else "d",
        }
        if received.target == "/v1/loops/runs/a":
            return Answer({"run": run})
        if received.target.startswith("/v1/loops/runs"):
            return Answer({"runs": [run]})
        if received.target.startswith("/v1/loops/deployments"):
            if len(self.states) > 1:
                self.states.pop(0)
            listed = (
                []
                if trainer is None
                else [{"id": "d", "status": {"name": trainer}, "active_run_id": "a", "latest_run_id": "a"}]
            )
            return self.deployments or Answer({"deployments": listed})
        return self.checkpoints


@contextmanager
def scripted_wait(script: Callable[[Received], Answer]) -> Iterator[tuple[Wait, ScriptedServer]]:
    with ScriptedServer(script) as server, Loops("sentinel-key", server.url) as loops:
        poller = poller_for(loops.config)
        poller.interval, poller.linger = 0.02, 0.05
        yield (lambda *args, **more: loops.runs.wait("a", *args, **({"timeout": 20, "quiet": True} | more))), server
        assert poller.last_traceback == ""
        until(lambda: not poller.is_running, "the poller ends after the wait")


REACHED: dict[str, tuple[tuple[tuple[str, str | None], ...], bool, str]] = {
    "up": ((("ACTIVE", "CREATED"), ("ACTIVE", "DEPLOYING"), ("ACTIVE", "RUNNING")), False, "RUNNING"),
    "passed on the way": ((("ACTIVE", "CREATED"), ("ACTIVE", "RUNNING")), False, "DEPLOYING"),
    "asleep": ((("ACTIVE", "RUNNING"), ("ACTIVE", "SCALED_TO_ZERO")), False, "SCALED_TO_ZERO"),
    "up again": ((("ACTIVE", "SCALED_TO_ZERO"), ("ACTIVE", "DEPLOYING"), ("ACTIVE", "RUNNING")), False, "RUNNING"),
    "through a state that is new": ((("ACTIVE", "RESTORING"), ("ACTIVE", "RUNNING")), False, "RUNNING"),
    "stopped": ((("ACTIVE", "RUNNING"), ("INACTIVE", "RUNNING"), ("INACTIVE", "STOPPED")), False, "STOPPED"),
    "stopped and not listed any more": ((("ACTIVE", "RUNNING"), ("INACTIVE", None)), False, "STOPPED"),
    "preempted": ((("INACTIVE", "PREEMPTED"),), False, "PREEMPTED"),
    "ended": ((("ACTIVE", "RUNNING"), ("INACTIVE", "STOPPED")), False, "INACTIVE"),
    "serverless is up": ((("ACTIVE", None),), True, "RUNNING"),
    "serverless was up": ((("ACTIVE", None),), True, "CREATED"),
    "serverless ends": ((("ACTIVE", None), ("INACTIVE", None)), True, "STOPPED"),
}


@pytest.mark.parametrize(("states", "serverless", "aim"), REACHED.values(), ids=REACHED.keys())
def test_wait_returns_when_the_run_reaches_the_state(states: Any, serverless: bool, aim: str) -> None:
    with scripted_wait(ScriptedRun(*states, serverless=serverless)) as (wait, _):
        assert wait(aim).id == "a"


NEVER: dict[str, tuple[tuple[tuple[str, str | None], ...], bool, str, str]] = {
    "failed": ((("ACTIVE", "DEPLOYING"), ("ACTIVE", "FAILED")), False, "RUNNING", "its trainer failed (FAILED)"),
    "stopped": ((("ACTIVE", "STOPPED"),), False, "RUNNING", "its trainer was shut down (STOPPED)"),
    "preempted": ((("ACTIVE", "RUNNING"), ("ACTIVE", "PREEMPTED")), False, "STOPPED", "nothing broke (PREEMPTED)"),
    "ended": ((("INACTIVE", "RUNNING"),), False, "RUNNING", "it has ended (INACTIVE)"),
    "ended, never active": ((("INACTIVE", None),), False, "ACTIVE", "an ended run never starts again (INACTIVE)"),
    "gone": ((("INACTIVE", None),), False, "FAILED", "its deployment is not listed any more (INACTIVE)"),
    "serverless never fails": ((("ACTIVE", None),), True, "FAILED", "serverless capacity"),
    "serverless did not fail": ((("INACTIVE", None),), True, "FAILED", "it has ended (INACTIVE)"),
    "serverless over": ((("INACTIVE", None),), True, "RUNNING", "it has ended (INACTIVE)"),
    "serverless never sleeps": ((("ACTIVE", None),), True, "SCALED_TO_ZERO", "serverless capacity"),
}


@pytest.mark.parametrize(("states", "serverless", "aim", "why"), NEVER.values(), ids=NEVER.keys())
def test_wait_raises_when_the_run_can_no_longer_reach_the_state(
    states: Any, serverless: bool, aim: str, why: str
) -> None:
    with (
        scripted_wait(ScriptedRun(*states, serverless=serverless)) as (wait, _),
        pytest.raises(NeverReachedError) as caught,
    ):
        wait(aim)
    assert f"Run a will not be {aim} any more" in str(caught.value)
    assert why in str(caught.value)


def test_wait_for_a_trainer_state_without_access_to_deployments_raises() -> None:
    script = ScriptedRun(("ACTIVE", "RUNNING"))
    script.deployments = Answer({"message": "no"}, 403)
    with scripted_wait(script) as (wait, _):
        assert wait("ACTIVE").id == "a"
        with pytest.raises(NeverReachedError, match=r"lists no deployments for this key.*ACTIVE or INACTIVE"):
            wait("RUNNING")


def test_wait_for_an_ended_run_raises_without_access_to_checkpoints() -> None:
    with scripted_wait(ScriptedRun(("INACTIVE", "STOPPED"), checkpoints=Answer({"message": "no"}, 403))) as (wait, _):
        with pytest.raises(NeverReachedError) as caught:
            wait()
        assert "checkpoint" not in caught.value.hint.replace("its checkpoints", "")


def test_wait_reads_runs_of_the_first_api_version() -> None:
    states = ["DEPLOYING", "RUNNING"]

    def script(received: Received) -> Answer:
        if received.target == "/v1/loops/runs/a":
            return Answer(
                {"run": {"id": "a", "base_url": "https://x", "sampler": {"id": "s", "base_url": "https://y"}}}
            )
        if "/runs" in received.target:
            return Answer({"runs": [{"run_id": "a", "session_id": "s", "base_model": "m"}]})
        state = states.pop(0) if len(states) > 1 else states[0]
        return Answer(
            {"deployments": [{"id": "d", "base_model": "m", "status": {"name": state}, "active_run_id": "a"}]}
        )

    with scripted_wait(script) as (wait, _):
        assert wait().id == "a"
        assert wait("ACTIVE").id == "a"


def test_deployment_missing_from_listings_is_requested_by_id() -> None:
    looks: list[str] = []

    def script(received: Received) -> Answer:
        looks.append(received.target)
        if received.target.startswith("/v1/loops/deployments/d"):
            return Answer({"deployment": {"id": "d", "status": {"name": "RUNNING" if len(looks) < 12 else "STOPPED"}}})
        return Answer({"deployments": []})

    with ScriptedServer(script) as server, Loops("k", server.url) as loops:
        poller = poller_for(loops.config)
        poller.interval, poller.linger = 0.02, 0.05
        assert status_name(loops.deployments.wait("d", "STOPPED", quiet=True, timeout=20)) == "STOPPED"
        assert any("scope=org" in look for look in looks)
        until(lambda: not poller.is_running, "the poller ends after the wait")


SAMPLERS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "up": (("BUILDING", "DEPLOYING", "LOADING_MODEL", "ACTIVE"), "ACTIVE", ""),
    "passed": (("BUILDING", "ACTIVE"), "LOADING_MODEL", ""),
    "woken": (("SCALED_TO_ZERO", "WAKING_UP", "ACTIVE"), "ACTIVE", ""),
    "recovers": (("UNHEALTHY", "ACTIVE"), "ACTIVE", ""),
    "ends": (("DEACTIVATING", "INACTIVE"), "INACTIVE", ""),
    "is being ended": (("DEACTIVATING",), "ACTIVE", "it is being ended (DEACTIVATING)"),
    "has ended": (("INACTIVE",), "ACTIVE", "it has ended (INACTIVE)"),
    "failed": (("BUILDING", "BUILD_FAILED"), "ACTIVE", "it failed (BUILD_FAILED)"),
}


@pytest.mark.parametrize(("states", "aim", "why"), SAMPLERS.values(), ids=SAMPLERS.keys())
def test_wait_for_sampler_states_returns_or_raises(states: tuple[str, ...], aim: str, why: str) -> None:
    left = list(states)

    def script(received: Received) -> Answer:
        sampler = {"id": "s", "status": {"name": left[0]}}
        if received.target == "/v1/loops/samplers/s":
            return Answer({"sampler": sampler})
        if len(left) > 1:
            left.pop(0)
        return Answer({"samplers": [sampler]})

    with ScriptedServer(script) as server, Loops("k", server.url) as loops:
        poller = poller_for(loops.config)
        poller.interval = 0.02
        if not why:
            assert loops.samplers.wait("s", aim, quiet=True, timeout=20).id == "s"
        else:
            with pytest.raises(NeverReachedError) as caught:
                loops.samplers.wait("s", aim, quiet=True, timeout=20)
            assert why in str(caught.value)


def test_conditions_accept_every_documented_state() -> None:
    from loops_nb.live.wait import DeploymentCondition, RunCondition, SamplerCondition

    assert [RunCondition("a", state).until for state in RUN_STATUSES + DEPLOYMENT_STATUSES] == list(
        RUN_STATUSES + DEPLOYMENT_STATUSES
    )
    assert [SamplerCondition("a", state.lower()).until for state in SAMPLER_STATUSES] == list(SAMPLER_STATUSES)
    assert [DeploymentCondition("a", state).until for state in DEPLOYMENT_STATUSES] == list(DEPLOYMENT_STATUSES)


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> list[str]:
        return [line.strip() for line in self.getvalue().replace("\n", "\r").split("\r") if line.strip()]


def notebook_stream() -> Any:
    made = types.new_class("OutStream", (io.StringIO,))
    made.__module__ = "ipykernel.iostream"
    return made()


def test_terminal_status_is_one_rewritten_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with scripted_wait(ScriptedRun(("ACTIVE", "CREATED"), ("ACTIVE", "DEPLOYING"), ("ACTIVE", "RUNNING"))) as (wait, _):
        wait(quiet=False)
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert terminal.shown[0] == "run a, 0 s, until RUNNING: asking"
    assert "run a, 0 s, until RUNNING: ACTIVE, trainer DEPLOYING" in terminal.shown
    assert terminal.shown[-1] == "run a is RUNNING, after 0 s"
    for line in text.split("\r"):
        assert len(line.rstrip("\n")) < 80
    # Each line covers what was written before it.
    lengths = [len(line.rstrip("\n")) for line in text.split("\r")[1:]]
    contents = [len(line.rstrip()) for line in text.split("\r")[1:]]
    assert all(length >= before for length, before in zip(lengths[1:], contents, strict=False))


def test_notebook_status_is_written_only_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = notebook_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    script = ScriptedRun(*[("ACTIVE", "DEPLOYING")] * 10, ("ACTIVE", "RUNNING"))
    with scripted_wait(script) as (wait, _):
        wait(quiet=False)
    lines = [line.strip() for line in stream.getvalue().split("\r") if line.strip()]
    assert lines == [
        "run a, until RUNNING: asking",
        "run a, until RUNNING: ACTIVE, trainer DEPLOYING",
        "run a, until RUNNING: ACTIVE, trainer RUNNING",
        "run a is RUNNING, after 0 s",
    ]


def test_wait_shows_and_survives_a_service_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = notebook_stream()
    monkeypatch.setattr(sys, "stdout", terminal)
    run = ScriptedRun(*[("ACTIVE", "DEPLOYING")] * 3, ("ACTIVE", "RUNNING"))
    looks = [0]

    def script(received: Received) -> Answer:
        looks[0] += 1
        return Answer({"message": "tired"}, 503) if 4 <= looks[0] <= 7 else run(received)

    with scripted_wait(script) as (wait, _):
        assert wait(quiet=False).id == "a"
    assert "the service answered 503 (tired)" in terminal.getvalue()
    assert terminal.getvalue().endswith("run a is RUNNING, after 0 s" + terminal.getvalue().rpartition("after 0 s")[2])


def test_wait_with_a_refused_key_raises_at_once() -> None:
    with scripted_wait(lambda _: Answer({"message": "revoked"}, 401)) as (wait, _), pytest.raises(AuthenticationError):
        wait()


def test_status_line_contains_no_key_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = notebook_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    script = ScriptedRun(("ACTIVE", "\x1b[31mred\rsentinel"), ("ACTIVE", "RUNNING"))
    with scripted_wait(script) as (wait, _):
        wait(quiet=False)
    assert "\x1b" not in stream.getvalue()
    assert "sentinel-key" not in stream.getvalue()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="queries signals to a thread")
def test_ctrl_c_stops_the_wait_but_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with wait_scenario("sync") as s:
        run = make_run(s.loops)
        s.wait("runs", run.id, quiet=True)
        looks = [0]

        def interrupt(target: str) -> Response | None:
            if target.endswith("/deployments"):
                looks[0] += 1
                if looks[0] == 3:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return None

        s.gate.answer = interrupt
        with pytest.raises(KeyboardInterrupt) as caught:
            s.loops.runs.wait(run.id, "FAILED", timeout=30)
        s.gate.answer = lambda _: None
        assert re.fullmatch(
            rf"run {run.id}: stopped waiting, it goes on \(ACTIVE, trainer RUNNING.*\), after 0 s\n",
            capsys.readouterr().out,
        )
        assert f"run {run.id} goes on" in caught.value.__notes__[0]
        assert f'loops.runs.wait("{run.id}", until="FAILED")' in caught.value.__notes__[0]
        assert status_name(s.loops.runs.get(run.id)) == "ACTIVE"


def test_async_wait_can_be_cancelled(capsys: pytest.CaptureFixture[str]) -> None:
    with wait_scenario("async") as s:
        run = make_run(s.loops)
        s.wait("runs", run.id, quiet=True)

        async def go() -> None:
            async with AsyncLoops("sentinel-key", s.loops.base_url) as loops:
                task = asyncio.ensure_future(loops.runs.wait(run.id, "FAILED"))
                looked = asyncio.Event()
                loop = asyncio.get_running_loop()

                def count(target: str) -> None:
                    if target.endswith("/deployments"):
                        loop.call_soon_threadsafe(looked.set)

                s.gate.answer = count
                await looked.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                s.gate.answer = lambda _: None

        asyncio.run(go())
        assert f"run {run.id}: stopped waiting, it goes on" in capsys.readouterr().out


def test_concurrent_async_waits_share_requests() -> None:
    with wait_scenario("async") as s:
        runs = [make_run(s.loops) for _ in range(20)]
        s.poller.interval = 3600
        s.gate.asked.clear()

        async def go() -> list[Any]:
            async with AsyncLoops("sentinel-key", s.loops.base_url) as loops:
                return await asyncio.gather(*(loops.runs.wait(run.id, "ACTIVE", quiet=True) for run in runs))

        assert [run.id for run in asyncio.run(go())] == [run.id for run in runs]
        assert s.gate.count("GET /v1/loops/runs/") == 20, "each is asked for once, to know that it is there"
        assert sum(line == "GET /v1/loops/runs" for line in s.gate.asked) <= 20


def test_wait_with_malformed_answers_raises_at_the_timeout() -> None:
    with wait_scenario("sync") as s:
        run = make_run(s.loops)
        s.gate.answer = lambda target: (
            JSONResponse({"oops": True}) if target.endswith(("/runs", "/deployments")) else None
        )
        with pytest.raises(WaitTimeoutError, match="without the documented field"):
            s.wait("runs", run.id, timeout=0.5, quiet=True)
        s.gate.answer = lambda _: None
