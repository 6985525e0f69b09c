"""Arrays that points are put to the end of, without copying all of them each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class Growing:
    """An array with room at its end.

    Parameters
    ----------
    dtype
        Of its values.
    """

    def __init__(self, dtype: Any) -> None:
        self._room = np.empty(256, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Put values to the end."""
        needed = self._count + len(values)
        if needed > len(self._room):
            larger = np.empty(max(needed, 2 * len(self._room)), dtype=self._room.dtype)
            larger[: self._count] = self._room[: self._count]
            self._room = larger
        self._room[self._count : needed] = values
        self._count = needed

    @property
    def all(self) -> npt.NDArray[Any]:
        """What is in it now."""
        return self._room[: self._count]
