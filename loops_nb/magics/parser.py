"""Parser of the magic line: words to a verb and its values, with an error that says what to type instead."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError, with_hint
from loops_nb.magics.suggest import (
    did_you_mean,
    is_plain,
    is_safe,
    join_or,
    safe_repr,
    suggest_case_or_plural,
    suggest_typo,
)
from loops_nb.magics.synonyms import option_hint, verb_hint
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.magics.grammar import Argument, Option, Verb

HELP_FLAGS = ("-h", "--help")
# Help flags of other tools; only alone after a verb, because a note may end with a question mark.
_HELP_WORDS = ("?", "-?", "/?", "/h", "-help", "--usage", "-H", "--h")
#: The line that shows one of what a verb lists.
_SINGULAR = {"runs": "%loops run", "samplers": "%loops sampler", "deployments": "%loops deployment"}


@dataclass(frozen=True)
class ParsedLine:
    """A verb and its values; ``wants_help`` if the line asks for the verb's help instead."""

    verb: Verb
    values: SimpleNamespace
    wants_help: bool = False


def parse(verbs: Sequence[Verb], words: Sequence[str]) -> ParsedLine:
    """Parse the words of a line.

    Raises
    ------
    InvalidArgumentError
        If the line does not fit the grammar; the text says what to type.
    """
    verb, rest = find_verb(verbs, words)
    options = rest[: rest.index("--")] if "--" in rest else rest
    if any(word in HELP_FLAGS for word in options) or _asks_for_help(verb, rest):
        return ParsedLine(verb, SimpleNamespace(), wants_help=True)
    if rest and verb.secret_warning:
        message, hint = verb.secret_warning
        raise InvalidArgumentError(message, argument="key", hint=hint)
    values: dict[str, Any] = {}
    for argument in (*verb.arguments, *verb.options):
        values[argument.name] = () if argument.repeated else argument.default
    positional = _parse_options(verb, rest, values)
    _parse_arguments(verb, positional, values)
    for option in verb.options:
        if option.required and values[option.name] is None:
            raise _error(verb, f"{option.flags[-1]} {option.metavar} is missing ({option.help})", option.name)
    return ParsedLine(verb, SimpleNamespace(**values))


def find_verb(verbs: Sequence[Verb], words: Sequence[str]) -> tuple[Verb, list[str]]:
    """Return the verb that words name, and the words after it.

    Raises
    ------
    InvalidArgumentError
        If there is no such verb; the text suggests similar ones.
    """
    verb = _find_top_verb(verbs, words)
    rest = list(words[1:])
    while verb.verbs:
        if rest and rest[0] in (*HELP_FLAGS, *_HELP_WORDS, "help"):
            rest[0] = HELP_FLAGS[0]
            break
        if not verb.is_group and (not rest or verb.inner(rest[0]) is None):
            break
        if rest and not rest[0].startswith("-"):
            word = rest.pop(0)
        elif verb.default:
            word = verb.default
        else:
            raise InvalidArgumentError(
                f"%loops {verb.name} needs to know what: {join_or([inner.word for inner in verb.verbs])}.",
                hint=f"For example: {verb.examples[0]}",
            )
        verb = _find_verb_of_group(verb, word)
    return verb, rest


def wants_general_help(words: Sequence[str]) -> bool:
    """Return whether a line without a verb asks for the help of ``%loops``."""
    if not words:
        return False
    if words[0] in (*HELP_FLAGS, *_HELP_WORDS):
        return True
    return len(words) == 1 and words[0].lower() in {"help", "usage", "man"}


def _asks_for_help(verb: Verb, rest: Sequence[str]) -> bool:
    if len(rest) != 1:
        return False
    return rest[0] in _HELP_WORDS or (rest[0] == "help" and not verb.arguments and verb.run is not None)


def _find_top_verb(verbs: Sequence[Verb], words: Sequence[str]) -> Verb:
    word = words[0]
    for verb in verbs:
        if verb.word == word:
            return verb
    known = [verb.word for verb in verbs]
    following = ""
    if len(words) > 1 and is_safe(words[1]) and not words[1].startswith("-"):
        following = words[1]
    hint = (
        suggest_case_or_plural(word, known)
        or verb_hint(word, following)
        or suggest_typo(word, known)
        or "%loops --help lists them."
    )
    raise _unknown_verb("%loops", word, hint)


def _find_verb_of_group(group: Verb, word: str) -> Verb:
    verb = group.inner(word)
    if verb is not None:
        return verb
    known = [inner.word for inner in group.verbs]
    hint = suggest_case_or_plural(word, known) or suggest_typo(word, known)
    if not hint and group.unknown_hint:
        hint = group.unknown_hint.format(word=word if is_plain(word) else "NAME")
    if not hint:
        example = group.examples[0]
        hint = f"It takes {join_or(known)}, for example: {example}"
        # Of `deactivate ID` the kind is usually what is missing; `local` takes nothing after its verbs.
        takes_id = example.rsplit(maxsplit=1)[-1] not in known
        if takes_id and is_plain(word):
            hint = f"What it is comes first: %loops {group.name} {known[0]} {word}. {hint}"
    raise _unknown_verb(f"%loops {group.name}", word, hint)


