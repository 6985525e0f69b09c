"""One checkpoint that is meant: what is known of it, whichever way a person named it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from loops_nb.models import Checkpoint
from loops_nb.steps import step_of
from loops_nb.uri import KIND_OF_TARGET, format_uri


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A checkpoint, with what is known of it.

    Parameters
    ----------
    id
        Its global id: what the file routes take.
    run_id, name, target
        Its run, its saved name (``checkpoint_id`` of the API), ``trainer`` or ``sampler``.  All three are None where only the id is known.
    base_model, size_bytes, sync_status
        As in the listing, where it was seen there.
    """

    id: str
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    base_model: str | None = None
    size_bytes: int | None = None
    sync_status: str | None = None

    @classmethod
    def of(cls, listed: Checkpoint) -> CheckpointRef:
        """Return a checkpoint as it was listed."""
        return cls(
            id=listed.id,
            run_id=listed.run_id,
            name=listed.checkpoint_id,
            target=listed.target,
            base_model=listed.base_model,
            size_bytes=listed.size_bytes,
            sync_status=listed.sync_status,
        )

    @property
    def uri(self) -> str | None:
        """Its ``bt://`` form, where run and name are known; one without a target counts as a sampler's, as in the service."""
        if self.run_id is None or self.name is None:
            return None
        return format_uri(self.run_id, self.target or "", self.name)

    @property
    def label(self) -> str:
        """How it is called in sentences and tables: its URI without the scheme, or its id."""
        return self.uri.removeprefix("bt://loops:") if self.uri else self.id

    @property
    def step(self) -> int | None:
        """The training step that its name tells."""
        return None if self.name is None else step_of(self.name)

    @property
    def folder(self) -> PurePosixPath:
        """Where it lies below the folder of all checkpoints: ``run/weights/name`` as in its URI, or its id.

        The parts are the service's words: who makes a folder of them checks each one first.
        """
        if self.uri is None:
            return PurePosixPath(self.id)
        return PurePosixPath(str(self.run_id), KIND_OF_TARGET.get(self.target or "", "sampler_weights"), str(self.name))
