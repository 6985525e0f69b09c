"""The grammar of ``%loops``: what a verb takes, said once, for parsing, help and completion alike.

Not ``argparse``: its wording and its handling of optional words differ between Python versions, it knows only ``SystemExit``, and
completion would need the same tables a second time.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, with_hint
from loops_nb.magics.other_words import option_for, verb_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loops_nb.magics.desk import Desk

HELP_FLAGS = ("-h", "--help")
# What asks for help elsewhere; alone behind a verb only, for a note may end with a question mark.
_HELP_WORDS = ("?", "-?", "/?", "/h", "-help", "--usage", "-H", "--h")
#: The verb that shows one of what a verb lists.
_ONE_OF = {"runs": "%loops run", "samplers": "%loops sampler", "deployments": "%loops deployment"}
_LONGEST_ECHO = 60
# Of verbs and options: a word that is less alike is another word.
_ALIKE = 0.72


@dataclass(frozen=True, kw_only=True)
class Takes:
    """What an option's value or an argument may be.

    Parameters
    ----------
    name
        Under which the value is handed to the verb.
    help
        One line for people.
    metavar
        How the value is called in help texts; empty for an option that takes none.
    convert
        Makes the value of the text; raises `InvalidArgumentError` with what is wrong.
    choices
        The only words allowed; empty allows any.
    knows
        Kind of things to complete from: a key of ``loops_nb.magics.candidates.KINDS``.
    free
        Whether it is free text, a number or a name to be given, so that there is nothing to complete.
    words
        Words with a meaning of their own that can stand in their place; completed before them.
    required
        Whether it must be given.
    default
        The value when it is not given.
    many
        Whether it can be given several times, an argument as several words; the value is then a tuple.  Of the arguments only the last.
    """

    name: str
    help: str
    metavar: str = ""
    convert: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    knows: str = ""
    free: bool = False
    words: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    many: bool = False


@dataclass(frozen=True, kw_only=True)
class Option(Takes):
    """An option: ``--base-model M``, ``--base-model=M``, or a switch without a value."""

    flags: tuple[str, ...]

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb of ``%loops``, or a group of them.

    Parameters
    ----------
    name
        The word; ``create run`` for a verb of a group.
    summary
        One line, no full stop.
    run
        Does it.  None for a group.
    arguments, options
        What it takes.
    verbs
        The verbs of a group.
    default
        The verb of the group that is meant when none is named.
    examples
        Whole lines that can be typed.
    notes
        What a person should know before using it, in sentences.
    instead_of_secrets
        For a verb that takes nothing, because people would put a secret on its line: what to say when they do, and the way out.  Nothing of
        the line is repeated.
    gives_frames
        It will need pandas.
    cell
        For a verb of a cell, ``%%loops VERB``: what the cell holds.  The verb finds it among its values as ``cell``.
    when_interrupted
        For a verb that changes things: what to say when a person stops it before it is known whether it was done.
    """

    name: str
    summary: str
    run: Callable[[Desk, SimpleNamespace], Any] | None = None
    arguments: tuple[Takes, ...] = ()
    options: tuple[Option, ...] = ()
    verbs: tuple[Verb, ...] = ()
    default: str = ""
    examples: tuple[str, ...] = ()
    notes: str = ""
    instead_of_secrets: tuple[str, str] | None = None
    gives_frames: bool = False
    cell: str = ""
    when_interrupted: str = ""

    @property
    def word(self) -> str:
        """The last word of the name: the one typed to choose it."""
        return self.name.rsplit(" ", 1)[-1]

    @property
    def line(self) -> str:
        """How it is called: ``%loops runs``, or ``%%loops sample`` for one of a cell."""
        return f"%{'%' if self.cell else ''}loops {self.name}"

    @property
    def usage(self) -> str:
        """The form of the line."""
        parts = [self.line]
        if self.verbs:
            words = "|".join(v.word for v in self.verbs)
            parts.append(f"[{words}]" if self.default else words)
            parts.append("...")
        parts += [argument_form(a) for a in self.arguments if a.metavar]
        parts += [_usage(o) for o in self.options]
        return " ".join(parts)

    def option(self, flag: str) -> Option | None:
        """Return the option with that flag."""
        return next((o for o in self.options if flag in o.flags), None)


@dataclass(frozen=True)
class Order:
    """A line that was understood: the verb, and its values; ``wants_help`` when help was asked for instead."""

    verb: Verb
    values: SimpleNamespace
    wants_help: bool = False


