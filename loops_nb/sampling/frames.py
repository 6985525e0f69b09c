"""Completions as DataFrames: one row a completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

_STRING, _COUNT, _NUMBER = Dtype.STRING, Dtype.COUNT, Dtype.NUMBER
#: The documented words; a sampler may send others.
STOP_REASONS = ("stop", "length")

COMPLETIONS = register_kind(
    Kind(
        "completions",
        many=(),
        one=(),
        columns=(
            Column(
                "text", _STRING, (), "The completion; missing where no tokenizer is known and the sampler sent none."
            ),
            Column("source", _STRING, (), "The sampler, run or checkpoint, as it was given."),
            Column("completion", _COUNT, (), "Number of the completion of this prompt by this source, from 1."),
            Column("stop_reason", Dtype.WORD, (), "Why it ends there.", STOP_REASONS),
            Column("token_count", _COUNT, (), "Number of its tokens."),
            Column(
                "mean_logprob",
                _NUMBER,
                (),
                "Mean natural log-probability of its tokens; missing where one is not known.",
            ),
            Column("logprob", _NUMBER, (), "Sum of them: the log-probability of the whole completion."),
            Column(
                "seconds",
                _NUMBER,
                (),
                "How long the request took; all completions of one source came with one request.",
            ),
            Column("policy_version", _COUNT, (), "Version of the weights that answered, if the sampler sends it."),
            Column("checkpoint", _STRING, (), "bt:// URI of the checkpoint that was asked for."),
            Column("sampler_id", _STRING, (), "The sampler."),
            Column("run_id", _STRING, (), "The run that it belongs to."),
            Column("base_model", _STRING, (), "Name of the base model."),
            Column(
                "prompt", _STRING, (), "The prompt; missing where it was given as ids of a tokenizer that is not known."
            ),
            Column("prompt_token_count", _COUNT, (), "Number of its tokens."),
            Column("tokens", Dtype.LIST, (), "Ids of its tokens."),
            Column("logprobs", Dtype.LIST, (), "Natural log-probability of each token, None where it is not known."),
        ),
    )
)


def completions_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return completions: one row a completion.

    Parameters
    ----------
    rows : iterable of dict
        Column values of each completion.

    Returns
    -------
    pandas.DataFrame
        Columns text, source (strings), completion (Int64), stop_reason (category: stop, length, or the sampler's own
        word), token_count (Int64), mean_logprob, logprob, seconds (float64), policy_version (Int64), checkpoint,
        sampler_id, run_id, base_model, prompt (strings), prompt_token_count (Int64), tokens and logprobs (object:
        lists).
    """
    listed = list(rows)
    return computed_frame(
        COMPLETIONS, {column.name: [row[column.name] for row in listed] for column in COMPLETIONS.columns}
    )
