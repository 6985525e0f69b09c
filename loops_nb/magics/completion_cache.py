"""Cache of known ids and names for completion and suggestions.

Filled by every listing that is shown, by the listings of live panels, and by background requests of completion, each
of which is waited for once, for a fraction of a second.
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
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.live.queries import Kind
    from loops_nb.resources.loops import Loops

    Pairs = tuple[tuple[str, str | None], ...]

KINDS = (
    "run",
    "sampler",
    "deployment",
    "session",
    "checkpoint",
    "base_model",
    "team",
    "team_name",
    "experiment",
    "metric",
)
_logger = logging.getLogger(__name__)
_MAX_IDS = 2000
_REFRESH_SECONDS = 30.0
_WAIT_SECONDS = 0.4
#: A shell starts a process for each Tab: what one has not waited for the next one does not have either.
SHELL_WAIT_SECONDS = 2.0

#: The columns to cache of each kind of frame, and the kind of id or name in each.
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
    "samplers": {"id": "sampler", "base_model": "base_model", "owner": "owner", "gpu_type": "gpu_type"},
    "checkpoints": {
        "id": "checkpoint",
        "uri": "uri",
        "checkpoint_id": "name",
        "run_id": "run",
        "base_model": "base_model",
    },
    "deployments": {
        "id": "deployment",
        "base_model": "base_model",
        "active_run_id": "run",
        "latest_run_id": "run",
        "sampler_id": "sampler",
        "owner": "owner",
        "gpu_type": "gpu_type",
    },
    "capabilities": {"model_name": "base_model"},
    "sessions": {"id": "session"},
    "teams": {"id": "team", "name": "team_name"},
    "experiments": {"id": "experiment", "name": "experiment", "run_id": "experiment"},
}
#: The columns that describe an id to who completes it; the first three that a listing has.
_DESCRIBING = ("id", "name", "checkpoint_id", "base_model", "status", "step")


class CompletionCache:
    """Known ids, models and names, latest first; at most 2,000 of each kind.  Thread-safe.

    Parameters
    ----------
    wait_seconds : float, default 0.4
        How long completion waits for a request.
    """

    def __init__(self, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, None]] = {}
        self._files_ids: dict[str, str] = {}
        self._descriptions: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._listed: dict[str, tuple[float, list[tuple[str, str]]]] = {}
        self._fetching: set[str] = set()
        self._waited: threading.Thread | None = None
        self._panel_listings: dict[str, tuple[Any, ...]] = {}
        self._refreshing: threading.Thread | None = None
        self._refreshed_at = float("-inf")
        self._generation = 0

    def known(self, kind: str) -> list[str]:
        """Return the known values of a kind (one of `KINDS`, or ``uri``, ``name``, ``owner``)."""
        with self._lock:
            return list(self._known.get(kind, ()))

    def add(self, kind: str, values: Iterable[str | None]) -> None:
        """Add values, the first as the latest."""
        with self._lock:
            self._add(kind, values)

    def add_frame(self, kind: str, frame: Any) -> None:
        """Add the ids and names of a listing of a kind."""
        head = frame.iloc[:_MAX_IDS]
        # pandas deep-copies `attrs` into every selected column, and this frame is only read here.
        head.attrs = {}
        wanted = {*_COLUMNS.get(kind, ()), *_DESCRIBING}
        self._add_columns(kind, {name: head[name].tolist() for name in wanted if name in head.columns})

    def add_listing(self, listing: ListingRows) -> None:
        """Add the ids and names of a listing, which needs no pandas."""
        kind = listing.kind.name
        names = {column.name for column in listing.kind.columns} & {*_COLUMNS.get(kind, ()), *_DESCRIBING}
        self._add_columns(kind, {name: listing.values(name)[:_MAX_IDS] for name in names})

    def _add_columns(self, kind: str, values: Mapping[str, list[Any]]) -> None:
        columns = _COLUMNS.get(kind, {})
        found = {column: _texts(values[column]) for column in columns if column in values}
        about = _about_rows(values)
        with self._lock:
            self._descriptions.update(about)
            if kind == "runs" and {"id", "name"} <= found.keys():
                self._names.update(_pairs(values["id"], values["name"]))
            for column, texts in found.items():
                self._add(columns[column], texts)
            if kind == "checkpoints":
                self._files_ids.update(zip(found["uri"], found["id"], strict=False))

    def add_runs(self, runs: Sequence[Run]) -> None:
        """Add listed runs."""
        found: dict[str, list[str | None]] = {}
        about = {}
        for run in itertools.islice(runs, _MAX_IDS):
            for kind, value in _of_run(run):
                found.setdefault(kind, []).append(value)
            about[run.id] = _joined(run.name, run.status.name if run.status is not None else None)
        with self._lock:
            self._descriptions.update(about)
            self._names.update((run.id, run.name) for run in runs if run.name)
            for kind, values in found.items():
                self._add(kind, values)

    def fetch_listings(self, client: Loops, kinds: Sequence[str]) -> None:
        """Request listings of some kinds (``runs``, ``samplers``, ...) at the same time, and wait for them briefly.

        For a shell, where each Tab is a process of its own: no frames are made, pandas takes too long to import.
        """
        threads = [
            threading.Thread(target=self._fetch_listing, args=(client, kind), name="loops-nb-completion", daemon=True)
            for kind in kinds
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self._wait_seconds
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _fetch_listing(self, client: Loops, kind: str) -> None:
        try:
            if kind == "runs":
                self.add_runs(client.runs.list())
            elif kind == "teams":
                self._refresh_teams(client, self._generation)
            elif kind == "capabilities":
                self.add("base_model", [model.model_name for model in client.capabilities.list()])
            else:
                self._add_halves(kind, client.samplers.list() if kind == "samplers" else client.deployments.list())
        except Exception:
            _logger.debug("%s could not be listed for completion.", kind, exc_info=True)

    def _add_halves(self, kind: str, things: Sequence[Sampler] | Sequence[Deployment]) -> None:
        """Add listed samplers or deployments."""
        with self._lock:
            for thing in things[:_MAX_IDS]:
                state = thing.status.name if thing.status is not None else None
                self._descriptions.setdefault(thing.id, _joined(thing.base_model, state))
            self._add(kind.removesuffix("s"), [thing.id for thing in things])
            shapes = [thing.instance_type for thing in things]
            self._add("gpu_type", [shape.gpu_type for shape in shapes if shape is not None])

    def description(self, identity: str) -> str:
        """Return name and state of the resource with an id; empty if it was not listed."""
        with self._lock:
            return self._descriptions.get(identity, "")

    def run_names(self) -> dict[str, str]:
        """Return the ids of runs by name, without ambiguous names and names that are a base model's default."""
        with self._lock:
            counts = Counter(self._names.values())
            models = self._known.get("base_model", {})
            return {
                name: identity for identity, name in self._names.items() if counts[name] == 1 and name not in models
            }

    def checkpoints_of(self, run_id: str, client: Loops | None) -> list[tuple[str, str]]:
        """Return name and target of the checkpoints of a run, latest first.

        If they are unknown, or older than half a minute, they are requested in the background, and waited for briefly.
        """

        def fetch(client: Loops) -> list[tuple[str, str]]:
            found = client.checkpoints.list(run_id=run_id)
            with self._lock:
                self._files_ids.update((one.uri, one.id) for one in found)
            return [(one.checkpoint_id, one.target or "sampler") for one in found]

        return self._requested(f"checkpoints of {run_id}", client, fetch)

    def names_of(self, kind: str, client: Loops | None) -> list[tuple[str, str]]:
        """Return instance or GPU types, secrets or models, each with what it is; requested as by `checkpoints_of`."""
        return self._requested(kind, client, _NAMES[kind])

    def deployments_of(self, model: str, client: Loops | None) -> list[tuple[str, str]]:
        """Return the deployments of a model, given by id or name, each with its state; requested as the above."""

        def fetch(client: Loops) -> list[tuple[str, str]]:
            from loops_nb.frames.served_models import model_named  # parsing a line needs no frames

            found = model_named(client.models.list(), model)
            return [(one.id, one.status) for one in client.model_deployments.list(found.id) if one.id]

        return self._requested(f"deployments of {model}", client, fetch)

    def _requested(
        self, what: str, client: Loops | None, fetch: Callable[[Loops], list[tuple[str, str]]]
    ) -> list[tuple[str, str]]:
        with self._lock:
            at, known = self._listed.get(what, (float("-inf"), []))
            is_fresh = time.monotonic() - at < _REFRESH_SECONDS
            if is_fresh or client is None or what in self._fetching:
                return list(known)
            self._fetching.add(what)
            # Also for a service that does not respond: the next Tab does not wait again.
            self._listed[what] = (time.monotonic(), known)
            asking = threading.Thread(
                target=self._fetch,
                args=(client, what, fetch, self._generation),
                name="loops-nb-completion",
                daemon=True,
            )
            asking.start()
        asking.join(self._wait_seconds)
        with self._lock:
            return list(self._listed.get(what, (0.0, []))[1])

    def _fetch(
        self, client: Loops, what: str, fetch: Callable[[Loops], list[tuple[str, str]]], generation: int
    ) -> None:
        try:
            found = fetch(client)
        except Exception:
            _logger.debug("%s could not be listed for completion.", what, exc_info=True)
            found = []
        with self._lock:
            self._fetching.discard(what)
            if generation == self._generation and found:
                self._listed[what] = (time.monotonic(), found)

    def wait_briefly(self) -> None:
        """Wait a fraction of a second for a running refresh, once per refresh."""
        looking = self._refreshing
        if looking is not None and looking is not self._waited:
            self._waited = looking
            looking.join(self._wait_seconds)

    def add_from_panels(self, client: Loops) -> None:
        """Add the listings of the open panels of a connection; sends no requests."""
        # Without panels, `loops_nb.live` is not imported.
        running_poller = getattr(sys.modules.get("loops_nb.live"), "running_poller", None)
        poller = running_poller(client.config) if running_poller is not None else None
        if poller is None:
            return
        for kind, take in _PANEL_LISTINGS.items():
            listings = poller.known_items(kind)
            known = self._panel_listings.get(kind, ())
            if len(listings) == len(known) and all(map(operator.is_, listings, known)):
                continue
            self._panel_listings[kind] = listings
            things = list(
                itertools.islice(itertools.chain.from_iterable(listing.values() for listing in listings), _MAX_IDS)
            )
            found: dict[str, list[str | None]] = {}
            for name, value in itertools.chain.from_iterable(map(take, things)):
                found.setdefault(name, []).append(value)
            with self._lock:
                for name, values in found.items():
                    self._add(name, values)
                if kind == "checkpoints":
                    self._files_ids.update((thing.uri, thing.id) for thing in things)

    def clear(self) -> None:
        """Remove everything: the connection has changed."""
        with self._lock:
            self._known.clear()
            self._files_ids.clear()
            self._descriptions.clear()
            self._names.clear()
            self._listed.clear()
            self._panel_listings.clear()
            self._refreshed_at = float("-inf")
            self._generation += 1

    def refresh_in_background(self, client: Loops, *, now: Callable[[], float] = time.monotonic) -> bool:
        """Start to list the service in the background, at most every half minute; return whether it was started."""
        with self._lock:
            running = self._refreshing is not None and self._refreshing.is_alive()
            if running or now() - self._refreshed_at < _REFRESH_SECONDS:
                return False
            self._refreshed_at = now()
            self._refreshing = threading.Thread(
                target=self._refresh, args=(client, self._generation), name="loops-nb-completion", daemon=True
            )
            self._refreshing.start()
            return True

    def wait(self, seconds: float) -> None:
        """Wait for a running refresh."""
        looking = self._refreshing
        if looking is not None:
            looking.join(seconds)

    def _refresh(self, client: Loops, generation: int) -> None:
        for kind, fetch in (
            ("runs", client.runs.listing),
            ("samplers", client.samplers.listing),
            ("capabilities", client.capabilities.listing),
            ("deployments", client.deployments.listing),
        ):
            try:
                listing = fetch()
            except (NotFoundError, PermissionDeniedError):
                continue
            except Exception:
                _logger.debug("%s could not be listed for completion.", kind, exc_info=True)
                return
            if generation != self._generation:
                return
            self.add_listing(listing)
        self._refresh_teams(client, generation)

    def _refresh_teams(self, client: Loops, generation: int) -> None:
        try:
            teams = client.teams.list()
        except Exception:
            _logger.debug("Teams could not be listed for completion.", exc_info=True)
            return
        with self._lock:
            if generation == self._generation:
                self._add("team", [team.id for team in teams])
                self._add("team_name", [team.name for team in teams])
                self._descriptions.update((team.id, team.name) for team in teams if team.name)

    def _add(self, kind: str, values: Iterable[str | None]) -> None:
        fresh = dict.fromkeys(value for value in values if value)
        fresh.update(dict.fromkeys(value for value in self._known.get(kind, ()) if value not in fresh))
        self._known[kind] = dict.fromkeys(list(fresh)[:_MAX_IDS])

    def checkpoint_uri(self, checkpoint_id: str) -> str | None:
        """Return the URI of a checkpoint that was listed with this id."""
        with self._lock:
            return next((uri for uri, known in self._files_ids.items() if known == checkpoint_id), None)

    def checkpoint_id(self, uri: str) -> str | None:
        """Return the id of a checkpoint that was listed under this URI."""
        with self._lock:
            return self._files_ids.get(uri)


