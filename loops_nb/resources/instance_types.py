"""``loops.instance_types``: the hardware that checkpoints can be deployed on."""

from __future__ import annotations

from loops_nb.api.models import InstanceType
from loops_nb.client.operations import server
from loops_nb.resources.base import Resource


class InstanceTypes(Resource):
    """The hardware that checkpoints can be deployed on."""

    def list(self) -> list[InstanceType]:
        """List the instance types (``GET /v1/instance_types``).

        Returns
        -------
        list of InstanceType
            In the order of the service.

        Examples
        --------
        >>> [item.id for item in loops.instance_types.list() if item.gpu_type == "H100"]
        """
        return self._transport.send(server.instance_types())
