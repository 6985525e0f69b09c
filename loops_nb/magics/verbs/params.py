"""``%loops params RUN ...``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import EXPERIMENTS, metrics, resolve_experiment
from loops_nb.magics.grammar import Values, Verb, option, switch
from loops_nb.magics.suggest import safe_repr

if TYPE_CHECKING:
    import pandas as pd


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidArgumentError(f"must be NAME=VALUE, not {text[:40]!r}.", hint="For example --set lr=1e-4")
    from loops_nb.tracking.values import read_json  # sqlite

    try:
        return name.strip(), read_json(value)
    except ValueError:
        return name.strip(), value


def _check_pairs_have_set(words: Sequence[str]) -> None:
    """Raise for NAME=VALUE in place of a run, unless an experiment has that name."""
    for word in words:
        if "=" not in word:
            continue
        try:
            metrics().find(word)
        except TrackingError:
            raise InvalidArgumentError(
                f"{safe_repr(word)} is missing --set. Nothing was changed.",
                argument="set",
                hint="Give --set for each: %loops params RUN --set lr=1e-4 --set 'data set=v2'",
            ) from None


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    _check_pairs_have_set(values.runs)
    if values.set:
        if not values.runs:
            raise InvalidArgumentError(
                "--set needs a run.", argument="runs", hint="For example %loops params RUN --set lr=1e-4"
            )
        metrics().set_params([resolve_experiment(context, word) for word in values.runs], dict(values.set))
    if values.environment:
        return metrics().environment(values.runs or None)
    return metrics().params(values.runs or None)


VERB = Verb(
    name="params",
    summary="parameters of runs side by side, differing ones first",
    run=_run,
    returns_frame=True,
    kinds=("params", "environments"),
    arguments=(EXPERIMENTS,),
    options=(
        option(
            "--set",
            "NAME=VALUE",
            "set a parameter; VALUE is JSON, else text",
            convert=_pair,
            repeated=True,
            free_text=True,
        ),
        switch("--environment", "git commit, packages, host and command line in place of the parameters"),
    ),
    notes="Parameters are stored on this machine, not by the service; %loops experiments shows them too.",
    examples=(
        "%loops params",
        "%loops params p2syas8 u8rkdjp",
        "%loops params p2syas8 --set lr=1e-4 --set dataset=v2",
        "%loops params lr-1 lr-2 --environment",
    ),
    when_interrupted="%loops params RUN shows what was stored.",
)