def refresh(cache: CompletionCache, client: Loops, kind: str) -> None:
    """Fetch the listings of a kind now, for suggestions after an unknown id; errors are ignored."""
    fetches: dict[str, tuple[Callable[[], ListingRows], ...]] = {
        "run": (client.runs.listing,),
        "sampler": (client.samplers.listing,),
        "deployment": (client.deployments.listing,),
        # A base model of old runs may not be offered any more; one that is offered may have no run yet.
        "base_model": (client.runs.listing, client.capabilities.listing),
    }
    for fetch in fetches.get(kind, ()):
        try:
            cache.add_listing(fetch())
        except LoopsError:
            return


def _of_instance_types(client: Loops) -> list[tuple[str, str]]:
    return [(item.id, item.name or "instance type") for item in client.instance_types.list() if item.id]


def _of_gpu_types(client: Loops) -> list[tuple[str, str]]:
    types = dict.fromkeys(item.gpu_type for item in client.instance_types.list())
    return [(gpu, "GPU type") for gpu in types if gpu]


def _of_secrets(client: Loops) -> list[tuple[str, str]]:
    return [(secret.name, _joined("secret", secret.team_name)) for secret in client.secrets.list()]


def _of_models(client: Loops) -> list[tuple[str, str]]:
    models = client.models.list()
    named = [(model.name, f"model {model.id}") for model in models if model.name]
    return [*named, *((model.id, model.name or "model") for model in models)]


