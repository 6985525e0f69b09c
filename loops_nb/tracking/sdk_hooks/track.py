"""``loops_nb.track``: records a training without any change to its code."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.tracking.experiment import Experiment, check_params_and_tags
from loops_nb.tracking.experiment import experiment as begin_experiment
from loops_nb.tracking.sdk_hooks.hook import SdkHook
from loops_nb.tracking.sdk_hooks.proxies import is_proxy
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.warn import warn

logger: logging.Logger = logging.getLogger(__name__)
_NEEDED = ("forward_backward", "optim_step")


def track(
    client: Any,
    experiment: str | Experiment | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    path: Path | None = None,
    project: str | None = None,
    keep_samples: int = 0,
    tokenizer: Any = None,
) -> Any:
    """Record what a training client of the official SDK does, on this machine; its code does not change.

    Each ``forward_backward`` records its loss, metrics, tokens, datums and seconds; each ``optim_step`` its learning
    rate, metrics and seconds; each save a mark with the checkpoint at its step; each sample its count and latency.
    The training data are not recorded, and samples only with ``keep_samples``.

    The step of a point is the number of the optimizer step that it leads to: the first ``forward_backward`` and the
    first ``optim_step`` are at step 1, and so is a checkpoint that is saved after them.  ``forward`` and samples are at
    the last completed step.  Loading a state begins a new attempt.

    Parameters
    ----------
    client : TrainingClient
        Training client of the SDK; its asynchronous methods and its futures are recorded too.
    experiment : str or Experiment, optional
        Name of the experiment, or an experiment that was begun before.  By default the id of the run is its name, and
        a run that is tracked again resumes its experiment.
    params : mapping, optional
        Parameters, in addition to base model, rank and sequence length, which are read from the client.
    tags : iterable of str, optional
        Tags to find it by.
    path : Path, optional
        File of experiments; by default `store_path`.
    project : str, optional
        Project that the experiment belongs to, as in `loops_nb.experiment`.
    keep_samples : int, default 0
        Keep so many samples of each step, the first ones, with their prompts, as `Experiment.sample` does.  Rewards are
        not known here: ``client.loops_experiment.sample(..., reward=...)`` keeps a sample with its reward.
    tokenizer : object, optional
        Decodes the kept samples: any object with ``decode(ids)``.  By default the one that the training's own code
        gets from ``client.get_tokenizer()``; until then token ids are kept.

    Returns
    -------
    TrainingClient
        A proxy that behaves like the client, for ``isinstance`` too; its ``loops_experiment`` is the `Experiment`.  An
        error of the recording is one warning and never an error of the training; if nothing can be recorded at all, the
        client itself is returned.

    Raises
    ------
    InvalidArgumentError
        If ``client`` is no training client, ``keep_samples`` no whole number of at least 0, or ``tokenizer`` has no
        ``decode``.

    Examples
    --------
    >>> client = loops_nb.track(service.create_lora_training_client("Qwen/Qwen3-8B"))  # doctest: +SKIP
    """
    if is_proxy(client):
        return client
    if not all(callable(getattr(client, name, None)) for name in _NEEDED):
        raise InvalidArgumentError(
            f"{type(client).__name__} is no training client: it has no forward_backward and optim_step.",
            argument="client",
            hint="For example loops_nb.track(service_client.create_lora_training_client(...))",
        )
    _check_keeping(keep_samples, tokenizer)
    try:
        if not isinstance(experiment, Experiment):
            experiment = _begin(client, experiment, params, tags, path, project)
        hook = SdkHook(
            client,
            experiment,
            step=_steps_done(client),
            tokens=_tokens_done(experiment),
            keep_samples=keep_samples,
            tokenizer=tokenizer,
        )
        return hook.proxy()
    except LoopsError as error:
        warn(f"This training is not recorded: {error}", stacklevel=2)
    except Exception as error:
        logger.exception("A training is not recorded.")
        warn(f"This training is not recorded ({type(error).__name__}: {str(error)[:200]}).", stacklevel=2)
    return client


def _check_keeping(keep_samples: Any, tokenizer: Any) -> None:
    if not isinstance(keep_samples, int) or isinstance(keep_samples, bool) or keep_samples < 0:
        raise InvalidArgumentError(
            f"keep_samples must be a whole number of samples a step, not {keep_samples!r:.40}.",
            argument="keep_samples",
            hint="For example loops_nb.track(client, keep_samples=4)",
        )
    if tokenizer is not None and not callable(getattr(tokenizer, "decode", None)):
        raise InvalidArgumentError(
            f"tokenizer must have decode(ids), which {type(tokenizer).__name__} has not.", argument="tokenizer"
        )


def _begin(
    client: Any,
    name: str | None,
    params: Mapping[str, Any] | None,
    tags: Iterable[str],
    path: Path | None,
    project: str | None,
) -> Experiment:
    run_id = _text(client, "run_id", "_run_id")
    base_model = _text(client, "base_model", "_base_model")
    known = {
        "base_model": base_model,
        **{shown: getattr(client, f"_{shown}", None) for shown in ("lora_rank", "max_seq_len")},
    }
    start = _text(client, "base_checkpoint")
    if start is not None and start.startswith("bt://"):
        # Any other value is where the base model itself was found.
        known["base_checkpoint"] = start
    check_params_and_tags(params, tags)
    # The user's own parameters come first: they distinguish the runs of a sweep.
    all_params = dict(params or {})
    all_params |= {
        key: value for key, value in known.items() if isinstance(value, (str, int)) and key not in all_params
    }
    return begin_experiment(
        name or run_id or (base_model or "training").rpartition("/")[2],
        params=all_params,
        tags=tags,
        run=run_id,
        session=_text(client, "session_id", "_session_id"),
        path=path,
        project=project,
    )


def _text(client: Any, *names: str) -> str | None:
    for name in names:
        found = getattr(client, name, None)
        if isinstance(found, str) and found:
            return found
    return None


def _steps_done(client: Any) -> int:
    # A request to the trainer; one that does not answer it is taken to have done none.
    try:
        found = client.policy_version
    except Exception:
        logger.debug("A training client does not tell its steps.", exc_info=True)
        return 0
    return found if isinstance(found, int) and found > 0 else 0


def _tokens_done(experiment: Experiment) -> float:
    """Return how many tokens a resumed experiment has seen."""
    with ExperimentStore(experiment.location) as store:
        series = store.series(experiment.id, "tokens")
    known = [float(tokens) for tokens in series.tokens[-1:] if not math.isnan(tokens)]
    return known[0] if known else 0.0
