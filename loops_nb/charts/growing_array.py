"""Arrays with amortized appending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_FEWEST = 256


class GrowingArray:
    """An array with spare capacity at its end; one value all along takes no memory.

    Parameters
    ----------
    dtype : dtype-like
        Of its values.
    """

    def __init__(self, dtype: Any) -> None:
        self._room = np.empty(0, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Append values; those that come first may be kept as they are, without a copy."""
        values = values.astype(self._room.dtype, copy=False)
        needed = self._count + len(values)
        if not self._count and (len(values) >= _FEWEST or _is_constant(values)):
            self._room = values
        elif _is_constant(self._room) and _is_constant(values) and _is_same(self._room[0], values[0]):
            self._room = np.broadcast_to(self._room[0], needed)
        else:
            if needed > len(self._room) or _is_constant(self._room):
                larger = np.empty(max(needed, 2 * self._count, _FEWEST), dtype=self._room.dtype)
                larger[: self._count] = self._room[: self._count]
                self._room = larger
            self._room[self._count : needed] = values
        self._count = needed

    def fork(self) -> GrowingArray:
        """Return a copy that shares the memory of the values so far; what is appended to one is not in the other."""
        # Neither has spare capacity, so that both move before they write.
        self._room = self.all
        found = GrowingArray(self._room.dtype)
        found._room, found._count = self._room, self._count
        return found

    @property
    def nbytes(self) -> int:
        """The memory of the values, in bytes."""
        return 0 if _is_constant(self._room) else self._room.nbytes

    @property
    def all(self) -> npt.NDArray[Any]:
        """The values."""
        return self._room[: self._count]


def _is_constant(values: npt.NDArray[Any]) -> bool:
    return len(values) > 0 and values.strides == (0,)


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - only NaN is not itself