def find_verb(verbs: Sequence[Verb], words: Sequence[str]) -> tuple[Verb, list[str]]:
    """Return the verb that words name, and the words left for it.

    Raises
    ------
    InvalidArgumentError
        If there is no such verb; the text offers near ones.
    """
    verb, rest = _pick(verbs, words[0], "%loops", following=words[1] if len(words) > 1 else ""), list(words[1:])
    while verb.verbs:
        if rest and rest[0] in (*HELP_FLAGS, *_HELP_WORDS, "help"):
            rest[0] = HELP_FLAGS[0]
            break
        named = rest and not rest[0].startswith("-")
        if not named and not verb.default:
            raise InvalidArgumentError(
                f"%loops {verb.name} needs to know what: {_or([v.word for v in verb.verbs])}.", hint=f"For example: {verb.examples[0]}"
            )
        word = rest.pop(0) if named else verb.default
        verb = _pick(verb.verbs, word, f"%loops {verb.name}", example=verb.examples[0])
    return verb, rest


def understand(verbs: Sequence[Verb], words: Sequence[str]) -> Order:
    """Read the words of a line.

    Raises
    ------
    InvalidArgumentError
        If they are not a line of this grammar; the text says what to type.
    """
    verb, rest = find_verb(verbs, words)
    if any(word in HELP_FLAGS for word in rest) or _asks_for_help(verb, rest):
        return Order(verb, SimpleNamespace(), wants_help=True)
    if rest and verb.instead_of_secrets:
        raise InvalidArgumentError(verb.instead_of_secrets[0], argument="key", hint=verb.instead_of_secrets[1])
    values = {taken.name: () if taken.many else taken.default for taken in (*verb.arguments, *verb.options)}
    given: set[str] = set()
    loose: list[str] = []
    queue = list(rest)
    while queue:
        word = queue.pop(0)
        if word.startswith("-") and word != "-":
            option, text = _option(verb, word, queue)
            if option.name in given and not option.many:
                raise _refuse(verb, f"{option.flags[-1]} is given twice", option.name)
            given.add(option.name)
            value = True if text is None else _value(verb, option, option.flags[-1], text)
            values[option.name] = (*values[option.name], value) if option.many else value
        else:
            loose.append(word)
    _fill(verb, loose, values)
    for option in verb.options:
        if option.required and option.name not in given:
            raise _refuse(verb, f"{option.flags[-1]} {option.metavar} is missing ({option.help})", option.name)
    return Order(verb, SimpleNamespace(**values))


def asks_for_help(words: Sequence[str]) -> bool:
    """Return whether words in place of a verb ask for the whole help."""
    return len(words) > 0 and (
        words[0] in (*HELP_FLAGS, *_HELP_WORDS) or [word.lower() for word in words] in (["help"], ["usage"], ["man"])
    )


def _asks_for_help(verb: Verb, rest: Sequence[str]) -> bool:
    if len(rest) != 1:
        return False
    return rest[0] in _HELP_WORDS or (rest[0] == "help" and not verb.arguments and verb.run is not None)


def shown(word: str) -> str:
    """Return a word as an error text may repeat it: a long one may be a key that was pasted, and is not repeated."""
    return repr(word) if len(word) <= _LONGEST_ECHO and not _looks_secret(word) else "that word (it is long, and not repeated here)"


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6) -> str:
    """Return "Did you mean ...?" for a word that is nearly a known one, else another text."""
    lower = {name.lower(): name for name in known if name != word}
    close = difflib.get_close_matches(word.lower(), lower, n=3, cutoff=cutoff)
    close += [name for name in lower if len(word) > 1 and name.startswith(word.lower()) and name not in close]
    return f"Did you mean {_or([lower[name] for name in close[:3]])}?" if close else otherwise


def _looks_secret(word: str) -> bool:
    bare = word.lstrip("-")
    # Ids, verbs and options are short or have - / : in them; keys are one long run of letters and digits.
    return any(len(run) > 20 and any(c.isdigit() for c in run) for run in _runs(bare))  # noqa: PLR2004 - longer than any id


