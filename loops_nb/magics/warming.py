"""Bringing pandas in while something else is waited for.

Importing it takes a fifth of a second and more.  A first listing waits for the network, and a first start of the local service for that
service: the import happens meanwhile.  Never at load time: a person who only loads the extension shall not pay for it.
"""

from __future__ import annotations

import logging
import sys
import threading

_LOG = logging.getLogger(__name__)


def warm_up() -> None:
    """Start to import what DataFrames need, in the background, unless it is there."""
    if "pandas" not in sys.modules:
        threading.Thread(target=_bring_in, name="loops-nb-warming", daemon=True).start()


def _bring_in() -> None:
    # Whoever needs it next gets the error where it can be read.
    try:
        from loops_nb import accessor  # noqa: F401, PLC0415
    except Exception:  # noqa: BLE001 - see above
        _LOG.debug("pandas could not be imported ahead of its use.", exc_info=True)
