"""The panel of samples inside of the panel of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from loops_nb.panels.inside import PanelInside

if TYPE_CHECKING:
    from loops_nb.panels.messages import PlotName
    from loops_nb.panels.samples.panel import SamplesPanel


class SamplesInside(PanelInside["SamplesPanel"]):
    """The recorded samples of one run, for the pages of its panel.

    Parameters
    ----------
    run_id
        The run, whether any samples are recorded of it or not.
    """

    plot: ClassVar[PlotName] = "samples"
    what: ClassVar[str] = "samples"

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    @property
    def line(self) -> str:  # noqa: D102 - as in the base class
        return f"%loops watch samples {self._run_id}"

    def _make(self) -> SamplesPanel:
        from loops_nb.panels.samples.panel import SamplesPanel  # for those who look at samples

        return SamplesPanel(self._run_id)
