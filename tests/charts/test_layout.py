"""Charts are the same whatever the user has set, on any thread, and matplotlib comes only with a picture."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import matplotlib as mpl
import pytest

from loops_nb.charts import Plot, drift, sizes, timeline
from tests.charts.frames import many_runs, moved

KINDS: dict[str, Any] = {
    "timeline": lambda: timeline(many_runs(3, 6), time_zone="UTC"),
    "sizes": lambda: sizes(many_runs(3, 6), along="time", time_zone="UTC"),
    "drift": lambda: drift(moved(("abc1234", "def5678"))),
}
HOSTILE: dict[str, Any] = {
    "text.usetex": True,
    "text.parse_math": True,
    "font.family": "No Such Font",
    "font.size": 30,
    "font.weight": "bold",
    "text.color": "red",
    "axes.labelcolor": "red",
    "axes.labelweight": "bold",
    "axes.labelpad": 20,
    "axes.facecolor": "black",
    "axes.edgecolor": "yellow",
    "axes.linewidth": 5,
    "axes.grid": True,
    "axes.grid.which": "both",
    "axes.spines.top": True,
    "axes.xmargin": 0.4,
    "axes.autolimit_mode": "round_numbers",
    "axes.axisbelow": False,
    "figure.facecolor": "black",
    "figure.dpi": 31,
    "figure.autolayout": True,
    "figure.constrained_layout.use": True,
    "grid.color": "red",
    "grid.linewidth": 4,
    "grid.linestyle": ":",
    "xtick.bottom": True,
    "xtick.top": True,
    "xtick.labeltop": True,
    "xtick.minor.visible": True,
    "xtick.labelsize": 22,
    "xtick.alignment": "right",
    "ytick.alignment": "top",
    "ytick.right": True,
    "ytick.labelleft": False,
    "legend.frameon": True,
    "legend.fontsize": 20,
    "legend.loc": "lower right",
    "legend.markerscale": 3,
    "legend.labelspacing": 3,
    "legend.numpoints": 2,
    "lines.linewidth": 9,
    "lines.linestyle": "--",
    "lines.marker": "x",
    "lines.markersize": 20,
    "lines.markeredgewidth": 5,
    "lines.solid_capstyle": "butt",
    "lines.dash_capstyle": "round",
    "markers.fillstyle": "none",
    "image.cmap": "gray",
    "patch.linewidth": 6,
    "patch.force_edgecolor": True,
    "path.sketch": (1, 100, 2),
    "path.simplify": False,
    "svg.fonttype": "path",
    "svg.image_inline": False,
    "svg.hashsalt": "other",
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "date.autoformatter.hour": "%Y",
    "timezone": "Asia/Tokyo",
}


@pytest.fixture
def _hostile_settings() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcParams.update(HOSTILE)  # type: ignore[arg-type]
        yield


def svg_of(plot: Plot) -> str:
    """Return the picture without the number that it has in its ids."""
    return plot.svg.replace(plot._name, "NAME")


PLAIN = {name: svg_of(make()) for name, make in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("_hostile_settings")
def test_no_setting_of_the_user_changes_a_picture(kind: str, caplog: pytest.LogCaptureFixture, tmp_path: Any) -> None:
    with caplog.at_level(logging.WARNING, "matplotlib"):
        plot = KINDS[kind]()
        assert svg_of(plot) == PLAIN[kind]
        plot.save(tmp_path / "plot.png")
        plot.save(tmp_path / "plot.pdf")
    assert "findfont" not in caplog.text
    assert {name: mpl.rcParams[name] for name in ("text.usetex", "svg.fonttype")} == {
        "text.usetex": True,
        "svg.fonttype": "path",
    }


def test_pictures_are_the_same_on_many_threads_while_pyplot_is_used() -> None:
    stop = threading.Event()
    found: list[list[str]] = []

    def draw() -> None:
        import matplotlib.pyplot as plt

        while not stop.is_set():
            figure, ax = plt.subplots()
            ax.plot([1, 2], label="x")
            ax.legend()
            figure.canvas.draw()
            found.append(plt.rcParams["font.family"])
            plt.close(figure)

    user = threading.Thread(target=draw)
    mpl.use("agg")
    user.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            drawn = list(pool.map(lambda kind: (kind, svg_of(KINDS[kind]())), [*KINDS] * 4))
    finally:
        stop.set()
        user.join()
    assert all(svg == PLAIN[kind] for kind, svg in drawn)
    assert found
    assert all(family == ["sans-serif"] for family in found)


_PROGRAM = """
import sys
import loops_nb
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "loops_nb")
import loops_nb.charts, loops_nb.panels, loops_nb.panels.curves.model, loops_nb.panels.curves.report
from tests.charts.frames import many_runs
plot = loops_nb.charts.PlotAccessor(many_runs(2, 3)).timeline()
assert len(plot.table) == 6 and repr(plot) and plot.notes
import loops_nb.panels.curves.panel
from tests.panels.curves.memory_store import MemoryStore
loops_nb.panels.curves.panel.page_code = lambda _: "export default { render() {} }"
store = MemoryStore()
store.log(store.begin("told"), "loss", [2.5])
panel = loops_nb.panels.CurvesPanel(store=store)
assert "2.5" in panel.told()
panel.close()
assert "matplotlib" not in sys.modules, "too early"
plot.svg
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules, "pyplot has a state that is the user's"
"""


def test_matplotlib_is_imported_when_a_picture_is_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
