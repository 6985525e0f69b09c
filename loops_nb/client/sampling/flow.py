"""The way from a sampler's name to completions, step by step; whoever drives it does the steps.

Which weights answer is said in headers.  A sampler that belongs to a run would, without any, answer with the base model on the hosted
service; so a run's newest sampler checkpoint is named together with the lowest floor there is: "that checkpoint, until published weights
are live; then those".
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from loops_nb.client import checks
from loops_nb.client.address import Address
from loops_nb.client.answers import asked_wait, failure, quoted, readable
from loops_nb.client.call import Call
from loops_nb.client.exchange import Exchange, Lost, Reply
from loops_nb.client.operations import checkpoints, runs, samplers
from loops_nb.client.sampling.places import place_of, wake_place
from loops_nb.client.sampling.reading import Answer, decoded, read_answer, read_completions
from loops_nb.client.sampling.steps import Ask, Encode, Pause, Send, Step, Tell
from loops_nb.client.sampling.wish import Wish
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
from loops_nb.models import SAMPLER_TERMINAL, Checkpoint, Run, Sampler
from loops_nb.references import CheckpointRef
from loops_nb.uri import format_uri, parse_uri

Steps = Generator[Step, Any, Any]
_HELD_SECONDS = 0.5
_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
_LEAST_SECONDS = 1.0
_CANCEL_SECONDS = 5.0
_WAKE_SECONDS = 30.0
_AGAIN_SECONDS = 5.0
#: Between two looks at a sampler that comes up: one on this machine is there at once, others take minutes.
_LOOKS = (0.1, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_TRIED_AGAIN = frozenset({429, 502, 503, 504})
_PENDING = 408
_ACCEPTED = 202
_OK = 200
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is asked of which weights.

    Parameters
    ----------
    sampler
        The sampler, as the service answered it just now.
    run
        The run that it belongs to; None for a standalone one.
    pin
        The ``bt://`` URI of the checkpoint that was named, by the caller or because nothing was.
    floor
        The lowest version of live weights that may answer.
    by_caller
        Whether the caller named the checkpoint.
    """

    sampler: Sampler
    run: Run | None
    pin: str | None
    floor: int | None
    by_caller: bool

    @property
    def is_serverless(self) -> bool:
        """Whether it is on shared capacity: it has no model of its own, and its states are not those of a deployment."""
        return self.sampler.model_id is None

    def headers(self) -> dict[str, str]:
        """Return the headers that say so."""
        found = {"Idempotency-Key": str(uuid.uuid4())}
        own_pin = self.pin is None or (self.run is not None and parse_uri(self.pin).run_id == self.run.id)
        if self.run is not None and own_pin:
            found["X-Run-Id"] = self.run.id
        elif self.pin is None:
            found["X-Sampler-Id"] = self.sampler.id
        if self.pin is not None:
            found["X-Checkpoint-Path"] = self.pin
        if self.floor and not self.is_serverless:
            found["X-Min-Policy-Version"] = str(self.floor)
        return found


@dataclass(frozen=True, slots=True)
class Completed:
    """A request that was answered.

    Parameters
    ----------
    chosen
        Which weights were asked.
    answer
        What they said.
    seconds
        How long the answer took, without the time that the sampler took to come up.
    """

    chosen: Chosen
    answer: Answer
    seconds: float


def sampling(
    sampler: Any,
    wish: Wish,
    *,
    checkpoint: Any,
    min_policy_version: Any,
    timeout: float,
    exchange: Exchange,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Step, Any, Completed]:
    """Sample; the generator returns what came of it.

    Parameters
    ----------
    sampler
        A `Sampler`, a `Run`, or the id of one.
    wish
        What is asked.
    checkpoint, min_policy_version
        Which weights; see ``loops.samplers.sample``.
    timeout
        Seconds for all of it.
    exchange
        The connection.
    clock
        Seconds.

    Raises
    ------
    LoopsError
        As ``loops.samplers.sample`` documents.
    """
    ends = clock() + timeout
    floor = checks.optional_whole("min_policy_version", min_policy_version, least=0)
    named = _named(checkpoint)
    found, run = yield from _find(sampler)
    chosen = yield from _choose(found, run, named, floor)
    place = place_of(found, exchange.address)
    if not chosen.is_serverless and found.status is not None:
        # Before anything else is asked for: with one that has ended, no tokenizer helps.
        _check_alive(found.id, str(found.status.name))
    if wish.text is not None:
        ids = yield Encode(wish.text, found.base_model, found.base_checkpoint)
        wish = replace(wish, tokens=tuple(ids))
    body = {"prompt": list(wish.tokens), **wish.body}
    if chosen.is_serverless:
        body |= {name: value for name, value in (("model", found.base_model), ("lora", chosen.pin)) if value is not None}
    was_up = yield from _ready(chosen, place, exchange, ends, clock)
    asking = _Asking(chosen, place, exchange, timeout, ends, clock)
    started = clock()
    reply = yield from asking.until_answered(asking.call("POST", "/sample", body, chosen.headers()), also=frozenset() if was_up else {404})
    if reply.status == _ACCEPTED:
        answer = yield from asking.operation(reply, wish)
    else:
        with readable():
            answer = read_answer(reply.body, reply.headers, wish.tokens)
    return Completed(chosen, answer, clock() - started)


