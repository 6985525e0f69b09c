"""Parameters of experiments as one level of names: what is nested gets dotted names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any


def flat_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without nesting, in their order.

    ``{"optimizer": {"lr": 0.1}}`` becomes ``{"optimizer.lr": 0.1}``.  Empty dictionaries and lists are values.  Where several paths give
    the same name, the shortest one keeps it and the others are numbered (``a.b (2)``): nothing takes the place of anything else.
    """
    leaves = list(_leaves(params, ()))
    named: dict[tuple[str, ...], str] = {}
    taken: set[str] = set()
    for path, _ in sorted(leaves, key=lambda leaf: len(leaf[0])):
        named[path] = free_name(".".join(path), taken)
        taken.add(named[path])
    return {named[path]: value for path, value in leaves}


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, with the first free number behind it where it is taken: ``name (2)``."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def _leaves(params: Mapping[str, Any], before: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*before, name))
        else:
            yield (*before, name), value
