"""``%loops download CHECKPOINT ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.chosen import CHECKPOINTS, OF_RUN, TARGET, refs
from loops_nb.workbench import FOLDER, KEPT

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    from loops_nb.frames.downloads import downloads_frame, plan_frame  # noqa: PLC0415 - only when something is fetched

    found = refs(desk, values)
    into, files = values.into or FOLDER, {"include": values.include, "exclude": values.exclude}
    if values.dry_run:
        return plan_frame(desk.loops.checkpoints.plan_download(found, into, **files))
    return downloads_frame(desk.loops.checkpoints.download(found, into, **files))


VERB = Verb(
    name="download",
    summary="checkpoints onto this disk: parallel, checked, and continued when it was interrupted",
    run=_run,
    gives_frames=True,
    arguments=(CHECKPOINTS,),
    options=(
        Option(
            name="into",
            flags=("-o", "--output"),
            metavar="DIR",
            knows="folder",
            help=f"where to: each goes to DIR/RUN/weights/NAME, as its bt:// URI reads; {FOLDER} when left out",
        ),
        OF_RUN,
        TARGET,
        Option(
            name="include", flags=("--include",), metavar="PATTERN", free=True, many=True, help="only files like this, such as '*.json'"
        ),
        Option(
            name="exclude", flags=("--exclude",), metavar="PATTERN", free=True, many=True, help="no files like this, such as 'optimizer/*'"
        ),
        Option(name="dry_run", flags=("--dry-run",), help="only say what would be fetched, and how much room there is"),
    ),
    notes="A file is complete or absent: it is moved to its name when its size and, where the service gives one, its checksum are right."
    " The same line again fetches only what is missing. The folder gets a manifest (.loops-manifest.json) against which"
    " %loops verify DIR checks it later, without a network. df.loops.download() takes the rows of a DataFrame.",
    examples=(
        "%loops download VqKXRGB",
        "%loops download k4q95w5/step-100 k4q95w5/step-200 --target sampler -o /data/loops",
        "%loops download --run k4q95w5 --include '*.json' --dry-run",
    ),
    when_interrupted=KEPT,
)
