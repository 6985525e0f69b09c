"""Model of the panel of samples: the experiments, the steps that are shown, and the rows of prompts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec

from loops_nb.panels.samples.messages import (
    SampleCell,
    SampledRun,
    SampleGridData,
    SamplePrompt,
    SamplesMetadata,
    SampleSpec,
    SampleStep,
)
from loops_nb.tracking.metrics import is_pattern
from loops_nb.tracking.samples import PROMPT_NUMBER

if TYPE_CHECKING:
    from loops_nb.tracking import ExperimentRow, ExperimentStore
    from loops_nb.tracking.samples import SampleRow

#: Rows that are sent at once.
PAGE_ROWS = 20
MOST_COLUMNS = 6
#: Characters of all completions that are sent at once, and of one at least and at most.
_MOST_CHARACTERS, _LEAST_OF_CELL, _MOST_OF_CELL = 48_000, 160, 2_000
_MOST_OF_PROMPT = 600
_MOST_RUNS = 100
_MOST_KNOWN_STEPS = 200
_MOST_FIELDS, _MOST_OF_FIELD = 8, 120
_MINUS = "\u2212"


@dataclass(slots=True)
class SampleView:
    """What a view has on its page.

    Parameters
    ----------
    spec : SampleSpec
        What it asked for, with the experiment that is shown.
    seq : int, default 0
        Number of the newest message that it was sent.
    sent : dict of int to SampleCell
        The cells that it has, as they were sent.
    grid : SampleGridData or None
        What it shows, without the cells.
    """

    spec: SampleSpec
    seq: int = 0
    sent: dict[int, SampleCell] = field(default_factory=dict)
    grid: SampleGridData | None = None


@dataclass(slots=True)
class PromptRow:
    """A prompt with its sample at each of some steps.

    Parameters
    ----------
    prompt : str
        The prompt.
    number : int
        Which of the samples of the prompt at a step, from 1.
    samples : list of SampleRow or None
        Its sample at each step.
    """

    prompt: str
    number: int
    samples: list[SampleRow | None]

    @property
    def rewards(self) -> list[float]:
        """Its rewards, in the order of the steps."""
        return [one.reward for one in self.samples if one is not None and one.reward is not None]

    @property
    def change(self) -> float | None:
        """Difference of the newest reward and the first; None if there are fewer than two."""
        rewards = self.rewards
        return rewards[-1] - rewards[0] if len(rewards) > 1 else None


class SampleModel:
    """The samples of a panel; used by one thread at a time.

    Parameters
    ----------
    store : ExperimentStore
        Where they are.
    wanted : sequence of str or None
        Ids of experiments or runs, names, or patterns of names; None for all that are not archived.
    """

    def __init__(self, store: ExperimentStore, wanted: Sequence[str] | None) -> None:
        self._store = store
        self._wanted = wanted
        self.metadata: SamplesMetadata = SamplesMetadata()
        self._steps: dict[str, dict[int, int]] = {}
        self._samples: dict[tuple[str, int], tuple[int, list[SampleRow]]] = {}

    def read(self) -> bool:
        """Read which experiments have samples, and return whether that changed; `grid` reads the samples."""
        rows = self._rows()
        sampled = set(self._store.sampled())
        found = [row for row in rows if row.id in sampled]
        # Read again when a view needs them.
        self._steps = {}
        metadata = SamplesMetadata(
            runs=[SampledRun(id=row.id, name=row.label) for row in found[:_MOST_RUNS]],
            more_runs=max(0, len(found) - _MOST_RUNS),
            waiting=self._waiting(rows, sampled),
        )
        has_changed = metadata != self.metadata
        self.metadata = metadata
        return has_changed

    def grid(self, spec: SampleSpec) -> SampleGridData | None:
        """Return what a view shows, with the texts of all its cells; None while there are no samples."""
        chosen = self.chosen(spec)
        if chosen is None:
            return None
        steps, samples = self.shown(chosen)
        rows = _matching(prompt_rows(samples), chosen.search)
        rows = _in_order(rows, chosen.order)
        first = min(chosen.first, max(0, (len(rows) - 1) // PAGE_ROWS * PAGE_ROWS))
        page = rows[first : first + PAGE_ROWS]
        most = _MOST_CHARACTERS // max(1, sum(one is not None for row in page for one in row.samples))
        most = max(_LEAST_OF_CELL, min(_MOST_OF_CELL, most))
        totals: dict[str, int] = {}
        for row in rows:
            totals[row.prompt] = max(totals.get(row.prompt, 0), row.number)
        return SampleGridData(
            spec=msgspec.structs.replace(chosen, first=first),
            steps=[
                SampleStep(step=step, samples=len(there), reward=reward_text(_mean(there)))
                for step, there in zip(steps, samples, strict=True)
            ],
            rows=[_sent_row(row, totals[row.prompt]) for row in page],
            total=len(rows),
            known_steps=spread(list(self.steps(chosen.experiment)), _MOST_KNOWN_STEPS),
            step_count=len(self.steps(chosen.experiment)),
            dropped=self.dropped(chosen.experiment),
            has_rewards=any(one.reward is not None for there in samples for one in there),
            cells=[_sent_cell(one, most) for row in page for one in row.samples if one is not None],
        )

    def chosen(self, spec: SampleSpec) -> SampleSpec | None:
        """Return a specification with the experiment and the steps that are shown; None while there are no samples."""
        runs = self.metadata.runs
        if not runs:
            return None
        experiment = spec.experiment if any(run.id == spec.experiment for run in runs) else runs[0].id
        known = list(self.steps(experiment))
        columns = max(1, min(MOST_COLUMNS, spec.columns))
        if spec.mode == "chosen":
            there = set(known)
            steps = sorted({step for step in spec.steps if step in there})[:MOST_COLUMNS] or known[-1:]
        else:
            steps = known[-columns:] if spec.mode == "newest" else spread(known, columns)
        return msgspec.structs.replace(
            spec, experiment=experiment, steps=steps, columns=columns, first=max(0, spec.first)
        )

    def shown(self, spec: SampleSpec) -> tuple[list[int], list[list[SampleRow]]]:
        """Return the steps of a chosen specification and their samples; of a prompt those of the last attempt."""
        samples = []
        for step in spec.steps:
            there = self._samples_at(spec.experiment, step)
            newest: dict[str, int] = {}
            for one in there:
                newest[one.prompt] = max(newest.get(one.prompt, 0), one.attempt)
            samples.append([one for one in there if one.attempt == newest[one.prompt]])
        return spec.steps, samples

    def steps(self, experiment: str) -> dict[int, int]:
        """Return the steps with samples of an experiment, and their numbers."""
        if experiment not in self._steps:
            self._steps[experiment] = self._store.sample_steps(experiment)
        return self._steps[experiment]

    def dropped(self, experiment: str) -> int:
        """Return how many samples of an experiment were dropped to keep it in its bounds."""
        return self._store.samples_dropped(experiment)

    def sample(self, sample_id: int) -> SampleRow | None:
        """Return a sample of the steps that are shown; None if there is none with this id."""
        return next((one for _, there in self._samples.values() for one in there if one.seq == sample_id), None)

    def keep_only(self, specs: Iterable[SampleSpec]) -> None:
        """Forget the samples of steps that no view shows."""
        kept = {(spec.experiment, step) for spec in specs for step in spec.steps}
        for place in list(self._samples):
            if place not in kept:
                del self._samples[place]

    def _samples_at(self, experiment: str, step: int) -> list[SampleRow]:
        count = self.steps(experiment).get(step, 0)
        known = self._samples.get((experiment, step))
        if known is None or known[0] != count:
            known = self._samples[experiment, step] = count, self._store.samples(experiment, steps=[step])
        return known[1]

    def _rows(self) -> list[ExperimentRow]:
        if self._wanted is None:
            return self._store.experiments()
        rows = self._store.experiments(archived=True)
        found: dict[str, ExperimentRow] = {}
        for word in self._wanted:
            found |= {row.id: row for row in rows if _is_named(row, word)}
        return sorted(found.values(), key=lambda row: (row.created_at, row.id), reverse=True)

    def _waiting(self, rows: Sequence[ExperimentRow], sampled: set[str]) -> str:
        if self._wanted is None:
            return ""
        missing = [word for word in self._wanted if not any(_is_named(row, word) and row.id in sampled for row in rows)]
        return f"No samples of {', '.join(missing[:4])} yet." if missing else ""


def _is_named(row: ExperimentRow, word: str) -> bool:
    if word in (row.id, row.run_id, row.name):
        return True
    return is_pattern(word) and not row.archived and fnmatchcase(row.name, word)


def spread(steps: Sequence[int], most: int) -> list[int]:
    """Return at most so many steps, evenly spaced in their order, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    if most == 1:
        return [steps[-1]]
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def prompt_rows(samples: Sequence[Sequence[SampleRow]]) -> list[PromptRow]:
    """Return the prompts of some steps: the n-th sample of a prompt at one step is beside the n-th at the others.

    Prompts that more of the steps have come first.
    """
    found: dict[tuple[str, int], PromptRow] = {}
    for place, there in enumerate(samples):
        counts: dict[str, int] = {}
        for one in there:
            number = counts[one.prompt] = counts.get(one.prompt, 0) + 1
            row = found.setdefault((one.prompt, number), PromptRow(one.prompt, number, [None] * len(samples)))
            row.samples[place] = one
    # All samples of a prompt stay together, in the order in which the prompts were recorded first; those of an
    # evaluation, whose answers come in any order, in that of its prompts.
    order: dict[str, tuple[int, int]] = {}
    for place, row in enumerate(found.values()):
        listed = next(one for one in row.samples if one is not None).fields.get(PROMPT_NUMBER)
        order.setdefault(row.prompt, (listed if isinstance(listed, int) else 0, place))
    filled: dict[str, int] = {}
    for row in found.values():
        filled[row.prompt] = max(filled.get(row.prompt, 0), sum(one is not None for one in row.samples))
    return sorted(found.values(), key=lambda row: (-filled[row.prompt], order[row.prompt], row.number))


