"""Groups of experiments: by parameters, tag, project, name, or name without seed. No points are read.

`loops_nb.tracking.bands` computes the mean curve of a group, `loops_nb.tracking.baseline` compares it.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.render.formatting import first_few, many
from loops_nb.tracking.params import flat_params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: What experiments can be grouped by beside parameters.
SEEDLESS, TAG, PROJECT, NAME = "seedless", "tag", "project", "name"
GROUP_WORDS = (SEEDLESS, TAG, PROJECT, NAME)
_PREFIX = "params."

#: Parameters that are a seed: ``seed``, ``data.seed``, ``random_seed``, ``random_state``.
_SEED_PARAMETER = re.compile(r"(?i)(?:^|[._-])(?:seed|random_state)$")
#: ``-seed3``, ``_seed=3``, ``(seed 3)``, ``random_seed_3``, anywhere in a name.
_MARKED = re.compile(
    r"(?i)(?:[\s_./,;:-]*[(\[]|[\s_./,;:-]+|^)(?:(?:rng|random)[\s_-]?)?seed[\s_=:#-]*(\d+)[)\]]?(?![a-z0-9]|\.\d)"
)
#: ``-s3``, ``_s=3``, ``(s3)`` at the end of a name.
_SHORT = re.compile(r"(?i)(?:[\s_./,;:-]*[(\[]|[\s_./,;:-]+)(?:s|sd|rs)[=:#]?(\d+)[)\]]?$")
#: A whole number at the end of a name; that of ``1e-4`` and of ``v0.1`` is part of another number.
_NUMBER = re.compile(r"(?<![0-9][eE])(?:[\s_/-]*[(\[#]|[\s_/-]+)(\d+)[)\]]?$")
_NUMBER_IN_TEXT = re.compile(r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")
_SEPARATORS = " _./,;:-"
_LONGEST, _MOST_NAMED = 60, 6
_Key = tuple[tuple[str, Any], ...]


class Groupable(Protocol):
    """An experiment, as `loops_nb.tracking.rows.ExperimentRow`; its ``project`` is used if it has one."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def params(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ExperimentGroup:
    """Experiments that belong together.

    Parameters
    ----------
    label : str
        Unique among the groups: ``lr=0.0001``, ``baseline``, ``sft``.
    values : dict of str to Any
        What they have in common, by what was grouped by; None where it is missing.
    ids : tuple of str
        Ids of the experiments, in the order given.
    """

    label: str
    values: dict[str, Any]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExperimentGroups:
    """The groups of some experiments.

    Parameters
    ----------
    by : tuple of str
        What was grouped by.
    groups : tuple of ExperimentGroup
        By ascending value of a numeric parameter, otherwise by name, numbers in it by value; without a value last.
    notes : tuple of str
        Sentences: what was grouped, what was taken as a seed, and what kept experiments apart.
    """

    by: tuple[str, ...]
    groups: tuple[ExperimentGroup, ...]
    notes: tuple[str, ...]


class SeedName(NamedTuple):
    """A name without its seed.

    Parameters
    ----------
    stem : str
        The rest of the name; the whole name if there is no seed in it.
    suffix : str
        What was taken as the seed, such as ``-s1``; empty if nothing was.
    is_marked : bool
        Whether it is called a seed (``-s1``, ``seed=3``); otherwise it is a bare number at the end.
    """

    stem: str
    suffix: str
    is_marked: bool


def group_names(by: str | Iterable[str]) -> tuple[str, ...]:
    """Return what to group by as names: of a text the parts between commas.

    Raises
    ------
    InvalidArgumentError
        If there is none, or one is no text.
    """
    parts = by.split(",") if isinstance(by, str) else list(by)
    if not all(isinstance(part, str) for part in parts):
        raise _unusable(by)
    found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not found:
        raise _unusable(by)
    return found


def _unusable(by: object) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"Experiments are grouped by names of parameters, {', '.join(GROUP_WORDS)}, not by {by!r:.60}.",
        argument="group_by",
        hint='For example "lr", "lr,rank" or "seedless"',
    )


