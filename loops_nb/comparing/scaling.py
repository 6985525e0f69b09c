"""What an adapter's configuration multiplies ``B @ A`` with: alpha / rank, or alpha / sqrt(rank)."""

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
# Digits up to a dot can match in one way only, so they cost no time.
_NUMBER_PART = re.compile(r"(?:\\d|\[0-9\])[*+](?=\\\.)")
# A group that is repeated as a whole can take time without end on a name that almost fits; so can a reference to what a group matched.
_REPEATED_GROUP = re.compile(r"\)[*+{]|\\[1-9]|\(\?P=")
_MOST_PARAMETERS = 6
#: No alpha or rank that trained anything is as large, and squares of what it scales would be infinite.
_TOO_LARGE = 1e100
_BASE_LAYER = ".base_layer"
_NO_ALPHA = "Its adapter_config.json has no usable lora_alpha, so the norms of its updates are missing."
# Kinds of LoRA whose update is no product of the two matrices as they are stored.
_OTHER_PRODUCTS = ("use_qalora", "use_bdlora")

Pattern = tuple[re.Pattern[str] | None, float]


class Setting(NamedTuple):
    """What a configuration says of one module or parameter.

    Parameters
    ----------
    alpha, rank
        None where it does not say; NaN where what it says cannot be used.
    """

    alpha: float | None
    rank: float | None


class Stacked(NamedTuple):
    """How the factors of a parameter of stacked experts are divided: number of experts, rank of each, and alpha."""

    experts: int
    rank: int
    alpha: float | None


