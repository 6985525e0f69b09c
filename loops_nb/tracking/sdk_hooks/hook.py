"""Turns calls of a training client of the official SDK into recorded values: numbers, names and times, no data.

Samples, which are data, are kept only on request.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any

from loops_nb.api.step_names import step_of
from loops_nb.tracking.experiment import Experiment
from loops_nb.tracking.sdk_hooks.proxies import CallHook, FutureProxy, HookFactory, SdkProxy, is_proxy
from loops_nb.tracking.sdk_hooks.sample_keeper import SampleKeeper
from loops_nb.tracking.warn import warn

logger: logging.Logger = logging.getLogger(__name__)
_SAVES = {"save_state": ("weights", "trainer"), "save_weights_for_sampler": ("sampler_weights", "sampler")}
_LOADS = ("load_state", "load_state_with_optimizer")
_SAMPLERS = ("save_weights_and_get_sampling_client", "create_sampling_client")
_ASYNC = "_async"
_LAST_PART = re.compile(r"[^/]+$")


class RecordingClock:
    """Time of recorded values; a subclass gives the time at which something was recorded elsewhere."""

    def seconds(self) -> float:
        """Return seconds since an arbitrary moment, for differences."""
        return time.perf_counter()

    def millis(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class TrainingPosition:
    """Step, attempt and tokens of a training at the time of a call."""

    __slots__ = ("_began", "_clock", "attempt", "step", "tokens")

    def __init__(self, step: int, attempt: int, tokens: float, clock: RecordingClock) -> None:
        self.step: int = step
        self.attempt: int = attempt
        self.tokens: float = tokens
        self._clock = clock
        self._began = clock.seconds()

    @property
    def seconds(self) -> float:
        """Seconds since the call, rounded to the microseconds that clocks resolve."""
        return round(self._clock.seconds() - self._began, 6)


class SdkHook:
    """Follows one training client: counts its steps and tokens, and records the answers of its calls.

    Parameters
    ----------
    client : object
        A training client of the SDK.
    experiment : Experiment
        Where to record.
    step : int, default 0
        Optimizer steps that were done before.
    tokens : float, default 0
        Tokens that were trained on before.
    clock : RecordingClock, optional
        By default the clock of this machine.
    keep_samples : int, default 0
        Most samples that are kept at a step.
    tokenizer : object, optional
        Decodes them; by default the one that the training asks its client for, and token ids until then.
    """

    def __init__(
        self,
        client: Any,
        experiment: Experiment,
        *,
        step: int = 0,
        tokens: float = 0.0,
        clock: RecordingClock | None = None,
        keep_samples: int = 0,
        tokenizer: Any = None,
    ) -> None:
        self.experiment = experiment
        self._keeper = SampleKeeper(experiment, keep_samples, tokenizer)
        self._clock = clock or RecordingClock()
        self._client = client
        self._lock = threading.Lock()
        self._step = step
        self._tokens = tokens
        self._attempt = 0
        self._is_faulty = False

    def proxy(self) -> SdkProxy:
        """Return the client with its calls recorded."""
        hooks = {f"{name}{suffix}": factory for name, factory in self.factories().items() for suffix in ("", _ASYNC)}
        hooks |= dict.fromkeys(("close", "aclose"), self._close)
        return SdkProxy(self._client, hooks, {"loops_experiment": self.experiment})

    def factories(self) -> dict[str, HookFactory]:
        """Return the hook factories by the name of the hooked method."""
        return {
            "forward_backward": self._forward_backward,
            "forward_backward_custom": self._forward_backward,
            "forward": self._forward,
            "optim_step": self._optim_step,
            "init_trainer_server": self._init_trainer,
            **{name: self._save(folder, target) for name, (folder, target) in _SAVES.items()},
            **dict.fromkeys(_LOADS, self._load),
            **dict.fromkeys(_SAMPLERS, self._create_sampler),
            "get_tokenizer": self._get_tokenizer,
        }

    # Hook factories

    def _forward_backward(self, arguments: dict[str, Any]) -> CallHook:
        with self.swallow_errors():
            data = _data_size(arguments.get("data"))
            with self._lock:
                self._tokens += data.get("tokens", 0.0)
                position = self._position(ahead=1)

            def on_result(result: Any) -> None:
                seconds = {"forward_backward_seconds": position.seconds}
                outcome = _prefix_taken(_outcome(result), {*data, *seconds}, "forward_backward")
                self.record(position, outcome | seconds)

            return _RecordedCall(self, position, on_result, data)
        return _IgnoredCall()

    def _forward(self, arguments: dict[str, Any]) -> CallHook:
        with self.swallow_errors():
            data = _data_size(arguments.get("data"))
            position = self._position()

            def on_result(result: Any) -> None:
                outcome = {key: value for key, value in _outcome(result).items() if key not in data}
                self.record(position, _prefixed("forward", {**outcome, "seconds": position.seconds}))

            return _RecordedCall(self, position, on_result, _prefixed("forward", data))
        return _IgnoredCall()

    def _optim_step(self, arguments: dict[str, Any]) -> CallHook:
        with self.swallow_errors():
            rate = getattr(arguments.get("adam_params"), "learning_rate", None)
            with self._lock:
                self._step += 1
                position = self._position()

            def on_result(result: Any) -> None:
                metrics = _metrics(result)
                if metrics.get("step") == position.step:
                    del metrics["step"]
                if rate is not None:
                    metrics.pop("learning_rate", None)
                seconds = {"optim_step_seconds": position.seconds}
                taken = {"loss", "tokens", "datums", "step", *seconds}
                self.record(position, _prefix_taken(metrics, taken, "optim_step") | seconds)

            at_once = {} if rate is None else {"learning_rate": rate}
            return _RecordedCall(self, position, on_result, at_once, on_failure=lambda: self._undo_step(position))
        return _IgnoredCall()

    def _save(self, folder: str, target: str) -> HookFactory:
        def factory(arguments: dict[str, Any]) -> CallHook:
            with self.swallow_errors():
                name, ttl = str(arguments.get("name", "default")), arguments.get("ttl_seconds")
                position = self._position()

                def on_result(result: Any) -> None:
                    uri = self.uri(folder, name, getattr(result, "path", None))
                    self.mark(position, name, uri, target, ttl_seconds=ttl)
                    self.record(position, {"save_seconds": position.seconds})

                # A save that is not waited for gets its mark too, without the URI that only the answer has.
                return _RecordedCall(
                    self,
                    position,
                    on_result,
                    {},
                    on_drop=lambda: self.mark(position, name, None, target, ttl_seconds=ttl),
                )
            return _IgnoredCall()

        return factory

    def _load(self, arguments: dict[str, Any]) -> CallHook:
        with self.swallow_errors():
            path = str(arguments.get("path", ""))
            return self._restart(step_of(path.rpartition("/")[2]) or 0)
        return _IgnoredCall()

    def _init_trainer(self, arguments: dict[str, Any]) -> CallHook:
        del arguments
        with self.swallow_errors():
            return self._restart(0)
        return _IgnoredCall()

    def _restart(self, step: int) -> CallHook:
        with self._lock:
            self._attempt += 1
            self._step = step
            position = self._position()
        return _RecordedCall(self, position, lambda result: self._set_step(position, result), {})

    def _create_sampler(self, arguments: dict[str, Any]) -> CallHook:
        with self.swallow_errors():
            name = None if "model_path" in arguments else str(arguments.get("name", "default"))
            return _SamplerCreation(self, self._position(), name)
        return _IgnoredCall()

    def _close(self, arguments: dict[str, Any]) -> CallHook:
        del arguments
        with self.swallow_errors():
            self.experiment.close()
        return _IgnoredCall()

    def _get_tokenizer(self, arguments: dict[str, Any]) -> CallHook:
        del arguments
        return _TokenizerCall(self, self._keeper)

    def sample(self, arguments: dict[str, Any]) -> CallHook:
        """Return the hook of a call of a sampler."""
        prompt = arguments.get("prompt")
        with self.swallow_errors():
            position = self._position()

            def on_result(result: Any) -> None:
                sequences = getattr(result, "sequences", None) or []
                tokens = sum(len(getattr(sequence, "tokens", ())) for sequence in sequences)
                values = {"seconds": position.seconds, "sequences": len(sequences), "tokens": tokens}
                self.record(position, _prefixed("sample", values))
                if self._keeper.is_on:
                    at = self._clock.millis()
                    self._keeper.keep(prompt, sequences, step=position.step, attempt=position.attempt, at=at)

            return _RecordedCall(self, position, on_result, {})
        return _IgnoredCall()

    # What the hooks of calls need

    @property
    def has_begun(self) -> bool:
        """Whether anything was trained yet."""
        return self._step > 0 or self._tokens > 0 or self._attempt > 0

    def sampling_proxy(self, client: Any) -> Any:
        """Return a sampling client with its calls recorded."""
        if client is None or not hasattr(client, "sample") or is_proxy(client):
            return client
        hooks: dict[str, HookFactory] = {
            "sample": self.sample,
            f"sample{_ASYNC}": self.sample,
            "get_tokenizer": self._get_tokenizer,
        }
        return SdkProxy(client, hooks)

    def uri(self, folder: str, name: str, path: Any) -> str | None:
        """Return the URI of a checkpoint: the one of the answer, else one made of the run and the name."""
        if isinstance(path, str) and path.startswith("bt://"):
            return path.rstrip("/")
        run_id = self.experiment.run_id
        return f"bt://loops:{run_id}/{folder}/{name}" if run_id else None

    def record(self, position: TrainingPosition, values: Mapping[str, Any]) -> None:
        """Record values at the position of their call."""
        if values:
            self.experiment.log_in_attempt(
                dict(values),
                step=position.step,
                tokens_seen=position.tokens,
                attempt=position.attempt,
                at=self._clock.millis(),
            )

    def mark(
        self, position: TrainingPosition, name: str, uri: str | None, target: str, *, ttl_seconds: Any = None
    ) -> None:
        """Mark a checkpoint, under the name in its URI if there is one: services may extend the requested name."""
        named = _LAST_PART.search(uri) if uri else None
        self.experiment.saved_in_attempt(
            named[0] if named else name,
            step=position.step,
            attempt=position.attempt,
            uri=uri,
            target=target,
            at=self._clock.millis(),
            ttl_seconds=ttl_seconds,
        )

    def swallow_errors(self) -> _SwallowErrors:
        """Return a context that keeps errors of the recording away from the training; the first becomes a warning."""
        return _SwallowErrors(self._warn_once)

    def _warn_once(self, error: Exception) -> None:
        if not self._is_faulty:
            self._is_faulty = True
            warn(
                f"Recording of {self.experiment.name!r:.60} had an error and continues without the call"
                f" ({type(error).__name__}: {str(error)[:200]}).",
                stacklevel=2,
            )

    def _position(self, *, ahead: int = 0) -> TrainingPosition:
        return TrainingPosition(self._step + ahead, self._attempt, self._tokens, self._clock)

    def _is_at(self, position: TrainingPosition) -> bool:
        return (self._step, self._attempt) == (position.step, position.attempt)

    def _undo_step(self, position: TrainingPosition) -> None:
        with self._lock:
            if self._is_at(position):
                self._step -= 1

    def _set_step(self, position: TrainingPosition, result: Any) -> None:
        step = getattr(result, "step", None)
        with self._lock:
            # Not if steps were submitted since, which the answer does not include.
            if isinstance(step, int) and self._is_at(position):
                self._step = step


class _SwallowErrors:
    """A context that passes errors to a callback instead of raising them."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        logger.debug("A call was not recorded.", exc_info=error)
        self._on_error(error)
        return True


