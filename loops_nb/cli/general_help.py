"""The help of ``loops-nb`` itself."""

from __future__ import annotations

from loops_nb.cli.exit_status import MEANINGS
from loops_nb.cli.shell_verbs import OWN, shell_verb
from loops_nb.cli.wording import in_shell
from loops_nb.magics.help import two_columns, verb_heading

_INTRODUCTION = """\
loops-nb: Baseten Loops in a shell, with the verbs of %loops in a notebook.

Usage:
  loops-nb VERB ...          run a verb and print its result
  loops-nb VERB --help       describe a verb
  loops-nb --version
"""
_OWN_HEADING = "This machine"
_EXAMPLES = (
    ("loops-nb local start", "start a local service with sample data: no key, no network"),
    ("loops-nb serve --sample", "the same in this terminal, until Ctrl-C"),
    ("loops-nb login", "or: store an API key for the hosted service"),
    ("loops-nb runs --status ACTIVE", "your active runs"),
    ("loops-nb watch", "a table of all runs that updates live"),
    ("loops-nb wait RUN --timeout 600", "wait until a run is RUNNING; the exit status says whether it is"),
    ("loops-nb logs RUN -f", "log lines as they come"),
    ("loops-nb runs --jsonl | jq .id", "for other programs"),
)
_CLOSING = """\
Results go to the standard output, messages to the standard error. --json, --jsonl and -q are options of what
lists or makes something; there is no progress and no color in a pipe, and none with NO_COLOR.
The key comes from BASETEN_API_KEY or loops-nb login; LOOPS_BASE_URL is the address of another service.
loops-nb completion bash|zsh|fish prints the completion for a shell."""


def general_help() -> str:
    """Return the help of the command."""
    from loops_nb.magics.verbs import GROUPS  # imports every verb

    lines = [_INTRODUCTION]
    for title, verbs in GROUPS:
        lines.append(f"{'Live' if title == 'Live panels' else title}:")
        lines += two_columns((verb_heading(verb), in_shell(verb.summary)) for verb in map(shell_verb, verbs))
        lines.append("")
    lines.append(f"{_OWN_HEADING}:")
    lines += two_columns((verb_heading(verb), verb.summary) for verb in OWN)
    lines += ["", "Examples:", *two_columns(_EXAMPLES, width=34)]
    lines += ["", _CLOSING, "", "Exit status:"]
    lines += two_columns(((str(status), meaning) for status, meaning in MEANINGS.items()), width=5)
    return "\n".join(lines)
