"""LoRA scaling from an adapter's configuration: alpha / rank, or alpha / sqrt(rank)."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_PATTERN = 300
_LONGEST_PATH = 200
_MOST_REPEATS = 3
_REPEAT = re.compile(r"[*+?{]")
# Digits up to a dot match in only one way, so they cannot backtrack.
_NUMBER_PART = re.compile(r"(?:\\d|\[0-9\])[*+](?=\\\.)")
# Repeated groups and backreferences can backtrack exponentially on a name that almost matches.
_REPEATED_GROUP = re.compile(r"\)[*+{]|\\[1-9]|\(\?P=")
_MOST_PARAMETERS = 6
#: No usable alpha or rank is as large, and squares of scaled weights would overflow.
_TOO_LARGE = 1e100
_BASE_LAYER = ".base_layer"
_NO_ALPHA = "Its adapter_config.json has no usable lora_alpha, so the norms of its updates are missing."
# Variants of LoRA whose update is not the product of the stored matrices.
_OTHER_PRODUCTS = ("use_qalora", "use_bdlora")

Pattern = tuple[re.Pattern[str] | None, float]


class LoraSetting(NamedTuple):
    """Alpha and rank of one module or parameter.

    Parameters
    ----------
    alpha, rank : float or None
        None if not configured; NaN if the configured value is unusable.
    """

    alpha: float | None
    rank: float | None


class ExpertStack(NamedTuple):
    """Division of the factors of stacked experts: number of experts, rank of each, and alpha."""

    experts: int
    rank: int
    alpha: float | None


@dataclass(frozen=True)
class Scaling:
    """The parts of an ``adapter_config.json`` that determine the scale of updates.

    Parameters
    ----------
    alpha, rank : float or None
        ``lora_alpha`` and ``r``; None if not configured, NaN if unusable.
    alphas, ranks : tuple of (pattern or None, float)
        ``alpha_pattern`` and ``rank_pattern`` in order; the pattern is None if unusable.
    by_root : bool
        ``use_rslora``: alpha is divided by the root of the rank.
    factor : float or None
        The scale itself, which MLX configures instead of alpha.
    is_known : bool
        Whether the update is ``B @ A`` times a factor at all.
    parameters, modules : tuple and frozenset of str
        ``target_parameters`` and ``target_modules``, if they are lists of names.
    notes : tuple of str
        What could not be used.
    """

    alpha: float | None = None
    rank: float | None = None
    alphas: tuple[Pattern, ...] = ()
    ranks: tuple[Pattern, ...] = ()
    by_root: bool = False
    factor: float | None = None
    is_known: bool = True
    parameters: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def setting(self, *names: str) -> LoraSetting:
        """Return alpha and rank of a module or parameter.

        Parameters
        ----------
        *names : str
            Its names: as in the checkpoint, and without wrappers.  A pattern applies if it matches any of them.
        """
        return LoraSetting(_matched(names, self.alphas, self.alpha), _matched(names, self.ranks, self.rank))

    def scale(self, alpha: float | None, rank: int | None) -> float | None:
        """Return the factor before ``B @ A`` for alpha and rank of a module; None if unknown."""
        if not self.is_known or rank is None or rank < 1:
            return None
        if self.factor is not None:
            return None if math.isnan(self.factor) else self.factor
        if alpha is None or math.isnan(alpha):
            return None
        return alpha / math.sqrt(rank) if self.by_root else alpha / rank

    def parameters_of(self, module: str) -> tuple[str, ...]:
        """Return the full names of the parameters of a module that PEFT adapts directly; empty for an ordinary module.

        Parameters
        ----------
        module : str
            Path of the module, without ``.base_layer``.
        """
        found: dict[str, None] = {}
        for name in self.parameters:
            parent, _, parameter = name.rpartition(".")
            is_named = bool(parent) and (module == parent or module.endswith(f".{parent}"))
            if is_named or (not parent and not self._is_targeted(module)):
                found[f"{module}.{parameter}"] = None
        return tuple(found)

    def stacked(self, names: Sequence[str], rows: Sequence[int]) -> list[ExpertStack | None]:
        """Return how the factors of a module's parameters are divided into experts.

        If PEFT adapts a parameter with stacked experts, A has ``experts * rank`` rows: each expert has its own factors.
         Two parameters of one module are nested, and the file does not say which is the inner one.  So
        each order is tried; what holds in every order that fits the shapes is known.

        Parameters
        ----------
        names : sequence of str
            Full names of the parameters.
        rows : sequence of int
            Rows of A of each pair of factors of the module.

        Returns
        -------
        list of ExpertStack or None
            One for each of ``rows``; None if ambiguous.
        """
        settings = [self.setting(name) for name in names]
        orders: list[tuple[LoraSetting, ...]] = []
        if len(set(settings)) == 1 and len(settings) >= len(rows):
            # The order does not matter.
            orders = [tuple(settings[: len(rows)])]
        elif len(settings) <= _MOST_PARAMETERS:
            orders = list(itertools.permutations(settings, len(rows)))
        fitting = [found for order in orders if (found := _divided(order, rows)) is not None]
        possible = [{one[at] for one in fitting} for at in range(len(rows))]
        return [next(iter(stacks)) if len(stacks) == 1 else None for stacks in possible]

    def _is_targeted(self, module: str) -> bool:
        return any(module == name or module.endswith(f".{name}") for name in self.modules)


def without_base_layers(path: str) -> str:
    """Return the path of a module without the wrappers of its parameters."""
    while path.endswith(_BASE_LAYER):
        path = path.removesuffix(_BASE_LAYER)
    return path


def scaling_of(config: Mapping[str, Any] | None) -> Scaling:
    """Read the scaling of a configuration; what depends on an undocumented value is unknown, with a note.

    Parameters
    ----------
    config : mapping or None
        Content of ``adapter_config.json``; None without one.
    """
    if config is None:
        return Scaling(
            notes=(
                "It has no adapter_config.json, so the norms of its updates are missing: alpha / rank is not known.",
            )
        )
    notes: list[str] = []
    is_known = _is_scaled_product(config, notes)
    if "lora_alpha" not in config and isinstance(config.get("lora_parameters"), dict):
        return _of_mlx(config["lora_parameters"], notes, is_known=is_known)
    alpha = _number(config.get("lora_alpha"))
    if alpha is None:
        notes.append(_NO_ALPHA)
    rank = config.get("r")
    if rank is not None and _whole(rank) is None:
        notes.append(f"Its adapter_config.json has no usable r: {rank!r:.40}.")
    return Scaling(
        alpha=alpha,
        rank=None if rank is None else _whole(rank) or math.nan,
        alphas=_patterns(config, "alpha_pattern", notes),
        ranks=_patterns(config, "rank_pattern", notes),
        by_root=config.get("use_rslora") is True,
        is_known=is_known,
        parameters=_strings(config.get("target_parameters")),
        modules=frozenset(_strings(config.get("target_modules"))),
        notes=tuple(notes),
    )


def _is_scaled_product(config: Mapping[str, Any], notes: list[str]) -> bool:
    kind = config.get("peft_type")
    others = []
    if kind is not None and str(kind).rpartition(".")[2].upper() != "LORA":
        others.append(f"{kind!s:.40}")
    others += [key for key in _OTHER_PRODUCTS if config.get(key)]
    if others:
        notes.append(f"Its updates are not B @ A times a factor ({', '.join(others)}), so their norms are missing.")
    if config.get("use_dora") is True or config.get("fine_tune_type") == "dora":
        notes.append(
            "Its updates are DoRA's; what is compared of them is B @ A, and their magnitudes as tensors of their own."
        )
    if "use_rslora" in config and not isinstance(config["use_rslora"], bool | None):
        notes.append(
            f"Its use_rslora cannot be used: {config['use_rslora']!r:.40}; the norms of its updates are missing."
        )
        return False
    return not others


def _of_mlx(values: Mapping[str, Any], notes: list[str], *, is_known: bool) -> Scaling:
    rank, factor, alpha = _whole(values.get("rank")), _number(values.get("scale")), values.get("alpha")
    if factor is None:
        notes.append("Its lora_parameters have no usable scale, so the norms of its updates are missing.")
    elif alpha is not None and (rank is None or _number(alpha) != rank):
        # Older versions of MLX also multiply with alpha / rank, newer ones do not.
        notes.append(
            "Its lora_parameters have both alpha and scale, which versions of MLX read differently; norms of its "
            "updates are missing."
        )
        factor = None
    unusable = "rank" in values and rank is None
    return Scaling(
        rank=math.nan if unusable else rank,
        factor=math.nan if factor is None else factor,
        is_known=is_known,
        notes=tuple(notes),
    )


def _divided(order: Sequence[LoraSetting], rows: Sequence[int]) -> tuple[ExpertStack, ...] | None:
    found = []
    for setting, count in zip(order, rows, strict=True):
        rank = setting.rank
        if rank is None or math.isnan(rank) or count % rank:
            return None
        found.append(ExpertStack(count // int(rank), int(rank), setting.alpha))
    # All stacks of a module have the same number of experts; a plain matrix counts as one.
    if len({one.experts for one in found} - {1}) > 1:
        return None
    return tuple(found)


def _matched(names: Sequence[str], patterns: tuple[Pattern, ...], default: float | None) -> float | None:
    if patterns and max(map(len, names)) > _LONGEST_PATH:
        return math.nan
    for pattern, value in patterns:
        if pattern is None:
            # It may apply to this module, so the value is unknown.
            return math.nan
        if any(pattern.match(name) for name in names):
            return value
    return default


def _patterns(config: Mapping[str, Any], key: str, notes: list[str]) -> tuple[Pattern, ...]:
    table = config.get(key)
    if table is None:
        return ()
    if not isinstance(table, dict):
        notes.append(f"Its {key} is no table, so the norms of its updates are missing.")
        return ((None, math.nan),)
    read = _whole if key == "rank_pattern" else _number
    found = []
    for text, value in table.items():
        number, pattern = read(value), _pattern(text)
        if pattern is None or number is None:
            notes.append(
                f"Its {key} has an entry that cannot be used, and the norms that may depend on it are missing: "
                f"{text!r:.60}."
            )
        found.append((pattern, math.nan if number is None else number))
    return tuple(found)


def _pattern(text: str) -> re.Pattern[str] | None:
    # As in PEFT: a regular expression for the end of a name.  It is untrusted, and must not run forever.
    repeats = len(_REPEAT.findall(_NUMBER_PART.sub("", text)))
    if len(text) > _LONGEST_PATTERN or repeats > _MOST_REPEATS or _REPEATED_GROUP.search(text):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return re.compile(rf"(.*\.)?({text})$")
    except (re.error, OverflowError, RecursionError):
        return None


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(one for one in value if isinstance(one, str) and one)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) < _TOO_LARGE else None


def _whole(value: object) -> int | None:
    number = _number(value)
    if number is None or number < 1 or number != int(number):
        return None
    return int(number)
