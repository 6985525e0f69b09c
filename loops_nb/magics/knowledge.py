"""What is already known of the service: the memory behind Tab and "did you mean".

Filled by every listing that is shown, by what live panels look at, and by background requests that completion may start; each of these is
waited for once, for a fraction of a second.
"""

from __future__ import annotations

import itertools
import logging
import operator
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from loops_nb.errors import LoopsError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loops_nb.live.needs import Kind
    from loops_nb.loops import Loops
    from loops_nb.models import Checkpoint, Deployment, Run, Sampler

    Pairs = tuple[tuple[str, str | None], ...]

KINDS = ("run", "sampler", "deployment", "session", "checkpoint", "base_model", "team", "experiment", "metric")
_LOG = logging.getLogger(__name__)
_MOST = 2000
_SECONDS_BETWEEN_LOOKS = 30.0
_SECONDS_OF_WAITING = 0.4

#: For every kind of frame: which of its columns holds what.
_COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        "id": "run",
        "name": "run_name",
        "base_model": "base_model",
        "session_id": "session",
        "deployment_id": "deployment",
        "sampler_id": "sampler",
        "owner": "owner",
    },
    "samplers": {"id": "sampler", "base_model": "base_model", "owner": "owner"},
    "checkpoints": {"id": "checkpoint", "uri": "uri", "checkpoint_id": "name", "run_id": "run", "base_model": "base_model"},
    "deployments": {
        "id": "deployment",
        "base_model": "base_model",
        "active_run_id": "run",
        "latest_run_id": "run",
        "sampler_id": "sampler",
        "owner": "owner",
    },
    "capabilities": {"model_name": "base_model"},
    "sessions": {"id": "session"},
    "teams": {"id": "team"},
    "experiments": {"id": "experiment", "name": "experiment", "run_id": "experiment"},
}


