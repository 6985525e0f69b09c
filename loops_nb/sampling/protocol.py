"""The sampling protocol without I/O: a generator of the actions from a sampler's id to completions.

Headers say which weights are to answer.  On the hosted service a sampler that belongs to a run would, without any,
answer with the base model; so a run's newest sampler checkpoint is sent together with the lowest policy version:
"this checkpoint, until published weights are live; then those".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from loops_nb.api.models import Checkpoint, Run, Sampler
from loops_nb.api.references import CheckpointRef
from loops_nb.api.states import SAMPLER_TERMINAL
from loops_nb.api.uri import format_uri, parse_uri
from loops_nb.client import checks
from loops_nb.client.address import Address
from loops_nb.client.config import ClientConfig, TransientError
from loops_nb.client.http import Reply
from loops_nb.client.operations import checkpoints, runs, samplers
from loops_nb.client.request import Request
from loops_nb.client.responses import asked_wait, failure, quoted, readable
from loops_nb.errors import (
    APIError,
    BadRequestError,
    InvalidArgumentError,
    LoopsError,
    NeverReachedError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    ServiceUnreachableError,
    WaitTimeoutError,
    with_hint,
)
from loops_nb.sampling.actions import Action, Encode, Send, SendOnce, ShowStatus, Sleep
from loops_nb.sampling.params import SamplingParams
from loops_nb.sampling.responses import SampleResponse, as_dict, decoded, read_answer, read_completions
from loops_nb.sampling.sampler_address import sampler_address, wake_address

Actions = Generator[Action, Any, Any]
_HELD_SECONDS = 0.5
_HELD_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0)
_LEAST_SECONDS = 1.0
_CANCEL_SECONDS = 5.0
_WAKE_SECONDS = 30.0
_WAKE_AGAIN_SECONDS = 5.0
#: Between two looks at a sampler that comes up: one on this machine is there at once, others take minutes.
_POLL_WAITS = (0.1, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TRIED_AGAIN = frozenset({429, 502, 503, 504})
_PENDING = 408
_ACCEPTED = 202
_OK = 200
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SelectedWeights:
    """Which weights of which sampler are to answer.

    Parameters
    ----------
    sampler : Sampler
        As the service answered it just now.
    run : Run or None
        The run that it belongs to; None for a standalone one.
    checkpoint : str or None
        ``bt://`` URI of the checkpoint named by the caller, or else the run's newest.
    floor : int or None
        Lowest version of live weights that may answer.
    by_caller : bool
        Whether the caller named the checkpoint.
    """

    sampler: Sampler
    run: Run | None
    checkpoint: str | None
    floor: int | None
    by_caller: bool

    @property
    def is_serverless(self) -> bool:
        """Whether it is on shared capacity: it then has no model of its own, and no states of a deployment."""
        return self.sampler.model_id is None

    def headers(self) -> dict[str, str]:
        """Return the headers of a request for them."""
        found = {"Idempotency-Key": str(uuid.uuid4())}
        own_checkpoint = self.checkpoint is None or (
            self.run is not None and parse_uri(self.checkpoint).run_id == self.run.id
        )
        if self.run is not None and own_checkpoint:
            found["X-Run-Id"] = self.run.id
        elif self.checkpoint is None:
            found["X-Sampler-Id"] = self.sampler.id
        if self.checkpoint is not None:
            found["X-Checkpoint-Path"] = self.checkpoint
        if self.floor and not self.is_serverless:
            found["X-Min-Policy-Version"] = str(self.floor)
        return found


@dataclass(frozen=True, slots=True)
class Completed:
    """An answered request.

    Parameters
    ----------
    selected : SelectedWeights
        The weights that were asked.
    response : SampleResponse
        Their answer.
    seconds : float
        Time of the answer, without the start of the sampler.
    """

    selected: SelectedWeights
    response: SampleResponse
    seconds: float


def sampling(
    sampler: Any,
    params: SamplingParams,
    *,
    checkpoint: Any,
    min_policy_version: Any,
    timeout: float,
    config: ClientConfig,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Action, Any, Completed]:
    """Yield the actions of sampling; the generator returns the answered request.

    Parameters
    ----------
    sampler : Sampler, Run or str
        A sampler or a run, or the id of one.
    params : SamplingParams
        Prompt and parameters.
    checkpoint, min_policy_version
        Which weights; see ``loops.samplers.sample``.
    timeout : float
        Seconds for all of it.
    config : ClientConfig
        The connection.
    clock : callable
        Returns seconds.

    Raises
    ------
    LoopsError
        As ``loops.samplers.sample`` documents.
    """
    ends = clock() + timeout
    floor = checks.optional_whole("min_policy_version", min_policy_version, least=0)
    named = _named(checkpoint)
    found, run = yield from _find(sampler)
    selected = yield from _select(found, run, named, floor)
    address = sampler_address(found, config.address)
    if not selected.is_serverless and found.status is not None:
        # Before anything else is asked for: with one that has ended, no tokenizer helps.
        _check_alive(found.id, str(found.status.name))
    prompt = params.messages or params.text
    if prompt is not None:
        ids = yield Encode(prompt, found.base_model, found.base_checkpoint)
        params = replace(params, tokens=tuple(ids))
    body = {"prompt": list(params.tokens), **params.body}
    if selected.is_serverless:
        shared = {"model": found.base_model, "lora": selected.checkpoint}
        body |= {name: value for name, value in shared.items() if value is not None}
    was_up = yield from _ready(selected, address, config, ends, clock)
    client = _SamplerClient(selected, address, config, timeout, ends, clock)
    started = clock()
    reply = yield from client.until_answered(
        client.request("POST", "/sample", body, selected.headers()), also=frozenset() if was_up else {404}
    )
    if reply.status == _ACCEPTED:
        answer = yield from client.operation(reply, params)
    else:
        with readable():
            answer = read_answer(reply.body, reply.headers, params.tokens)
    return Completed(selected, answer, clock() - started)


def _named(checkpoint: Any) -> str | None:
    """Return the caller's checkpoint: a URI, or a name that still needs its run."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, Checkpoint | CheckpointRef):
        if not checkpoint.uri:
            raise InvalidArgumentError(
                f"Of checkpoint {checkpoint.id} only the id is known; give its bt:// URI.", argument="checkpoint"
            )
        return checks.checkpoint_uri("checkpoint", checkpoint.uri, target="sampler")
    text = checks.text("checkpoint", checkpoint)
    if text.startswith("bt:") or "/" in text:
        return checks.checkpoint_uri("checkpoint", text, target="sampler")
    return text


