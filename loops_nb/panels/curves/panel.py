"""The panel of curves: what it is asked for, its report, and its picture."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.bundle import page_code
from loops_nb.panels.curves.controller import CurvesController
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.curves.model import MOST_NAMED, MOST_NEWEST
from loops_nb.panels.curves.report import grid_of, heading_of, plot_of, report_of, report_parts, text_report_of
from loops_nb.panels.reported_widget import ReportedWidget
from loops_nb.render.formatting import many
from loops_nb.tracking.metrics import is_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from loops_nb.charts import Plot
    from loops_nb.charts.metric_source import MetricSource
    from loops_nb.charts.series import Axis
    from loops_nb.panels.curves.messages import CurvesMetadata, CurvesSnapshot
    from loops_nb.panels.curves.model import ListedCheckpoint
    from loops_nb.panels.visibility import Visibility
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.bands import BandKind


_MOST_IN_TITLE = 4


class CurvesPanel(ReportedWidget):
    """Curves of training metrics, live while a cell trains: experiments overlaid, with their recorded checkpoints.

    It shows itself when it is a cell's last value, or with `show`.  A static picture of the same stays in the saved
    notebook.

    Parameters
    ----------
    runs
        Ids of runs or experiments, or names of experiments, also such that do not exist yet; None for the newest
        experiments, which stay when newer ones are logged, until `show_newer`.
    key
        What is drawn first: ``loss`` where that was recorded.
    axis
        Along what: ``step``, ``tokens``, ``elapsed`` (seconds since the experiment began) or ``clock``.
    smoothing
        How much of the former average stays at each value, from 0 (none) to 0.999.
    group_by
        Draw the mean of groups with a band: by a parameter, by several (``"lr,rank"`` or a list), or by ``tag``,
        ``project``, ``name`` or ``seedless``, the name without its seed. Of all experiments, where none are named. The
        panel can change this, the band and the baseline.
    band
        ``std`` (mean and standard deviation), ``minmax`` (mean, lowest to highest) or ``quartiles`` (with the median).
    baseline
        Draw differences to this one: name, id or run of an experiment, or label of a group such as ``lr=0.0001``.
    against
        ``difference``, or ``ratio`` to the baseline.
    color_by
        Color the lines by a parameter: a scale for numbers, else a color for each value.
    store
        Where the points are; None for the store that ``loops_nb`` writes to.
    inside
        It stands in another panel, which says for both how they stand and how to open them.
    follows
        Where no experiments are named, newer ones take the place of the shown ones as they begin.
    title, line
        Heading, and the line of code that opens it; empty for those of ``%loops curves``.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used.
    """

    _controller: CurvesController

    def __init__(
        self,
        runs: str | list[str] | tuple[str, ...] | None = None,
        *,
        key: str = "",
        axis: Axis = "step",
        smoothing: float = 0.0,
        group_by: str | Sequence[str] | None = None,
        band: BandKind = "std",
        baseline: str | None = None,
        against: Literal["difference", "ratio"] = "difference",
        color_by: str | None = None,
        store: MetricSource | None = None,
        inside: bool = False,
        follows: bool = False,
        title: str = "",
        line: str = "",
    ) -> None:
        wanted = _names(runs)
        spec = _compared(_spec(key, axis, smoothing), group_by, band, baseline, against)
        color = _text(color_by, "color_by")
        self._own_store: ExperimentStore | None = None
        page = page_code("curves.js")
        source = store
        if source is None:
            source = self._own_store = _store()

        def made(tell: Callable[[dict[str, Any]], None], visibility: Visibility) -> CurvesController:
            words = [*(wanted or ()), *_options(spec, color)]
            code = line or " ".join(["%loops curves", *map(shlex.quote, words)])
            newest = MOST_NAMED if spec.group_by else MOST_NEWEST
            return CurvesController(
                source,
                wanted,
                tell,
                visibility,
                title=lambda metadata: title or _title(wanted, metadata),
                line="" if inside else code,
                spec=spec,
                newest=newest,
                color_by=color,
                follows=follows,
            )

        super().__init__(made, page)
        self._controller.start()

    def snapshot_now(self) -> CurvesSnapshot:
        """Return everything that is shown now."""
        return self._controller.snapshot()

    def set_listed_checkpoints(self, listed: Sequence[ListedCheckpoint]) -> None:
        """Put checkpoints on the curves that the service knows of, those that were recorded not twice."""
        self._controller.set_listed_checkpoints(listed)

    def show_runs(self, runs: Sequence[str] | None) -> None:
        """Show other experiments in place of those that are shown: by id, run or name; None for the newest."""
        self._controller.show(_names(runs))

    def report_parts(self) -> list[str]:
        """Return the pieces of HTML of its report, for the report of a panel around it."""
        return report_parts(self._controller)

    def report_version(self) -> object:
        """Return what changes with everything that `report_parts` draws."""
        return self._controller.version()

    def show_newer(self) -> None:
        """Show the newest experiments in place of those that are shown; of named ones nothing changes."""
        self._controller.show_newest()

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal."""
        self._controller.update()
        return text_report_of(self._controller, width=width)

    @property
    def picture(self) -> Plot:
        """What is shown now as a picture that needs no page: ``panel.picture.save("curves.svg")``."""
        self._controller.update()
        return self._controller.read(lambda model: plot_of(model, self._controller.first_spec))

    def figure(self, key: str | Sequence[str] = "") -> Figure:
        """Draw metrics of the shown experiments with matplotlib, grouped and compared as the panel was opened.

        Parameters
        ----------
        key : str or sequence of str, default ""
            The metric; of several, or of a pattern (``eval/*``), each has axes of its own.  Empty for the one that the
            panel opens with.

        Returns
        -------
        matplotlib.figure.Figure
            To be changed, and saved by its ``savefig``.

        Raises
        ------
        InvalidArgumentError
            If nothing is recorded of it.

        Examples
        --------
        >>> panel.figure("eval/loss").savefig("eval-loss.pdf")
        >>> panel.figure(["loss", "eval/*"]).savefig("all.pdf")
        """
        self._controller.update()
        spec = self._controller.first_spec
        if not isinstance(key, str) or is_pattern(key):
            return self._controller.read(lambda model: grid_of(model, spec, key)).figure
        spec = msgspec.structs.replace(spec, key=key) if key else spec
        return self._controller.read(lambda model: plot_of(model, spec)).figure

    def frame(self, keys: Sequence[str] | str | None = None) -> pd.DataFrame:
        """Return every recorded value of the shown experiments.

        Parameters
        ----------
        keys : str or sequence of str, optional
            Only these metrics; by default all.

        Returns
        -------
        pandas.DataFrame
            One row per point: id, experiment and key (string), step (int64), at (datetime64, UTC), tokens and value
            (float64) and attempt (int32).

        Raises
        ------
        InvalidArgumentError
            If none of the experiments has a key.

        Examples
        --------
        >>> panel.frame("loss").groupby("experiment")["value"].min()
        """
        from loops_nb.panels.curves.export import values_frame  # pandas

        self._controller.update()
        chosen = [keys] if isinstance(keys, str) else None if keys is None else list(keys)
        return self._controller.read(lambda model: values_frame(model, chosen))

    def __repr__(self) -> str:
        return f"<CurvesPanel of {many(len(self._controller.metadata.runs), 'experiment')}>"

    # The report.

    def _first_report(self) -> dict[str, str]:
        # The first picture takes a second with the import of matplotlib; the page need not wait for it.
        return heading_of(self._controller)

    def _version(self) -> object:
        return self.report_version()

    def _make_report(self, *, live: bool) -> dict[str, str]:
        return report_of(self._controller, live=live)

    def _words(self, width: int) -> str:
        return self.told(width)

    def _look_now(self) -> None:
        self._controller.update()

    def _let_go(self) -> None:
        if self._own_store is not None:
            self._own_store.close()


