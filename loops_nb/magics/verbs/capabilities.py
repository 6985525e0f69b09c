"""``%loops capabilities``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.models import USE_CASES
from loops_nb.magics.arguments import describe_filters, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch
from loops_nb.render.formatting import is_or_are, many

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, values: Values) -> ListingRows:
    found = context.loops.capabilities.listing(
        model=values.model, use_case=values.use_case or "rl", max_seq_len=values.max_seq_len
    )
    # What the service does not say counts as no.
    if values.serverless:
        found = found.where(is_shared is True for is_shared in found.values("serverless"))
    shared = sum(
        is_shared is True and enabled is not False
        for is_shared, enabled in zip(found.values("serverless"), found.values("enabled"), strict=True)
    )
    if shared:
        from loops_nb.frames.attributes import NOTES_ATTR  # help needs no frames

        how = "%loops create run --scope serverless. The service says when a LoRA rank or a length is too much for it."
        models = f"{many(shared, 'model')} {is_or_are(shared)}"
        found.attrs[NOTES_ATTR] = [f"{models} also on shared (serverless) capacity: {how}"]
    near = context.suggest(("base_model", values.model))
    return context.listing(
        "capabilities",
        found,
        nothing="The service offers no base models. %loops doctor shows where you are connected.",
        filters=describe_filters(
            ("--model", values.model),
            ("--use-case", values.use_case),
            ("--max-seq-len", values.max_seq_len),
            ("--serverless", values.serverless),
        ),
        no_match=near or "%loops capabilities lists all.",
    )


VERB = Verb(
    name="capabilities",
    summary="base models that can be trained, with their maximum sequence lengths",
    run=_run,
    returns_listing=True,
    kinds=("capabilities",),
    options=(
        option("-m --model", "MODEL", "only this base model", completes="base_model"),
        option("--use-case", "CASE", "rl (default) or sft", choices=USE_CASES),
        int_option("--max-seq-len", "only models that support sequences of this many tokens"),
        switch("--serverless", "only models that are on shared (serverless) capacity, too"),
    ),
    examples=(
        "%loops capabilities",
        "%loops capabilities --use-case sft --max-seq-len 65536",
        "%loops capabilities --serverless",
    ),
)