def group_experiments(rows: Sequence[Groupable], by: str | Iterable[str]) -> ExperimentGroups:
    """Group experiments.

    Parameters
    ----------
    rows : sequence of Groupable
        The experiments.
    by : str or iterable of str
        Names of parameters (``lr``, ``lora.rank``, ``params.lr``), ``tag``, ``project``, ``name`` or ``seedless``;
        several, also separated by commas, group by all of them together.

        ``tag``: an experiment with several tags is in the group of each.  A tag that all experiments have is left out.

        ``seedless``: by the name without its seed, so that experiments that differ only in their seed are together.  A
        seed in a name is ``seed`` and a number (``_seed2``, ``seed=3``), or at the end ``s`` and a number (``-s1``), or
        the value of the parameter ``seed`` (``-17``).  Another whole number at the end (``sft-2``) counts as one, too,
        if the experiments have the same parameters, or none and are numbered from 0 or 1 without a gap.  Experiments
        whose parameters differ otherwise than in a seed (``seed``, ``random_state``, names that end in ``_seed`` or
        ``.seed``) are never together.

    Returns
    -------
    ExperimentGroups
        Each experiment is in one group (by ``tag`` in one or more).

    Raises
    ------
    InvalidArgumentError
        If none of the experiments has such a parameter.

    Examples
    --------
    >>> found = group_experiments(store.experiments(), "lr")
    >>> [(group.label, len(group.ids)) for group in found.groups]
    [('lr=0.0001', 3), ('lr=0.001', 3)]
    """
    names = group_names(by)
    flat = [flat_params(row.params or {}) for row in rows]
    notes: list[str] = []
    columns = [_column(name, rows, flat, notes) for name in names]
    members: dict[_Key, list[str]] = defaultdict(list)
    values: dict[_Key, tuple[_Value, ...]] = {}
    for place, row in enumerate(rows):
        for one in _combined([column[place] for column in columns]):
            key = tuple(value.key for value in one)
            values.setdefault(key, one)
            members[key].append(row.id)
    labels_of = {key: [value.label for value in one] for key, one in values.items()}
    ordered = sorted(members, key=_order(labels_of))
    labels = _unique([", ".join(labels_of[key]) for key in ordered])
    groups = tuple(
        ExperimentGroup(
            label,
            {name: value.value for name, value in zip(names, values[key], strict=True)},
            tuple(dict.fromkeys(members[key])),
        )
        for label, key in zip(labels, ordered, strict=True)
    )
    return ExperimentGroups(names, groups, (_summary(names, groups), *notes))


class _Value(NamedTuple):
    """One value to group by: how it is compared (kind and value), what it is, and how it is written."""

    key: tuple[str, Any]
    value: Any
    label: str


def _column(
    name: str, rows: Sequence[Groupable], flat: Sequence[Mapping[str, Any]], notes: list[str]
) -> list[list[_Value]]:
    """Return by experiment the values of one name, several of them only for tags."""
    if name == TAG:
        return _tags(rows, notes)
    if name == NAME:
        return [[_word(row.name, "no name")] for row in rows]
    if name == PROJECT:
        return [[_word(getattr(row, "project", None), "no project")] for row in rows]
    if name == SEEDLESS:
        return [[value] for value in _seedless(rows, flat, notes)]
    parameter = _parameter(name, flat)
    return [[_parameter_value(parameter, one.get(parameter))] for one in flat]


def _parameter(name: str, flat: Sequence[Mapping[str, Any]]) -> str:
    known = list(dict.fromkeys(each for one in flat for each in one))
    exact = name.removeprefix(_PREFIX)
    found = next((each for each in (name, exact) if each in known), None)
    if found is not None or not flat:
        return found or exact
    near = difflib.get_close_matches(exact, [*known, *GROUP_WORDS], n=2, cutoff=0.5)
    near = near or [each for each in known if each.rpartition(".")[2] == exact.rpartition(".")[2]][:2]
    there = first_few([one_line(each, limit=_LONGEST) for each in known], 2 * _MOST_NAMED) or "none was recorded"
    raise InvalidArgumentError(
        f"None of these experiments has a parameter {one_line(exact, limit=_LONGEST)!r}.",
        argument="group_by",
        hint=f"Did you mean {' or '.join(near)}?" if near else f"Parameters: {there}; or {', '.join(GROUP_WORDS)}",
    )


def parameter_values(rows: Sequence[Groupable], name: str) -> list[Any]:
    """Return the value of a parameter of each experiment, None where it has none.

    Parameters
    ----------
    rows : sequence of Groupable
        The experiments.
    name : str
        Name of the parameter, as in `group_experiments`.

    Raises
    ------
    InvalidArgumentError
        If none of the experiments has it.

    Examples
    --------
    >>> parameter_values(store.experiments(), "lr")
    [0.0001, 0.001]
    """
    flat = [flat_params(row.params or {}) for row in rows]
    parameter = _parameter(name, flat)
    return [one.get(parameter) for one in flat]


