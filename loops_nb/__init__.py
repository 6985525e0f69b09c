"""Baseten Loops in a notebook.

``%load_ext loops_nb``, then ``%loops``.  From Python: `Loops` and `AsyncLoops`, and `RecordedMetrics` for what
is recorded on this machine.  Importing this package imports nothing slow: a public name is imported when it is first
used.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from loops_nb._version import __version__

if TYPE_CHECKING:
    from loops_nb.api.uri import CheckpointURI, parse_uri
    from loops_nb.client.retry import RetryPolicy
    from loops_nb.errors import LoopsError
    from loops_nb.resources._async.loops import AsyncLoops
    from loops_nb.resources.loops import Loops
    from loops_nb.resources.metrics import RecordedMetrics
    from loops_nb.tracking import track
    from loops_nb.tracking.experiment import Experiment, experiment

__all__ = [
    "AsyncLoops",
    "CheckpointURI",
    "Experiment",
    "Loops",
    "LoopsError",
    "RecordedMetrics",
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

_MODULE_OF = {
    "AsyncLoops": "loops_nb.resources._async.loops",
    "CheckpointURI": "loops_nb.api.uri",
    "Experiment": "loops_nb.tracking.experiment",
    "Loops": "loops_nb.resources.loops",
    "LoopsError": "loops_nb.errors",
    "RecordedMetrics": "loops_nb.resources.metrics",
    "RetryPolicy": "loops_nb.client.retry",
    "experiment": "loops_nb.tracking.experiment",
    "parse_uri": "loops_nb.api.uri",
    "track": "loops_nb.tracking",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # only needed for the first use of a name

    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(ip: Any) -> None:
    """Register ``%loops`` (called by ``%load_ext loops_nb``)."""
    from loops_nb import magics  # needs IPython, which a script does not have

    magics.load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """Take everything back that `load_ipython_extension` did (called by ``%unload_ext loops_nb``)."""
    from loops_nb import magics

    magics.unload(ip)
