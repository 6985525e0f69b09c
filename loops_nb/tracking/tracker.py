"""What is recorded of a training loop of the official SDK: numbers, names and times; never the data."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Mapping
from typing import Any

from loops_nb.steps import step_of
from loops_nb.tracking.notices import warn
from loops_nb.tracking.proxies import Begins, StandIn, Watch, is_stand_in
from loops_nb.tracking.recording import Recording
from loops_nb.tracking.watches import Careful, Clock, Nothing, Operation, Place, SamplerMade

_SAVES = {"save_state": ("weights", "trainer"), "save_weights_for_sampler": ("sampler_weights", "sampler")}
_LOADS = ("load_state", "load_state_with_optimizer")
_SAMPLERS = ("save_weights_and_get_sampling_client", "create_sampling_client")
_ASYNC = "_async"
_LAST_PART = re.compile(r"[^/]+$")


class Tracker:
    """Follows one training client: counts its steps and tokens, and records what its calls answer.

    Parameters
    ----------
    client
        A training client of the SDK.
    recording
        Where to record.
    step
        Optimizer steps that were done before.
    tokens
        Tokens that were trained on before.
    clock
        What tells the time; without it, the machine's.
    """

    def __init__(self, client: Any, recording: Recording, *, step: int = 0, tokens: float = 0.0, clock: Clock | None = None) -> None:
        self.recording = recording
        self._clock = clock or Clock()
        self._client = client
        self._lock = threading.Lock()
        self._step = step
        self._tokens = tokens
        self._turn = 0
        self._is_faulty = False

    def stand_in(self) -> StandIn:
        """Return the client, its calls recorded."""
        watched = {f"{name}{ending}": begins for name, begins in self.calls().items() for ending in ("", _ASYNC)}
        watched |= dict.fromkeys(("close", "aclose"), self._close)
        return StandIn(self._client, watched, {"loops_experiment": self.recording})

    def calls(self) -> dict[str, Begins]:
        """Return, for each call that is watched, what takes its arguments."""
        return {
            "forward_backward": self._forward_backward,
            "forward_backward_custom": self._forward_backward,
            "forward": self._forward,
            "optim_step": self._optim_step,
            "init_trainer_server": self._init,
            **{name: self._saving(*of) for name, of in _SAVES.items()},
            **dict.fromkeys(_LOADS, self._load),
            **dict.fromkeys(_SAMPLERS, self._sampler),
        }

    # What is watched

    def _forward_backward(self, arguments: dict[str, Any]) -> Watch:
        with self.careful():
            data = _size_of(arguments.get("data"))
            with self._lock:
                self._tokens += data.get("tokens", 0.0)
                place = self._place(1)

            def told(result: Any) -> None:
                seconds = {"forward_backward_seconds": place.seconds}
                self.record(place, _beside(_outcome(result), {**data, **seconds}, "forward_backward") | seconds)

            return Operation(self, place, told, data)
        return Nothing()

    def _forward(self, arguments: dict[str, Any]) -> Watch:
        with self.careful():
            data = _size_of(arguments.get("data"))
            place = self._place(0)

            def told(result: Any) -> None:
                outcome = {key: value for key, value in _outcome(result).items() if key not in data}
                self.record(place, {f"forward/{key}": value for key, value in {**outcome, "seconds": place.seconds}.items()})

            return Operation(self, place, told, {f"forward/{key}": value for key, value in data.items()})
        return Nothing()

    def _optim_step(self, arguments: dict[str, Any]) -> Watch:
        with self.careful():
            rate = getattr(arguments.get("adam_params"), "learning_rate", None)
            with self._lock:
                self._step += 1
                place = self._place(0)

            def told(result: Any) -> None:
                metrics = _metrics(result)
                if metrics.get("step") == place.step:
                    del metrics["step"]
                if rate is not None:
                    metrics.pop("learning_rate", None)
                seconds = {"optim_step_seconds": place.seconds}
                self.record(place, _beside(metrics, {"loss", "tokens", "datums", "step", *seconds}, "optim_step") | seconds)

            return Operation(self, place, told, {} if rate is None else {"learning_rate": rate}, on_failure=lambda: self._undo(place))
        return Nothing()

    def _saving(self, folder: str, target: str) -> Begins:
        def begins(arguments: dict[str, Any]) -> Watch:
            with self.careful():
                name = str(arguments.get("name", "default"))
                place = self._place(0)

                def told(result: Any) -> None:
                    self.mark(place, name, self.uri(folder, name, getattr(result, "path", None)), target)
                    self.record(place, {"save_seconds": place.seconds})

                # Who does not wait for a save gets its mark too, without the URI that only its answer tells.
                return Operation(self, place, told, {}, on_drop=lambda: self.mark(place, name, None, target))
            return Nothing()

        return begins

    def _load(self, arguments: dict[str, Any]) -> Watch:
        with self.careful():
            path = str(arguments.get("path", ""))
            with self._lock:
                self._turn += 1
                self._step = step_of(path.rpartition("/")[2]) or 0
                place = self._place(0)
            return Operation(self, place, lambda result: self._set_step(place, result), {})
        return Nothing()

    def _init(self, arguments: dict[str, Any]) -> Watch:
        del arguments
        with self.careful():
            with self._lock:
                self._turn += 1
                self._step = 0
                place = self._place(0)
            return Operation(self, place, lambda result: self._set_step(place, result), {})
        return Nothing()

    def _sampler(self, arguments: dict[str, Any]) -> Watch:
        with self.careful():
            place = self._place(0)
            return SamplerMade(self, place, None if "model_path" in arguments else str(arguments.get("name", "default")))
        return Nothing()

    def _close(self, arguments: dict[str, Any]) -> Watch:
        del arguments
        with self.careful():
            self.recording.close()
        return Nothing()

    def sampling(self, client: Any) -> Any:
        """Return a sampling client, its calls recorded."""
        if client is None or not hasattr(client, "sample") or is_stand_in(client):
            return client
        return StandIn(client, {"sample": self.sample, f"sample{_ASYNC}": self.sample})

    @property
    def has_begun(self) -> bool:
        """Whether anything was trained yet."""
        return self._step > 0 or self._tokens > 0 or self._turn > 0

    def sample(self, arguments: dict[str, Any]) -> Watch:
        """Take a call of a sampler."""
        del arguments
        with self.careful():
            place = self._place(0)

            def told(result: Any) -> None:
                sequences = getattr(result, "sequences", None) or []
                tokens = sum(len(getattr(sequence, "tokens", ())) for sequence in sequences)
                self.record(place, {"sample/seconds": place.seconds, "sample/sequences": len(sequences), "sample/tokens": tokens})

            return Operation(self, place, told, {})
        return Nothing()

    # How it is recorded

    def _place(self, ahead: int) -> Place:
        return Place(self._step + ahead, self._turn, self._tokens, self._clock)

    def _undo(self, place: Place) -> None:
        with self._lock:
            if (self._step, self._turn) == (place.step, place.turn):
                self._step -= 1

    def _set_step(self, place: Place, result: Any) -> None:
        step = getattr(result, "step", None)
        with self._lock:
            # Unless steps were submitted since, of which the answer knows nothing.
            if isinstance(step, int) and (self._step, self._turn) == (place.step, place.turn):
                self._step = step

    def uri(self, folder: str, name: str, path: Any) -> str | None:
        """Return the URI of a checkpoint: the one of the answer, else what the run and the name make."""
        if isinstance(path, str) and path.startswith("bt://"):
            return path.rstrip("/")
        run_id = self.recording.run_id
        return f"bt://loops:{run_id}/{folder}/{name}" if run_id else None

    def record(self, place: Place, values: Mapping[str, Any]) -> None:
        """Record values where training stood when the call was made."""
        if values:
            self.recording.record(dict(values), step=place.step, tokens_seen=place.tokens, turn=place.turn, at=self._clock.millis())

    def mark(self, place: Place, name: str, uri: str | None, target: str) -> None:
        """Mark a checkpoint, by the name that its URI tells where there is one: services may add to what was asked for."""
        called = _LAST_PART.search(uri) if uri else None
        text = called[0] if called else name
        self.recording.mark_saved(text, step=place.step, turn=place.turn, uri=uri, target=target, at=self._clock.millis())

    def careful(self) -> Careful:
        """Return what lets no fault of the recording reach the training: the first one is told, and it goes on."""
        return Careful(self._fault)

    def _fault(self, error: Exception) -> None:
        if not self._is_faulty:
            self._is_faulty = True
            why = f"{type(error).__name__}: {str(error)[:200]}"
            warn(f"Recording of {self.recording.name!r:.60} had a fault and goes on without what it was about ({why}).", stacklevel=2)


def _size_of(data: Any) -> dict[str, float]:
    """Return how much data a call has; their contents are not looked at."""
    if not isinstance(data, (list, tuple)):
        return {}
    found: dict[str, float] = {"datums": len(data)}
    lengths = [getattr(getattr(datum, "model_input", None), "length", None) for datum in data]
    lengths = [length() if callable(length) else length for length in lengths]
    if all(isinstance(length, int) for length in lengths):
        found["tokens"] = float(sum(length for length in lengths if length))
    return found


def _outcome(result: Any) -> dict[str, Any]:
    loss = getattr(result, "loss", None)
    return {**_metrics(result), **({} if loss is None else {"loss": loss})}


def _beside(values: dict[str, Any], taken: Collection[str], call: str) -> dict[str, Any]:
    """Return values under keys that do not mix with those that are taken for something else."""
    return {f"{call}/{key}" if key in taken else key: value for key, value in values.items()}


def _metrics(result: Any) -> dict[str, Any]:
    metrics = getattr(result, "metrics", None)
    return dict(metrics) if isinstance(metrics, Mapping) else {}
