"""``%loops params RUN ...``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.magics.grammar import Option, Verb, shown
from loops_nb.magics.verbs.recorded import RUNS, metrics, or_all, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidArgumentError(f"must be NAME=VALUE, not {text[:40]!r}.", hint="For example --set lr=1e-4")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def _refuse_unset(words: Sequence[str]) -> None:
    """Refuse a pair that stands where a run does, unless something is called like that."""
    for word in words:
        if "=" not in word:
            continue
        try:
            metrics().find(word)
        except TrackingError:
            raise InvalidArgumentError(
                f"{shown(word)} stands without --set. Nothing was changed.",
                argument="set",
                hint="Each needs its own: %loops params RUN --set lr=1e-4 --set 'data set=v2'",
            ) from None


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    _refuse_unset(values.runs)
    if values.set:
        if not values.runs:
            raise InvalidArgumentError(
                "--set needs to know of which run.", argument="runs", hint="For example %loops params RUN --set lr=1e-4"
            )
        metrics().set_params([recorded(desk, word) for word in values.runs], dict(values.set))
    return metrics().params(or_all(values.runs))


VERB = Verb(
    name="params",
    summary="what was set for runs, beside each other; what differs first",
    run=_run,
    gives_frames=True,
    arguments=(RUNS,),
    options=(
        Option(
            name="set",
            flags=("--set",),
            metavar="NAME=VALUE",
            convert=_pair,
            many=True,
            free=True,
            help="add one; JSON, else taken as a text",
        ),
    ),
    notes="The API keeps no parameters: these are kept on this machine, and shown by %loops experiments too.",
    examples=("%loops params", "%loops params k4q95w5 qr8zj20", "%loops params k4q95w5 --set lr=1e-4 --set dataset=v2"),
    when_interrupted="%loops params RUN tells what is kept.",
)
