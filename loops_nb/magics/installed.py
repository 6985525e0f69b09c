"""What a shell gets from ``%load_ext``, and how all of it is taken back."""

from __future__ import annotations

from typing import Any

from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

from loops_nb.magics.display import Display
from loops_nb.magics.magic import LoopsMagics
from loops_nb.magics.semicolon import with_help, without_semicolon

_TRANSFORMERS = [without_semicolon, with_help]


class Installed:
    """The magics, the matcher, the formatters and the look at a line before IPython reads it, in one shell.

    Parameters
    ----------
    ip
        The IPython shell.
    """

    def __init__(self, ip: Any) -> None:
        self._ip = ip
        self._former_magics = {kind: known.get("loops") for kind, known in ip.magics_manager.magics.items()}
        self.magics = LoopsMagics(ip)
        ip.register_magics(self.magics)
        self._matcher = _matcher(self.magics)
        if getattr(ip, "Completer", None) is not None:
            ip.Completer.custom_matchers.append(self._matcher)
        ip.input_transformers_cleanup.extend(_TRANSFORMERS)
        self._display = Display(ip, self.magics)

    def remove(self) -> None:
        """Take everything back."""
        ip = self._ip
        self._display.remove()
        for transformer in _TRANSFORMERS:
            if transformer in ip.input_transformers_cleanup:
                ip.input_transformers_cleanup.remove(transformer)
        completer = getattr(ip, "Completer", None)
        if completer is not None and self._matcher in completer.custom_matchers:
            completer.custom_matchers.remove(self._matcher)
        # `Magics` puts itself there, for `%config`.
        if self.magics in ip.configurables:
            ip.configurables.remove(self.magics)
        manager = ip.magics_manager
        if manager.registry.get("LoopsMagics") is self.magics:
            del manager.registry["LoopsMagics"]
        for kind, known in manager.magics.items():
            if getattr(known.get("loops"), "__self__", None) is self.magics:
                del known["loops"]
                if self._former_magics[kind] is not None:
                    known["loops"] = self._former_magics[kind]
        self.magics.close()


class _Nothing(list[SimpleCompletion]):
    """No completions, and no others in their place.

    IPython lets a matcher suppress the others only with a result that is not empty by its length; Python's builtins are no words of a line.
    """

    def __len__(self) -> int:
        return 1


def _matcher(magics: LoopsMagics) -> Any:
    """Return a matcher of IPython's second API: the older hooks do not see ``df = %loops ...``."""

    @context_matcher(identifier="loops_nb")
    def match(context: Any) -> SimpleMatcherResult:
        text = context.text_until_cursor
        if "%loops" in text:
            from loops_nb.magics.completion import Completion  # noqa: PLC0415 - reads all verbs, at the first Tab

            found = Completion(magics).match(text)
            if found is not None:
                fragment, words = found
                completions = [SimpleCompletion(text=word, type=kind) for word, kind in words]
                completions = completions or _Nothing()
                return SimpleMatcherResult(completions=completions, matched_fragment=fragment, suppress=True, ordered=True)
        return SimpleMatcherResult(completions=[])

    return match