class _IgnoredCall:
    """Hook of a call of which nothing is recorded."""

    def accepted(self, answer: Any) -> Any:
        return answer

    def failed(self) -> None:
        pass


class _TokenizerCall(_IgnoredCall):
    """Hook of a call that returns the tokenizer: loading one takes minutes at times, so it is only remembered."""

    def __init__(self, hook: SdkHook, keeper: SampleKeeper) -> None:
        self._hook = hook
        self._keeper = keeper

    def accepted(self, answer: Any) -> Any:
        with self._hook.swallow_errors():
            if self._keeper.tokenizer is None and callable(getattr(answer, "decode", None)):
                self._keeper.tokenizer = answer
        return answer


class _RecordedCall:
    """Hook of a call whose answer is a result or a future of one.

    Parameters
    ----------
    hook : SdkHook
        Where to record.
    position : TrainingPosition
        Position of the call.
    on_result : callable
        Takes the result.
    at_once : mapping
        Values to record when the call is accepted.
    on_drop, on_failure : callable, optional
        Called if the result is never asked for; if the call raises.
    """

    def __init__(
        self,
        hook: SdkHook,
        position: TrainingPosition,
        on_result: Callable[[Any], None],
        at_once: Mapping[str, Any],
        *,
        on_drop: Callable[[], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        self._hook = hook
        self._position = position
        self._on_result = on_result
        self._at_once = at_once
        self._on_drop = on_drop
        self._on_failure = on_failure

    def accepted(self, answer: Any) -> Any:
        with self._hook.swallow_errors():
            self._hook.record(self._position, self._at_once)
        if not callable(getattr(answer, "result", None)):
            self._result(answer)
            return answer
        with self._hook.swallow_errors():
            return FutureProxy(answer, self._result, self._dropped)
        return answer

    def failed(self) -> None:
        if self._on_failure is not None:
            with self._hook.swallow_errors():
                self._on_failure()

    def _result(self, result: Any) -> None:
        with self._hook.swallow_errors():
            self._on_result(result)

    def _dropped(self) -> None:
        if self._on_drop is not None:
            with self._hook.swallow_errors():
                self._on_drop()


class _SamplerCreation:
    """Hook of a call that returns a sampling client; with a name it has saved a checkpoint, too."""

    def __init__(self, hook: SdkHook, position: TrainingPosition, name: str | None) -> None:
        self._hook = hook
        self._position = position
        self._name = name

    def accepted(self, answer: Any) -> Any:
        if not hasattr(answer, "sample") and callable(getattr(answer, "result", None)):
            with self._hook.swallow_errors():
                return FutureProxy(answer, self._mark_save, lambda: None)
            return answer
        self._mark_save(answer)
        with self._hook.swallow_errors():
            return self._hook.sampling_proxy(answer)
        return answer

    def failed(self) -> None:
        pass

    def _mark_save(self, client: Any) -> None:
        with self._hook.swallow_errors():
            if self._name is not None:
                uri = self._hook.uri("sampler_weights", self._name, getattr(client, "checkpoint_path", None))
                self._hook.mark(self._position, self._name, uri, "sampler")


def _data_size(data: Any) -> dict[str, float]:
    """Return the numbers of datums and tokens of a call, without reading its data."""
    if not isinstance(data, (list, tuple)):
        return {}
    found: dict[str, float] = {"datums": len(data)}
    lengths = [getattr(getattr(datum, "model_input", None), "length", None) for datum in data]
    lengths = [length() if callable(length) else length for length in lengths]
    if all(isinstance(length, int) for length in lengths):
        found["tokens"] = float(sum(length for length in lengths if length))
    return found


def _outcome(result: Any) -> dict[str, Any]:
    found = _metrics(result)
    loss = getattr(result, "loss", None)
    if loss is not None:
        found["loss"] = loss
    return found


def _metrics(result: Any) -> dict[str, Any]:
    metrics = getattr(result, "metrics", None)
    return dict(metrics) if isinstance(metrics, Mapping) else {}


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{key}": value for key, value in values.items()}


def _prefix_taken(values: dict[str, Any], taken: Collection[str], prefix: str) -> dict[str, Any]:
    """Return values with a prefix on the keys that are taken by other values."""
    return {f"{prefix}/{key}" if key in taken else key: value for key, value in values.items()}