def _title(wanted: Sequence[str] | None, metadata: CurvesMetadata) -> str:
    if wanted is None:
        return "Curves"
    if len(wanted) > _MOST_IN_TITLE:
        return f"Curves of {len(wanted)} experiments"
    # A pattern, a filter or a table gives ids, which say nothing.
    label_of = {run.id: run.label for run in metadata.runs}
    return f"Curves of {', '.join(dict.fromkeys(label_of.get(word, word) for word in wanted))}"


def _names(runs: Any) -> list[str] | None:
    if runs is None:
        return None
    given = [runs] if isinstance(runs, str) else list(runs)
    # A run, an experiment, or a row of either's frame may be given where an id is expected.
    names = [each if isinstance(each, str) else getattr(each, "id", None) for each in given]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidArgumentError(
            "runs are given by their ids or names, as texts.", argument="runs", hint='For example: ["k4q95w5"]'
        )
    return [str(name).strip() for name in names] or None


def _spec(key: Any, axis: Any, smoothing: Any) -> ChartSpec:
    from loops_nb.charts.ema import MAX_WEIGHT
    from loops_nb.charts.series import AXES  # numpy

    if not isinstance(key, str):
        raise InvalidArgumentError(f"key is a text such as loss, not {key!r}.", argument="key")
    if axis not in AXES:
        raise InvalidArgumentError(f"axis is one of {', '.join(AXES)}, not {axis!r}.", argument="axis")
    if not isinstance(smoothing, int | float) or not 0 <= smoothing <= MAX_WEIGHT:
        raise InvalidArgumentError(f"smoothing is from 0 to {MAX_WEIGHT}, not {smoothing!r}.", argument="smoothing")
    return ChartSpec(key=key, axis=axis, smoothing=float(smoothing))


def _text(given: Any, name: str) -> str:
    if given is not None and not isinstance(given, str):
        raise InvalidArgumentError(f"{name} is a text, not {given!r:.40}.", argument=name)
    return (given or "").strip()


def _compared(spec: ChartSpec, group_by: Any, band: Any, baseline: Any, against: Any) -> ChartSpec:
    from loops_nb.tracking.bands import band_kind  # numpy
    from loops_nb.tracking.groups import group_names

    if against not in ("difference", "ratio"):
        raise InvalidArgumentError(f"against is difference or ratio, not {against!r:.40}.", argument="against")
    return msgspec.structs.replace(
        spec,
        group_by=",".join(group_names(group_by)) if group_by else "",
        band=band_kind(band),
        baseline=_text(baseline, "baseline"),
        against=against,
    )


def _options(spec: ChartSpec, color_by: str) -> list[str]:
    """Return the options of the line that opens a panel with these groups."""
    has_band = spec.group_by and spec.band != "std"
    is_ratio = spec.baseline and spec.against == "ratio"
    options = {
        "--group-by": spec.group_by,
        "--band": spec.band if has_band else "",
        "--baseline": spec.baseline,
        "--against": spec.against if is_ratio else "",
        "--color-by": color_by,
    }
    return [word for option, value in options.items() if value for word in (option, value)]


def _store() -> ExperimentStore:
    from loops_nb.tracking import ExperimentStore  # only when none was given

    return ExperimentStore()
