"""``watch`` of the resources: a live panel for what they list, the same in both flavours of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from loops_nb.client.exchange import Exchange
    from loops_nb.panels import CheckpointsPanel, CurvesPanel, DeploymentsPanel, FleetPanel, RunPanel, SamplersPanel


class _Connected(Protocol):
    @property
    def exchange(self) -> Exchange: ...


class _Resource(Protocol):
    @property
    def _transport(self) -> _Connected: ...


class RunsWatch:
    """What ``loops.runs`` can show."""

    def watch(
        self: _Resource,
        run_id: str | None = None,
        *,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> RunPanel | FleetPanel:
        """Watch one run, or all of them, in a live panel.

        Parameters
        ----------
        run_id
            The run; None watches all runs and the samplers.
        base_model
            Only runs of this base model; not together with ``run_id``.
        scope, team_id
            As in `list`.
        notify
            Raise a browser notification when something ends, where the browser allows it.
        interval
            Seconds between two looks while something changes; None leaves it as it is.
        time_zone
            Zone of the times in the static report.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.
        """
        from loops_nb import panels  # noqa: PLC0415 - widgets take 40 ms to import
        from loops_nb.errors import InvalidArgumentError  # noqa: PLC0415

        if run_id is None:
            return panels.FleetPanel(
                self._transport,
                base_model=base_model,
                scope=scope,
                team_id=team_id,
                notify=notify,
                interval=interval,
                time_zone=time_zone,
            )
        if base_model is not None:
            raise InvalidArgumentError("One run is watched by its id alone: leave base_model out.", argument="base_model")
        return panels.RunPanel(self._transport, run_id, scope=scope, team_id=team_id, notify=notify, interval=interval, time_zone=time_zone)

    def curves(
        self: _Resource, *runs: str, key: str = "", axis: Literal["step", "tokens", "elapsed", "clock"] = "step", smoothing: float = 0.0
    ) -> CurvesPanel:
        """Show what was recorded of runs on this machine as curves, in a live panel; nothing is asked of the service.

        Parameters
        ----------
        runs
            Ids of runs or experiments, or names of experiments; none for the newest.
        key, axis, smoothing
            As in `loops_nb.panels.CurvesPanel`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.
        """
        from loops_nb import panels  # noqa: PLC0415 - widgets take 40 ms to import

        return panels.CurvesPanel(list(runs) or None, key=key, axis=axis, smoothing=smoothing)


class SamplersWatch:
    """What ``loops.samplers`` can show."""

    def watch(
        self: _Resource,
        *,
        scope: str | None = None,
        team_id: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> SamplersPanel:
        """Watch all samplers, paired and standalone, in a live panel; parameters as in ``loops.runs.watch``."""
        from loops_nb import panels  # noqa: PLC0415 - widgets take 40 ms to import

        return panels.SamplersPanel(self._transport, scope=scope, team_id=team_id, notify=notify, interval=interval, time_zone=time_zone)


class DeploymentsWatch:
    """What ``loops.deployments`` can show."""

    def watch(
        self: _Resource,
        *,
        scope: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> DeploymentsPanel:
        """Watch all Loops deployments in a live panel; parameters as in ``loops.runs.watch``."""
        from loops_nb import panels  # noqa: PLC0415 - widgets take 40 ms to import

        return panels.DeploymentsPanel(self._transport, scope=scope, notify=notify, interval=interval, time_zone=time_zone)


class CheckpointsWatch:
    """What ``loops.checkpoints`` can show."""

    def watch(
        self: _Resource,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> CheckpointsPanel:
        """Watch the checkpoints of a run or of a base model in a live panel.

        Parameters
        ----------
        run_id, base_model
            Exactly one of them.
        interval, time_zone
            As in ``loops.runs.watch``.

        Raises
        ------
        InvalidArgumentError
            If not exactly one of the two is given.
        """
        from loops_nb import panels  # noqa: PLC0415 - widgets take 40 ms to import

        return panels.CheckpointsPanel(self._transport, run_id=run_id, base_model=base_model, interval=interval, time_zone=time_zone)
