"""Grammar of ``%loops``: the arguments and options of each verb, declared once for parsing, help and completion.

Not ``argparse``: its messages and its handling of optional words differ between Python versions, it raises
``SystemExit``, and completion would need the same tables a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import SimpleNamespace
from typing import Any

#: The parsed values of a line, an attribute for each argument and option of its verb.
Values = SimpleNamespace


@dataclass(frozen=True)
class Argument:
    """A positional argument of a verb; the base of `Option`.

    Parameters
    ----------
    name : str
        Attribute of the parsed values that holds the value.
    metavar : str
        Placeholder in help texts; empty for an option without a value.
    help : str
        One line for the help.
    convert : callable, default str
        Converts the text; raises `InvalidArgumentError` if it cannot.
    choices : tuple of str, default ()
        The only words allowed; empty allows any.
    completes : str, default ""
        What Tab offers: a key of `loops_nb.magics.completion_candidates.KINDS`.
    free_text : bool, default False
        Whether it is free text, a number or a new name, so that Tab offers nothing.
    keywords : tuple of str, default ()
        Words with a special meaning, offered by Tab before the candidates.
    required : bool, default False
        Whether it must be given.
    default : Any, default None
        Value if it is not given.
    repeated : bool, default False
        Whether it can be given several times; the value is a tuple then.  Only the last argument can be repeated.
    """

    name: str
    metavar: str
    help: str
    _: KW_ONLY
    convert: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    completes: str = ""
    free_text: bool = False
    keywords: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    repeated: bool = False

    @property
    def usage(self) -> str:
        """The argument in a usage line: in brackets if it is optional, with dots if it can be repeated."""
        return _usage(self, self.metavar)


@dataclass(frozen=True, kw_only=True)
class Option(Argument):
    """An option: ``--base-model M``, ``--base-model=M``, or a switch without a value."""

    flags: tuple[str, ...]
    #: Flags of earlier versions: understood, and neither in the help nor offered by Tab.
    former_flags: tuple[str, ...] = ()

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return not self.metavar

    @property
    def usage(self) -> str:
        """The option in a usage line."""
        return _usage(self, f"{self.flags[-1]} {self.metavar}".rstrip())


@dataclass(frozen=True, kw_only=True)
class InShell:
    """What differs of a verb in a shell, where it is ``loops-nb VERB``: there are no variables, cells and panels.

    Parameters
    ----------
    summary, notes : str, default ""
        In place of those of the verb; empty keeps them, of the notes without the sentences about a notebook.
    examples : tuple of str, default ()
        Further lines, before those of the verb that work in a shell.
    helps : dict of str, optional
        Lines of the help of options that differ, by the last flag.
    left_out : dict of str, optional
        Options that make no sense there: by the last flag, why, and what to do instead.
    reads_text : bool, default False
        Whether the text of the cell is read from the standard input.
    """

    summary: str = ""
    notes: str = ""
    examples: tuple[str, ...] = ()
    helps: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    reads_text: bool = False


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb of ``%loops``, or a group of verbs; a verb that runs can have verbs below it, too.

    Parameters
    ----------
    name : str
        The word on the line; ``create run`` for a verb of a group.
    summary : str
        One line for the help, without a full stop.
    run : callable or None, default None
        Function of a `MagicContext` and the parsed values that runs the verb; None for a group.
    arguments : tuple of Argument, default ()
        Positional arguments.
    options : tuple of Option, default ()
        Options.
    verbs : tuple of Verb, default ()
        Verbs of a group.
    synonyms : tuple of str, default ()
        For a verb of a group: other words that choose it, neither in the help nor offered by Tab.
    default : str, default ""
        Verb of the group that runs if the line names none.
    examples : tuple of str, default ()
        Whole lines that can be typed.
    notes : str, default ""
        Sentences for the help.
    secret_warning : tuple of str, optional
        For a verb without arguments where users tend to paste a secret: message and hint of the error.  Nothing of
        the line is repeated.
    returns_listing : bool, default False
        Whether it returns a `ListingRows`, which becomes a DataFrame in a notebook; a shell shows it without pandas.
    returns_frame : bool, default False
        Whether the verb needs pandas, which is then imported in the background.
    kinds : tuple of str, default ()
        Kinds of the frames that it can return, the usual one first: ``df.loops.kind``.
    returns_object : bool, default False
        Whether it can return an object of the API.
    shell : InShell, optional
        What differs in a shell.
    cell : str, default ""
        For a cell magic, ``%%loops VERB``: what the cell holds.  The verb gets it as ``values.cell``.
    unknown_hint : str, default ""
        For a group: hint for a word that is none of its verbs, where ``{word}`` stands for it.
    when_interrupted : str, default ""
        For a verb that changes something: what to say after Ctrl-C, when it is not known whether it was done.
    """

    name: str
    summary: str
    # Called with a MagicContext, which this module does not import: it would make a cycle.
    run: Callable[..., Any] | None = None
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    verbs: tuple[Verb, ...] = ()
    synonyms: tuple[str, ...] = ()
    default: str = ""
    examples: tuple[str, ...] = ()
    notes: str = ""
    secret_warning: tuple[str, str] | None = None
    returns_frame: bool = False
    returns_listing: bool = False
    kinds: tuple[str, ...] = ()
    returns_object: bool = False
    shell: InShell = InShell()
    cell: str = ""
    when_interrupted: str = ""
    unknown_hint: str = ""

    @property
    def word(self) -> str:
        """The last word of the name: the one typed to choose it."""
        return self.name.rsplit(" ", 1)[-1]

    @property
    def line(self) -> str:
        """The line that runs it: ``%loops runs``, or ``%%loops sample`` for a cell magic."""
        if self.cell:
            return f"%%loops {self.name}"
        return f"%loops {self.name}"

    @property
    def usage(self) -> str:
        """The usage line of the help."""
        parts = [self.line]
        if self.is_group:
            words = "|".join(verb.word for verb in self.verbs)
            if self.default:
                words = f"[{words}]"
            parts += [words, "..."]
        parts += [argument.usage for argument in self.arguments if argument.metavar]
        parts += [option.usage for option in self.options]
        return " ".join(parts)

    @property
    def is_group(self) -> bool:
        """Whether it runs nothing without one of its verbs."""
        return bool(self.verbs) and self.run is None

    def inner(self, word: str) -> Verb | None:
        """Return the verb of the group that a word chooses."""
        return next((verb for verb in self.verbs if word == verb.word or word in verb.synonyms), None)

    def option(self, flag: str) -> Option | None:
        """Return the option with a flag."""
        return next((option for option in self.options if flag in (*option.flags, *option.former_flags)), None)


def option(flags: str, metavar: str, text: str, *, name: str = "", **details: Any) -> Option:
    """Return an option with a value.

    Parameters
    ----------
    flags : str
        Its flags, separated by spaces, the long one last.
    metavar, text : str
        Placeholder and line of the help.
    name : str, default ""
        As of `Argument`; made from the last flag by default.
    **details
        Other fields of `Argument`.

    Examples
    --------
    >>> option("-m --base-model", "MODEL", "only of this base model", completes="base_model")
    """
    words = tuple(flags.split())
    return Option(name or words[-1].lstrip("-").replace("-", "_"), metavar, text, flags=words, **details)


def switch(flags: str, text: str, *, name: str = "") -> Option:
    """Return an option without a value, False by default; parameters as of `option`."""
    return option(flags, "", text, name=name, default=False)


def _usage(argument: Argument, form: str) -> str:
    if not argument.required:
        form = f"[{form}]"
    if argument.repeated:
        form = f"{form} ..."
    return form
