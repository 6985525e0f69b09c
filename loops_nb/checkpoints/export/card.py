"""The model card of an exported adapter: ``README.md`` as the Hugging Face Hub reads it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loops_nb._version import __version__
from loops_nb.errors import one_line
from loops_nb.frames.columns import is_secondary_metric
from loops_nb.render.formatting import first_and_more, many, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.export.layout import AdapterLayout

CARD = "README.md"
_MOST_METRICS, _MOST_MODULES = 40, 12
_LONGEST_CELL = 200
#: Ranks that ``vllm serve --max-lora-rank`` takes.
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# What Markdown or HTML would take for markup, in texts of the service.
_MARKUP = {ord(character): f"\\{character}" for character in "\\`*_[]<>|#~$!"}


@dataclass(frozen=True, slots=True)
class RecordedMetric:
    """A recorded value at a checkpoint.

    Parameters
    ----------
    key : str
        The metric.
    value : float
        Its value.
    step : int or None
        The step that it was logged at.
    """

    key: str
    value: float
    step: int | None


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says of an export.

    Parameters
    ----------
    ref : CheckpointRef
        The checkpoint.
    layout : AdapterLayout
        The adapter.
    step : int or None
        Its training step.
    metrics : sequence of RecordedMetric
        Values recorded on this machine.
    files : mapping of str to (int, str)
        Size and SHA-256 of each file.
    is_merged : bool, default False
        Whether the folder has the whole model.
    """

    ref: CheckpointRef
    layout: AdapterLayout
    step: int | None
    metrics: Sequence[RecordedMetric]
    files: Mapping[str, tuple[int, str]]
    is_merged: bool = False

    @property
    def base_model(self) -> str:
        """The base model; empty if it is not known."""
        return str(self.layout.config.get("base_model_name_or_path") or "")


def recorded_metrics(ref: CheckpointRef) -> tuple[int | None, list[RecordedMetric]]:
    """Return step and metrics of a checkpoint as recorded on this machine, the values of training before its times."""
    from loops_nb.errors import TrackingError
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.join import RecordedRuns

    try:
        with ExperimentStore(read_only=True) as store:
            step, found = RecordedRuns(store).at_save(ref.run_id, ref.uri, ref.name)
    except TrackingError:
        # Without a file of experiments, or with one that cannot be read, an adapter is as good.
        return ref.step, []
    values = [
        RecordedMetric(key, one.value, one.step)
        for key, one in found.items()
        if math.isfinite(one.value) and not is_secondary_metric(key)
    ]
    return step, sorted(values, key=lambda one: one.key)


def card_text(facts: CardFacts) -> str:
    """Return the text of a model card; texts of the service are escaped."""
    ref, layout = facts.ref, facts.layout
    name = f"{ref.run_id}/{ref.name}" if ref.run_id and ref.name else ref.id
    what = "Model with a merged LoRA adapter" if facts.is_merged else "LoRA adapter"
    base = f" for {_escaped(facts.base_model)}" if facts.base_model else ""
    lines = [
        *_front_matter(facts),
        "",
        f"# {_escaped(name)}",
        "",
        f"{what}{base}, trained with Baseten Loops and exported by loops_nb {__version__}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {title} | {text} |" for title, text in _rows(facts)),
        "",
        *_metrics(facts),
        *_use(facts),
        "## Files",
        "",
        "| File | Bytes | SHA-256 |",
        "|---|---|---|",
        *(f"| {_escaped(file)} | {count} | {digest} |" for file, (count, digest) in sorted(facts.files.items())),
    ]
    if layout.notes:
        lines += ["", "## Notes", "", *(f"- {_escaped(note)}" for note in layout.notes)]
    return "\n".join(lines) + "\n"


def _front_matter(facts: CardFacts) -> list[str]:
    """Return the metadata of the Hub; JSON strings are valid YAML."""
    lines = ["---"]
    base = facts.base_model
    # A folder of the trainer's machine is no model of the Hub.
    if base.count("/") == 1 and not base.startswith(("/", ".")):
        lines += [
            f"base_model: {json.dumps(base)}",
            f"base_model_relation: {'merge' if facts.is_merged else 'adapter'}",
        ]
    lines += [f"library_name: {'transformers' if facts.is_merged else 'peft'}", "pipeline_tag: text-generation"]
    return [*lines, "tags:", "- lora", "- loops", "---"]


def _rows(facts: CardFacts) -> list[tuple[str, str]]:
    ref, layout = facts.ref, facts.layout
    types = sorted({path.rpartition(".")[2] for path in layout.modules})
    scale = f"alpha {layout.config['lora_alpha']:g}" if layout.config.get("lora_alpha") is not None else "alpha unknown"
    if layout.config.get("use_rslora") is True:
        scale += ", divided by the root of the rank"
    rows = [
        ("Base model", _escaped(facts.base_model or "not known")),
        ("Checkpoint", _escaped(ref.uri or ref.id)),
        ("Checkpoint id", _escaped(ref.id)),
        ("Run", _escaped(ref.run_id or "not known")),
        ("Step", "not known" if facts.step is None else f"{facts.step}"),
        ("LoRA rank", f"{layout.rank}, {scale}"),
        ("Modules", f"{many(len(layout.modules), 'module')}: {_escaped(first_and_more(types, _MOST_MODULES))}"),
        ("Size", size(sum(count for count, _ in facts.files.values()))),
    ]
    if ref.target:
        rows.insert(3, ("Target", _escaped(ref.target)))
    return rows


def _metrics(facts: CardFacts) -> list[str]:
    if not facts.metrics:
        return ["No metrics of this run are recorded on the machine that exported it.", ""]
    lines = ["## Metrics", "", "| Metric | Value | Step |", "|---|---|---|"]
    lines += [
        f"| {_escaped(one.key)} | {one.value:.6g} | {'' if one.step is None else one.step} |"
        for one in facts.metrics[:_MOST_METRICS]
    ]
    if len(facts.metrics) > _MOST_METRICS:
        lines += ["", f"And {many(len(facts.metrics) - _MOST_METRICS, 'more metric')}."]
    return [*lines, ""]


def _use(facts: CardFacts) -> list[str]:
    if facts.is_merged:
        return [
            "## Use",
            "",
            "```python",
            "from transformers import AutoModelForCausalLM",
            "",
            'model = AutoModelForCausalLM.from_pretrained(".")  # this folder',
            "```",
            "",
        ]
    lines = [
        "## Use",
        "",
        "```python",
        "from peft import AutoPeftModelForCausalLM",
        "",
        'model = AutoPeftModelForCausalLM.from_pretrained(".")  # this folder',
        "```",
        "",
    ]
    base = facts.base_model
    # The lines are to be copied into a shell, so only a plain name stands in them.
    if not base or not all(character.isalnum() or character in "/._-" for character in base):
        return lines
    rank = next((known for known in _VLLM_RANKS if known >= facts.layout.rank), facts.layout.rank)
    return [
        *lines,
        "```console",
        f"vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules adapter=.",
        f"python -m sglang.launch_server --model-path {base} --enable-lora --lora-paths adapter=.",
        "```",
        "",
    ]


def _escaped(text: str) -> str:
    return one_line(text, limit=_LONGEST_CELL).translate(_MARKUP)