def _find(sampler: Any) -> Generator[Action, Any, tuple[Sampler, Run | None]]:
    """Return the sampler as it is now, and the run that it belongs to."""
    if isinstance(sampler, Run):
        run = sampler if sampler.sampler is not None else (yield Send(runs.get(sampler.id)))
        return (yield from _of_run(run))
    word = sampler.id if isinstance(sampler, Sampler) else checks.identifier("sampler", sampler)
    try:
        found = yield Send(samplers.get(word))
    except NotFoundError as error:
        if isinstance(sampler, Sampler):
            raise
        try:
            run = yield Send(runs.get(word))
        except NotFoundError:
            hint = "%loops samplers lists the samplers, %loops runs the runs."
            raise NotFoundError(
                f"There is no sampler and no run {word!r}.", status=error.status, code=error.code, hint=hint
            ) from None
        return (yield from _of_run(run))
    return found, (yield from _run_of(found))


def _of_run(run: Run) -> Generator[Action, Any, tuple[Sampler, Run]]:
    if run.sampler is None:
        raise InvalidArgumentError(
            f"Run {run.id} has no sampler, so nothing can be sampled from it.",
            argument="sampler",
            hint=f"Make one: %loops create sampler --session {run.session_id or 'SESSION'} --run {run.id}",
        )
    return (yield Send(samplers.get(run.sampler.id))), run