def value_label(value: Any) -> str:
    """Return the value of a parameter as a short text, different for different numbers."""
    if isinstance(value, float) and not isinstance(value, bool):
        short = f"{value:g}"
        return short if not math.isfinite(value) or float(short) == value else repr(value)
    if isinstance(value, str):
        return one_line(value, limit=_LONGEST)
    return one_line(json.dumps(value, ensure_ascii=False, default=str), limit=_LONGEST)


def _parameter_value(name: str, value: Any) -> _Value:
    if value is None:
        return _Value(("none", None), None, f"no {one_line(name, limit=_LONGEST)}")
    return _Value(_comparable(value), value, f"{one_line(name, limit=_LONGEST)}={value_label(value)}")


def _comparable(value: Any) -> tuple[str, Any]:
    """Return a value so that equal ones are equal: 1 is 1.0, but not True and not the text 1."""
    if isinstance(value, bool):
        return ("flag", value)
    if isinstance(value, (int, float)):
        return ("number", value) if math.isfinite(value) else ("text", str(value))
    if isinstance(value, str):
        return ("text", value)
    return ("json", json.dumps(value, sort_keys=True, default=str))


def _word(value: str | None, missing: str) -> _Value:
    if not value:
        return _Value(("none", None), None, missing)
    return _Value(("text", value), value, one_line(value, limit=2 * _LONGEST))


def _combined(values: Sequence[Sequence[_Value]]) -> list[tuple[_Value, ...]]:
    found: list[tuple[_Value, ...]] = [()]
    for column in values:
        found = [(*start, value) for start in found for value in column]
    return found


def _order(labels: Mapping[_Key, Sequence[str]]) -> Callable[[_Key], list[Any]]:
    """Return the key to sort groups by: numbers, then texts with the numbers in them in order, missing ones last."""
    ranks = {"number": 0, "none": 2}

    def order(key: _Key) -> list[Any]:
        return [
            (0, part[1]) if part[0] == "number" else (ranks.get(part[0], 1), natural_order(label))
            for part, label in zip(key, labels[key], strict=True)
        ]

    return order


def natural_order(text: str) -> list[Any]:
    """Return a text as what it is sorted by: ``lr3e-4`` before ``lr1e-3``, ``run-2`` before ``run-10``."""
    parts = _NUMBER_IN_TEXT.split(text)
    return [float(part) if place % 2 else part for place, part in enumerate(parts)]


def _unique(labels: Sequence[str]) -> list[str]:
    seen: dict[str, int] = defaultdict(int)
    taken, found = set(labels), []
    for label in labels:
        seen[label] += 1
        unique = label
        while seen[label] > 1 and unique in taken:
            unique = f"{label} ({seen[label]})"
            seen[label] += unique in taken
        taken.add(unique)
        found.append(unique)
    return found


def _summary(names: Sequence[str], groups: Sequence[ExperimentGroup]) -> str:
    words = {SEEDLESS: "name without seed"}
    by = " and ".join(words.get(name, one_line(name, limit=_LONGEST)) for name in names)
    sizes = sorted(len(group.ids) for group in groups)
    if not sizes:
        return f"Grouped by {by}: no experiments."
    if sizes[0] == sizes[-1]:
        each = " each" if len(sizes) > 1 else ""
        return f"Grouped by {by}: {many(len(sizes), 'group')} of {many(sizes[0], 'experiment')}{each}."
    return f"Grouped by {by}: {many(len(sizes), 'group')} of {sizes[0]:,} to {many(sizes[-1], 'experiment')}."


def _tags(rows: Sequence[Groupable], notes: list[str]) -> list[list[_Value]]:
    tags = [list(dict.fromkeys(row.tags or ())) for row in rows]
    everywhere = set(tags[0]).intersection(*tags[1:]) if tags else set()
    # A tag that all have distinguishes nothing, unless there is no other.
    if not any(set(own) - everywhere for own in tags):
        everywhere = set()
    if everywhere:
        notes.append(f"All of them have the tag {_listed(sorted(everywhere))}, which is no group.")
    kept = [[tag for tag in own if tag not in everywhere] for own in tags]
    several = sum(len(own) > 1 for own in kept)
    if several:
        have = "has several tags and is" if several == 1 else "have several tags and are"
        notes.append(f"{many(several, 'experiment')} {have} in the group of each.")
    return [[_word(tag, "") for tag in own] or [_word(None, "no tag")] for own in kept]


def _listed(texts: Sequence[str]) -> str:
    return first_few([one_line(text, limit=_LONGEST) for text in texts], _MOST_NAMED)


# Names without seeds.


def is_seed_parameter(name: str) -> bool:
    """Return whether a parameter is a seed: ``seed``, ``data.seed``, ``random_seed``, ``random_state``."""
    return _SEED_PARAMETER.search(name) is not None