def _runs(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


def _pick(verbs: Sequence[Verb], word: str, where: str, *, example: str = "", following: str = "") -> Verb:
    found = next((verb for verb in verbs if verb.word == word), None)
    if found is None:
        words = [verb.word for verb in verbs]
        if example:
            hint = _of_group(words, word, where, example)
        else:
            safe = following if following and not following.startswith("-") and shown(following) == repr(following) else ""
            hint = _exactly(word, words) or verb_for(word, safe) or nearly(word, words) or f"{where} --help lists them."
        what = "option" if word.startswith("-") else "verb"
        raise InvalidArgumentError(f"{where} has no {what} {shown(word)}.", argument="verb", hint=hint)
    return found


def _of_group(words: Sequence[str], word: str, where: str, example: str) -> str:
    """Return what to type in a group of verbs: they are few enough to be named."""
    near = _exactly(word, words) or nearly(word, words)
    # Behind a verb that needs to know of what kind a thing is, the thing itself is the usual mistake.
    takes_one = example.rsplit(maxsplit=1)[-1] not in words
    missing = f"What it is comes first: {where} {words[0]} {word}. " if takes_one and _is_plain(word) else ""
    return near or f"{missing}It takes {_or(words)}, for example: {example}"


def _is_plain(word: str) -> bool:
    return shown(word) == repr(word) and not word.startswith("-") and not any(c.isspace() for c in word)


def _exactly(word: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" where only the case, or an s at the end, differs."""
    lower = word.lower()
    alike = next((name for name in known if name.lower() in {lower, f"{lower}s", lower.removesuffix("s")}), "")
    return f"Did you mean {alike}?" if alike else ""


def nearly(word: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" for a verb or an option with a typing error; empty for another word."""
    swapped = [name for name in known if sorted(name) == sorted(word.lower())]
    return f"Did you mean {_or(swapped)}?" if swapped else did_you_mean(word, known, cutoff=_ALIKE)


def _option(verb: Verb, word: str, queue: list[str]) -> tuple[Option, str | None]:
    flag, joined, text = word.partition("=")
    option = verb.option(flag)
    if option is None:
        flags = [f for o in verb.options for f in o.flags if f.startswith("--")]
        every = tuple(f for o in verb.options for f in o.flags)
        known = f"It has {', '.join(flags)}." if flags else "It has no options."
        # What is an option elsewhere is said of verbs that have options themselves.
        taught = option_for(flag, every, verb.line) if flags else ""
        hint = _exactly(flag, every) or taught or nearly(flag, flags) or known
        raise InvalidArgumentError(
            f"%loops {verb.name} has no option {shown(flag)}.", argument=flag.lstrip("-"), hint=f"{hint} See {verb.line} --help"
        )
    if option.is_switch:
        if joined:
            raise _refuse(verb, f"{flag} takes no value", option.name)
        return option, None
    if joined:
        return option, text
    if not queue or verb.option(queue[0].partition("=")[0]) is not None:
        raise _refuse(verb, f"{flag} needs a value: {flag} {option.metavar} ({option.help})", option.name)
    return option, queue.pop(0)


def _fill(verb: Verb, loose: list[str], values: dict[str, Any]) -> None:
    for argument, word in zip(verb.arguments, loose, strict=False):
        value = _value(verb, argument, argument.metavar, word)
        values[argument.name] = (value,) if argument.many else value
    last = verb.arguments[-1] if verb.arguments else None
    if last is not None and last.many:
        extra = loose[len(verb.arguments) :]
        values[last.name] = (*values[last.name], *(_value(verb, last, last.metavar, word) for word in extra))
        loose = loose[: len(verb.arguments)]
    missing = [a for a in verb.arguments[len(loose) :] if a.required]
    if missing:
        error = _refuse(verb, f"{missing[0].metavar} is missing ({missing[0].help})", missing[0].name)
        listing = next((line for line, one in _ONE_OF.items() if one == verb.line), "")
        raise with_hint(error, f"%loops {listing} lists all. {error.hint}") if listing else error
    extra = loose[len(verb.arguments) :]
    if extra:
        what = "takes no word after it" if not verb.arguments else f"takes {len(verb.arguments)} word{'s'[: len(verb.arguments) > 1]}"
        error = _refuse(verb, f"{what}, so {shown(extra[0])} is one too many (a text with spaces needs quotes)")
        one = _ONE_OF.get(verb.name)
        raise with_hint(error, f"{one} {extra[0]} shows one. {error.hint}") if one and _is_plain(extra[0]) else error


def _value(verb: Verb, taken: Takes, label: str, text: str) -> Any:
    if not text.strip():
        raise _refuse(verb, f"{label} is empty", taken.name)
    if taken.choices and text not in taken.choices:
        near = did_you_mean(text, taken.choices)
        raise InvalidArgumentError(f"{verb.line}: {label} must be {_or(taken.choices)}, not {shown(text)}.", argument=taken.name, hint=near)
    try:
        return taken.convert(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{verb.line}: {label} {error.message}", argument=taken.name, hint=error.hint) from None


def _refuse(verb: Verb, what: str, argument: str = "") -> InvalidArgumentError:
    return InvalidArgumentError(f"{verb.line}: {what}.", argument=argument, hint=f"See {verb.line} --help")


def argument_form(argument: Takes) -> str:
    """Return how an argument stands in a usage: in brackets when it can be left out, with dots when there can be several."""
    form = argument.metavar if argument.required else f"[{argument.metavar}]"
    return f"{form} ..." if argument.many else form


def _usage(option: Option) -> str:
    form = option.flags[-1] if option.is_switch else f"{option.flags[-1]} {option.metavar}"
    return (form if option.required else f"[{form}]") + (" ..." if option.many else "")


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
