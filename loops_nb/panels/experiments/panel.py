"""The panel of experiments: what it is asked for, its report, and the curves that are opened in it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from loops_nb.config.time_zone import display_zone
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.bundle import page_code
from loops_nb.panels.experiments.choices import load_choices, save_choices
from loops_nb.panels.experiments.controller import ExperimentsController
from loops_nb.panels.experiments.opened_curves import OpenedCurves
from loops_nb.panels.experiments.report import report_of, text_report_of
from loops_nb.panels.report.listing import MOST_ROWS
from loops_nb.panels.reported_widget import ReportedWidget
from loops_nb.tracking.leaderboard import ExperimentFilter, experiments_frame
from loops_nb.tracking.store import ExperimentStore

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from datetime import datetime, timedelta

    import pandas as pd

    from loops_nb.panels.experiments.messages import ExperimentsSnapshot
    from loops_nb.panels.visibility import Visibility


class ExperimentsPanel(ReportedWidget):
    """The experiments recorded on this machine as a leaderboard that updates live, also while a cell trains.

    It shows itself when it is a cell's last value, or with `show`.  A static table of the same stays in the saved
    notebook.  Rows can be sorted and filtered, columns chosen; the curves of a row, or of ticked rows, open below.

    Parameters
    ----------
    where : str, optional
        Expression over columns, parameters and metrics, as in `loops_nb.tracking.metrics.Metrics.experiments`.
    tags : str or iterable of str, default ()
        Only experiments with all of these tags.
    names : str or iterable of str, default ()
        Only experiments whose name, id or run matches one of these shell patterns.
    since : str, datetime or timedelta, optional
        Only experiments that began since then.
    project : str, optional
        Only experiments of this project.
    sort : str, optional
        Column, parameter or metric to sort by, with ``-`` before it in descending order; by default as the user sorted
        last, else the newest first.
    limit : int, optional
        Only the first so many experiments.
    archived : bool, default False
        Include archived experiments.
    metric : str, optional
        Key of the metric that the sparklines show and whose columns come first; by default the loss, or the first that
        was logged.
    time_zone : str, default "local"
        Zone of the times in the report: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
    path : str or path-like, optional
        File of experiments; by default the one that ``loops_nb`` writes to.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used, or names a column that no experiment has.
    TrackingError
        If the file of experiments cannot be read.

    Examples
    --------
    >>> ExperimentsPanel(tags="sweep", sort="best.loss")  # doctest: +SKIP
    """

    _controller: ExperimentsController

    def __init__(
        self,
        *,
        where: str | None = None,
        tags: str | Iterable[str] = (),
        names: str | Iterable[str] = (),
        since: str | datetime | timedelta | None = None,
        project: str | None = None,
        author: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        archived: bool = False,
        metric: str | None = None,
        time_zone: str = "local",
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        display_zone(time_zone)
        if metric is not None and not isinstance(metric, str):
            raise InvalidArgumentError(f"metric must be a key such as loss, not {metric!r:.40}.", argument="metric")
        selection = ExperimentFilter(
            where=where,
            tags=tags,
            names=names,
            since=since,
            project=project,
            author=author,
            sort=sort,
            limit=limit,
            archived=archived,
        )
        self._selection = selection
        self._time_zone = time_zone
        self._store = ExperimentStore(path)
        self._curves = OpenedCurves(self._store.location)
        page = page_code("experiments.js")

        def made(tell: Callable[[dict[str, Any]], None], visibility: Visibility) -> ExperimentsController:
            return ExperimentsController(
                self._store,
                selection,
                tell,
                visibility,
                title="Experiments",
                line=_line(selection, since, metric),
                metric=metric or "",
                choices=load_choices(),
                keep=save_choices,
                open_curves=self._curves.open,
            )

        try:
            super().__init__(made, page)
        except BaseException:
            self._store.close()
            raise
        self._controller.start()

    # What people use.

    @property
    def frame(self) -> pd.DataFrame:
        """The experiments now, as `loops_nb.tracking.leaderboard.experiments_frame` returns them."""
        return experiments_frame(self._store, self._selection)

    def snapshot_now(self) -> ExperimentsSnapshot:
        """Return everything that is shown now."""
        return self._controller.snapshot()

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal."""
        self._controller.update()
        return text_report_of(*self._shown(), time_zone=self._time_zone, width=width)

    def __repr__(self) -> str:
        return f"<ExperimentsPanel of {self._controller.snapshot().total:,} experiments>"

    # The report.

    def _version(self) -> object:
        return self._controller.version()

    def _make_report(self, *, live: bool) -> dict[str, str]:
        return report_of(*self._shown(), time_zone=self._time_zone, live=live)

    def _shown(self) -> tuple[ExperimentsSnapshot, list[str]]:
        return self._controller.shown(MOST_ROWS)

    def _words(self, width: int) -> str:
        return self.told(width)

    def _look_now(self) -> None:
        self._controller.update()

    def _after_showing(self) -> None:
        self._controller.displayed()

    def _let_go(self) -> None:
        self._curves.close()
        self._store.close()


def _line(selection: ExperimentFilter, since: object, metric: str | None) -> str:
    words = ["%loops", "watch", "experiments", *selection.names]
    for tag in selection.tags:
        words += ["--tag", tag]
    if selection.where is not None:
        words += ["--where", selection.where]
    if selection.project is not None:
        words += ["--project", selection.project]
    if selection.author is not None:
        words += ["--author", selection.author]
    if isinstance(since, str):
        words += ["--since", since]
    if selection.sort is not None:
        words += ["--sort", selection.sort]
    if selection.limit is not None:
        words += ["--limit", str(selection.limit)]
    if metric:
        words += ["--metric", metric]
    if selection.archived:
        words.append("--archived")
    return shlex.join(words)