#: What `CompletionCache.names_of` lists.
_NAMES: dict[str, Callable[[Loops], list[tuple[str, str]]]] = {
    "instance_type": _of_instance_types,
    "gpu_type": _of_gpu_types,
    "secret": _of_secrets,
    "model": _of_models,
}


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


#: What is cached of each kind of listing of panels; the most important last, because the last added is the latest.
_PANEL_LISTINGS: dict[Kind, Callable[[Any], Pairs]] = {
    "checkpoints": _of_checkpoint,
    "deployments": _of_deployment,
    "samplers": _of_sampler,
    "runs": _of_run,
}


def _about_rows(columns: Mapping[str, list[Any]]) -> dict[str, str]:
    """Return name and state by id."""
    if "id" not in columns:
        return {}
    said = [columns[name] for name in _DESCRIBING if name in columns and name != "id"][:3]
    return {
        identity: _joined(*(one if isinstance(one, str) else None for one in parts))
        for identity, *parts in zip(columns["id"], *said, strict=True)
        if isinstance(identity, str)
    }


def _pairs(ids: list[Any], names: list[Any]) -> list[tuple[str, str]]:
    return [
        (identity, name)
        for identity, name in zip(ids, names, strict=True)
        if isinstance(identity, str) and isinstance(name, str)
    ]


def _joined(*parts: str | None) -> str:
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]