def _run_of(sampler: Sampler) -> Generator[Action, Any, Run | None]:
    """Return the run that a sampler belongs to; the sampler itself does not say."""
    # It may be a colleague's.
    for scope in (None, "org"):
        try:
            listed: list[Run] = yield Send(runs.list_(run_id=None, base_model=None, scope=scope, team_id=None))
        except (PermissionDeniedError, BadRequestError, NotFoundError):
            continue
        served = [run for run in listed if run.sampler is not None and run.sampler.id == sampler.id]
        if served:
            # A sampler may have served earlier runs of its deployment.
            return max(
                served, key=lambda run: (run.status is None or run.status.name == "ACTIVE", run.created_at or _EARLIEST)
            )
    return None


def _select(
    sampler: Sampler, run: Run | None, named: str | None, floor: int | None
) -> Generator[Action, Any, SelectedWeights]:
    if named is not None:
        if not named.startswith("bt:"):
            if run is None:
                raise InvalidArgumentError(
                    f"Sampler {sampler.id} belongs to no run, so {named!r} alone is not a checkpoint.",
                    argument="checkpoint",
                    hint="Give its URI: bt://loops:RUN/sampler_weights/NAME",
                )
            named = checks.checkpoint_uri("checkpoint", format_uri(run.id, "sampler", named), target="sampler")
        return SelectedWeights(sampler, run, named, floor or None, by_caller=True)
    if floor and sampler.model_id is None:
        raise InvalidArgumentError(
            f"Sampler {sampler.id} is on shared capacity, where no weights are live: min_policy_version has no "
            f"meaning there.",
            argument="min_policy_version",
            hint="Name a checkpoint instead.",
        )
    if run is None or floor is not None:
        return SelectedWeights(sampler, run, None, floor or None, by_caller=False)
    saved = yield from _saved(run)
    return SelectedWeights(sampler, run, saved, 1 if saved else None, by_caller=False)


def _saved(run: Run) -> Generator[Action, Any, str | None]:
    try:
        listed: list[Checkpoint] = yield Send(checkpoints.list_(run_id=run.id, base_model=None, checkpoint_path=None))
    except (PermissionDeniedError, NotFoundError):
        return None
    servable = [one for one in listed if one.target in {"sampler", None}]
    whole = [one for one in servable if one.sync_status in {None, "COMPLETE"}] or servable
    newest = max(whole, key=lambda one: one.created_at or _EARLIEST, default=None)
    if newest is None:
        return None
    return newest.uri


def _ready(
    selected: SelectedWeights, address: Address, config: ClientConfig, ends: float, clock: Callable[[], float]
) -> Generator[Action, Any, bool]:
    """Wait until the sampler is up, waking it when it is scaled to zero; return whether it was up at once."""
    sampler, looks, started, woken = selected.sampler, 0, clock(), float("-inf")
    while not selected.is_serverless and (status := _status_of(sampler)) not in {None, "ACTIVE"}:
        _check_alive(sampler.id, str(status))
        yield ShowStatus(sampler.id, str(status))
        if clock() >= ends:
            raise WaitTimeoutError(
                f"Sampler {sampler.id} is not ACTIVE after {clock() - started:.0f} s: it was {status} when last seen. "
                "Nothing was changed; it is still starting.",
                status=status,
                hint=f'Wait on: loops.samplers.wait("{sampler.id}"), or ask again with a longer timeout.',
            )
        if status != "SCALED_TO_ZERO":
            woken = float("-inf")
        elif clock() - woken > _WAKE_AGAIN_SECONDS:
            # What is still asleep a moment later is on its way; what slept again in between was not asked in time.
            woken = clock()
            yield from _wake(selected, address, config)
        yield Sleep(max(0.0, min(_POLL_WAITS[min(looks, len(_POLL_WAITS) - 1)], ends - clock())))
        looks += 1
        try:
            sampler = yield Send(samplers.get(sampler.id))
        except (ServiceUnreachableError, ServerError):
            # It may be back before the time is over.
            continue
    if looks:
        yield ShowStatus(sampler.id, "ACTIVE", is_up=True)
    return looks == 0


