"""``%loops verify DIR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many, size
from loops_nb.magics.grammar import Takes, Verb

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> None:
    from loops_nb.workbench import verify_all  # noqa: PLC0415 - only for this line

    found = verify_all(values.folder)
    files, read = sum(one.files for one in found), sum(one.bytes for one in found)
    of = (found[0].uri or found[0].id) if len(found) == 1 else many(len(found), "checkpoint")
    desk.say(f"{values.folder}: {many(files, 'file')} of {of}, {size(read)}: all as downloaded.")


VERB = Verb(
    name="verify",
    summary="whether a folder still holds what was downloaded into it",
    run=_run,
    arguments=(
        Takes(
            name="folder",
            metavar="DIR",
            knows="folder",
            required=True,
            help="the folder of a checkpoint, or one with several of them below it",
        ),
    ),
    notes="Reads every file and compares size and SHA-256 with the manifest of the download. Needs no network and no key.",
    examples=("%loops verify checkpoints/k4q95w5/weights/step-100", "%loops verify checkpoints"),
)
