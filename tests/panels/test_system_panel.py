"""The panel of system metrics: lines of GPUs and nodes beside the training curve, polled while someone looks."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

import loops_nb
from loops_nb import Loops
from loops_nb.client.transport import Transport
from loops_nb.errors import InvalidArgumentError, LoopsError, NotFoundError
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.curves.model import ClientView, CurveModel
from loops_nb.panels.system.source import INTERVAL, SystemSource
from loops_nb.tracking import ExperimentStore
from tests.panels.curves.memory_store import MemoryStore
from tests.panels.waiting import until
from tests.service import AnyService, running_service

RUN = "p2syas8"


class Gpus:
    """Answers the metrics of deployments as a service with two nodes of two GPUs does; counts the requests."""

    asked: ClassVar[list[dict[str, Any]]] = []
    failing: ClassVar[bool] = False
    #: Seconds before now in which nothing was measured.
    hole: ClassVar[range] = range(0)

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/loops/deployments/" not in scope["path"] or "metrics" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        body = json.loads((await receive())["body"])
        Gpus.asked.append(body)
        if Gpus.failing:
            await JSONResponse({"code": "X", "message": "broken"}, 500)(scope, receive, send)
            return
        start, step = body["start_epoch_millis"], body.get("step_seconds", 3600) * 1000
        now = round(datetime.now(UTC).timestamp() * 1000)
        times = [at for at in range(start, now, step) if (now - at) // 1000 not in Gpus.hole]

        def points(value: float) -> list[dict[str, Any]]:
            stamps = (datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in times)
            return [{"value": value, "timestamp": stamp} for stamp in stamps]

        nodes = [
            {"node_id": node, "gpu_utilization": {"0": points(0.5), "1": points(0.75)}, "cpu_usage": points(3.0)}
            for node in ("a", "b")
        ]
        answer = {"per_node_metrics": nodes, "inference_volume": points(2.0), "note": "A remark."}
        await JSONResponse({"deployment_id": "d", "metrics": answer})(scope, receive, send)


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(in_process=True, sample=True, wrap=Gpus) as running:
        yield running


@pytest.fixture
def loops(service: AnyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Gpus, "failing", False)
    monkeypatch.setattr(Gpus, "hole", range(0))
    monkeypatch.setattr(Gpus, "asked", [])
    with Loops(service.key, service.url) as made:
        yield made


def test_each_gpu_is_a_line_and_all_charts_share_the_clock_of_the_training(loops: Loops) -> None:
    with loops_nb.experiment("mine", run=RUN, params={"lr": 0.1}) as exp:
        exp.log_in_attempt({"loss": 9.0}, step=0, tokens_seen=0, attempt=1, at=1_700_000_000_000)
        for step in range(1, 4):
            exp.log({"loss": 3.0 - step, "optim_step_seconds": 0.1, "accuracy": 0.5}, step=step)
    Gpus.hole = range(120, 180)
    panel = loops.system.watch("support-tone-dpo", since=timedelta(minutes=5))
    snapshot = panel.snapshot_now()
    names = {run.name for run in snapshot.metadata.runs}
    assert names == {"mine", "trainer", "trainer a", "trainer b", "sampler"} | {
        f"trainer {node} GPU {gpu}" for node in "ab" for gpu in "01"
    }
    keys = snapshot.metadata.keys
    assert keys[:2] == ["loss", "gpu/utilization"]
    assert {"gpu/utilization", "cpu/usage (cores)", "requests/rate", "optim_step_seconds"} <= set(keys)
    assert "accuracy" not in keys
    assert snapshot.metadata.params == [], "a GPU has none that could differ"
    assert snapshot.title == f"System of run {RUN}"
    assert snapshot.metadata.waiting.startswith("A remark. ")
    assert snapshot.line == "%loops watch system support-tone-dpo"
    # The loss of years ago lies before the window: the chart begins with the others.
    assert snapshot.chart is not None
    assert snapshot.chart.spec.axis == "clock"
    assert snapshot.chart.first is not None
    assert datetime.now(UTC).timestamp() - snapshot.chart.first == pytest.approx(300, abs=60)
    frame = panel.frame("gpu/utilization")
    assert frame.groupby("experiment").value.mean().to_dict() == {
        f"trainer {node} GPU {gpu}": value for node in "ab" for gpu, value in (("0", 0.5), ("1", 0.75))
    }
    assert len(panel.frame("loss")) == 3
    source = panel._system
    assert source is not None
    line = next(row.id for row in source.experiments() if row.name == "trainer a GPU 0")
    assert set(source.series(line, "gpu/utilization").attempt) == {1, 2}, "no line over the gap"
    assert re.search(r"gpu/utilization +trainer a GPU 1 +0.75 +0.75 +0.75", panel.told())
    panel.close()
    assert not [one for one in threading.enumerate() if one.name.startswith(("loops-nb-system", "loops-nb-curves"))]


def test_polls_only_when_asked_and_due_and_says_what_failed_beside_the_training(loops: Loops) -> None:
    clock, shift = [0.0], [timedelta()]
    with ExperimentStore() as store:
        source = SystemSource(
            Transport(loops.config),
            RUN,
            since=timedelta(minutes=2),
            store=store,
            clock=lambda: clock[0],
            now=lambda: datetime.now(UTC) + shift[0],
        )
        first = source.version()
        assert (first, len(Gpus.asked)) == (source.version(), 1), "not due yet"
        gpu = next(row.id for row in source.experiments() if row.name == "trainer a GPU 0")
        count = source.keys(gpu)[0].count
        assert source.failure == ""
        clock[0], shift[0] = INTERVAL, timedelta(seconds=30)
        source.version()
        until(lambda: source.version() != first)
        assert len(Gpus.asked) == 2
        again = source.series(gpu, "gpu/utilization")
        assert len(again.at) > count
        assert (again.at[1:] - again.at[:-1] >= 10_000).all(), "no point comes twice"
        assert len(source.series(gpu, "gpu/utilization", after=count).at) == len(again.at) - count
        Gpus.failing = True
        clock[0] = 3 * INTERVAL
        before = source.version()
        until(lambda: source.version() != before)
        assert len(source.series(gpu, "gpu/utilization").at) == len(again.at), "what was read stays"
        with loops_nb.experiment("mine", run=RUN) as exp:
            exp.log(step=1, loss=2.0)
        model = CurveModel(source, [RUN])
        model.read()
        assert re.search("system metrics are not up to date. .*broken", model.metadata.waiting)
        assert "could not be read" in model.metadata.how
        assert model.metadata.keys[:2] == ["loss", "gpu/utilization"], "the training goes on"
        loss = source.series(exp.id, "loss").at[-1]
        (_, end) = source.common_span("clock") or (0.0, 0.0)
        assert 0 <= end - loss / 1000 <= INTERVAL, "all charts end where the loss does"
        Gpus.failing = False

        def is_read_again() -> bool:
            clock[0] += INTERVAL
            source.version()
            return not source.failure

        until(is_read_again)
        model.read()
        assert "not up to date" not in model.metadata.waiting
        assert "has ended or failed gets no more" in model.metadata.how
        # After a pause of days it asks for a window that the service takes.
        shift[0] += timedelta(days=9)

        def window() -> timedelta:
            begin = datetime.fromtimestamp(Gpus.asked[-1]["start_epoch_millis"] / 1000, UTC)
            return datetime.now(UTC) + shift[0] - begin

        def is_asked_again() -> bool:
            clock[0] += INTERVAL
            source.version()
            return window() < timedelta(days=8)

        until(is_asked_again)
        assert timedelta(days=6, hours=23) < window() <= timedelta(days=7)
        source.close()


def test_a_panel_without_its_target_is_refused_in_words(loops: Loops) -> None:
    with pytest.raises(NotFoundError, match="no run, deployment or sampler"):
        loops.system.watch("unheard")
    with pytest.raises(InvalidArgumentError, match="shared"):
        loops.system.watch("text-to-sql-quick")
    with pytest.raises(InvalidArgumentError, match="seven days"):
        loops.system.watch(RUN, since=timedelta(days=8))
    # A table of exactly seven days is within what the service takes; one that is longer is not asked for.
    assert "trainer" in set(loops.system.frame("text-to-sql", since=timedelta(days=7)).half)
    asked = len(Gpus.asked)
    odd: tuple[tuple[Any, str], ...] = (
        (timedelta(days=8), "at most 7 days"),
        (timedelta(days=-1), "time to come"),
        (5, "timedelta"),
    )
    for since, says in odd:
        with pytest.raises(InvalidArgumentError, match=says):
            loops.system.frame(RUN, since=since)
    assert len(Gpus.asked) == asked
    Gpus.failing = True
    with pytest.raises(LoopsError, match="broken"):
        loops.system.watch(RUN)


def test_a_chart_without_new_points_moves_on_with_the_others() -> None:
    class Shared(MemoryStore):
        end = 50.0

        def common_span(self, axis: str) -> tuple[float, float] | None:
            return (0.0, self.end) if axis == "clock" else None

    store = Shared()
    store.log(store.begin("one", created_at=1000), "loss", [1.0, 2.0])
    model = CurveModel(store, ["one"])
    model.read()
    view = ClientView(ChartSpec(key="loss", axis="clock"))
    drawn = model.draw(view)
    assert drawn is not None
    assert (drawn.first, drawn.last) == (0.0, 50.0)
    assert model.append("v", view, 0.0) is None
    store.end = 60.0
    moved = model.append("v", view, 0.0)
    assert moved is not None
    assert (moved.lines, moved.last) == ([], 60.0)
    assert model.append("v", view, 0.0) is None, "said once"
    again = model.draw(view)
    assert again is not None
    assert model.draw(ClientView(ChartSpec(key="loss", axis="step"))) is not None
