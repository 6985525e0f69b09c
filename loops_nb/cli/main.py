"""Run a command: find its verb, parse the words, call the verb, print the result, and end with a status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from loops_nb import console
from loops_nb.cli import exit_status
from loops_nb.cli.streams import is_terminal, open_standard_streams, silence
from loops_nb.errors import Interrupted, LoopsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION_WORDS = ("--version", "-V", "version")
_ARGPARSE = ("serve", "mcp", "token", "where")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after ``loops-nb``; those of the process when left out.

    Returns
    -------
    status
        As of `loops_nb.cli.exit_status`.
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Not an error: `| head` has read what it wanted.
        silence(sys.stdout)
        return exit_status.PIPE_CLOSED
    except LoopsError as error:
        _report(error)
        return exit_status.status_of(error)
    except KeyboardInterrupt as stop:
        if is_terminal(sys.stderr):
            # The terminal shows ^C, or a question that was not answered, on the line.
            console.say("", out=sys.stderr)
        _say(str(stop) if isinstance(stop, Interrupted) else "Interrupted.")
        return exit_status.INTERRUPTED
    except OSError as error:
        silence(sys.stdout)
        _say(f"The output could not be written: {error.strerror or error}.")
        return exit_status.FAILED
    return status


def _run(words: list[str]) -> int:
    from loops_nb.magics.parser import wants_general_help

    if not words or wants_general_help(words):
        from loops_nb.cli.general_help import general_help

        console.say(general_help())
        return exit_status.DONE
    if words[0] in _VERSION_WORDS:
        from loops_nb._version import __version__

        console.say(f"loops-nb {__version__}")
        return exit_status.DONE
    if words[0] == "help":
        words = [*words[1:], "--help"]
    if words[0] in _ARGPARSE:
        from loops_nb.cli.own_commands import run_own

        return run_own(words)
    if words[0] in {"completion", "__complete"} and words[1:] != ["--help"]:
        from loops_nb.cli.completion import print_candidates, print_script

        return print_script(words[1:]) if words[0] == "completion" else print_candidates(words[1:])
    from loops_nb.cli.run_verb import run_verb

    return run_verb(words)


def _report(error: LoopsError) -> None:
    lines = error._render_traceback_()
    lines[0] = str(error)
    _say("\n".join(lines))


def _say(text: str) -> None:
    from loops_nb.cli.wording import in_shell

    try:
        sys.stdout.flush()
        line = in_shell(text)
        name = "" if line.startswith("loops-nb") else "loops-nb: "
        console.say(name + line, out=sys.stderr, flush=True)
    except (OSError, ValueError):
        silence(sys.stderr)
