"""``%loops files CHECKPOINT``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError, NotFoundError, with_hint
from loops_nb.magics.grammar import Takes, Verb, did_you_mean
from loops_nb.uri import parse_uri

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk

_SHOWN_URIS = 4


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    checkpoint_id = _checkpoint_id(desk, values.checkpoint)
    with desk.naming("checkpoint", checkpoint_id):
        frame = desk.loops.checkpoints.files_frame(checkpoint_id)
    return desk.listing(
        "files",
        frame,
        nothing=f"Checkpoint {values.checkpoint} has no files yet: it may still be uploading (sync_status in %loops checkpoints).",
    )


def _checkpoint_id(desk: Desk, word: str) -> str:
    """Return the id that the files route takes, from an id, a URI, or a name that was listed once only."""
    if word.startswith("bt:"):
        uri = str(parse_uri(word, argument="CHECKPOINT"))
        known = desk.knowledge.checkpoint_id(uri)
        if known is not None:
            return known
        with desk.naming("run", parse_uri(uri).run_id):
            found = desk.loops.checkpoints.list(checkpoint_path=uri)
        if not found:
            near = did_you_mean(uri, desk.knowledge.known("uri"))
            raise with_hint(
                NotFoundError(f"There is no checkpoint {uri}.", status=404),
                near or f"%loops checkpoints {parse_uri(uri).run_id} lists what that run has saved.",
            )
        return found[0].id
    if "/" in word:
        return desk.loops.checkpoints.choose(word)[0].id
    if word in desk.knowledge.known("checkpoint") or word not in desk.knowledge.known("name"):
        return word
    uris = [uri for uri in desk.knowledge.known("uri") if uri.endswith(f"/{word}")]
    if len(uris) > 1:
        raise InvalidArgumentError(
            f"{word} is the name of {len(uris)} checkpoints.",
            argument="checkpoint",
            hint=f"Say which: {', '.join(uris[:_SHOWN_URIS])}{', ...' if len(uris) > _SHOWN_URIS else ''}",
        )
    return desk.knowledge.checkpoint_id(uris[0]) or word


VERB = Verb(
    name="files",
    summary="the files of a checkpoint with their sizes",
    run=_run,
    gives_frames=True,
    arguments=(
        Takes(
            name="checkpoint",
            metavar="CHECKPOINT",
            knows="checkpoint",
            required=True,
            help="its id, its bt:// URI, RUN/NAME, or a name that %loops checkpoints has shown",
        ),
    ),
    notes="Gives a DataFrame without the download links: those work without a key and would be saved with the notebook.",
    examples=("%loops files VqKXRGB", "df = %loops files bt://loops:k4q95w5/sampler_weights/step-100"),
)
