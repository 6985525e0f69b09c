"""Baseten Loops in a notebook.

``%load_ext loops_nb``, then ``%loops``.  From Python: `Loops` and `AsyncLoops`.  Importing this package imports nothing heavy; what is
asked for comes in when it is asked for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from loops_nb._version import __version__

if TYPE_CHECKING:
    from loops_nb.async_loops import AsyncLoops
    from loops_nb.client.retry import RetryPolicy
    from loops_nb.errors import LoopsError
    from loops_nb.experiments import Experiment, experiment
    from loops_nb.loops import Loops
    from loops_nb.tracking import track
    from loops_nb.uri import CheckpointURI, parse_uri

__all__ = [
    "AsyncLoops",
    "CheckpointURI",
    "Experiment",
    "Loops",
    "LoopsError",
    "RetryPolicy",
    "__version__",
    "experiment",
    "load_ipython_extension",
    "parse_uri",
    "track",
    "unload_ipython_extension",
]

# Without a handler of the application's, Python would print warnings under whatever cell runs.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOME_OF = {
    "AsyncLoops": "loops_nb.async_loops",
    "CheckpointURI": "loops_nb.uri",
    "Experiment": "loops_nb.experiments",
    "Loops": "loops_nb.loops",
    "LoopsError": "loops_nb.errors",
    "RetryPolicy": "loops_nb.client.retry",
    "experiment": "loops_nb.experiments",
    "parse_uri": "loops_nb.uri",
    "track": "loops_nb.tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - only needed for the first use of a name

    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(ip: Any) -> None:
    """Register ``%loops`` (called by ``%load_ext loops_nb``)."""
    from loops_nb import magics  # noqa: PLC0415 - needs IPython, which a script does not have

    magics.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take everything back that `load_ipython_extension` did (called by ``%unload_ext loops_nb``)."""
    from loops_nb import magics  # noqa: PLC0415

    magics.unload(ip)