def _status_of(sampler: Sampler) -> str | None:
    if sampler.status is None:
        return None
    return sampler.status.name


def _check_alive(sampler_id: str, status: str) -> None:
    if status in SAMPLER_TERMINAL or status == "DEACTIVATING":
        how = "it has ended" if status in {"INACTIVE", "DEACTIVATING"} else "it failed"
        raise NeverReachedError(
            f"Nothing can be sampled from sampler {sampler_id}: {how} ({status}).",
            status=status,
            hint=(
                "A new one for saved weights: %loops create sampler --session SESSION --path "
                "bt://loops:RUN/sampler_weights/NAME"
            ),
        )


def _wake(selected: SelectedWeights, address: Address, config: ClientConfig) -> Actions:
    request: Request[bytes] = Request(
        "POST",
        "",
        bytes,
        f"wake sampler {selected.sampler.id}",
        body={},
        headers=_identifying_headers(selected),
        seconds=_WAKE_SECONDS,
    )
    try:
        reply = yield SendOnce(request, wake_address(address))
    except (TransientError, ServiceUnreachableError):
        # It may start all the same; the next poll shows it.
        return
    if 400 <= reply.status < 500:  # noqa: PLR2004 - HTTP statuses are their own names
        raise failure(request, reply.status, reply.headers, reply.body, secret=config.key.secret)


def _identifying_headers(selected: SelectedWeights) -> dict[str, str]:
    return {
        name: value
        for name, value in selected.headers().items()
        if name in {"X-Run-Id", "X-Sampler-Id", "X-Checkpoint-Path"}
    }


