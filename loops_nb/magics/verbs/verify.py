"""``%loops verify DIR``."""

from __future__ import annotations

from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb
from loops_nb.magics.notebook_names import EXECUTOR, EXECUTOR_IN_SHELL, executor_options
from loops_nb.render.formatting import many, size


def _run(context: MagicContext, values: Values) -> None:
    from loops_nb.checkpoints.service import verify_all  # only for this verb

    found = verify_all(values.folder, **executor_options(context, values))
    files = sum(checkpoint.files for checkpoint in found)
    read = sum(checkpoint.bytes for checkpoint in found)
    name = many(len(found), "checkpoint")
    if len(found) == 1:
        name = found[0].uri or found[0].id
    context.answer(f"{values.folder}: {many(files, 'file')} of {name}, {size(read)}: all as downloaded.")


VERB = Verb(
    name="verify",
    summary="verify downloaded checkpoints against their manifests",
    run=_run,
    arguments=(
        Argument(
            "folder",
            "DIR",
            "folder of a checkpoint, or a folder that contains several; s3://, gs:// or az:// for one in a bucket",
            completes="folder",
            required=True,
        ),
    ),
    options=(EXECUTOR,),
    notes=(
        "Reads every file and compares size and SHA-256 with the manifest of the download. A folder needs neither "
        "network nor key, a bucket the credentials of your cloud's settings. With --executor, the workers of a cluster "
        "read the files; they have to reach the folder under the same path."
    ),
    shell=InShell(helps=EXECUTOR_IN_SHELL),
    examples=(
        "%loops verify checkpoints/p2syas8/weights/step-525",
        "%loops verify checkpoints",
        "%loops verify s3://models/loops",
        "%loops verify /mnt/checkpoints --executor pool",
    ),
)
