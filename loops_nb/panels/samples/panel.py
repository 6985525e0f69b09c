"""The panel of samples: a widget with a static report."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.bundle import page_code
from loops_nb.panels.reported_widget import ReportedWidget
from loops_nb.panels.samples.controller import SamplesController
from loops_nb.panels.samples.messages import SampleSpec
from loops_nb.panels.samples.report import report_of, text_report_of
from loops_nb.render.formatting import first_and_more, many
from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.values import as_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.panels.samples.messages import SamplesSnapshot
    from loops_nb.panels.visibility import Visibility

_MOST_IN_TITLE = 4


class SamplesPanel(ReportedWidget):
    """Recorded samples, live while a cell trains: prompts down, steps across, differences marked.

    It shows itself when it is a cell's last value, or with `show`.  A static table of the same stays in the saved
    notebook.

    Parameters
    ----------
    what : str or sequence of str, optional
        Ids of experiments or runs, names of experiments, or patterns of names (``lr-*``), also such that do not exist
        yet; by default all experiments with samples, the newest first.
    steps : int or iterable of int, optional
        The steps to show first; by default three that are spread over the training.
    store : ExperimentStore, optional
        Where the samples are; by default the store that ``loops_nb`` writes to.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used.

    Examples
    --------
    >>> panel = SamplesPanel("grpo-1")  # doctest: +SKIP
    """

    _controller: SamplesController

    def __init__(
        self,
        what: str | Sequence[str] | None = None,
        *,
        steps: int | Iterable[int] | None = None,
        store: ExperimentStore | None = None,
    ) -> None:
        wanted = _names(what)
        spec = _spec(steps)
        self._own_store: ExperimentStore | None = None
        page = page_code("samples.js")
        source = store
        if source is None:
            source = self._own_store = ExperimentStore()
        title = f"Samples of {first_and_more(wanted, _MOST_IN_TITLE)}" if wanted else "Samples"
        words = [*(wanted or ()), *(f"--step={step}" for step in spec.steps)]
        line = " ".join(["%loops watch samples", *map(shlex.quote, words)])

        def made(tell: Callable[[dict[str, Any]], None], visibility: Visibility) -> SamplesController:
            return SamplesController(source, wanted, tell, visibility, title=title, line=line, spec=spec)

        super().__init__(made, page)
        self._controller.start()

    def snapshot_now(self) -> SamplesSnapshot:
        """Return everything that is shown now."""
        self._controller.update()
        return self._controller.snapshot()

    def text_report(self, width: int = 120) -> str:
        """Return what is shown now as text, for a terminal."""
        self._controller.update()
        return text_report_of(self._controller, width=width)

    def __repr__(self) -> str:
        count = self._controller.read(lambda model: len(model.metadata.runs))
        return f"<{type(self).__name__} of {many(count, 'experiment')}>"

    # The report.

    def _version(self) -> object:
        return self._controller.version()

    def _make_report(self, *, live: bool) -> dict[str, str]:
        return report_of(self._controller, live=live)

    def _words(self, width: int) -> str:
        return self.text_report(width)

    def _look_now(self) -> None:
        self._controller.update()

    def _let_go(self) -> None:
        if self._own_store is not None:
            self._own_store.close()


def _names(what: Any) -> list[str] | None:
    if what is None:
        return None
    given = [what] if isinstance(what, str) else list(what)
    names = [each if isinstance(each, str) else getattr(each, "id", None) for each in given]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidArgumentError(
            "Experiments are given by their ids or names, as texts.", argument="what", hint='For example "grpo-1"'
        )
    return [str(name).strip() for name in names] or None


def _spec(steps: Any) -> SampleSpec:
    if steps is None:
        return SampleSpec()
    given = [steps] if isinstance(steps, int) or not isinstance(steps, Iterable) or isinstance(steps, str) else steps
    chosen = sorted({as_step(step) for step in given})
    return SampleSpec(mode="chosen", steps=chosen, columns=max(1, len(chosen))) if chosen else SampleSpec()
