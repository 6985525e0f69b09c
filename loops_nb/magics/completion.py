"""Tab completion of ``%loops``: verbs, options, and candidates for each argument."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from loops_nb.magics.completion_candidates import Candidates, PartialLine
from loops_nb.magics.lexer import last_word, quoted, unquoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loops_nb.magics.context import MagicContext
    from loops_nb.magics.grammar import Argument, Option, Verb

# The magic alone on its line, or assigned, as IPython parses it.
_LINE = re.compile(r"^(?:\s*(?:[^\s=%][^=%]*=\s*)?%|(?P<cell>%%))loops\s(?P<typed>.*)$", re.DOTALL)
# The start of a name after $ or {; a doubled sign is literal.
_NAME = re.compile(r"(?:(?<!\$)\$|(?<!\{)\{\s*)([A-Za-z_]\w*|)$")
_MOST = 200


class HasContext(Protocol):
    """What has the context of a shell."""

    @property
    def context(self) -> MagicContext:
        """The context."""


class LineCompleter:
    """Completes lines of one shell.

    Parameters
    ----------
    magics : HasContext
        Provides cache and connection; `LoopsMagics`.
    """

    def __init__(self, magics: HasContext) -> None:
        self._magics = magics

    def match(self, text: str) -> tuple[str, list[tuple[str, str]]] | None:
        """Return `complete` for the text before the cursor; None if it is not a line of ``%loops``."""
        found = _LINE.match(text)
        if found is None:
            return None
        self._refresh_cache()
        fragment, words = self.complete(found["typed"], in_cell=found["cell"] is not None)
        return fragment, words[:_MOST]

    def complete(self, typed: str, *, in_cell: bool = False) -> tuple[str, list[tuple[str, str]]]:
        """Return the fragment of a line to replace, and its completions.

        Parameters
        ----------
        typed : str
            The text after ``%loops`` up to the cursor.
        in_cell : bool, default False
            Whether it is ``%%loops``, which has other verbs.

        Returns
        -------
        fragment : str
            The text to replace.
        completions : list of (str, str)
            Completions with the annotation that a front end shows beside each: ``verb``, ``option``, ``value``,
            ``name`` for a variable of the notebook, or name and state of a resource.
        """
        words, fragment = last_word(typed)
        name = None if fragment.startswith("'") else _NAME.search(fragment)
        if name is not None:
            return name[1], matching(self._variables(), name[1])
        from loops_nb.magics.verbs import VERBS  # imports all verbs

        return self.complete_words(words, fragment, [verb for verb in VERBS if bool(verb.cell) is in_cell])

    def complete_words(
        self, words: list[str], fragment: str, verbs: Sequence[Verb]
    ) -> tuple[str, list[tuple[str, str]]]:
        """Return the part of a fragment to replace, and its completions, as of `complete`.

        Parameters
        ----------
        words : list of str
            The complete words before it.
        fragment : str
            The text of the last word up to the cursor.
        verbs : sequence of Verb
            The verbs that there are.
        """
        verb: Verb | None = None
        while words and (chosen := _verb(verb, verbs, words[0])) is not None:
            verb, verbs, words = chosen, chosen.verbs, words[1:]
        if verb is None or verb.is_group:
            if words:
                return fragment, []
            completions = [(inner.word, "verb") for inner in verbs] + [("--help", "option")]
            return fragment, matching(completions, fragment)
        return self._after_verb(verb, words, fragment)

    def _after_verb(self, verb: Verb, words: list[str], fragment: str) -> tuple[str, list[tuple[str, str]]]:
        flag, joined, value = fragment.partition("=")
        option = verb.option(flag)
        read = _sort_words(verb, words)
        if joined and option is not None and not option.is_switch:
            return value, self._values(option, value, read)
        if read.pending is not None:
            return fragment, self._values(read.pending, fragment, read)
        given = len(read.positional)
        options = [
            (o.flags[-1], "option")
            for o in verb.options
            if (o.repeated or o.name not in read.used) and not (given and o.name in {a.name for a in verb.arguments})
        ]
        options.append(("--help", "option"))
        if fragment.startswith("-"):
            short = [(f, "option") for o in verb.options for f in o.flags[:-1] if o.repeated or o.name not in read.used]
            return fragment, matching(options + short, fragment)
        values: list[tuple[str, str]] = []
        if not words:
            values = matching([(inner.word, "verb") for inner in verb.verbs], fragment)
        if given < len(verb.arguments):
            values += self._values(verb.arguments[given], fragment, read)
        elif verb.arguments and verb.arguments[-1].repeated:
            values = self._values(verb.arguments[-1], fragment, read)
        if values and fragment:
            return fragment, values
        return fragment, [*values, *matching(options, fragment)]

    def _values(self, taken: Argument, fragment: str, read: CompleteWords) -> list[tuple[str, str]]:
        """Return the candidates that match a fragment, in its quotes or in those that each needs."""
        quote, bare = unquoted(fragment)
        found = self._candidates(taken, PartialLine(bare, read.positional, read.options))
        words = [(quoted(text, quote), about) for text, about in matching(found, bare)]
        if taken.completes == "filter":
            # The expression goes on after a name.
            return [(word[:-1] if word[:1] in {"'", '"'} else word, about) for word, about in words]
        return words

    def _candidates(self, taken: Argument, line: PartialLine) -> list[tuple[str, str]]:
        return Candidates(self._magics.context).of(taken, line)

    def _variables(self) -> list[tuple[str, str]]:
        shell = self._magics.context.shell
        hidden = shell.user_ns_hidden
        return [
            (name, "name")
            for name, value in shell.user_ns.items()
            if not name.startswith("_")
            and name not in hidden
            and not callable(value)
            and not isinstance(value, ModuleType)
        ]

    def _refresh_cache(self) -> None:
        live = self._magics.context.connection.current
        # Only after a line has connected: Tab alone never sends a key.
        if live is not None:
            self._magics.context.cache.add_from_panels(live)
            self._magics.context.cache.refresh_in_background(live)


def _verb(group: Verb | None, verbs: Iterable[Verb], word: str) -> Verb | None:
    if group is not None:
        return group.inner(word)
    return next((verb for verb in verbs if verb.word == word), None)


@dataclass
class CompleteWords:
    """The complete words of an unfinished line; ``pending`` is the option whose value comes next."""

    used: set[str] = field(default_factory=set)
    options: dict[str, str] = field(default_factory=dict)
    pending: Option | None = None
    positional: list[str] = field(default_factory=list)


def _sort_words(verb: Verb, words: list[str]) -> CompleteWords:
    read = CompleteWords()
    for word in words:
        if read.pending is not None:
            read.options[read.pending.name] = word
            read.pending = None
            continue
        flag, joined, value = word.partition("=")
        option = verb.option(flag)
        if option is None:
            if not word.startswith("-"):
                read.positional.append(word)
            continue
        read.used.add(option.name)
        if joined:
            read.options[option.name] = value
        elif not option.is_switch:
            read.pending = option
    return read


def matching(words: Iterable[tuple[str, str]], fragment: str) -> list[tuple[str, str]]:
    """Return the candidates that begin with a fragment in any case, else those that contain it."""
    lower = fragment.lower()
    found = [word for word in words if word[0].lower().startswith(lower)]
    if not found and fragment:
        # Also match inside a name: 8B of Qwen/Qwen3-8B, step-100 of a URI.
        found = [word for word in words if lower in word[0].lower() and not word[0].startswith("-")]
    # Of equal texts the first has the best annotation.
    unique: dict[str, str] = {}
    for text, annotation in found:
        unique.setdefault(text, annotation)
    return list(unique.items())
