"""Colours that can be told apart on a white page and on a black one, also by people who see fewer of them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

#: Blue and orange stay apart with every kind of colour blindness; each has 3:1 against white and against #111.
FIRST, SECOND, OTHERS = "#2b7fd9", "#cf5f10", "#7c7c80"
#: Text of a picture that cannot know the colour of its page.
MIDDLE = "#767676"
LIGHT, DARK = "#ffffff", "#111111"

# In Oklab: an indigo, the green that bends the way from it, and a pale yellow.
_FROM, _OVER, _TO = (0.27, 0.02, -0.12), (0.58, -0.16, -0.03), (0.94, -0.03, 0.14)
_STEPS = 64
# Oklab's own numbers (Björn Ottosson, 2020).
_TO_ROOTS = np.array([[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]])
_TO_LIGHT = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def ramp(share: float) -> str:
    """Return the colour for a share between 0 (dark) and 1 (light): equal steps of the share look equally far apart."""
    return _ramp()[round(min(max(share, 0.0), 1.0) * (_STEPS - 1))]


@cache
def _ramp() -> tuple[str, ...]:
    along = np.linspace(0, 1, 2001)[:, None]
    way = (1 - along) ** 2 * np.array(_FROM) + 2 * along * (1 - along) * np.array(_OVER) + along**2 * np.array(_TO)
    gone = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(way, axis=0), axis=1))])
    even = np.interp(np.linspace(0, gone[-1], _STEPS), gone, along[:, 0])
    lab = np.stack([np.interp(even, along[:, 0], way[:, axis]) for axis in range(3)], axis=1)
    return tuple(_hex(colour) for colour in lab)


def _hex(lab: npt.NDArray[np.float64]) -> str:
    linear = np.clip(_TO_LIGHT @ (_TO_ROOTS @ lab) ** 3, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # noqa: PLR2004 - as sRGB has it
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in shown)
