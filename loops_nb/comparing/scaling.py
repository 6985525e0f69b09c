"""What an adapter's configuration multiplies ``B @ A`` with: alpha / rank, or alpha / sqrt(rank)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_PATTERN = 300
_LONGEST_PATH = 200
_MOST_REPEATS = 3
_REPEAT = re.compile(r"[*+?{]")
# A group that is repeated as a whole can take time without end on a name that almost fits.
_REPEATED_GROUP = re.compile(r"\)[*+{]")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Scaling:
    """The part of an ``adapter_config.json`` that decides how large an update is.

    Parameters
    ----------
    alpha, rank
        ``lora_alpha`` and ``r``; None where the configuration does not say.
    alphas, ranks
        ``alpha_pattern`` and ``rank_pattern``: in order, the pattern of module names and what applies to them.
    by_root
        ``use_rslora``: alpha is divided by the root of the rank.
    packed
        Modules whose parameters are stacked experts (the parents of ``target_parameters``).
    notes
        Sentences about what could not be used.
    """

    alpha: float | None = None
    rank: int | None = None
    alphas: tuple[tuple[re.Pattern[str], float], ...] = ()
    ranks: tuple[tuple[re.Pattern[str], int], ...] = ()
    by_root: bool = False
    packed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def of(self, module: str, rank: int) -> float | None:
        """Return the factor before ``B @ A`` of a module.

        Parameters
        ----------
        module
            Its path in the base model.
        rank
            The rank of its factors.

        Returns
        -------
        float or None
            None when the configuration does not tell; then the update is taken as it is.
        """
        alpha = _of_module(module, self.alphas, self.alpha)
        if alpha is None or rank < 1:
            return None
        return alpha / math.sqrt(rank) if self.by_root else alpha / rank

    def rank_of(self, module: str) -> int | None:
        """Return the rank that the configuration gives a module."""
        return _of_module(module, self.ranks, self.rank)

    def experts_of(self, module: str, rows: int) -> int:
        """Return how many experts the factors of a module hold side by side; 1 for an ordinary module.

        Where PEFT adapts a parameter that stacks the experts of a layer, A has ``experts * rank`` rows: each expert has factors of its own.

        Parameters
        ----------
        module
            Path of the module.
        rows
            Rows of its A.
        """
        # Two parameters of one module are wrapped one around the other.
        path = module
        while path.endswith(".base_layer"):
            path = path.removesuffix(".base_layer")
        if not any(path == parent or path.endswith(f".{parent}") for parent in self.packed):
            return 1
        rank = self.rank_of(path)
        return rows // rank if rank and rows % rank == 0 else 1


def scaling_of(config: Mapping[str, Any] | None) -> Scaling:
    """Read the scaling of a configuration.  What is not as documented is left out, and a note says so.

    Parameters
    ----------
    config
        The ``adapter_config.json`` of a checkpoint; None when it has none.
    """
    if config is None:
        return Scaling(notes=("It has no adapter_config.json, so its updates count as B @ A, without alpha / rank.",))
    notes: list[str] = []
    alpha = _number(config.get("lora_alpha"))
    if alpha is None:
        notes.append("Its adapter_config.json has no usable lora_alpha, so its updates count as B @ A, without alpha / rank.")
    if config.get("use_dora") is True:
        notes.append("Its updates are DoRA's; what is compared of them is B @ A, and their magnitudes as tensors of their own.")
    alphas = _patterns(config, "alpha_pattern", notes)
    ranks = _patterns(config, "rank_pattern", notes)
    named = config.get("target_parameters")
    packed = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    return Scaling(
        alpha=alpha,
        rank=_whole(config.get("r")),
        alphas=tuple(alphas),
        ranks=tuple((pattern, rank) for pattern, number in ranks if (rank := _whole(number)) is not None),
        by_root=config.get("use_rslora") is True,
        packed=frozenset(name.rpartition(".")[0] for name in packed if "." in name),
        notes=tuple(notes),
    )


def _of_module(module: str, patterns: tuple[tuple[re.Pattern[str], Value], ...], otherwise: Value | None) -> Value | None:
    if len(module) > _LONGEST_PATH:
        return otherwise
    return next((value for pattern, value in patterns if pattern.fullmatch(module)), otherwise)


def _patterns(config: Mapping[str, Any], key: str, notes: list[str]) -> list[tuple[re.Pattern[str], float]]:
    table = config.get(key)
    found = []
    for text, value in table.items() if isinstance(table, dict) else ():
        number, pattern = _number(value), _pattern(text)
        if number is None or pattern is None:
            notes.append(f"Its {key} has an entry that cannot be used and was left out: {text!r:.60}.")
        else:
            found.append((pattern, number))
    return found


def _pattern(text: str) -> re.Pattern[str] | None:
    # As PEFT reads them: a regular expression for the end of a module's path.  It is somebody else's text, and must not run for ever.
    if len(text) > _LONGEST_PATTERN or len(_REPEAT.findall(text)) > _MOST_REPEATS or _REPEATED_GROUP.search(text):
        return None
    try:
        return re.compile(rf"(?:.*\.)?(?:{text})")
    except (re.error, OverflowError, RecursionError):
        return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 1 and number == int(number) else None
