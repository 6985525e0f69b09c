"""References to checkpoints: ids, names and what a listing says of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from loops_nb.api.models import Checkpoint
from loops_nb.api.step_names import step_of
from loops_nb.api.uri import KIND_OF_TARGET, format_uri


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """A checkpoint and what is known of it.

    Parameters
    ----------
    id : str
        Global id, which the file routes take.
    run_id, name, target : str, optional
        Run, saved name (``checkpoint_id`` of the API), and ``trainer`` or ``sampler``; None if only the id is known.
    base_model, sync_status : str, optional
        As in the listing.
    size_bytes : int, optional
        As in the listing.
    place : str, optional
        Address of a copy in a bucket, which is read in place of the service's files; only for reading.
    """

    id: str
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    base_model: str | None = None
    size_bytes: int | None = None
    sync_status: str | None = None
    place: str | None = None

    @classmethod
    def of(cls, listed: Checkpoint) -> CheckpointRef:
        """Return the reference to a listed checkpoint."""
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
        """``bt://`` URI, if run and name are known; without a target it is a sampler checkpoint, as in the service."""
        if self.run_id is None or self.name is None:
            return None
        return format_uri(self.run_id, self.target or "", self.name)

    @property
    def label(self) -> str:
        """Name in sentences and tables: the URI without the scheme, or the id."""
        return self.uri.removeprefix("bt://loops:") if self.uri else self.id

    @property
    def step(self) -> int | None:
        """Training step in the name."""
        return None if self.name is None else step_of(self.name)

    @property
    def folder(self) -> PurePosixPath:
        """Path below the folder of all checkpoints: ``run/weights/name`` as in the URI, or the id.

        The parts come from the service: check each of them before creating a folder.
        """
        if self.uri is None:
            return PurePosixPath(self.id)
        return PurePosixPath(str(self.run_id), KIND_OF_TARGET.get(self.target or "", "sampler_weights"), str(self.name))
