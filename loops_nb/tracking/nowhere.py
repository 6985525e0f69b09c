"""What stands in for a recorder where no file can be named: the training goes on, and nothing of it is kept."""

from __future__ import annotations

from pathlib import Path

from loops_nb.errors import TrackingError
from loops_nb.tracking.writing import Entry, count_as_lost


class Nowhere:
    """Takes entries and keeps none.

    Parameters
    ----------
    error
        Why there is no file.
    """

    def __init__(self, error: TrackingError) -> None:
        self._error = error
        self.trouble = f"Nothing is kept: {error}"
        self.untold = False
        self.waiting = 0

    @property
    def path(self) -> Path:
        """None that could be returned.

        Raises
        ------
        TrackingError
            Always; with the reason.
        """
        raise TrackingError(self._error.message, hint=self._error.hint)

    def add(self, entry: Entry) -> None:
        """Count what is lost."""
        count_as_lost(entry)

    def tell(self) -> None:
        """Do nothing: it was said at the beginning."""

    def flush(self) -> bool:
        """Return false."""
        return False
