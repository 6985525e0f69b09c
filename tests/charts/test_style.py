"""Colors hold on white and on black, and for eyes that see fewer of them."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex

from loops_nb.charts.style import COLOR_MAP, DARK, LIGHT, LINE_COLORS, MIDDLE, OTHER_COLOR, TARGET_COLORS

FIRST, SECOND = TARGET_COLORS["trainer"], TARGET_COLORS["sampler"]
STEPS = [to_hex(color) for color in colormaps[COLOR_MAP](np.linspace(0, 1, 64))]
#: What is left of red, green and blue (linear) without one kind of cones: Viénot, Brettel and Mollon, 1999.
FEWER = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def linear(color: str) -> npt.NDArray[np.float64]:
    shown = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(np.array([0.2126, 0.7152, 0.0722]) @ linear(color))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def lab(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return CIE L*a*b*: another measure of how far apart colors look than the one that made the color map."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (to_xyz @ light) / np.array([0.9505, 1.0, 1.089])
    fx, fy, fz = (v ** (1 / 3) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("color", [FIRST, SECOND, OTHER_COLOR, MIDDLE, *LINE_COLORS])
@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_marks_stand_out_on_every_page(color: str, ground: str) -> None:
    assert contrast(color, ground) >= 3


@pytest.mark.parametrize("eyes", FEWER)
def test_targets_are_told_apart_by_all_eyes(eyes: str) -> None:
    seen = [lab(np.clip(np.array(FEWER[eyes]) @ linear(color), 0, 1)) for color in (FIRST, SECOND)]
    assert np.linalg.norm(seen[0] - seen[1]) > 40


def test_equal_steps_look_equally_far_apart() -> None:
    lights = [lab(linear(color)) for color in STEPS]
    gaps = [float(np.linalg.norm(lights[at + 9] - lights[at])) for at in range(0, 54, 9)]
    assert max(gaps) / min(gaps) < 2.2


@pytest.mark.parametrize("eyes", [None, *FEWER])
def test_more_is_always_lighter(eyes: str | None) -> None:
    sees = np.eye(3) if eyes is None else np.array(FEWER[eyes])
    lightness = [lab(np.clip(sees @ linear(color), 0, 1))[0] for color in STEPS]
    assert all(later > earlier for earlier, later in itertools.pairwise(lightness))
