"""Arguments that several tools have, with the texts that an agent reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


#: Agents often give the only item in place of the list.
Texts = Annotated[list[str], BeforeValidator(_as_list)]
Limit = Annotated[int, Field(ge=1, le=100, description="Most rows.")]
RunName = Annotated[str, Field(min_length=1, max_length=255, description="Id of the run, or its name if unique.")]
Scope = Annotated[
    Literal["own", "org"], Field(description="Your own runs, or those of the whole organisation that you may see.")
]
Metric = Annotated[
    str, Field(min_length=1, max_length=200, description="Key of the metric as it was logged, such as loss.")
]
Mode = Annotated[
    Literal["min", "max"] | None,
    Field(description="Whether lower or higher is better; by default the metric's name tells it (loss, accuracy)."),
]
Metrics = Annotated[
    Texts | None,
    Field(max_length=20, description="Keys or shell patterns of them (eval/*); default is all but durations."),
]
Experiments = Annotated[
    Texts | None,
    Field(
        max_length=50,
        description="Experiments by id, name, run id or shell pattern of names (lr-*); default is all.",
    ),
]
Confirmed = Annotated[
    bool,
    Field(description="False only says what would happen. True does it: only after the user has seen that and agreed."),
]