@dataclass(frozen=True, slots=True)
class _SamplerClient:
    """Sends requests to one sampler until it answers or the time is over."""

    selected: SelectedWeights
    address: Address
    config: ClientConfig
    timeout: float
    ends: float
    clock: Callable[[], float]

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> Request[bytes]:
        seconds = max(_LEAST_SECONDS, self.ends - self.clock())
        return Request(method, path, bytes, f"sample from {self.name}", body=body, headers=headers, seconds=seconds)

    @property
    def name(self) -> str:
        return f"sampler {self.selected.sampler.id}"

    def until_answered(
        self, request: Request[bytes], *, also: frozenset[int] | set[int] = frozenset()
    ) -> Generator[Action, Any, Reply]:
        """SendOnce again while the answer is "not yet"; return a good one.

        Parameters
        ----------
        request : Request
            The request.
        also : set of int
            Statuses that mean "not yet" too.
        """
        policy, started, tries, held = self.config.policy, self.clock(), 0, 0
        while True:
            asked_at = self.clock()
            try:
                reply: Reply = yield SendOnce(request, self.address)
            except TransientError as error:
                tries += 1
                if error.slow:
                    raise self._too_slow() from None
                if tries >= policy.attempts or self.clock() >= self.ends:
                    raise self._config_there.given_up(request, error, tries, started) from None
                yield Sleep(min(policy.wait(tries, None), max(0.0, self.ends - self.clock())))
                continue
            if reply.status in {_OK, _ACCEPTED}:
                return reply
            if reply.status == _PENDING:
                if self.clock() >= self.ends:
                    raise self._behind()
                # A server that does not hold the request would be asked in a hot loop.
                if self.clock() - asked_at < _HELD_SECONDS:
                    yield Sleep(min(_HELD_WAITS[min(held, len(_HELD_WAITS) - 1)], max(0.0, self.ends - self.clock())))
                    held += 1
                continue
            tries += 1
            asked = asked_wait(reply.headers, reply.body)
            too_long = asked is not None and self.clock() + asked > self.ends
            if (
                reply.status not in _TRIED_AGAIN | also
                or tries >= policy.attempts
                or self.clock() >= self.ends
                or too_long
            ):
                raise self._refused(request, reply, tries)
            yield Sleep(policy.wait(tries, asked))

    def operation(self, accepted: Reply, params: SamplingParams) -> Generator[Action, Any, SampleResponse]:
        """Follow a request that was put into a queue, as on shared capacity."""
        key = as_dict(decoded(accepted.body)).get("operation_id")
        if not isinstance(key, str) or not key:
            raise ServerError(
                f"Could not sample from {self.name}: it was accepted, but without an operation id.",
                status=_ACCEPTED,
                hint=_AGAIN,
            )
        path = f"/operations/{quote(key, safe='')}"
        try:
            reply = yield from self.until_answered(self.request("GET", path, None, _identifying_headers(self.selected)))
        except NotFoundError:
            text = f"Could not sample from {self.name}: the service no longer knows the request that it accepted."
            raise ServerError(text, status=404, hint=_AGAIN) from None
        except GeneratorExit:
            raise
        except BaseException:
            # Also on Ctrl-C and a cancelled task: its result would never be fetched.
            yield from self._cancel(path)
            raise
        sent = as_dict(decoded(reply.body))
        if sent.get("status") == "error":
            raise self._failed(sent)
        with readable():
            return read_completions(sent.get("result"), reply.headers, params.tokens)

    def _cancel(self, path: str) -> Actions:
        request: Request[bytes] = Request(
            "POST",
            f"{path}/cancel",
            bytes,
            "cancel a request",
            body={},
            headers=_identifying_headers(self.selected),
            seconds=_CANCEL_SECONDS,
        )
        try:
            yield SendOnce(request, self.address)
        except (TransientError, LoopsError):
            # Its result is not needed; it ends by itself.
            return

    def _failed(self, sent: dict[str, Any]) -> APIError:
        secret = self.config.key.secret
        said, code = (quoted(str(sent.get(name) or ""), secret).rstrip(".") for name in ("error", "error_class"))
        kind: type[APIError] = ServerError
        hint = _AGAIN
        if code in _CALLERS_FAULTS:
            kind, hint = BadRequestError, ""
        parts = [f"Could not sample from {self.name}: it failed there", code and f"with {code}", said and f"({said})"]
        return kind(f"{' '.join(filter(None, parts))}.", status=_OK, code=code, hint=hint)

    def _refused(self, request: Request[bytes], reply: Reply, tries: int) -> Exception:
        found = failure(
            request,
            reply.status,
            reply.headers,
            reply.body,
            secret=self.config.key.secret,
            tried="" if tries == 1 else f"after {tries} tries",
        )
        if isinstance(found, NotFoundError):
            return with_hint(
                found,
                f"%loops sampler {self.selected.sampler.id} shows its state; %loops doctor checks the connection.",
            )
        return found

    def _too_slow(self) -> LoopsError:
        if (self.selected.floor or 0) > 1 and not self.selected.is_serverless:
            # A request is held while the weights are behind, so this may well be all that is slow.
            return WaitTimeoutError(
                f"Could not sample from {self.name}: no answer within {self.timeout:g} s, for weights of version "
                f"{self.selected.floor} or later. Nothing was changed; it may still be at work.",
                status="ACTIVE",
                hint=(
                    "Publish such weights first (save_weights_for_sampler), name a checkpoint, or wait longer "
                    "(timeout)."
                ),
            )
        return WaitTimeoutError(
            f"Could not sample from {self.name}: no answer within {self.timeout:g} s. Nothing was changed; it may "
            f"still be at work.",
            status="ACTIVE",
            hint="SendOnce for fewer tokens (max_tokens), or wait longer (timeout).",
        )

    def _behind(self) -> LoopsError:
        floor = self.selected.floor
        what = f"its weights have not reached version {floor}" if floor else "it did not answer"
        return WaitTimeoutError(
            f"Could not sample from {self.name}: {what} after {self.timeout:g} s. Nothing was changed.",
            status="ACTIVE",
            hint="Publish weights first (save_weights_for_sampler), name a checkpoint, or wait longer (timeout).",
        )

    @property
    def _config_there(self) -> ClientConfig:
        return self.config.for_host(self.address)


_AGAIN = "Nothing was changed; run it again."
_CALLERS_FAULTS = frozenset({"ValueError", "BadRequest", "BadRequestError", "ValidationError"})
