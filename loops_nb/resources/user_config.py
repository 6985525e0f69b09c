"""``loops.user_config``: the caller's GPU preferences."""

from __future__ import annotations

from collections.abc import Sequence

from loops_nb.api.models import UserConfig
from loops_nb.client.operations import server
from loops_nb.client.operations.server import UNCHANGED, Unchanged
from loops_nb.resources.base import Resource


class UserConfigs(Resource):
    """The caller's GPU preferences."""

    def get(self) -> UserConfig:
        """Fetch the preferences (``GET /v1/loops/user_config``).

        Returns
        -------
        UserConfig
            GPU types of trainers and samplers, best first; None inherits the organisation's.

        Examples
        --------
        >>> loops.user_config.get().trainer_accelerator_priority
        ['H200', 'H100']
        """
        return self._transport.send(server.get_user_config())

    def update(
        self,
        *,
        trainer_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
        sampler_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
    ) -> UserConfig:
        """Change the preferences (``PATCH /v1/loops/user_config``).

        Parameters
        ----------
        trainer_accelerator_priority, sampler_accelerator_priority : sequence of str or None, optional
            GPU types, best first; None inherits the organisation's again; default is unchanged.

        Returns
        -------
        UserConfig
            The preferences as they are now.

        Raises
        ------
        InvalidArgumentError
            If nothing is given.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.user_config.update(trainer_accelerator_priority=["H200", "H100"])
        """
        return self._transport.send(
            server.update_user_config(
                trainer_accelerator_priority=trainer_accelerator_priority,
                sampler_accelerator_priority=sampler_accelerator_priority,
            )
        )
