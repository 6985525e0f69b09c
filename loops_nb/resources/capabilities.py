"""``loops.capabilities``: the base models that can be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.models import SupportedModel
from loops_nb.client.operations import server
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames import ListingRows


class Capabilities(Resource):
    """The base models that can be trained."""

    def list(
        self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None
    ) -> list[SupportedModel]:
        """List base models (``GET /v1/loops/capabilities``).

        Parameters
        ----------
        model : str, optional
            Only this one.
        use_case : {"rl", "sft"}, default "rl"
            Reinforcement learning or supervised fine-tuning.
        max_seq_len : int, optional
            The length needed, in tokens.

        Returns
        -------
        list of SupportedModel
            With ``model_name``, lengths in tokens, and whether each is enabled.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> [model.model_name for model in loops.capabilities.list(use_case="sft")]
        """
        return self._transport.send(server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len))

    def frame(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> pd.DataFrame:
        """List base models as a DataFrame (``GET /v1/loops/capabilities``).

        Parameters
        ----------
        model, use_case, max_seq_len
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a model; columns of the kind ``capabilities`` in `loops_nb.frames`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.capabilities.frame(max_seq_len=32768)
        """
        return frame_of(self.listing(model=model, use_case=use_case, max_seq_len=max_seq_len))

    def listing(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> ListingRows:
        """List the rows of `frame` (``GET /v1/loops/capabilities``), without pandas.

        Parameters
        ----------
        model, use_case, max_seq_len
            As in `frame`.

        Returns
        -------
        ListingRows
            See `loops_nb.frames.ListingRows`; its method ``frame`` makes the DataFrame.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> loops.capabilities.listing().values("model_name")
        """
        request = server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len)
        return self._listing(request, "capabilities")
