"""``loops.trainers``: runs without a sampler."""

from __future__ import annotations

from loops_nb.api.models import Run
from loops_nb.client.operations import runs
from loops_nb.resources.base import Resource


class Trainers(Resource):
    """Runs without a sampler."""

    def create(
        self,
        *,
        session_id: str,
        base_model: str,
        name: str | None = None,
        max_seq_len: int | None = None,
        lora_rank: int | None = 64,
        seed: int | None = None,
        scale_down_delay_seconds: int | None = None,
        path: str | None = None,
        scope: str | None = None,
        availability_model: str | None = None,
        replicas: int | None = None,
        reuse_from_run_id: str | None = None,
        reuse_from_session_id: str | None = None,
        team_id: str | None = None,
    ) -> Run:
        """Create a run without a sampler (``POST /v1/loops/trainers``).

        Parameters
        ----------
        session_id : str
            Session of the run.
        base_model : str
            Hugging Face id, for example ``Qwen/Qwen3-8B``.
        name : str, optional
            Display name, 1 to 255 characters; default is the base model.
        max_seq_len : int, optional
            Length of the longest training example in tokens; default is the model's maximum.
        lora_rank : int or None, default 64
            Rank of the adapter, at least 1; None for the service's default.
        seed : int, optional
            Random seed.
        scale_down_delay_seconds : int, optional
            Idle seconds, 1 to 3600, before it scales to zero; default is the service's.
        path : str, optional
            ``bt://loops:<run_id>/weights/<name>``: resume from this trainer checkpoint.
        scope : {"serverless", "deployment", "default"}, optional
            Shared capacity billed by tokens, which has no deployment, or a deployment of its own billed by GPU time;
            default is ``BASETEN_LOOPS_SCOPE``, or else the service's choice.  With ``serverless`` the creation fails
            where the model, the rank or the length is not offered there.
        availability_model : {"dedicated", "spot"}, optional
            Kind of capacity of a deployment; default is ``LOOPS_AVAILABILITY_MODEL``, or else dedicated.
        replicas : int, optional
            Copies of the model's node group, at least 1.
        reuse_from_run_id, reuse_from_session_id : str, optional
            Reuse the deployment of that run or session, if possible; default is ``LOOPS_REUSE_FROM_RUN_ID``, then
            ``LOOPS_REUSE_FROM_SESSION_ID``.
        team_id : str, optional
            Create it in this team, given by id or name; default is ``LOOPS_TEAM``, or else your default team.

        Returns
        -------
        Run
            The run, with its ``id``.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds; nothing was sent.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice, and the hint says how to find out.

        Examples
        --------
        >>> run = loops.trainers.create(session_id="sess_1", base_model="Qwen/Qwen3-8B", lora_rank=16)
        """
        return self._transport.send(
            runs.create_trainer(
                session_id=session_id,
                base_model=base_model,
                name=name,
                max_seq_len=max_seq_len,
                lora_rank=lora_rank,
                seed=seed,
                scale_down_delay_seconds=scale_down_delay_seconds,
                path=path,
                scope=scope,
                availability_model=availability_model,
                replicas=replicas,
                reuse_from_run_id=reuse_from_run_id,
                reuse_from_session_id=reuse_from_session_id,
                team_id=self._team_id(team_id, creates=True),
            )
        )
