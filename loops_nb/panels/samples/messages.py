"""Messages between a panel of samples and its pages; see `loops_nb.panels.protocol`.

Each view has a stream of its own.  A `GridUpdate` has the texts of those cells only that the view was not sent before;
a whole one, which answers a request, has all.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

# At run time: msgspec resolves the annotations.
from loops_nb.live import Health
from loops_nb.panels.protocol import FromAnyPage, Heartbeat

#: Which steps are shown: spread over the training, the newest, or those that were chosen.
StepMode = Literal["spread", "newest", "chosen"]
#: Order of the prompts: as recorded, by the newest reward shown, or by its change.
PromptOrder = Literal["recorded", "lowest", "highest", "change"]


class SampledRun(Struct, kw_only=True, frozen=True):
    """An experiment with samples.

    Parameters
    ----------
    id, name : str
        Id and label of the experiment.
    """

    id: str
    name: str


class SamplesMetadata(Struct, kw_only=True, frozen=True):
    """Everything but the samples.

    Parameters
    ----------
    runs : list of SampledRun
        Experiments with samples, the newest first.
    more_runs : int, default 0
        How many are left out.
    waiting : str, default ""
        What is missing of what was asked for, in words.
    """

    runs: list[SampledRun] = field(default_factory=list)
    more_runs: int = 0
    waiting: str = ""


class SampleSpec(Struct, kw_only=True, frozen=True):
    """What a view shows.

    Parameters
    ----------
    experiment : str, default ""
        Id of the experiment; empty for the newest.
    mode : {"spread", "newest", "chosen"}, default "spread"
        Which steps.
    steps : list of int, default []
        The chosen steps.
    columns : int, default 3
        Number of steps side by side.
    order : {"recorded", "lowest", "highest", "change"}, default "recorded"
        Order of the prompts.
    search : str, default ""
        Only prompts and completions with this text, in any case.
    first : int, default 0
        Number of prompts before the first one shown.
    """

    experiment: str = ""
    mode: StepMode = "spread"
    steps: list[int] = field(default_factory=list)
    columns: int = 3
    order: PromptOrder = "recorded"
    search: str = ""
    first: int = 0


class SampleCell(Struct, kw_only=True, frozen=True):
    """One sample.

    Parameters
    ----------
    id : int
        Its number in the file.
    completion : str
        The beginning of the completion.
    more : int
        Number of characters after it, which a `ReadSample` fetches.
    cut : int
        Number of characters that were not kept.
    reward : str
        The reward as text; empty without one.
    fields : list of (str, str)
        Further fields, as text.
    """

    id: int
    completion: str
    more: int = 0
    cut: int = 0
    reward: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)


class SamplePrompt(Struct, kw_only=True, frozen=True):
    """One row: a prompt, and its sample at each of the steps.

    Parameters
    ----------
    key : str
        Identifies the row.
    prompt : str
        The beginning of the prompt.
    more : int
        Number of characters after it.
    number, total : int
        Which of the samples of this prompt it is, and how many there are at most at a step.
    reward, change : str
        The newest reward shown, and its difference to the first one shown; empty without.
    is_better : bool or None
        Whether the reward rose; None if it did not change.
    cells : list of (int or None)
        Id of the sample at each of the steps.
    """

    key: str
    prompt: str
    more: int = 0
    number: int = 1
    total: int = 1
    reward: str = ""
    change: str = ""
    is_better: bool | None = None
    cells: list[int | None]


class SampleStep(Struct, kw_only=True, frozen=True):
    """One column: a step, the number of its samples, and their mean reward as text."""

    step: int
    samples: int
    reward: str = ""


class SampleGridData(Struct, kw_only=True, frozen=True):
    """What a view shows.

    Parameters
    ----------
    spec : SampleSpec
        What was asked for, with the experiment that is shown.
    steps : list of SampleStep
        The columns, in ascending order.
    rows : list of SamplePrompt
        Some of the prompts, from ``spec.first`` on.
    total : int
        Number of prompts at these steps that match.
    known_steps : list of int
        Steps that can be chosen; at most 200 of them, spread over all.
    step_count : int
        Number of all steps with samples.
    dropped : int
        Number of samples that were dropped to keep the experiment in its bounds.
    has_rewards : bool
        Whether any sample at these steps has a reward.
    cells : list of SampleCell
        Samples that the view does not have yet.
    """

    spec: SampleSpec
    steps: list[SampleStep]
    rows: list[SamplePrompt]
    total: int
    known_steps: list[int]
    step_count: int
    dropped: int
    has_rewards: bool
    cells: list[SampleCell]


class SamplesSnapshot(Struct, kw_only=True, tag_field="type", tag="snapshot"):
    """Everything, for a page that opens; parameters as of the other messages."""

    now: float
    title: str
    line: str
    metadata: SamplesMetadata
    grid: SampleGridData | None
    seq: int
    health: Health


class SamplesMetadataUpdate(Struct, kw_only=True, tag_field="type", tag="metadata"):
    """Other experiments, or another state of the store."""

    now: float
    metadata: SamplesMetadata
    health: Health


class GridUpdate(Struct, kw_only=True, tag_field="type", tag="grid"):
    """What a view shows now.

    Parameters
    ----------
    stream : str
        The view, or `loops_nb.panels.protocol.ALL_VIEWS`.
    seq, base : int
        Its number, and that of the message before it; ``base`` is -1 if it has the texts of all cells.
    now : float
        The kernel's clock.
    grid : SampleGridData or None
        None while there are no samples.
    """

    stream: str
    seq: int
    base: int
    now: float
    grid: SampleGridData | None


class SampleText(Struct, kw_only=True, tag_field="type", tag="sample_text"):
    """The whole texts of one sample; both are empty if it is not kept any more."""

    view: str
    now: float
    id: int
    prompt: str
    completion: str


class SetSamples(Struct, kw_only=True, tag_field="type", tag="set_samples"):
    """Show this."""

    view: str
    spec: SampleSpec


class ReadSample(Struct, kw_only=True, tag_field="type", tag="read_sample"):
    """Send the whole texts of a sample."""

    view: str
    id: int


SamplesToPage = SamplesSnapshot | SamplesMetadataUpdate | GridUpdate | SampleText | Heartbeat
SamplesFromPage = FromAnyPage | SetSamples | ReadSample
