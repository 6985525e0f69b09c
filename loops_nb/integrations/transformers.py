"""Callback that records the training of a ``Trainer`` of transformers or TRL as an experiment."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from loops_nb.tracking.experiment import Experiment, experiment


class ExperimentCallback(TrainerCallback):  # type: ignore[misc]
    """Records losses, metrics, parameters and checkpoints of a training, from the main process alone.

    Metrics have the names that other trackers' callbacks give them: ``train/loss``, ``eval/loss``.

    Parameters
    ----------
    name : str, optional
        Name of the experiment; by default ``run_name`` of the arguments, else the last part of ``output_dir``.
    **options : object
        Passed to `loops_nb.experiment`: ``project``, ``tags``, ``params``, ``resume``.

    Examples
    --------
    >>> trainer = Trainer(model, args, callbacks=[ExperimentCallback("sft", tags=["baseline"])])  # doctest: +SKIP
    """

    def __init__(self, name: str | None = None, **options: Any) -> None:
        self.experiment: Experiment | None = None
        self._name, self._options = name, options

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or self.experiment is not None:
            return
        name = self._name or args.run_name or str(args.output_dir).rstrip("/").rpartition("/")[2] or "training"
        model = getattr(getattr(kwargs.get("model"), "config", None), "name_or_path", None)
        given = {name: value for name, value in args.to_dict().items() if value is not None}
        params = {**given, **({"model": model} if model else {}), **self._options.get("params", {})}
        self.experiment = experiment(name, **{**self._options, "params": params})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if self.experiment is not None and logs:
            numbers = {_key(key): value for key, value in logs.items() if not isinstance(value, str)}
            self.experiment.log(numbers, step=state.global_step, tokens_seen=state.num_input_tokens_seen or None)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.experiment is not None:
            self.experiment.saved(f"checkpoint-{state.global_step}", step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.experiment is not None:
            self.experiment.close()


def _key(key: str) -> str:
    prefix, _, rest = key.partition("_")
    return f"{prefix}/{rest}" if prefix in {"eval", "test"} and rest else f"train/{key}"
