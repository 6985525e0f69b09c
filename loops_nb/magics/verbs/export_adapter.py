"""``%loops export-adapter CHECKPOINT -o DIR``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, TARGET, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    if values.public and values.push is None:
        raise InvalidArgumentError(
            "--public is for --push ORG/NAME: a repository that is made for it is public.", argument="public"
        )
    # Before the checkpoints are looked up.
    user_path(values.into, argument="into", kind="folder")
    return context.loops.checkpoints.export_adapter(
        resolve_checkpoints(context, values),
        values.into,
        merge=values.merge,
        base=values.base,
        push=values.push,
        private=not values.public,
    )


VERB = Verb(
    name="export-adapter",
    summary="export a checkpoint as an adapter for PEFT, vLLM and SGLang, or merged into its base model",
    run=_run,
    returns_frame=True,
    kinds=("exports",),
    arguments=(CHECKPOINTS,),
    options=(
        option(
            "-o --output",
            "DIR",
            "folder of the adapter; of several checkpoints, each goes to DIR/RUN/weights/NAME",
            name="into",
            completes="folder",
            required=True,
        ),
        OF_RUN,
        TARGET,
        switch("--merge", "write the base model with the adapter merged into it (needs torch, transformers, peft)"),
        option(
            "--base",
            "MODEL",
            "with --merge: folder or name of the base weights; default is the checkpoint's base model",
            completes="folder",
        ),
        option("--push", "ORG/NAME", "push the folder to this repository of the Hugging Face Hub", free_text=True),
        switch("--public", "with --push: a repository that is made for it is public; default is private"),
    ),
    notes="The folder gets adapter_model.safetensors with PEFT's names, adapter_config.json, and a model card "
    "(README.md) with base model, run, step, recorded metrics and hashes. It appears when it is whole; one that exists "
    "is refused. Where modules have several ranks or scales, they get one, without changing what the adapter computes. "
    "df.loops.export_adapter(DIR) exports the rows of a DataFrame.",
    examples=(
        "%loops export-adapter h3wy7k5 -o adapters/support",
        "%loops export-adapter p2syas8/step-100 --target sampler -o adapters/support --push my-org/support",
        "%loops export-adapter p2syas8/step-100 --target sampler -o models/support --merge --base /data/Qwen3-8B",
    ),
    when_interrupted="Nothing was exported. What was downloaded is kept; the same line goes on from there.",
)
