"""``%loops download CHECKPOINT ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.checkpoints.service import FOLDER, KEPT, check_target
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, TARGET, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    from loops_nb.checkpoints.transfer.frames import downloads_frame, plan_frame  # only when something is fetched

    folder = values.into or FOLDER
    check_target(folder)
    checkpoints = resolve_checkpoints(context, values)
    patterns = {"include": values.include, "exclude": values.exclude}
    if values.dry_run:
        return plan_frame(context.loops.checkpoints.plan_download(checkpoints, folder, **patterns))
    return downloads_frame(context.loops.checkpoints.download(checkpoints, folder, **patterns))


VERB = Verb(
    name="download",
    summary="download checkpoints: in parallel, verified, resumes after an interruption",
    run=_run,
    returns_frame=True,
    kinds=("downloads", "planned_files"),
    arguments=(CHECKPOINTS,),
    options=(
        option(
            "-o --output",
            "DIR",
            f"target folder, or s3://BUCKET/PREFIX (gs://, az://): a checkpoint is saved to DIR/RUN/weights/NAME, like "
            f"its bt:// URI; default {FOLDER}",
            name="into",
            completes="folder",
        ),
        OF_RUN,
        TARGET,
        option("--include", "PATTERN", "only files that match, such as '*.json'", free_text=True, repeated=True),
        option("--exclude", "PATTERN", "no files that match, such as 'optimizer/*'", free_text=True, repeated=True),
        switch("--dry-run", "only show what would be downloaded, and the free space"),
    ),
    notes="A file is complete or absent: it gets its name once its size and, if the service provides one, its "
    "checksum are verified. The same line again downloads only what is missing. The folder gets a manifest "
    "(.loops-manifest.json), with which %loops verify DIR checks the files later, offline. df.loops.download() "
    "downloads the rows of a DataFrame. Into a bucket nothing is "
    "written to disk; the credentials are those of your cloud's settings (pip install 'loops_nb[cloud]').",
    examples=(
        "%loops download h3wy7k5",
        "%loops download p2syas8/step-100 p2syas8/step-200 --target sampler -o /data/loops",
        "%loops download --run p2syas8 --include '*.json' --dry-run",
        "%loops download p2syas8/step-100 -o s3://models/loops",
    ),
    when_interrupted=KEPT,
)
