"""Where ``loops_nb`` keeps what must outlive a kernel, and what only saves time: folders of the user's."""

from __future__ import annotations

import os
from pathlib import Path


def home_dir() -> Path:
    """Return the folder for data of ``loops_nb``; it may not exist yet.

    ``LOOPS_NB_HOME`` names it; without that it is the platform's folder for user data.
    """
    named = os.environ.get("LOOPS_NB_HOME", "").strip()
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - only needed without the variable

    return Path(platformdirs.user_data_dir("loops-nb", appauthor=False))


def cache_dir() -> Path:
    """Return the folder for what can be had again, at the price of time; it may not exist yet.

    It is ``cache`` below ``LOOPS_NB_HOME``; without that variable it is the platform's folder for a user's caches.
    """
    if os.environ.get("LOOPS_NB_HOME", "").strip():
        return home_dir() / "cache"
    import platformdirs  # noqa: PLC0415 - only needed without the variable

    return Path(platformdirs.user_cache_dir("loops-nb", appauthor=False))
