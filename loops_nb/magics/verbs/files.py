"""``%loops files CHECKPOINT``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.uri import parse_uri
from loops_nb.errors import InvalidArgumentError, NotFoundError, with_hint
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb
from loops_nb.magics.suggest import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

_MAX_URIS = 4


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    checkpoint_id = _checkpoint_id(context, values.checkpoint)
    with context.explain_unknown_id("checkpoint", checkpoint_id):
        frame = context.loops.checkpoints.files_frame(checkpoint_id)
    return context.listing(
        "files",
        frame,
        nothing=(
            f"Checkpoint {values.checkpoint} has no files yet: it may still be uploading (see sync_status in %loops "
            f"checkpoints)."
        ),
    )


def _checkpoint_id(context: MagicContext, word: str) -> str:
    """Return the checkpoint's id, which the files route needs, for an id, a URI, RUN/NAME or a unique listed name."""
    if word.startswith("bt:"):
        uri = str(parse_uri(word, argument="CHECKPOINT"))
        known = context.cache.checkpoint_id(uri)
        if known is not None:
            return known
        with context.explain_unknown_id("run", parse_uri(uri).run_id):
            found = context.loops.checkpoints.list(checkpoint_path=uri)
        if not found:
            near = did_you_mean(uri, context.cache.known("uri"))
            raise with_hint(
                NotFoundError(f"There is no checkpoint {uri}.", status=404),
                near or f"%loops checkpoints {parse_uri(uri).run_id} lists the checkpoints of that run.",
            )
        return found[0].id
    if "/" in word:
        return context.loops.checkpoints.choose(word)[0].id
    if word in context.cache.known("checkpoint") or word not in context.cache.known("name"):
        return word
    uris = [uri for uri in context.cache.known("uri") if uri.endswith(f"/{word}")]
    if len(uris) > 1:
        raise InvalidArgumentError(
            f"{len(uris)} checkpoints are named {word}.",
            argument="checkpoint",
            hint=f"Use one of: {', '.join(uris[:_MAX_URIS])}",
        )
    return context.cache.checkpoint_id(uris[0]) or word


VERB = Verb(
    name="files",
    summary="files of a checkpoint, with their sizes",
    run=_run,
    returns_frame=True,
    kinds=("files",),
    arguments=(
        Argument(
            "checkpoint",
            "CHECKPOINT",
            "id, bt:// URI, RUN/NAME, or a name that %loops checkpoints has listed",
            completes="checkpoint",
            required=True,
        ),
    ),
    notes=(
        "Returns a DataFrame without the presigned URLs: they work without a key and would be saved with the notebook."
    ),
    examples=("%loops files h3wy7k5", "df = %loops files bt://loops:p2syas8/sampler_weights/step-100"),
)
