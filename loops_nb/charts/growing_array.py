"""Arrays with amortized appending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class GrowingArray:
    """An array with spare capacity at its end.

    Parameters
    ----------
    dtype : dtype-like
        Of its values.
    """

    def __init__(self, dtype: Any) -> None:
        self._room = np.empty(256, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Append values."""
        needed = self._count + len(values)
        if needed > len(self._room):
            larger = np.empty(max(needed, 2 * len(self._room)), dtype=self._room.dtype)
            larger[: self._count] = self._room[: self._count]
            self._room = larger
        self._room[self._count : needed] = values
        self._count = needed

    @property
    def all(self) -> npt.NDArray[Any]:
        """The values."""
        return self._room[: self._count]