def _matching(rows: list[PromptRow], search: str) -> list[PromptRow]:
    text = search.strip().casefold()
    if not text:
        return rows
    return [
        row
        for row in rows
        if text in row.prompt.casefold()
        or any(one is not None and text in one.completion.casefold() for one in row.samples)
    ]


def _in_order(rows: list[PromptRow], order: str) -> list[PromptRow]:
    if order == "recorded":
        return rows
    if order == "change":
        return sorted(rows, key=lambda row: -abs(_known(row.change, 0.0)))
    sign = 1 if order == "lowest" else -1
    return sorted(
        rows, key=lambda row: sign * row.rewards[-1] if row.rewards and row.rewards[-1] == row.rewards[-1] else math.inf
    )


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


def _sent_row(row: PromptRow, total: int) -> SamplePrompt:
    rewards, change = row.rewards, row.change
    digest = hashlib.blake2b(row.prompt.encode(), digest_size=8).hexdigest()
    return SamplePrompt(
        key=f"{digest}-{row.number}",
        prompt=row.prompt[:_MOST_OF_PROMPT],
        more=max(0, len(row.prompt) - _MOST_OF_PROMPT),
        number=row.number,
        total=total,
        reward=reward_text(rewards[-1]) if rewards else "",
        change=change_text(change),
        is_better=None if not change or math.isnan(change) else change > 0,
        cells=[None if one is None else one.seq for one in row.samples],
    )


def _sent_cell(one: SampleRow, most: int) -> SampleCell:
    return SampleCell(
        id=one.seq,
        completion=one.completion[:most],
        more=max(0, len(one.completion) - most),
        cut=one.cut,
        reward="" if one.reward is None else reward_text(one.reward),
        fields=[(name[:_MOST_OF_FIELD], field_text(value)) for name, value in list(one.fields.items())[:_MOST_FIELDS]],
    )


def field_text(value: Any) -> str:
    """Return the value of a further field as a short text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{text[:_MOST_OF_FIELD]}…" if len(text) > _MOST_OF_FIELD else text


def _mean(samples: Sequence[SampleRow]) -> float | None:
    rewards = [one.reward for one in samples if one.reward is not None]
    return sum(rewards) / len(rewards) if rewards else None


def reward_text(reward: float | None) -> str:
    """Return a reward as text; empty without one."""
    if reward is None:
        return ""
    if math.isnan(reward):
        return "NaN"
    return f"{reward:.4g}".replace("-", _MINUS)


def change_text(change: float | None) -> str:
    """Return the change of a reward as text, with its sign; empty without one."""
    if change is None or math.isnan(change):
        return ""
    return f"+{reward_text(change)}" if change > 0 else reward_text(change)
