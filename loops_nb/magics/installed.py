"""What a shell gets from ``%load_ext``, and how all of it is taken back."""

from __future__ import annotations

from typing import Any

from loops_nb.magics.completion import Completion
from loops_nb.magics.display import Display
from loops_nb.magics.magic import LoopsMagics


class Installed:
    """The magics, the matcher and the formatters in one shell.

    Parameters
    ----------
    ip
        The IPython shell.
    """

    def __init__(self, ip: Any) -> None:
        self._ip = ip
        self._former_magic = ip.magics_manager.magics["line"].get("loops")
        self.magics = LoopsMagics(ip)
        ip.register_magics(self.magics)
        self._completion = Completion(self.magics)
        if getattr(ip, "Completer", None) is not None:
            ip.Completer.custom_matchers.append(self._completion.matcher)
        self._display = Display(ip, self.magics)

    def remove(self) -> None:
        """Take everything back."""
        ip = self._ip
        self._display.remove()
        completer = getattr(ip, "Completer", None)
        if completer is not None and self._completion.matcher in completer.custom_matchers:
            completer.custom_matchers.remove(self._completion.matcher)
        # `Magics` puts itself there, for `%config`.
        if self.magics in ip.configurables:
            ip.configurables.remove(self.magics)
        manager = ip.magics_manager
        if manager.registry.get("LoopsMagics") is self.magics:
            del manager.registry["LoopsMagics"]
        line_magics = manager.magics["line"]
        if getattr(line_magics.get("loops"), "__self__", None) is self.magics:
            del line_magics["loops"]
            if self._former_magic is not None:
                line_magics["loops"] = self._former_magic
        self.magics.close()