def without_seed(name: str, seeds: Iterable[Any] = ()) -> SeedName:
    """Return a name without its seed, as `group_experiments` says.

    Parameters
    ----------
    name : str
        Name of an experiment.
    seeds : iterable, default ()
        Values of its seed parameters.

    Examples
    --------
    >>> without_seed("sft-lr3e-4-s1")
    SeedName(stem='sft-lr3e-4', suffix='-s1', is_marked=True)
    >>> without_seed("sft-17", seeds=[17]).stem
    'sft'
    """
    for pattern in (_MARKED, _SHORT):
        found = pattern.search(name)
        if found is not None:
            stem = (name[: found.start()] + name[found.end() :]).strip(_SEPARATORS)
            return SeedName(stem or "seed", found[0], is_marked=True)
    number = _NUMBER.search(name)
    if number is None or not number.start():
        return SeedName(name, "", is_marked=False)
    known = {str(seed) for seed in seeds}
    return SeedName(name[: number.start()], number[0], is_marked=str(int(number[1])) in known)


def _seedless(rows: Sequence[Groupable], flat: Sequence[Mapping[str, Any]], notes: list[str]) -> list[_Value]:
    """Return by experiment its name without seed."""
    names = [
        without_seed(row.name, [value for name, value in one.items() if is_seed_parameter(name)])
        for row, one in zip(rows, flat, strict=True)
    ]
    configs = [_config(row.name, name.stem, one) for row, name, one in zip(rows, names, flat, strict=True)]
    together: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for place, (name, config) in enumerate(zip(names, configs, strict=True)):
        together[name.stem][_json(config)].append(place)
    found: list[_Value | None] = [None] * len(rows)
    taken: dict[str, None] = {}
    for stem, by_config in together.items():
        groups: dict[str, list[list[int]]] = defaultdict(list)
        for places in by_config.values():
            if len(places) > 1 and _are_repeats([names[place] for place in places], configs[places[0]]):
                groups[stem].append(places)
                taken |= dict.fromkeys(names[place].suffix.strip() for place in places if names[place].suffix)
            else:
                for place in places:
                    groups[rows[place].name].append([place])
        for base, members in groups.items():
            differing = _differing([configs[places[0]] for places in members])
            for places in members:
                config = configs[places[0]]
                label = ", ".join([base, *(_parameter_value(name, config.get(name)).label for name in differing)])
                value = _Value(("seedless", (base, _json(config))), label, one_line(label, limit=4 * _LONGEST))
                for place in places:
                    found[place] = value
    if taken:
        notes.append(f"Taken as seeds: {_listed(list(taken))}.")
    notes += _apart(configs, together)
    return [value for value in found if value is not None]


def _config(name: str, stem: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters but the seeds; in texts (folders, mostly) the experiment's name without its seed."""

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            text = value.replace(name, stem) if name else value
            return _MARKED.sub("", text)
        return value

    return {key: plain(value) for key, value in params.items() if not is_seed_parameter(key)}


def _json(config: Mapping[str, Any]) -> str:
    return json.dumps({key: _comparable(value) for key, value in config.items()}, sort_keys=True, default=str)


def _are_repeats(names: Sequence[SeedName], config: Mapping[str, Any]) -> bool:
    """Return whether experiments of one stem and with the same parameters are repeats of each other."""
    bare = [name for name in names if name.suffix and not name.is_marked]
    if config or not bare:
        return True
    # Without parameters a bare number may be anything (rank-8, rank-16): only what is counted is a repeat.
    numbers = sorted(int("".join(re.findall(r"\d", name.suffix))) for name in bare)
    unnumbered = len(names) - len(bare)
    start = 2 if unnumbered else numbers[0]
    return start <= 2 and numbers == list(range(start, start + len(numbers)))  # noqa: PLR2004 - the second


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the parameters that differ, in their order."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if len({_json({name: config.get(name)}) for config in configs}) > 1]


def _apart(configs: Sequence[Mapping[str, Any]], together: Mapping[str, Mapping[str, Sequence[int]]]) -> list[str]:
    """Say which parameters keep experiments of one stem apart."""
    apart = {
        stem: [places[0] for places in by_config.values()] for stem, by_config in together.items() if len(by_config) > 1
    }
    if not apart:
        return []
    differing = dict.fromkeys(
        name for places in apart.values() for name in _differing([configs[place] for place in places])
    )
    stems = _listed([repr(stem) for stem in apart])
    return [f"Experiments named {stems} are not all in one group: they differ in {_listed(list(differing))}."]
