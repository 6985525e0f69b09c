"""A task without a download for the official recipes: conversations to imitate, and sums to get right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import chz
from tinker_cookbook import renderers
from tinker_cookbook.rl.problem_env import ProblemEnv, ProblemGroupBuilder
from tinker_cookbook.rl.types import RLDataset, RLDatasetBuilder
from tinker_cookbook.tokenizer_utils import get_tokenizer

#: A renderer that needs no chat template, which a tokenizer of bytes does not have.
RENDERER = "role_colon"


def write_conversations(path: Path, *, count: int) -> None:
    """Write a file of conversations, one a line."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            question = f"{number % 4}+{number % 3}?"
            messages = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": str(number % 4 + number % 3)},
            ]
            file.write(json.dumps({"messages": messages}) + "\n")


class SumEnv(ProblemEnv):
    """One question; an answer is right that begins with a digit, which a small model finds by chance."""

    def __init__(self, renderer: renderers.Renderer, question: str) -> None:
        super().__init__(renderer, require_stop_sequence_for_format=False)
        self._question = question

    def get_question(self) -> str:
        """Return the question."""
        return self._question

    def check_answer(self, sample_str: str) -> bool:
        """Tell whether it is an answer."""
        return sample_str.strip()[:1].isdigit()

    def check_format(self, sample_str: str) -> bool:
        """Tell whether there is anything."""
        return bool(sample_str.strip())

    def get_reference_answer(self) -> str:
        """Return what the log shows."""
        return "a digit"


class SumDataset(RLDataset):
    """A few batches of groups."""

    def __init__(self, renderer: renderers.Renderer, batches: int, groups: int, group_size: int) -> None:
        self._renderer, self._batches, self._groups, self._size = renderer, batches, groups, group_size

    def get_batch(self, index: int) -> Sequence[ProblemGroupBuilder]:
        """Return the groups of a batch."""
        return [
            ProblemGroupBuilder(
                env_thunk=lambda number=number: SumEnv(self._renderer, f"{number % 4}+{number % 3}?"),
                num_envs=self._size,
            )
            for number in range(index * self._groups, (index + 1) * self._groups)
        ]

    def __len__(self) -> int:
        return self._batches


@chz.chz
class SumDatasetBuilder(RLDatasetBuilder):
    """What the configuration of a run has of the task."""

    model_name: str
    batches: int = 3
    groups: int = 2
    group_size: int = 4

    async def __call__(self) -> tuple[RLDataset, None]:
        """Return the dataset; there is no other one for tests."""
        renderer = renderers.get_renderer(RENDERER, get_tokenizer(self.model_name))
        return SumDataset(renderer, self.batches, self.groups, self.group_size), None
