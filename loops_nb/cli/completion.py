"""Completion in bash, zsh and fish: the same candidates as Tab has in a notebook.

``loops-nb completion SHELL`` prints a script for the shell, which runs ``loops-nb __complete SHELL ...`` on each Tab.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb import console
from loops_nb.cli import exit_status
from loops_nb.cli.form import Form
from loops_nb.cli.shell_verbs import OWN, shell_verb
from loops_nb.errors import InvalidArgumentError, LoopsError, one_line
from loops_nb.magics.completion import LineCompleter, matching
from loops_nb.magics.completion_candidates import PartialLine
from loops_nb.magics.suggest import did_you_mean, join_or
from loops_nb.magics.verbs import verb_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.cli.context import ShellContext
    from loops_nb.magics.completion import CompleteWords
    from loops_nb.magics.grammar import Argument

    Offers = list[tuple[str, str]]

SHELLS = ("bash", "zsh", "fish")
_MOST = 200
#: The listings that a kind of candidates needs; none of these needs no connection.
_LISTINGS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("run", "run_name", "session", "uri", "checkpoint", "compared", "experiment"), ("runs",)),
    **dict.fromkeys(("logged", "watched"), ("runs", "deployments", "samplers")),
    **dict.fromkeys(("sampled", "sampler_or_run"), ("runs", "samplers")),
    **dict.fromkeys(("model", "model_deployment", "instance_type", "secret"), ()),
    "sampler": ("samplers", "runs"),
    "deployment": ("deployments", "runs"),
    "base_model": ("runs", "capabilities"),
    "team": ("teams",),
    "gpu_types": ("deployments", "samplers"),
}
_LONG_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
# What bash takes for more than a character of a word.
_SPECIAL = re.compile(r"([^\w@%+=:,./-])", re.ASCII)


def print_script(words: Sequence[str]) -> int:
    """Print the script of a shell.

    Raises
    ------
    InvalidArgumentError
        If no shell, or one that is not known, is named.
    """
    if len(words) == 1 and words[0] in SHELLS:
        console.say((Path(__file__).with_name("completion_scripts") / words[0]).read_text("utf-8"), end="")
        return exit_status.DONE
    near = did_you_mean(words[0], SHELLS) if words else ""
    raise InvalidArgumentError(
        f"loops-nb completion needs the name of a shell: {join_or(SHELLS)}.",
        argument="shell",
        hint=near or 'For bash, add to ~/.bashrc: eval "$(loops-nb completion bash)"',
    )


def print_candidates(words: Sequence[str]) -> int:
    """Print the candidates for the last word, one on each line; for the scripts of the shells.

    Parameters
    ----------
    words : sequence of str
        The shell, and its words up to the cursor (zsh and fish), or the characters at which it breaks words and the
        line up to the cursor (bash).
    """
    shell, rest = words[0], list(words[1:])
    quote = breaks = ""
    if shell == "bash":
        breaks, line = rest
        rest, quote = split_bash(line)
        rest = rest[1:]
    *complete, fragment = rest or [""]
    lines = []
    for text, about in offers(complete, fragment, substrings=shell == "fish"):
        if shell == "bash":
            lines.append(bash_word(text, fragment, quote, breaks))
        else:
            lines.append(f"{text}\t{one_line(about, limit=80)}")
    # A candidate with a line break would be read as two.
    console.say("".join(f"{line}\n" for line in lines if "\n" not in line), end="")
    return exit_status.DONE


def offers(words: list[str], fragment: str, *, substrings: bool = False) -> Offers:
    """Return the whole words that a fragment can become, with what is said about each.

    Parameters
    ----------
    words : list of str
        The complete words after ``loops-nb``.
    fragment : str
        The start of the word to complete.
    substrings : bool, default False
        Whether candidates may contain the fragment elsewhere than at their beginning, where nothing begins with it.
        Otherwise only a single one may.
    """
    from loops_nb.cli.context import ShellContext

    context = ShellContext(Form.IDS)
    try:
        replaced, found = _offers(context, words, fragment)
    except LoopsError:
        # The command itself says what is wrong.
        return []
    finally:
        context.close()
    before = fragment[: len(fragment) - len(replaced)]
    is_prefixed = all(text.lower().startswith(replaced.lower()) for text, _ in found)
    if not (is_prefixed or substrings or len(found) == 1):
        return []
    return [(before + text, about) for text, about in found[:_MOST] if text.isprintable()]


def _offers(context: ShellContext, words: list[str], fragment: str) -> tuple[str, Offers]:
    if not words or words == ["help"]:
        from loops_nb.magics.verbs import VERBS  # imports all verbs

        verbs = [*map(shell_verb, VERBS), *OWN]
        return fragment, matching([(verb.word, verb.summary) for verb in verbs], fragment)
    if words[0] == "completion":
        return fragment, matching([(shell, "shell") for shell in SHELLS], fragment) if len(words) == 1 else []
    own = _own_flags(words[0])
    if own is not None:
        return fragment, matching([(flag, "option") for flag in own], fragment)
    verb = verb_named(words[0])
    if verb is None:
        return fragment, []
    return _Completer(context).complete_words(words, fragment, [shell_verb(verb)])


def _own_flags(command: str) -> list[str] | None:
    """Return the options of a command that is no verb; None for a verb."""
    if not any(command == verb.name for verb in OWN):
        return None
    from loops_nb.cli.own_commands import usage

    return list(dict.fromkeys(_LONG_FLAG.findall(usage(command))))


class _Completer(LineCompleter):
    """Completes words that a shell has split: nothing is quoted, and the service is asked for what is needed."""

    def __init__(self, context: ShellContext) -> None:
        self.context = context
        super().__init__(self)

    def _values(self, taken: Argument, fragment: str, read: CompleteWords) -> Offers:
        return matching(self._candidates(taken, PartialLine(fragment, read.positional, read.options)), fragment)

    def _candidates(self, taken: Argument, line: PartialLine) -> Offers:
        listings = _LISTINGS.get(taken.completes)
        if listings is not None:
            client = self.context.loops
            self.context.cache.fetch_listings(client, listings)
        return super()._candidates(taken, line)


def split_bash(line: str) -> tuple[list[str], str]:
    """Split an unfinished line as bash does; return its words, and the quote that is open in the last one.

    Nothing is expanded: ``$name`` stays as it is.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(line):
        character = line[at]
        if character == "\\" and quote != "'" and at + 1 < len(line):
            at += 1
            word = (word or "") + line[at]
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote, word = character, word or ""
        elif not quote and character.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
        at += 1
    return [*words, word or ""], quote


def bash_word(text: str, fragment: str, quote: str, breaks: str) -> str:
    """Return what bash puts in place of the part of the last word that it completes.

    Parameters
    ----------
    text, fragment : str
        The whole word, and the part that was typed.
    quote : str
        The quote that is open.
    breaks : str
        ``COMP_WORDBREAKS``: bash replaces only what comes after the last of these.
    """
    at = max((fragment.rfind(mark) for mark in ":=" if mark in breaks), default=-1) + 1
    if not quote and text.startswith(fragment[:at]):
        text = text[at:]
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", text)
    return _SPECIAL.sub(r"\\\1", text)
