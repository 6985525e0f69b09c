"""``%loops evaluate PROMPTS.jsonl RUN ... --score FUNCTION``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loops_nb.magics.arguments import int_option, to_float
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, option
from loops_nb.magics.notebook_names import EXECUTOR, executor_options, named_object

if TYPE_CHECKING:
    import pandas as pd

_HOW = "Define it in a cell: def score(completion, answer): return float(answer in completion)"
_SCORED_BY = "concurrent.futures.Executor, or client of Dask or ipyparallel, whose workers call the function; named"
_PARAMETERS = ("n", "max_tokens", "temperature", "seed", "parallel", "name")


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    score = named_object(context, values.score, argument="score", what="function", fits=callable, otherwise=_HOW)
    wanted = {name: getattr(values, name) for name in _PARAMETERS if getattr(values, name) is not None}
    names = [name.strip() for name in values.checkpoints.split(",") if name.strip()]
    wanted |= executor_options(context, values)
    return context.loops.evaluate(values.file, list(values.runs), score=score, checkpoints=names or "all", **wanted)


VERB = Verb(
    name="evaluate",
    summary="score a set of prompts over the checkpoints of runs, as a recorded curve",
    run=_run,
    returns_frame=True,
    kinds=("scores",),
    arguments=(
        Argument("file", "PROMPTS.jsonl", 'JSON lines, each an object with "prompt"', completes="file", required=True),
        Argument("runs", "RUN", "run's id or name", completes="run", repeated=True, required=True),
    ),
    options=(
        option(
            "--score",
            "FUNCTION",
            "name of a function of the notebook, or module:function; gets those of prompt, completion and the fields "
            "of the line that it has parameters for",
            completes="function",
            required=True,
        ),
        option(
            "--checkpoints",
            "NAMES",
            "all (default), or names of sampler checkpoints separated by commas: step-50,step-100; base is the base "
            "model at step 0: base,all",
            free_text=True,
            default="all",
        ),
        option("--name", "NAME", "name of the experiment; default eval-PROMPTS-RUN", free_text=True),
        int_option("--n", "number of completions of each prompt (default 1)"),
        int_option("--max-tokens", "maximum tokens of a completion (default 128)"),
        option("--temperature", "T", "sampling temperature (default 0, greedy)", convert=to_float, free_text=True),
        int_option("--seed", "random seed for reproducible completions"),
        int_option("--parallel", "most requests at a time (default 4)"),
        replace(EXECUTOR, help=f"{_SCORED_BY} as a variable, or module:name"),
    ),
    notes="Each run gets an experiment with a point of the mean score for each checkpoint, its mark, and all samples: "
    "%loops curves, %loops watch samples. Interrupted or repeated, the line goes on where it ended: what is scored is "
    "not asked again. In Python: loops.evaluate(FILE, RUN, score=function).",
    when_interrupted="What was scored is kept: the same line goes on from there.",
    shell=InShell(
        helps={
            "--executor": f"{_SCORED_BY} as module:name",
            "--score": "module:function, of an installed package or a file of this folder; gets those of prompt, "
            "completion and the fields of the line that it has parameters for",
        },
        notes="Each run gets an experiment with a point of the mean score for each checkpoint, its mark, and all "
        "samples. Interrupted or repeated, the line goes on where it ended: what is scored is not asked again.",
    ),
    examples=(
        "%loops evaluate math.jsonl p2syas8 --score exact_match",
        "df = %loops evaluate math.jsonl math-1 math-2 --checkpoints step-50,step-100 --score my_scores:exact --n 4",
    ),
)