def _named(checkpoint: Any) -> str | None:
    """Return what the caller wrote for a checkpoint: a URI, or a name that still needs its run."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, Checkpoint | CheckpointRef):
        if not checkpoint.uri:
            raise InvalidArgumentError(f"Of checkpoint {checkpoint.id} only the id is known; give its bt:// URI.", argument="checkpoint")
        return checks.checkpoint_uri("checkpoint", checkpoint.uri, target="sampler")
    text = checks.text("checkpoint", checkpoint)
    return checks.checkpoint_uri("checkpoint", text, target="sampler") if text.startswith("bt:") or "/" in text else text


def _find(sampler: Any) -> Generator[Step, Any, tuple[Sampler, Run | None]]:
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
            raise NotFoundError(f"There is no sampler and no run {word!r}.", status=error.status, code=error.code, hint=hint) from None
        return (yield from _of_run(run))
    return found, (yield from _run_of(found))


def _of_run(run: Run) -> Generator[Step, Any, tuple[Sampler, Run]]:
    if run.sampler is None:
        raise InvalidArgumentError(
            f"Run {run.id} has no sampler, so nothing can be sampled from it.",
            argument="sampler",
            hint=f"Make one: %loops create sampler --session {run.session_id or 'SESSION'} --run {run.id}",
        )
    return (yield Send(samplers.get(run.sampler.id))), run


def _run_of(sampler: Sampler) -> Generator[Step, Any, Run | None]:
    """Return the run that a sampler belongs to; the sampler itself does not tell."""
    # It may be a colleague's.
    for scope in (None, "org"):
        try:
            listed: list[Run] = yield Send(runs.list_(run_id=None, base_model=None, scope=scope, team_id=None))
        except (PermissionDeniedError, BadRequestError, NotFoundError):
            continue
        served = [run for run in listed if run.sampler is not None and run.sampler.id == sampler.id]
        if served:
            # A sampler may have served earlier runs of its deployment.
            return max(served, key=lambda run: (run.status is None or run.status.name == "ACTIVE", run.created_at or _EARLIEST))
    return None


def _choose(sampler: Sampler, run: Run | None, named: str | None, floor: int | None) -> Generator[Step, Any, Chosen]:
    if named is not None:
        if not named.startswith("bt:"):
            if run is None:
                raise InvalidArgumentError(
                    f"Sampler {sampler.id} belongs to no run, so {named!r} alone names no checkpoint.",
                    argument="checkpoint",
                    hint="Give its URI: bt://loops:RUN/sampler_weights/NAME",
                )
            named = checks.checkpoint_uri("checkpoint", format_uri(run.id, "sampler", named), target="sampler")
        return Chosen(sampler, run, named, floor or None, by_caller=True)
    if floor and sampler.model_id is None:
        raise InvalidArgumentError(
            f"Sampler {sampler.id} is on shared capacity, where no weights are live: min_policy_version has no meaning there.",
            argument="min_policy_version",
            hint="Name a checkpoint instead.",
        )
    if run is None or floor is not None:
        return Chosen(sampler, run, None, floor or None, by_caller=False)
    saved = yield from _saved(run)
    return Chosen(sampler, run, saved, 1 if saved else None, by_caller=False)


def _saved(run: Run) -> Generator[Step, Any, str | None]:
    try:
        listed: list[Checkpoint] = yield Send(checkpoints.list_(run_id=run.id, base_model=None, checkpoint_path=None))
    except (PermissionDeniedError, NotFoundError):
        return None
    servable = [one for one in listed if one.target in {"sampler", None}]
    whole = [one for one in servable if one.sync_status in {None, "COMPLETE"}] or servable
    newest = max(whole, key=lambda one: one.created_at or _EARLIEST, default=None)
    return None if newest is None else newest.uri


def _ready(chosen: Chosen, place: Address, exchange: Exchange, ends: float, clock: Callable[[], float]) -> Generator[Step, Any, bool]:
    """Wait until the sampler is up, waking it whenever it sleeps; tell whether it was up at once."""
    sampler, looks, started, woken = chosen.sampler, 0, clock(), float("-inf")
    while not chosen.is_serverless and (status := sampler.status.name if sampler.status is not None else None) not in {None, "ACTIVE"}:
        _check_alive(sampler.id, str(status))
        yield Tell(sampler.id, str(status))
        if clock() >= ends:
            raise WaitTimeoutError(
                f"Sampler {sampler.id} is not ACTIVE after {clock() - started:.0f} s: it was {status} when last seen. "
                "Nothing was changed, it goes on.",
                status=status,
                hint=f'Wait on: loops.samplers.wait("{sampler.id}"), or ask again with a longer timeout.',
            )
        if status != "SCALED_TO_ZERO":
            woken = float("-inf")
        elif clock() - woken > _AGAIN_SECONDS:
            # What is still asleep a moment later is on its way; what slept again in between was not asked in time.
            woken = clock()
            yield from _wake(chosen, place, exchange)
        yield Pause(max(0.0, min(_LOOKS[min(looks, len(_LOOKS) - 1)], ends - clock())))
        looks += 1
        try:
            sampler = yield Send(samplers.get(sampler.id))
        except (ServiceUnreachableError, ServerError):
            # It may be back before the time is over.
            continue
    if looks:
        yield Tell(sampler.id, "ACTIVE", is_up=True)
    return looks == 0


def _check_alive(sampler_id: str, status: str) -> None:
    if status in SAMPLER_TERMINAL or status == "DEACTIVATING":
        how = "it has ended" if status in {"INACTIVE", "DEACTIVATING"} else "it failed"
        raise NeverReachedError(
            f"Nothing can be sampled from sampler {sampler_id}: {how} ({status}).",
            status=status,
            hint="A new one for saved weights: %loops create sampler --session SESSION --path bt://loops:RUN/sampler_weights/NAME",
        )


def _wake(chosen: Chosen, place: Address, exchange: Exchange) -> Steps:
    call: Call[bytes] = Call("POST", "", bytes, f"wake sampler {chosen.sampler.id}", body={}, headers=_who(chosen), seconds=_WAKE_SECONDS)
    try:
        reply = yield Ask(call, wake_place(place))
    except (Lost, ServiceUnreachableError):
        # It may come up all the same; the next look tells.
        return
    if 400 <= reply.status < 500:  # noqa: PLR2004 - HTTP statuses are their own names
        raise failure(call, reply.status, reply.headers, reply.body, secret=exchange.key.secret)


def _who(chosen: Chosen) -> dict[str, str]:
    return {name: value for name, value in chosen.headers().items() if name in {"X-Run-Id", "X-Sampler-Id", "X-Checkpoint-Path"}}


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asking one sampler until it answers, or the time is over."""

    chosen: Chosen
    place: Address
    exchange: Exchange
    timeout: float
    ends: float
    clock: Callable[[], float]

    def call(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Call[bytes]:
        seconds = max(_LEAST_SECONDS, self.ends - self.clock())
        return Call(method, path, bytes, f"sample from {self.name}", body=body, headers=headers, seconds=seconds)

    @property
    def name(self) -> str:
        return f"sampler {self.chosen.sampler.id}"

    def until_answered(self, call: Call[bytes], *, also: frozenset[int] | set[int] = frozenset()) -> Generator[Step, Any, Reply]:
        """Ask again while the answer is "not yet"; return a good one.

        Parameters
        ----------
        call
            What is asked.
        also
            Statuses that mean the same for now.
        """
        policy, started, tries, held = self.exchange.policy, self.clock(), 0, 0
        while True:
            asked_at = self.clock()
            try:
                reply: Reply = yield Ask(call, self.place)
            except Lost as lost:
                tries += 1
                if lost.slow:
                    raise self._too_slow() from None
                if tries >= policy.attempts or self.clock() >= self.ends:
                    raise self._beside.given_up(call, lost, tries, started) from None
                yield Pause(min(policy.wait(tries, None), max(0.0, self.ends - self.clock())))
                continue
            if reply.status in {_OK, _ACCEPTED}:
                return reply
            if reply.status == _PENDING:
                if self.clock() >= self.ends:
                    raise self._behind()
                # A server that does not hold the request would be asked in a hot loop.
                if self.clock() - asked_at < _HELD_SECONDS:
                    yield Pause(min(_PAUSES[min(held, len(_PAUSES) - 1)], max(0.0, self.ends - self.clock())))
                    held += 1
                continue
            tries += 1
            asked = asked_wait(reply.headers, reply.body)
            too_long = asked is not None and self.clock() + asked > self.ends
            if reply.status not in _TRIED_AGAIN | also or tries >= policy.attempts or self.clock() >= self.ends or too_long:
                raise self._refused(call, reply, tries)
            yield Pause(policy.wait(tries, asked))

    def operation(self, accepted: Reply, wish: Wish) -> Generator[Step, Any, Answer]:
        """Follow a request that was put into a queue, as on shared capacity."""
        sent = decoded(accepted.body)
        key = sent.get("operation_id") if isinstance(sent, dict) else None
        if not isinstance(key, str) or not key:
            raise ServerError(f"Could not sample from {self.name}: it was accepted, but under no name.", status=_ACCEPTED, hint=_AGAIN)
        path = f"/operations/{quote(key, safe='')}"
        try:
            reply = yield from self.until_answered(self.call("GET", path, None, _who(self.chosen)))
        except NotFoundError:
            text = f"Could not sample from {self.name}: the service does not know the request any more that it accepted."
            raise ServerError(text, status=404, hint=_AGAIN) from None
        except GeneratorExit:
            raise
        except BaseException:
            # Also Ctrl-C and a cancelled task: nobody will fetch what it would compute.
            yield from self._cancel(path)
            raise
        sent = decoded(reply.body)
        if isinstance(sent, dict) and sent.get("status") == "error":
            raise self._failed(sent)
        with readable():
            return read_completions(sent.get("result") if isinstance(sent, dict) else None, reply.headers, wish.tokens)

    def _cancel(self, path: str) -> Steps:
        call: Call[bytes] = Call(
            "POST", f"{path}/cancel", bytes, "cancel a request", body={}, headers=_who(self.chosen), seconds=_CANCEL_SECONDS
        )
        try:
            yield Ask(call, self.place)
        except (Lost, LoopsError):
            # Nobody waits for it any more; it runs out by itself.
            return

    def _failed(self, sent: dict[str, Any]) -> APIError:
        secret = self.exchange.key.secret
        said, code = (quoted(str(sent.get(name) or ""), secret).rstrip(".") for name in ("error", "error_class"))
        kind = BadRequestError if code in _CALLERS_FAULTS else ServerError
        text = f"Could not sample from {self.name}: it failed there{f' with {code}' if code else ''}{f' ({said})' if said else ''}."
        return kind(text, status=_OK, code=code, hint="" if kind is BadRequestError else _AGAIN)

    def _refused(self, call: Call[bytes], reply: Reply, tries: int) -> Exception:
        found = failure(
            call,
            reply.status,
            reply.headers,
            reply.body,
            secret=self.exchange.key.secret,
            tried="" if tries == 1 else f"after {tries} tries",
        )
        if isinstance(found, NotFoundError):
            return with_hint(found, f"%loops sampler {self.chosen.sampler.id} tells its state; %loops doctor looks at the connection.")
        return found

    def _too_slow(self) -> LoopsError:
        if (self.chosen.floor or 0) > 1 and not self.chosen.is_serverless:
            # A request is held while the weights are behind, so this may well be all that is slow.
            return WaitTimeoutError(
                f"Could not sample from {self.name}: no answer within {self.timeout:g} s, for weights of version {self.chosen.floor} or"
                " later. Nothing was changed; it may still be at work.",
                status="ACTIVE",
                hint="Publish such weights first (save_weights_for_sampler), name a checkpoint, or wait longer (timeout).",
            )
        return WaitTimeoutError(
            f"Could not sample from {self.name}: no answer within {self.timeout:g} s. Nothing was changed; it may still be at work.",
            status="ACTIVE",
            hint="Ask for fewer tokens (max_tokens), or wait longer (timeout).",
        )

    def _behind(self) -> LoopsError:
        floor = self.chosen.floor
        what = f"its weights have not reached version {floor}" if floor else "it did not answer"
        return WaitTimeoutError(
            f"Could not sample from {self.name}: {what} after {self.timeout:g} s. Nothing was changed.",
            status="ACTIVE",
            hint="Publish weights first (save_weights_for_sampler), name a checkpoint, or wait longer (timeout).",
        )

    @property
    def _beside(self) -> Exchange:
        return self.exchange.beside(self.place)


_AGAIN = "Nothing was changed; run it again."
_CALLERS_FAULTS = frozenset({"ValueError", "BadRequest", "BadRequestError", "ValidationError"})