class Knowledge:
    """Ids, models and names, newest knowledge first; at most some thousands of each kind.  Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, None]] = {}
        self._files_ids: dict[str, str] = {}
        self._about: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._saved: dict[str, tuple[float, list[tuple[str, str]]]] = {}
        self._asking: set[str] = set()
        self._waited: threading.Thread | None = None
        self._heard: dict[str, tuple[Any, ...]] = {}
        self._looking: threading.Thread | None = None
        self._looked_at = float("-inf")
        self._age = 0

    def known(self, kind: str) -> list[str]:
        """Return what is known of a kind (one of `KINDS`, or ``uri``, ``name``, ``owner``)."""
        with self._lock:
            return list(self._known.get(kind, ()))

    def add(self, kind: str, values: Iterable[str | None]) -> None:
        """Remember values, the first as the newest."""
        with self._lock:
            self._add(kind, values)

    def learn(self, kind: str, frame: Any) -> None:
        """Remember what a listing shows; ``kind`` is the frame's."""
        columns = _COLUMNS.get(kind, {})
        head = frame.iloc[:_MOST]
        # pandas copies the notes of a frame into every column taken from it; this one is only read here.
        head.attrs = {}
        found = {column: _texts(head[column].tolist()) for column in columns if column in head.columns}
        about = _about_rows(head)
        with self._lock:
            self._about.update(about)
            if kind == "runs" and {"id", "name"} <= found.keys():
                self._names.update(_pairs(head["id"].tolist(), head["name"].tolist()))
            for column, values in found.items():
                self._add(columns[column], values)
            if kind == "checkpoints":
                self._files_ids.update(zip(found["uri"], found["id"], strict=False))

    def meet(self, runs: Sequence[Run]) -> None:
        """Remember listed runs."""
        found: dict[str, list[str | None]] = {}
        about = {}
        for run in itertools.islice(runs, _MOST):
            for kind, value in _of_run(run):
                found.setdefault(kind, []).append(value)
            about[run.id] = _joined(run.name, run.status.name if run.status is not None else None)
        with self._lock:
            self._about.update(about)
            self._names.update((run.id, run.name) for run in runs if run.name)
            for kind, values in found.items():
                self._add(kind, values)

    def about(self, identity: str) -> str:
        """Return name and state of what has this id, as far as it was listed; else nothing."""
        with self._lock:
            return self._about.get(identity, "")

    def names(self) -> dict[str, str]:
        """Return the names that only one listed run has, each with the id of the run; a base model's name is no run's own."""
        with self._lock:
            counts = Counter(self._names.values())
            models = self._known.get("base_model", {})
            return {name: identity for identity, name in self._names.items() if counts[name] == 1 and name not in models}

    def saved_by(self, run_id: str, client: Loops | None) -> list[tuple[str, str]]:
        """Return name and target of what a run has saved, newest first.

        What is not known, or older than half a minute, is asked for in the background, and waited for a fraction of a second.
        """
        with self._lock:
            at, saved = self._saved.get(run_id, (float("-inf"), []))
            is_fresh = time.monotonic() - at < _SECONDS_BETWEEN_LOOKS
            if is_fresh or client is None or run_id in self._asking:
                return list(saved)
            self._asking.add(run_id)
            # Also of a service that does not answer: the next Tab waits no second time.
            self._saved[run_id] = (time.monotonic(), saved)
            asking = threading.Thread(target=self._ask, args=(client, run_id, self._age), name="loops-nb-knowledge", daemon=True)
            asking.start()
        asking.join(_SECONDS_OF_WAITING)
        with self._lock:
            return list(self._saved.get(run_id, (0.0, []))[1])

    def _ask(self, client: Loops, run_id: str, age: int) -> None:
        try:
            found = client.checkpoints.list(run_id=run_id)
        except Exception:  # noqa: BLE001 - a look in the background must not print or raise under another cell
            _LOG.debug("The checkpoints of %s could not be listed for completion.", run_id, exc_info=True)
            found = []
        with self._lock:
            self._asking.discard(run_id)
            if age != self._age or not found:
                return
            self._saved[run_id] = (time.monotonic(), [(one.checkpoint_id, one.target or "sampler") for one in found])
            self._files_ids.update((one.uri, one.id) for one in found)

    def wait_once(self) -> None:
        """Wait a fraction of a second for the look that is under way, if it was not waited for yet."""
        looking = self._looking
        if looking is not None and looking is not self._waited:
            self._waited = looking
            looking.join(_SECONDS_OF_WAITING)

    def hear(self, client: Loops) -> None:
        """Remember what the panels of a connection know by now; nothing is asked for."""
        # Without panels, what they stand on is not imported.
        running_poller = getattr(sys.modules.get("loops_nb.live"), "running_poller", None)
        poller = running_poller(client.exchange) if running_poller is not None else None
        if poller is None:
            return
        for kind, take in _HEARD.items():
            listings = poller.listed(kind)
            heard = self._heard.get(kind, ())
            if len(listings) == len(heard) and all(map(operator.is_, listings, heard)):
                continue
            self._heard[kind] = listings
            things = list(itertools.islice(itertools.chain.from_iterable(listing.values() for listing in listings), _MOST))
            found: dict[str, list[str | None]] = {}
            for name, value in itertools.chain.from_iterable(map(take, things)):
                found.setdefault(name, []).append(value)
            with self._lock:
                for name, values in found.items():
                    self._add(name, values)
                if kind == "checkpoints":
                    self._files_ids.update((thing.uri, thing.id) for thing in things)

    def forget(self) -> None:
        """Forget everything: the connection goes elsewhere."""
        with self._lock:
            self._known.clear()
            self._files_ids.clear()
            self._about.clear()
            self._names.clear()
            self._saved.clear()
            self._heard.clear()
            self._looked_at = float("-inf")
            self._age += 1

    def look(self, client: Loops, *, now: Callable[[], float] = time.monotonic) -> bool:
        """Start a look at the service in the background, unless one runs or was made a moment ago; tell whether one was started."""
        with self._lock:
            running = self._looking is not None and self._looking.is_alive()
            if running or now() - self._looked_at < _SECONDS_BETWEEN_LOOKS:
                return False
            self._looked_at = now()
            self._looking = threading.Thread(target=self._look, args=(client, self._age), name="loops-nb-knowledge", daemon=True)
            self._looking.start()
            return True

    def wait(self, seconds: float) -> None:
        """Wait until no look is under way."""
        looking = self._looking
        if looking is not None:
            looking.join(seconds)

    def _look(self, client: Loops, age: int) -> None:
        for kind, fetch in (
            ("runs", client.runs.frame),
            ("samplers", client.samplers.frame),
            ("capabilities", client.capabilities.frame),
            ("deployments", client.deployments.frame),
        ):
            try:
                frame = fetch()
            except (NotFoundError, PermissionDeniedError):
                continue
            except Exception:  # noqa: BLE001 - a look in the background must not print or raise under another cell
                _LOG.debug("%s could not be listed for completion.", kind, exc_info=True)
                return
            if age != self._age:
                return
            self.learn(kind, frame)
        self._look_for_teams(client, age)

    def _look_for_teams(self, client: Loops, age: int) -> None:
        try:
            teams = client.teams.list()
        except Exception:  # noqa: BLE001 - as above
            _LOG.debug("Teams could not be listed for completion.", exc_info=True)
            return
        with self._lock:
            if age == self._age:
                self._add("team", [team.id for team in teams])
                self._about.update((team.id, team.name) for team in teams if team.name)

    def _add(self, kind: str, values: Iterable[str | None]) -> None:
        fresh = dict.fromkeys(value for value in values if value)
        fresh.update(dict.fromkeys(value for value in self._known.get(kind, ()) if value not in fresh))
        self._known[kind] = dict.fromkeys(list(fresh)[:_MOST])

    def checkpoint_uri(self, checkpoint_id: str) -> str | None:
        """Return the URI of a checkpoint that was listed with this id."""
        with self._lock:
            return next((uri for uri, known in self._files_ids.items() if known == checkpoint_id), None)

    def checkpoint_id(self, uri: str) -> str | None:
        """Return the id of a checkpoint that was listed under this URI."""
        with self._lock:
            return self._files_ids.get(uri)


