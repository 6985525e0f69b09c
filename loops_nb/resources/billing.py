"""``loops.billing``: prices, billed usage, and what is held now."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.api.costs import price_list
from loops_nb.api.models import Checkpoint, InstanceTypePrice, ModelDeployment, UsageSummary
from loops_nb.checkpoints.uses import noted_deployments
from loops_nb.client import checks
from loops_nb.client.operations import billing, checkpoints, deployments, runs, samplers, server
from loops_nb.client.responses import optional_answer
from loops_nb.errors import NotFoundError
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import checkpoint_sizes_frame, cost_frame, usage_frame

if TYPE_CHECKING:
    import pandas as pd


#: The latest deployments from this machine that are asked for, one request each.
_MOST_MODELS = 50


class Billing(Resource):
    """Prices, billed usage, and what is held now."""

    def prices(self) -> list[InstanceTypePrice]:
        """List the prices of instance types (``GET /v1/instance_type_prices``).

        Returns
        -------
        list of InstanceTypePrice
            With ``instance_type`` and ``price``, the US dollars a minute of one node.

        Examples
        --------
        >>> {item.instance_type.name: item.price * 60 for item in loops.billing.prices()}
        """
        return self._transport.send(billing.prices())

    def prices_frame(self) -> pd.DataFrame:
        """List the prices of instance types as a DataFrame (``GET /v1/instance_type_prices``).

        Returns
        -------
        pandas.DataFrame
            One row an instance type; columns of the kind ``prices`` in `loops_nb.frames`.

        Examples
        --------
        >>> df = loops.billing.prices_frame().sort_values("usd_per_hour")
        """
        return self._frame(billing.prices(), "prices")

    def usage(self, start: datetime, end: datetime | None = None) -> UsageSummary:
        """Fetch the billed usage of the organisation (``GET /v1/billing/usage_summary``).

        Parameters
        ----------
        start : datetime.datetime
            With a time zone; not before 2026.
        end : datetime.datetime, optional
            At most 31 days after the start; default is now, or 31 days after the start.

        Returns
        -------
        UsageSummary
            Its parts ``dedicated_usage``, ``training_usage`` and ``model_apis_usage``, each None where there is none.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.
        PermissionDeniedError
            If the key may not see it: in an organisation with teams only admins may.

        Examples
        --------
        >>> loops.billing.usage(datetime.now(UTC) - timedelta(days=7)).training_usage.total
        """
        return self._transport.send(billing.usage(start, end))

    def usage_frame(self, start: datetime, end: datetime | None = None, *, daily: bool = False) -> pd.DataFrame:
        """Fetch the billed usage as a DataFrame (``GET /v1/billing/usage_summary``).

        Parameters
        ----------
        start, end
            As in `usage`.
        daily : bool, default False
            One row for each resource and day, instead of one for each resource.

        Returns
        -------
        pandas.DataFrame
            Columns id, part, kind, name, base_model, model_id, instance_type, date, usd (after credits), usd_compute,
            usd_surcharge, minutes, requests, input_tokens, output_tokens, cached_input_tokens, is_deleted and
            team_name; `loops_nb.frames.costs` has their dtypes and meaning.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.billing.usage_frame(datetime.now(UTC) - timedelta(days=7), daily=True)
        """
        return usage_frame(self._transport.send(billing.usage(start, end)), daily=daily)

    def costs(
        self,
        *,
        scope: str | None = None,
        team_id: str | None = None,
        train_rate: float | None = None,
        sample_rate: float | None = None,
    ) -> pd.DataFrame:
        """Return what each run, standalone sampler, deployment and deployed model holds now, has held, and has saved.

        Routes: ``GET /v1/instance_type_prices``, the listings of runs, deployments and samplers, one listing of
        checkpoints for each base model, ``GET /v1/billing/usage_summary`` for the last 31 days, and the deployments of
        models that were deployed from this machine.  Tokens are those that were recorded on this machine.

        Parameters
        ----------
        scope, team_id : str, optional
            As in ``loops.runs.list``.
        train_rate, sample_rate : float, optional
            Your own rates for tokens trained and sampled, in US dollars for a million tokens; there is no default, as
            the service lists none.

        Returns
        -------
        pandas.DataFrame
            What costs most an hour first.  Columns id, kind, name, gpu_count, usd_per_hour (held now), usd_at_most,
            usd_billed, status, base_model, created_at, minutes_billed, checkpoints, checkpoint_bytes,
            oldest_checkpoint, tokens_trained, tokens_sampled and usd_tokens; `loops_nb.frames.costs` has their dtypes
            and meaning.  ``attrs["loops_notes"]`` has the sums, and what is not known.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.billing.costs(train_rate=0.4)
        >>> df.usd_per_hour.sum()
        """
        trained, sampled = (
            checks.optional_rate("train_rate", train_rate),
            checks.optional_rate("sample_rate", sample_rate),
        )
        listed = self._transport.send(runs.list_(scope=scope, team_id=team_id))
        prices: list[InstanceTypePrice] = []
        unread: list[str] = []
        with optional_answer(unread):
            prices = self._transport.send(billing.prices())
        hosts = self._transport.send(deployments.list_(scope=scope))
        serving = self._transport.send(samplers.list_(scope=scope, team_id=team_id))
        now = datetime.now(UTC)
        billed: UsageSummary | None = None
        with optional_answer(unread):
            billed = self._transport.send(billing.usage(max(now - billing.LONGEST_USAGE, billing.FIRST_USAGE), now))
        saved: list[Checkpoint] = []
        for base_model in dict.fromkeys(run.base_model for run in listed if run.base_model is not None):
            found = self._transport.send(checkpoints.list_(base_model=base_model))
            saved += found
        noted = noted_deployments(self._transport.config.address.url)
        models: list[tuple[str, str, ModelDeployment]] = []
        if noted:
            names = {model.id: model.name for model in self._transport.send(server.models(name=None))}
            there = [entry for entry in noted if entry.model_id in names]
            for entry in there[-_MOST_MODELS:]:
                with suppress(NotFoundError):
                    deployed = self._transport.send(server.model_deployment(entry.model_id, entry.deployment_id))
                    models += [(entry.model_id, names[entry.model_id] or entry.model_name, deployed)]
        ids = {run.id for run in listed}
        return cost_frame(
            runs=listed,
            deployments=hosts,
            samplers=serving,
            prices=price_list(prices),
            now=now,
            billed=billed,
            checkpoints=[one for one in saved if one.run_id in ids],
            rates=(trained, sampled),
            models=models,
            shapes=[item.instance_type for item in prices if item.instance_type is not None],
            unread=unread,
        )

    def checkpoint_sizes(self, *, scope: str | None = None, team_id: str | None = None) -> pd.DataFrame:
        """Return the size of checkpoints by run and age.

        Routes: ``GET /v1/loops/runs`` and one ``GET /v1/loops/checkpoints`` for each base model of the runs.

        Parameters
        ----------
        scope, team_id : str, optional
            As in ``loops.runs.list``.

        Returns
        -------
        pandas.DataFrame
            One row a run and age, the biggest run first: run_id, name, age (``under 1 day``, ``1 to 7 days``, ``7 to
            30 days``, ``over 30 days``), checkpoints, total_bytes and without_size.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.billing.checkpoint_sizes()
        >>> df[df.age == "over 30 days"].total_bytes.sum()
        """
        listed = self._transport.send(runs.list_(scope=scope, team_id=team_id))
        saved: list[Checkpoint] = []
        for base_model in dict.fromkeys(run.base_model for run in listed if run.base_model is not None):
            found = self._transport.send(checkpoints.list_(base_model=base_model))
            saved += found
        names = {run.id: run.name for run in listed}
        return checkpoint_sizes_frame([one for one in saved if one.run_id in names], names, datetime.now(UTC))