def _unknown_verb(where: str, word: str, hint: str) -> InvalidArgumentError:
    what = "option" if word.startswith("-") else "verb"
    return InvalidArgumentError(f"{where} has no {what} {safe_repr(word)}.", argument="verb", hint=hint)


def _parse_options(verb: Verb, words: Sequence[str], values: dict[str, Any]) -> list[str]:
    """Set the values of all options; return the other words."""
    positional: list[str] = []
    given: set[str] = set()
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word == "--":
            # As in a shell: what follows is no option, such as a note that begins with a hyphen.
            return positional + queue
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        option, text = _parse_option(verb, word, queue)
        if option.name in given and not option.repeated:
            raise _error(verb, f"{option.flags[-1]} is given twice", option.name)
        given.add(option.name)
        value: Any = True
        if text is not None:
            value = _convert(verb, option, option.flags[-1], text)
        values[option.name] = (*values[option.name], value) if option.repeated else value
    return positional


def _parse_option(verb: Verb, word: str, queue: list[str]) -> tuple[Option, str | None]:
    flag, equals, text = word.partition("=")
    option = verb.option(flag)
    if option is None:
        raise _unknown_option(verb, flag)
    if option.is_switch:
        if equals:
            raise _error(verb, f"{flag} takes no value", option.name)
        return option, None
    if equals:
        return option, text
    if not queue or verb.option(queue[0].partition("=")[0]) is not None:
        raise _error(verb, f"{flag} needs a value: {flag} {option.metavar} ({option.help})", option.name)
    return option, queue.pop(0)


def _unknown_option(verb: Verb, flag: str) -> InvalidArgumentError:
    flags = tuple(flag for option in verb.options for flag in option.flags)
    long_flags = [flag for flag in flags if flag.startswith("--")]
    hint = suggest_case_or_plural(flag, flags)
    if not hint and long_flags:
        hint = (
            option_hint(flag, flags, verb.line) or suggest_typo(flag, long_flags) or f"It has {', '.join(long_flags)}."
        )
    return InvalidArgumentError(
        f"%loops {verb.name} has no option {safe_repr(flag)}.",
        argument=flag.lstrip("-"),
        hint=f"{hint or 'It has no options.'} See {verb.line} --help",
    )


def _parse_arguments(verb: Verb, words: list[str], values: dict[str, Any]) -> None:
    for argument, word in zip(verb.arguments, words, strict=False):
        value = _convert(verb, argument, argument.metavar, word)
        values[argument.name] = (value,) if argument.repeated else value
    extra = words[len(verb.arguments) :]
    if extra and verb.arguments and verb.arguments[-1].repeated:
        last = verb.arguments[-1]
        values[last.name] += tuple(_convert(verb, last, last.metavar, word) for word in extra)
        extra = []
    for argument in verb.arguments[len(words) :]:
        if argument.required:
            raise _missing(verb, argument)
    if extra:
        raise _superfluous(verb, extra[0])


def _missing(verb: Verb, argument: Argument) -> LoopsError:
    error = _error(verb, f"{argument.metavar} is missing ({argument.help})", argument.name)
    for listing, line in _SINGULAR.items():
        if line == verb.line:
            return with_hint(error, f"%loops {listing} lists all. {error.hint}")
    return error


def _superfluous(verb: Verb, word: str) -> LoopsError:
    count = len(verb.arguments)
    takes = "takes no word after it"
    if count:
        takes = f"takes {many(count, 'word')}"
    error = _error(verb, f"{takes}, so {safe_repr(word)} is one too many (a text with spaces needs quotes)")
    line = _SINGULAR.get(verb.name)
    if line and is_plain(word):
        return with_hint(error, f"{line} {word} shows one. {error.hint}")
    return error


def _convert(verb: Verb, argument: Argument, label: str, text: str) -> Any:
    if not text.strip():
        raise _error(verb, f"{label} is empty", argument.name)
    if argument.choices and text not in argument.choices:
        raise InvalidArgumentError(
            f"{verb.line}: {label} must be {join_or(argument.choices)}, not {safe_repr(text)}.",
            argument=argument.name,
            hint=did_you_mean(text, argument.choices),
        )
    try:
        return argument.convert(text)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"{verb.line}: {label} {error.message}", argument=argument.name, hint=error.hint
        ) from None


def _error(verb: Verb, what: str, argument: str = "") -> InvalidArgumentError:
    return InvalidArgumentError(f"{verb.line}: {what}.", argument=argument, hint=f"See {verb.line} --help")