def refresh(knowledge: Knowledge, client: Loops, kind: str) -> None:
    """Look now for what is there of a kind, because somebody asked for what is not; a failure only leaves less to suggest."""
    fetches: dict[str, dict[str, Callable[[], Any]]] = {
        "run": {"runs": client.runs.frame},
        "sampler": {"samplers": client.samplers.frame},
        "deployment": {"deployments": client.deployments.frame},
        # A model of runs alone may not be offered any more; one that is offered may have no run yet.
        "base_model": {"runs": client.runs.frame, "capabilities": client.capabilities.frame},
    }
    for listing, fetch in fetches.get(kind, {}).items():
        try:
            knowledge.learn(listing, fetch())
        except LoopsError:
            return


def _of_run(run: Run) -> Pairs:
    sampler = run.sampler.id if run.sampler is not None else None
    owner = run.user.email if run.user is not None else None
    return (
        ("run", run.id),
        ("run_name", run.name),
        ("base_model", run.base_model),
        ("session", run.session_id),
        ("deployment", run.deployment_id),
        ("sampler", sampler),
        ("owner", owner),
    )


def _of_sampler(sampler: Sampler) -> Pairs:
    return ("sampler", sampler.id), ("base_model", sampler.base_model)


def _of_deployment(deployment: Deployment) -> Pairs:
    return ("deployment", deployment.id), ("run", deployment.active_run_id), ("run", deployment.latest_run_id)


def _of_checkpoint(checkpoint: Checkpoint) -> Pairs:
    return ("checkpoint", checkpoint.id), ("uri", checkpoint.uri), ("name", checkpoint.checkpoint_id)


#: What is learned from each kind of thing that panels look at; the least important first, for the last is the newest knowledge.
_HEARD: dict[Kind, Callable[[Any], Pairs]] = {
    "checkpoints": _of_checkpoint,
    "deployments": _of_deployment,
    "samplers": _of_sampler,
    "runs": _of_run,
}


def _about_rows(rows: Any) -> dict[str, str]:
    """Return name and state for the ids of a listing."""
    if "id" not in rows.columns:
        return {}
    said = [rows[column].tolist() for column in ("name", "checkpoint_id", "base_model", "status", "step") if column in rows.columns][:3]
    return {
        identity: _joined(*(one if isinstance(one, str) else None for one in parts))
        for identity, *parts in zip(rows["id"].tolist(), *said, strict=True)
        if isinstance(identity, str)
    }


def _pairs(ids: list[Any], names: list[Any]) -> list[tuple[str, str]]:
    return [(identity, name) for identity, name in zip(ids, names, strict=True) if isinstance(identity, str) and isinstance(name, str)]


def _joined(*parts: str | None) -> str:
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]
