"""``%loops capabilities``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.options import count, of_filter
from loops_nb.models import USE_CASES

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    frame = desk.loops.capabilities.frame(model=values.model, use_case=values.use_case or "rl", max_seq_len=values.max_seq_len)
    near = desk.near(("base_model", values.model))
    return desk.listing(
        "capabilities",
        frame,
        nothing="The service offers no base models. %loops doctor tells where you are connected.",
        filters=of_filter(("--model", values.model), ("--use-case", values.use_case), ("--max-seq-len", values.max_seq_len)),
        no_match=near or "%loops capabilities lists all.",
    )


VERB = Verb(
    name="capabilities",
    summary="base models that can be trained, and how long their examples may be",
    run=_run,
    gives_frames=True,
    options=(
        Option(name="model", flags=("-m", "--model"), metavar="MODEL", knows="base_model", help="only this base model"),
        Option(name="use_case", flags=("--use-case",), metavar="CASE", choices=USE_CASES, help="rl (usual) or sft"),
        count("max_seq_len", "--max-seq-len", "only what can take examples of this many tokens"),
    ),
    examples=("%loops capabilities", "%loops capabilities --use-case sft --max-seq-len 65536"),
)
