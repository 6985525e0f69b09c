"""Tab: verbs, options, ids, base models and checkpoint names, from what is already known.

Nothing here waits for the network.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING

from loops_nb.magics.verbs import VERBS
from loops_nb.magics.words import last_word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loops_nb.magics.grammar import Option, Takes, Verb
    from loops_nb.magics.magic import LoopsMagics

# The magic alone on its line, or assigned; as IPython itself reads an assignment of a magic.
_LINE = re.compile(r"^(?:\s*(?:[^\s=%][^=%]*=\s*)?%|(?P<cell>%%))loops\s(?P<typed>.*)$", re.DOTALL)
# The beginning of a name behind $ or {, where a doubled sign is the sign itself.
_NAME = re.compile(r"(?:(?<!\$)\$|(?<!\{)\{\s*)([A-Za-z_]\w*|)$")
_MOST = 200
#: What is known from the file of experiments, not from the service.
_RECENT = 8
_RECORDED = ("experiment", "metric")
#: Where one thing may be named in several ways.
_KINDS = {"checkpoint": ("uri", "checkpoint", "name"), "sampler_or_run": ("sampler", "run"), "sampled": ("sampler", "run", "uri", "name")}


class Completion:
    """The completion of one shell.

    Parameters
    ----------
    magics
        Whose knowledge and connection are used.
    """

    def __init__(self, magics: LoopsMagics) -> None:
        self._magics = magics

    def match(self, text: str) -> tuple[str, list[tuple[str, str]]] | None:
        """Return what `complete` says of the text before the cursor; None where it is no line of ours."""
        found = _LINE.match(text)
        if found is None:
            return None
        self._look()
        fragment, words = self.complete(found["typed"], in_cell=found["cell"] is not None)
        return fragment, words[:_MOST]

    def complete(self, typed: str, *, in_cell: bool = False) -> tuple[str, list[tuple[str, str]]]:
        """Return the part of a line that would be replaced, and what can stand there.

        Parameters
        ----------
        typed
            The text behind ``%loops`` up to the cursor.
        in_cell
            Whether it is ``%%loops``, which takes other verbs.

        Returns
        -------
        fragment, completions
            Each completion with its type (``verb``, ``option``, ``value``, and ``name`` for one of the notebook's own names).
        """
        words, fragment = last_word(typed)
        name = None if fragment.startswith("'") else _NAME.search(fragment)
        if name is not None:
            return name[1], _starting(self._names(), name[1])
        verbs = tuple(verb for verb in VERBS if bool(verb.cell) is in_cell)
        verb: Verb | None = None
        while words and (chosen := _verb(verbs, words[0])) is not None:
            verb, verbs, words = chosen, chosen.verbs, words[1:]
        if verb is None or verb.verbs:
            if words:
                return fragment, []
            wide = [(v.word, "verb") for v in verbs] + [("--help", "option")]
            return fragment, _starting(wide, fragment)
        return self._after_verb(verb, words, fragment)

    def _after_verb(self, verb: Verb, words: list[str], fragment: str) -> tuple[str, list[tuple[str, str]]]:
        flag, joined, value = fragment.partition("=")
        option = verb.option(flag)
        if joined and option is not None and not option.is_switch:
            return value, _starting(self._values(option), value)
        used, waiting, loose = _read(verb, words)
        if waiting is not None:
            return fragment, _starting(self._values(waiting), fragment)
        options = [
            (o.flags[-1], "option")
            for o in verb.options
            if (o.many or o.name not in used) and not (loose and o.name in {a.name for a in verb.arguments})
        ]
        options.append(("--help", "option"))
        if fragment.startswith("-"):
            short = [(f, "option") for o in verb.options for f in o.flags[:-1] if o.many or o.name not in used]
            return fragment, _starting(options + short, fragment)
        values: list[tuple[str, str]] = []
        if loose < len(verb.arguments):
            values = self._values(verb.arguments[loose])
        elif verb.arguments and verb.arguments[-1].many:
            values = self._values(verb.arguments[-1])
        return fragment, _starting(values + options, fragment)

    def _values(self, taken: Takes) -> list[tuple[str, str]]:
        if taken.choices:
            return [(choice, "value") for choice in taken.choices]
        knowledge = self._magics.desk.knowledge
        if taken.knows in _RECORDED:
            # On this machine: no network to wait for.
            knowledge.add(taken.knows, _recorded(taken.knows))
        kinds = _KINDS.get(taken.knows, (taken.knows,))
        words = [(word, "value") for word in taken.words]
        return words + [(text, "value") for kind in kinds if kind for text in knowledge.known(kind)]

    def _names(self) -> list[tuple[str, str]]:
        shell = self._magics.desk.shell
        hidden = shell.user_ns_hidden
        return [
            (name, "name")
            for name, value in shell.user_ns.items()
            if not name.startswith("_") and name not in hidden and not callable(value) and not isinstance(value, ModuleType)
        ]

    def _look(self) -> None:
        live = self._magics.desk.connection.live
        # Only where a line has already connected: Tab alone sends no key anywhere.
        if live is not None:
            self._magics.desk.knowledge.hear(live)
            self._magics.desk.knowledge.look(live)


def _recorded(kind: str) -> list[str]:
    from loops_nb.errors import TrackingError  # noqa: PLC0415 - only for what is recorded
    from loops_nb.tracking import Store  # noqa: PLC0415

    try:
        with Store(read_only=True) as store:
            rows = store.experiments()[:_MOST]
            if kind == "metric":
                return [key.key for row in rows[:_RECENT] for key in store.keys(row.id)]
            return [text for row in rows for text in (row.name, row.run_id, row.id) if text]
    except TrackingError:
        # Tab is no place to say so.
        return []


def _verb(verbs: Iterable[Verb], word: str) -> Verb | None:
    return next((verb for verb in verbs if verb.word == word), None)


def _read(verb: Verb, words: list[str]) -> tuple[set[str], Option | None, int]:
    """Return the options that were used, the one whose value comes next, and the number of loose words."""
    used: set[str] = set()
    waiting: Option | None = None
    loose = 0
    for word in words:
        if waiting is not None:
            waiting = None
            continue
        flag, joined, _ = word.partition("=")
        option = verb.option(flag)
        if option is None:
            loose += not word.startswith("-")
            continue
        used.add(option.name)
        if not option.is_switch and not joined:
            waiting = option
    return used, waiting, loose


def _starting(words: Iterable[tuple[str, str]], fragment: str) -> list[tuple[str, str]]:
    lower = fragment.lower()
    found = [word for word in words if word[0].lower().startswith(lower)]
    if not found and fragment:
        # The middle of a name is what people remember: 8B of Qwen/Qwen3-8B, step-100 of a URI.
        found = [word for word in words if lower in word[0].lower() and not word[0].startswith("-")]
    return list(dict.fromkeys(found))