@dataclass(frozen=True)
class Scaling:
    """The part of an ``adapter_config.json`` that decides how large an update is.

    Parameters
    ----------
    alpha, rank
        ``lora_alpha`` and ``r``; None where the configuration does not say, NaN where what it says cannot be used.
    alphas, ranks
        ``alpha_pattern`` and ``rank_pattern``: in order, the pattern of names (None if it cannot be used) and what applies to them.
    by_root
        ``use_rslora``: alpha is divided by the root of the rank.
    factor
        MLX writes the whole factor instead of alpha; None elsewhere.
    is_known
        Whether the update is ``B @ A`` times a factor at all.
    parameters, modules
        ``target_parameters`` and ``target_modules``, as far as they are lists of names.
    notes
        Sentences about what could not be used.
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

    def setting(self, *names: str) -> Setting:
        """Return what applies to a module or parameter.

        Parameters
        ----------
        names
            Its names: as the checkpoint has it, and without wrappers.  A pattern applies if it fits any of them.
        """
        return Setting(_matched(names, self.alphas, self.alpha), _matched(names, self.ranks, self.rank))

    def scale(self, alpha: float | None, rank: int | None) -> float | None:
        """Return the factor before ``B @ A``; None when the configuration does not tell.

        Parameters
        ----------
        alpha, rank
            Of the module.
        """
        if not self.is_known or rank is None or rank < 1:
            return None
        if self.factor is not None:
            return None if math.isnan(self.factor) else self.factor
        if alpha is None or math.isnan(alpha):
            return None
        return alpha / math.sqrt(rank) if self.by_root else alpha / rank

    def parameters_of(self, module: str) -> tuple[str, ...]:
        """Return the parameters of a module that PEFT adapts directly, by full name; empty for an ordinary module.

        Parameters
        ----------
        module
            Path of the module, without ``.base_layer``.
        """
        found: dict[str, None] = {}
        for name in self.parameters:
            parent, _, parameter = name.rpartition(".")
            is_its = module == parent or module.endswith(f".{parent}") if parent else not self._is_targeted(module)
            if is_its:
                found[f"{module}.{parameter}"] = None
        return tuple(found)

    def stacked(self, names: Sequence[str], rows: Sequence[int]) -> list[Stacked | None]:
        """Return how the factors of a module's parameters are divided into experts.

        Where PEFT adapts a parameter that stacks the experts of a layer, A has ``experts * rank`` rows: each expert has factors of its
        own.  Two parameters of one module are wrapped one around the other, and a file does not say which of them is inside.  So each
        order is tried; what holds in every order that fits the shapes is known.

        Parameters
        ----------
        names
            Full names of the parameters.
        rows
            Rows of A of each pair of factors of the module.

        Returns
        -------
        list
            One for each of ``rows``; None where the file cannot tell.
        """
        settings = [self.setting(name) for name in names]
        if len(set(settings)) == 1:
            # Whichever is inside: both have the same.
            settings = settings[:1] * len(rows) if len(settings) >= len(rows) else []
            orders = [tuple(settings)] if settings else []
        else:
            orders = list(itertools.permutations(settings, len(rows))) if len(settings) <= _MOST_PARAMETERS else []
        fitting = [found for order in orders if (found := _divided(order, rows)) is not None]
        possible = [{one[at] for one in fitting} for at in range(len(rows))]
        return [next(iter(stacks)) if len(stacks) == 1 else None for stacks in possible]

    def _is_targeted(self, module: str) -> bool:
        return any(module == name or module.endswith(f".{name}") for name in self.modules)


def without_base_layers(path: str) -> str:
    """Return the path of the module that wrappers of its parameters stand around."""
    while path.endswith(_BASE_LAYER):
        path = path.removesuffix(_BASE_LAYER)
    return path


def scaling_of(config: Mapping[str, Any] | None) -> Scaling:
    """Read the scaling of a configuration.  Where something is not as documented, what depends on it is unknown, and a note says so.

    Parameters
    ----------
    config
        The ``adapter_config.json`` of a checkpoint; None when it has none.
    """
    if config is None:
        return Scaling(notes=("It has no adapter_config.json, so the norms of its updates are missing: alpha / rank is not known.",))
    notes: list[str] = []
    is_known = _is_known(config, notes)
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
        parameters=_texts(config.get("target_parameters")),
        modules=frozenset(_texts(config.get("target_modules"))),
        notes=tuple(notes),
    )


def _is_known(config: Mapping[str, Any], notes: list[str]) -> bool:
    kind = config.get("peft_type")
    others = [f"{kind!s:.40}"] if kind is not None and str(kind).rpartition(".")[2].upper() != "LORA" else []
    others += [key for key in _OTHER_PRODUCTS if config.get(key)]
    if others:
        notes.append(f"Its updates are not B @ A times a factor ({', '.join(others)}), so their norms are missing.")
    if config.get("use_dora") is True or config.get("fine_tune_type") == "dora":
        notes.append("Its updates are DoRA's; what is compared of them is B @ A, and their magnitudes as tensors of their own.")
    if "use_rslora" in config and not isinstance(config["use_rslora"], bool | None):
        notes.append(f"Its use_rslora cannot be used: {config['use_rslora']!r:.40}; the norms of its updates are missing.")
        return False
    return not others


def _of_mlx(said: Mapping[str, Any], notes: list[str], *, is_known: bool) -> Scaling:
    rank, factor, alpha = _whole(said.get("rank")), _number(said.get("scale")), said.get("alpha")
    if factor is None:
        notes.append("Its lora_parameters have no usable scale, so the norms of its updates are missing.")
    elif alpha is not None and (rank is None or _number(alpha) != rank):
        # Older versions of MLX multiply with alpha / rank too, newer ones do not.
        notes.append(
            "Its lora_parameters have both alpha and scale, which versions of MLX read differently; norms of its updates are missing."
        )
        factor = None
    unusable = "rank" in said and rank is None
    return Scaling(
        rank=math.nan if unusable else rank, factor=math.nan if factor is None else factor, is_known=is_known, notes=tuple(notes)
    )


def _divided(order: Sequence[Setting], rows: Sequence[int]) -> tuple[Stacked, ...] | None:
    found = []
    for setting, count in zip(order, rows, strict=True):
        rank = setting.rank
        if rank is None or math.isnan(rank) or count % rank:
            return None
        found.append(Stacked(count // int(rank), int(rank), setting.alpha))
    # The stacks of a module have as many experts; a plain matrix beside them counts as one.
    return tuple(found) if len({one.experts for one in found} - {1}) <= 1 else None


def _matched(names: Sequence[str], patterns: tuple[Pattern, ...], otherwise: float | None) -> float | None:
    if patterns and max(map(len, names)) > _LONGEST_PATH:
        return math.nan
    for pattern, value in patterns:
        if pattern is None:
            # It may be meant for this module: what applies is not known.
            return math.nan
        if any(pattern.match(name) for name in names):
            return value
    return otherwise


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
            notes.append(f"Its {key} has an entry that cannot be used, and the norms that may depend on it are missing: {text!r:.60}.")
        found.append((pattern, math.nan if number is None else number))
    return tuple(found)


def _pattern(text: str) -> re.Pattern[str] | None:
    # As PEFT reads them: a regular expression for the end of a name.  It is a foreign text, and must not run for ever.
    repeats = len(_REPEAT.findall(_NUMBER_PART.sub("", text)))
    if len(text) > _LONGEST_PATTERN or repeats > _MOST_REPEATS or _REPEATED_GROUP.search(text):
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return re.compile(rf"(.*\.)?({text})$")
    except (re.error, OverflowError, RecursionError):
        return None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str) and one) if isinstance(value, list) else ()


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
    return int(number) if number is not None and number >= 1 and number == int(number) else None
