"""Install ``%loops`` into an IPython shell on ``%load_ext``, and remove it on ``%unload_ext``."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

from loops_nb.magics.display import DisplayFormatters
from loops_nb.magics.magic import LoopsMagics

_ASSIGNMENT = re.compile(r"^(\s*[^\s=%#'\"][^=%]*=\s*%loops\s.*?)[\s;]*;\s*$")
# Only after a verb: a note and a prompt may end with a question mark.
_QUESTION = re.compile(r"^(\s*%{1,2}loops(?:\s+[a-z]+){1,2})\s*\?{1,2}\s*$")


def question_mark_to_help(lines: list[str]) -> list[str]:
    """Rewrite ``%loops VERB?`` to ``%loops VERB --help``: IPython would look for a Python object ``VERB``."""
    if len(lines) == 1 and (found := _QUESTION.match(lines[0])):
        return [f"{found[1]} --help\n"]
    return lines


def strip_semicolon(lines: list[str]) -> list[str]:
    """Remove the final semicolon of ``df = %loops runs;``: with it IPython would assign None."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines
    return [_ASSIGNMENT.sub("\\1\n", line) for line in lines]


_TRANSFORMERS = [strip_semicolon, question_mark_to_help]


class Extension:
    """Magics, completion matcher, display formatters and input transformers of one shell.

    Parameters
    ----------
    ip : InteractiveShell
        The IPython shell.
    """

    def __init__(self, ip: Any) -> None:
        self._ip = ip
        self._previous_magics = {kind: known.get("loops") for kind, known in ip.magics_manager.magics.items()}
        self.magics: LoopsMagics = LoopsMagics(ip)
        ip.register_magics(self.magics)
        self._matcher = _matcher(self.magics)
        if getattr(ip, "Completer", None) is not None:
            ip.Completer.custom_matchers.append(self._matcher)
        ip.input_transformers_cleanup.extend(_TRANSFORMERS)
        self._display = DisplayFormatters(ip, self.magics)

    def remove(self) -> None:
        """Restore the shell as it was before."""
        ip = self._ip
        self._display.remove()
        for transformer in _TRANSFORMERS:
            if transformer in ip.input_transformers_cleanup:
                ip.input_transformers_cleanup.remove(transformer)
        completer = getattr(ip, "Completer", None)
        if completer is not None and self._matcher in completer.custom_matchers:
            completer.custom_matchers.remove(self._matcher)
        # `Magics` registers itself there for `%config`.
        if self.magics in ip.configurables:
            ip.configurables.remove(self.magics)
        manager = ip.magics_manager
        if manager.registry.get("LoopsMagics") is self.magics:
            del manager.registry["LoopsMagics"]
        for kind, known in manager.magics.items():
            if getattr(known.get("loops"), "__self__", None) is self.magics:
                del known["loops"]
                if self._previous_magics[kind] is not None:
                    known["loops"] = self._previous_magics[kind]
        self.magics.close()


class _NoCompletions(list[SimpleCompletion]):
    """An empty result that still suppresses IPython's other matchers.

    IPython ignores ``suppress`` for a result of length 0, and would then offer Python names for the line.
    """

    def __len__(self) -> int:
        return 1


def _matcher(magics: LoopsMagics) -> Any:
    """Return a matcher for ``Completer.custom_matchers``: the older hooks do not see ``df = %loops ...``."""

    @context_matcher(identifier="loops_nb")
    def match(context: Any) -> SimpleMatcherResult:
        text = context.text_until_cursor
        if "%loops" in text:
            from loops_nb.magics.completion import LineCompleter  # imports all verbs, on the first Tab

            found = LineCompleter(magics).match(text)
            if found is not None:
                fragment, words = found
                completions = [SimpleCompletion(text=word, type=kind) for word, kind in words]
                completions = completions or _NoCompletions()
                return SimpleMatcherResult(
                    completions=completions, matched_fragment=fragment, suppress=True, ordered=True
                )
        return SimpleMatcherResult(completions=[])

    return match
