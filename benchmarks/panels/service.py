"""The local service in a process of its own, with a movable clock, recorded requests and listings of any length.

``python -m benchmarks.panels.service FOLDER`` prints its address when it is ready.  What is below ``/bench`` is for the
benchmark:

- ``POST /bench/advance?seconds=60`` moves the clock.
- ``GET /bench/noted`` answers the looks (each request for the runs: when it came, and how many changes had been
answered by then) and the
  changes (when their answer was on its way, and of which run), in epoch milliseconds.
- ``GET /bench/size`` answers the bytes of the made-up listing of runs.
- ``POST /bench/pretend?runs=1000`` answers listings of so many made-up runs from then on; with ``each_look=100`` every
further look finds
  so many different ones, with ``where=top`` always the newest of them, with ``what=ends`` by one that has ended in
  place of one whose sampler wakes or falls asleep.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from benchmarks.bodies import BASE_MODELS, checkpoints_of, deployments_listing, runs_listing
from loops_nb.local.server.app import make_app
from loops_nb.local.server.process import LocalServer, bind, config
from loops_nb.local.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RUNS = "/v1/loops/runs"


def now_ms() -> float:
    """Return epoch milliseconds."""
    return time.time() * 1e3


class SyntheticListings:
    """Listings of made-up runs, ready to be sent.

    Parameters
    ----------
    rows
        How many runs.
    """

    def __init__(self, rows: int) -> None:
        self.each_look = 0
        self.where = "anywhere"
        self.what = "wakes"
        self._random = random.Random(rows)  # noqa: S311 - data to measure with
        self._runs = runs_listing(rows)
        self._sent = [_packed(run) for run in self._runs]
        self._left = list(range(rows))
        self._random.shuffle(self._left)
        self.listings = {
            "/v1/loops/deployments": _packed({"deployments": deployments_listing(rows)}),
            "/v1/loops/samplers": b'{"samplers":[]}',
        }
        self.checkpoints = {model: _packed({"checkpoints": checkpoints_of(self._runs, model)}) for model in BASE_MODELS}

    def runs(self) -> bytes:
        """Return the listing of the runs, with as many changed as there are to be."""
        self._step()
        return b'{"runs":[' + b",".join(self._sent) + b"]}"

    def _step(self) -> None:
        for row in self._chosen():
            run = self._runs[row]
            if self.what == "ends":
                run["status"] = {"name": "INACTIVE"}
            else:
                sampler = run["sampler"]
                sampler["status"] = {
                    "name": "ACTIVE" if sampler["status"]["name"] == "SCALED_TO_ZERO" else "SCALED_TO_ZERO"
                }
            self._sent[row] = _packed(run)

    def one(self, run_id: str) -> bytes:
        """Return one run; a client that requests each of them starts again with the first, and finds changes then."""
        if run_id == self._runs[0]["id"]:
            self._step()
        return b'{"run":' + self._sent[int(run_id.removeprefix("run"))] + b"}"

    def _chosen(self) -> list[int]:
        if self.what == "ends":
            return [self._left.pop() for _ in range(self.each_look)]
        return (
            list(range(self.each_look))
            if self.where == "top"
            else self._random.sample(range(len(self._runs)), self.each_look)
        )


class RequestRecorder:
    """ASGI middleware that records requests and serves synthetic listings.

    Parameters
    ----------
    app
        The service.
    clock
        Seconds by which its clock is ahead.
    """

    def __init__(self, app: ASGIApp, ahead: list[float]) -> None:
        self._app = app
        self._ahead = ahead
        self._looks: list[tuple[float, int]] = []
        self._changes: list[tuple[float, str]] = []
        self._pretended: SyntheticListings | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or have the service answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        answer = self._own(request)
        if request.method == "GET" and request.url.path == _RUNS:
            self._looks.append((now_ms(), len(self._changes)))
        if answer is None and self._pretended is not None and request.method == "GET":
            answer = self._pretend(self._pretended, request)
        if answer is not None:
            await answer(scope, receive, send)
        elif request.method == "POST" and request.url.path.endswith("/deactivate"):
            await self._change(request.url.path.split("/")[-2], scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _own(self, request: Request) -> Response | None:
        asked = request.query_params
        match request.url.path:
            case "/bench/advance":
                self._ahead[0] += float(asked["seconds"])
            case "/bench/noted":
                return JSONResponse({"looks": self._looks, "changes": self._changes})
            case "/bench/size":
                return JSONResponse(len(self._pretended.runs()) if self._pretended is not None else 0)
            case "/bench/pretend":
                rows = int(asked.get("runs", "0"))
                if rows:
                    self._pretended = SyntheticListings(rows)
                if self._pretended is not None:
                    self._pretended.each_look = int(asked.get("each_look", "0"))
                    self._pretended.where, self._pretended.what = (
                        asked.get("where", "anywhere"),
                        asked.get("what", "wakes"),
                    )
            case _:
                return None
        return JSONResponse({})

    def _pretend(self, pretended: SyntheticListings, request: Request) -> Response | None:
        path = request.url.path
        if path == _RUNS:
            return Response(pretended.runs(), media_type="application/json")
        if path.startswith(f"{_RUNS}/"):
            return Response(pretended.one(path.removeprefix(f"{_RUNS}/")), media_type="application/json")
        if path == "/v1/loops/checkpoints":
            # What is asked for by run is not made up: there are no such checkpoints.
            found = pretended.checkpoints.get(request.query_params.get("base_model", ""), b'{"checkpoints":[]}')
            return Response(found, media_type="application/json")
        listing = pretended.listings.get(path)
        return None if listing is None else Response(listing, media_type="application/json")

    async def _change(self, run_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Here the change is kept: later requests see it.
                self._changes.append((now_ms(), run_id))
            await send(message)

        await self._app(scope, receive, noting)


def main() -> None:
    """Serve until the process is ended."""
    ahead = [0.0]
    settings = Settings(
        data_dir=Path(sys.argv[1]),
        rate_limit=0,
        sample="--sample" in sys.argv,
        clock=lambda: round(now_ms() + ahead[0] * 1e3),
    )
    listening = bind(settings.host, 0)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    LocalServer(config(RequestRecorder(make_app(settings), ahead)), lambda: print(address, flush=True)).run(
        sockets=[listening]
    )


def _packed(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
