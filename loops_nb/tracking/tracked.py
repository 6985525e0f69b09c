"""Recording without writing anything: ``loops_nb.track``."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.tracking.notices import warn
from loops_nb.tracking.proxies import is_stand_in
from loops_nb.tracking.recording import Recording, begin, refuse_others
from loops_nb.tracking.store import Store
from loops_nb.tracking.tracker import Tracker

_LOG = logging.getLogger(__name__)
_NEEDED = ("forward_backward", "optim_step")


def track(
    client: Any,
    experiment: str | Recording | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    path: Path | None = None,
) -> Any:
    """Record what a training client of the official SDK does, on this machine; nothing else changes for the code that uses it.

    Each ``forward_backward`` gives its loss, metrics, tokens, datums and seconds; each ``optim_step`` its learning rate, metrics and
    seconds; each save a mark with the checkpoint at its step; each sample its count and latency.  Nothing of the data itself is kept.

    The step of a point is the number of the optimizer step that it leads to: the first ``forward_backward`` and the first
    ``optim_step`` are at step 1, and so is a checkpoint that is saved after them.  ``forward`` and samples are at the step that is done.
    A state that is loaded begins a new attempt.

    Parameters
    ----------
    client
        A ``TrainingClient`` of the SDK; its asynchronous methods and its futures are followed too.
    experiment
        Name of the experiment, or one that is begun already.  Without it the run's id is its name, and a run that is tracked again goes
        on with the same experiment.
    params
        What is set for it, beside base model, rank and sequence length, which are taken from the client.
    tags
        Words to find it by.
    path
        The file; without it `store_path`.

    Returns
    -------
    object
        The same client for all purposes, also for ``isinstance``; ``.loops_experiment`` is where it is recorded.  A fault of the
        recording is one warning, and never an error of the training: where nothing can be recorded at all, the client comes back as it
        is.

    Raises
    ------
    InvalidArgumentError
        If this is no training client.

    Examples
    --------
    >>> client = loops_nb.track(service.create_lora_training_client("Qwen/Qwen3-8B"))  # doctest: +SKIP
    """
    if is_stand_in(client):
        return client
    if not all(callable(getattr(client, name, None)) for name in _NEEDED):
        raise InvalidArgumentError(
            f"{type(client).__name__} is no training client: it has no forward_backward and optim_step.",
            argument="client",
            hint="For example loops_nb.track(service_client.create_lora_training_client(...))",
        )
    try:
        recording = experiment if isinstance(experiment, Recording) else _begun(client, experiment, params, tags, path)
        return Tracker(client, recording, step=_steps_done(client), tokens=_tokens_done(recording)).stand_in()
    except LoopsError as error:
        warn(f"This training is not recorded: {error}", stacklevel=2)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is ours and not the training's
        _LOG.exception("A training is not recorded.")
        warn(f"This training is not recorded ({type(error).__name__}: {str(error)[:200]}).", stacklevel=2)
    return client


def _begun(client: Any, name: str | None, params: Mapping[str, Any] | None, tags: Iterable[str], path: Path | None) -> Recording:
    run_id = _text(client, "run_id", "_run_id")
    base_model = _text(client, "base_model", "_base_model")
    known = {"base_model": base_model, **{shown: getattr(client, f"_{shown}", None) for shown in ("lora_rank", "max_seq_len")}}
    start = _text(client, "base_checkpoint")
    if start is not None and start.startswith("bt://"):
        # Any other one is where the base model itself was found.
        known["base_checkpoint"] = start
    refuse_others(params, tags)
    # What the person says stands first: it is what tells the runs of a sweep apart.
    set_ = dict(params or {})
    set_ |= {key: value for key, value in known.items() if isinstance(value, (str, int)) and key not in set_}
    called = name or run_id or (base_model or "training").rpartition("/")[2]
    return begin(
        Recording,
        called,
        params=set_,
        tags=tags,
        run=run_id,
        session=_text(client, "session_id", "_session_id"),
        path=path,
    )


def _text(client: Any, *names: str) -> str | None:
    for name in names:
        found = getattr(client, name, None)
        if isinstance(found, str) and found:
            return found
    return None


def _steps_done(client: Any) -> int:
    # A question to the trainer; those that do not answer it have done none, as far as anybody knows.
    try:
        found = client.policy_version
    except Exception:  # noqa: BLE001 - another package's object
        _LOG.debug("A training client does not tell its steps.", exc_info=True)
        return 0
    return found if isinstance(found, int) and found > 0 else 0


def _tokens_done(recording: Recording) -> float:
    """Return how many tokens an experiment that goes on has seen already."""
    with Store(recording.path) as store:
        series = store.series(recording.id, "tokens")
    known = [float(tokens) for tokens in series.tokens[-1:] if not math.isnan(tokens)]
    return known[0] if known else 0.0
