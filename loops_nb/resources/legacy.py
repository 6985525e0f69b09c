"""``loops.legacy``: the seven older routes, where a trainer is a run."""

from __future__ import annotations

from collections.abc import Iterator

from loops_nb.api.models import (
    CheckpointFile,
    LegacyCheckpoint,
    LegacySamplingServer,
    LegacyTrainer,
    LegacyTrainerServer,
    Session,
)
from loops_nb.client.operations import legacy
from loops_nb.resources.base import Resource


class Legacy(Resource):
    """The seven older routes; a trainer is a run."""

    def search_trainers(self, trainer_id: str | None = None) -> list[LegacyTrainer]:
        """List trainers (``POST /v1/trainers/search``).

        Parameters
        ----------
        trainer_id : str, optional
            Only this one.

        Returns
        -------
        list of LegacyTrainer
            In the order of the service.

        Examples
        --------
        >>> loops.legacy.search_trainers("k4q95w5")
        """
        return self._transport.send(legacy.search_trainers(trainer_id))

    def search_checkpoint(self, checkpoint_path: str) -> LegacyCheckpoint:
        """Fetch a checkpoint by its URI (``POST /v1/trainers/checkpoints/search``).

        Parameters
        ----------
        checkpoint_path : str
            ``bt://loops:<run_id>/weights/<name>`` or ``bt://loops:<run_id>/sampler_weights/<name>``.

        Returns
        -------
        LegacyCheckpoint
            The checkpoint.

        Raises
        ------
        InvalidURIError
            If it is not such a URI.
        NotFoundError
            If there is no such checkpoint.

        Examples
        --------
        >>> loops.legacy.search_checkpoint("bt://loops:k4q95w5/weights/step-100")
        """
        return self._transport.send(legacy.search_checkpoint(checkpoint_path))

    def create_session(self, *, training_project_id: str | None = None) -> Session:
        """Create a session (``POST /v1/trainer_sessions``).

        Parameters
        ----------
        training_project_id : str, optional
            Its project; default is the organisation's default project.

        Returns
        -------
        Session
            With its ``id``.

        Examples
        --------
        >>> session = loops.legacy.create_session()
        """
        return self._transport.send(legacy.create_session(training_project_id=training_project_id))

    def create_trainer(
        self,
        session_id: str,
        *,
        model: str,
        max_seq_len: int | None = None,
        lora_rank: int | None = 64,
        seed: int | None = None,
        scale_down_delay_seconds: int | None = None,
        checkpoint_path: str | None = None,
    ) -> LegacyTrainerServer:
        """Create a run and its sampler (``POST /v1/trainer_sessions/{session_id}/trainers``).

        Parameters
        ----------
        session_id : str
            Session of the run.
        model : str
            Hugging Face id of the base model.
        max_seq_len, lora_rank, seed : int, optional
            As in ``loops.runs.create``.
        scale_down_delay_seconds : int, optional
            Idle seconds before it scales to zero, at least 1; this route has no largest one.
        checkpoint_path : str, optional
            ``bt://loops:<run_id>/weights/<name>``: resume from this trainer checkpoint.

        Returns
        -------
        LegacyTrainerServer
            The run and its sampler.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> trainer = loops.legacy.create_trainer("sess_1", model="Qwen/Qwen3-8B")
        """
        return self._transport.send(
            legacy.create_trainer(
                session_id,
                model=model,
                max_seq_len=max_seq_len,
                lora_rank=lora_rank,
                seed=seed,
                scale_down_delay_seconds=scale_down_delay_seconds,
                checkpoint_path=checkpoint_path,
            )
        )

    def create_sampler(
        self, session_id: str, *, model: str, max_seq_length: int | None = None, checkpoint_path: str | None = None
    ) -> LegacySamplingServer:
        """Create a standalone sampler (``POST /v1/trainer_sessions/{session_id}/samplers``).

        Parameters
        ----------
        session_id : str
            Session of the sampler.
        model : str
            Hugging Face id of the base model.
        max_seq_length : int, optional
            Length of the longest prompt in tokens; default is the model's.
        checkpoint_path : str, optional
            ``bt://loops:<run_id>/sampler_weights/<name>``: serve this sampler checkpoint.

        Returns
        -------
        LegacySamplingServer
            The sampler.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> sampler = loops.legacy.create_sampler("sess_1", model="Qwen/Qwen3-8B")
        """
        return self._transport.send(
            legacy.create_sampler(
                session_id, model=model, max_seq_length=max_seq_length, checkpoint_path=checkpoint_path
            )
        )

    def checkpoints(self, session_id: str, trainer_id: str) -> list[LegacyCheckpoint]:
        """List a trainer's checkpoints (``GET /v1/trainer_sessions/{session_id}/trainers/{trainer_id}/checkpoints``).

        Parameters
        ----------
        session_id, trainer_id : str
            Ids of the session and of the run.

        Returns
        -------
        list of LegacyCheckpoint
            In the order of the service.

        Examples
        --------
        >>> loops.legacy.checkpoints("sess_1", "k4q95w5")
        """
        return self._transport.send(legacy.checkpoints(session_id, trainer_id))

    def checkpoint_files(
        self, session_id: str, trainer_id: str, checkpoint_id: str, *, page_size: int = 1000
    ) -> Iterator[CheckpointFile]:
        """Iterate over a checkpoint's files, fetching pages as needed.

        Route: ``GET /v1/trainer_sessions/{session_id}/trainers/{trainer_id}/checkpoints/{checkpoint_id}/files``.

        Parameters
        ----------
        session_id, trainer_id, checkpoint_id : str
            Ids of the session, the run and the checkpoint.
        page_size : int, default 1000
            Files a request, at least 1.

        Yields
        ------
        CheckpointFile
            A file with its presigned URL, which expires and is a secret.

        Examples
        --------
        >>> for file in loops.legacy.checkpoint_files("sess_1", "k4q95w5", "c0ffee1"):
        ...     print(file.relative_file_name)
        """
        return self._files(legacy.checkpoint_files(session_id, trainer_id, checkpoint_id, page_size=page_size))
