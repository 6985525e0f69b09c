"""Tab: verbs, options, and what can stand in the place of each argument, as the table of verbs says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from loops_nb.magics.candidates import Candidates, Typed
from loops_nb.magics.verbs import VERBS
from loops_nb.magics.words import last_word, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loops_nb.magics.grammar import Option, Takes, Verb
    from loops_nb.magics.magic import LoopsMagics

# The magic alone on its line, or assigned; as IPython itself reads an assignment of a magic.
_LINE = re.compile(r"^(?:\s*(?:[^\s=%][^=%]*=\s*)?%|(?P<cell>%%))loops\s(?P<typed>.*)$", re.DOTALL)
# The beginning of a name behind $ or {, where a doubled sign is the sign itself.
_NAME = re.compile(r"(?:(?<!\$)\$|(?<!\{)\{\s*)([A-Za-z_]\w*|)$")
_MOST = 200


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
            Each completion with what a front end shows beside it: ``verb``, ``option``, ``value``, ``name`` for one of the notebook's own
            names, or name and state of what has an id.
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
        read = _read(verb, words)
        if joined and option is not None and not option.is_switch:
            return value, self._values(option, value, read)
        if read.waiting is not None:
            return fragment, self._values(read.waiting, fragment, read)
        loose = len(read.loose)
        options = [
            (o.flags[-1], "option")
            for o in verb.options
            if (o.many or o.name not in read.used) and not (loose and o.name in {a.name for a in verb.arguments})
        ]
        options.append(("--help", "option"))
        if fragment.startswith("-"):
            short = [(f, "option") for o in verb.options for f in o.flags[:-1] if o.many or o.name not in read.used]
            return fragment, _starting(options + short, fragment)
        values: list[tuple[str, str]] = []
        if loose < len(verb.arguments):
            values = self._values(verb.arguments[loose], fragment, read)
        elif verb.arguments and verb.arguments[-1].many:
            values = self._values(verb.arguments[-1], fragment, read)
        return fragment, [*values, *([] if values and fragment else _starting(options, fragment))]

    def _values(self, taken: Takes, fragment: str, read: _Read) -> list[tuple[str, str]]:
        """Return what begins like a fragment, in the fragment's quotes or in those that it needs."""
        quote, bare = unquoted(fragment)
        found = Candidates(self._magics.desk).of(taken, Typed(bare, read.loose, read.options))
        return [(quoted(text, quote), about) for text, about in _starting(found, bare)]

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


def _verb(verbs: Iterable[Verb], word: str) -> Verb | None:
    return next((verb for verb in verbs if verb.word == word), None)


@dataclass
class _Read:
    """The finished words of a line: the options that were used, their values, the one whose value comes next, and the loose words."""

    used: set[str] = field(default_factory=set)
    options: dict[str, str] = field(default_factory=dict)
    waiting: Option | None = None
    loose: list[str] = field(default_factory=list)


def _read(verb: Verb, words: list[str]) -> _Read:
    read = _Read()
    for word in words:
        if read.waiting is not None:
            read.options[read.waiting.name] = word
            read.waiting = None
            continue
        flag, joined, value = word.partition("=")
        option = verb.option(flag)
        if option is None:
            if not word.startswith("-"):
                read.loose.append(word)
            continue
        read.used.add(option.name)
        if joined:
            read.options[option.name] = value
        elif not option.is_switch:
            read.waiting = option
    return read


def _starting(words: Iterable[tuple[str, str]], fragment: str) -> list[tuple[str, str]]:
    lower = fragment.lower()
    found = [word for word in words if word[0].lower().startswith(lower)]
    if not found and fragment:
        # The middle of a name is what people remember: 8B of Qwen/Qwen3-8B, step-100 of a URI.
        found = [word for word in words if lower in word[0].lower() and not word[0].startswith("-")]
    # The first of equal texts says most of it.
    return list({text: (text, about) for text, about in reversed(found)}.values())[::-1]
