"""``loops.checkpoints`` beyond listing: bring checkpoints home, open them at a distance, compare them; sync and awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import closing
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.transport import Transport
from loops_nb.errors import InvalidArgumentError
from loops_nb.references import CheckpointRef
from loops_nb.workbench import CONNECTIONS, FOLDER, OPENED, Chosen, Patterns, Workbench, verify_all

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.downloads import Download, Plan, Verification
    from loops_nb.storage import Storage
    from loops_nb.tensors import RemoteCheckpoint


P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H")


class CheckpointsHandling:
    """What ``loops.checkpoints`` does with files and weights."""

    _transport: Transport

    def choose(self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None) -> list[CheckpointRef]:
        """Return the checkpoints that are meant (``GET /v1/loops/checkpoints``).

        Parameters
        ----------
        checkpoints
            One or several: ids, ``bt://`` URIs, ``run/name``, ``run/weights/name``, objects of `list`, or a DataFrame of checkpoints.
        run_id
            Id or name of a run: bare names are those of this run; without ``checkpoints``, all that it has saved are meant.
        target
            Only ``trainer`` or ``sampler`` checkpoints: one name may be saved for both.

        Raises
        ------
        InvalidArgumentError
            If nothing is named, or a name fits several.
        NotFoundError
            If there is no such checkpoint or run.
        """
        return self._bench.choose(checkpoints, run_id=run_id, target=target)

    def plan_download(
        self,
        checkpoints: Chosen = None,
        into: str | os.PathLike[str] = FOLDER,
        *,
        run_id: str | None = None,
        target: str | None = None,
        include: Patterns = (),
        exclude: Patterns = (),
    ) -> Plan:
        """Say what a download would fetch, what is there already, and how much room there is; nothing is fetched.

        Parameters and errors as in `download`.
        """
        return self._bench.plan(self.choose(checkpoints, run_id=run_id, target=target), into, include, exclude)

    def download(
        self,
        checkpoints: Chosen = None,
        into: str | os.PathLike[str] = FOLDER,
        *,
        run_id: str | None = None,
        target: str | None = None,
        include: Patterns = (),
        exclude: Patterns = (),
        connections: int = CONNECTIONS,
        quiet: bool = False,
    ) -> Download:
        """Bring checkpoints home (``GET /v1/loops/checkpoints/{checkpoint_id}/files`` and the presigned URLs in its answer).

        A file is complete or absent: it grows under a temporary name and is moved to its own when its size and, where the server gives
        one, its checksum are right.  What was interrupted goes on where it was: the same call again fetches only what is missing.  At the
        end each folder has a manifest, against which `verify` checks it later.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `choose`.
        into
            The folder for all of them; each goes to ``into/run/weights/name``, as its ``bt://`` URI reads.
        include, exclude
            Patterns for the names of files, such as ``"*.json"``; what is excluded is not fetched, also where it is included.
        connections
            How many may be open at a time, 1 to 64.
        quiet
            Show no progress.

        Raises
        ------
        UnsafeNameError
            If the service lists names that cannot be files of that folder; nothing was fetched.
        VolumeBackedError
            If the files have no URLs.
        NoSpaceError
            If the disk cannot hold them.
        DownloadIncompleteError
            If some files failed; the others are there.
        InvalidArgumentError, NotFoundError
            As in `choose`, and if the patterns leave no file.
        """
        refs = self.choose(checkpoints, run_id=run_id, target=target)
        return self._bench.download(refs, into, include, exclude, connections=connections, quiet=quiet)

    def verify(self, folder: str | os.PathLike[str]) -> list[Verification]:
        """Check folders against the manifests of their downloads; no request is made.

        Parameters
        ----------
        folder
            That of a checkpoint, or one with several of them below it.

        Raises
        ------
        VerificationError
            If a file is missing or is not what was downloaded.
        InvalidArgumentError
            If there is no manifest.
        """
        return verify_all(folder)

    def open(self, checkpoint: Chosen, *, run_id: str | None = None, target: str | None = None) -> RemoteCheckpoint:
        """Open one checkpoint at a distance: only the headers of its safetensors files are read.

        Parameters
        ----------
        checkpoint, run_id, target
            As in `choose`, and only one.

        Returns
        -------
        checkpoint
            With ``tensors`` (by name), ``adapter_config``, and ``tensor(name)``, which fetches one tensor as a NumPy array.

        Raises
        ------
        UnreadableTensorsError
            If a file is not the safetensors file that its name says it is.
        InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `download`.
        """
        refs = self.choose(checkpoint, run_id=run_id, target=target)
        if len(refs) != 1:
            raise InvalidArgumentError(
                f"One checkpoint is opened at a time; {len(refs)} were given.",
                argument="checkpoint",
                hint="loops.checkpoints.tensors takes several.",
            )
        return self._bench.open_one(refs[0])

    def tensors(self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None) -> pd.DataFrame:
        """List the tensors of checkpoints from the headers of their files; columns as in `loops_nb.frames.tensors`.

        Parameters and errors as in `open`, for one or several.  What was read is kept in the user's folder for caches.
        """
        return self._bench.tensors(self.choose(checkpoints, run_id=run_id, target=target))

    def changes(self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None) -> pd.DataFrame:
        """List the tensors that appeared, vanished, or changed shape or dtype since the first of the checkpoints.

        Parameters and errors as in `open`, for two or more; columns as `loops_nb.frames.comparing.changes_frame` has them.
        """
        return self._bench.changes(self.choose(checkpoints, run_id=run_id, target=target))

    def compare(
        self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None, by: str = "module"
    ) -> pd.DataFrame:
        """Compare the weights of checkpoints with those of the first.

        Of each LoRA module the update ``B @ A`` times alpha / rank is compared, computed from the small factors; of other tensors the
        numbers as they are.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `choose`; two or more.
        by
            ``module``, or ``layer``, ``module_type`` or ``checkpoint`` for sums.

        Returns
        -------
        pandas.DataFrame
            As `loops_nb.frames.comparing.compare_frame` has it: norm, change, relative_change, cosine and more.
        """
        return self._bench.compare(self.choose(checkpoints, run_id=run_id, target=target), by)

    def drift(
        self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None, by: str = "module"
    ) -> pd.DataFrame:
        """Follow the weights of checkpoints along their steps, each run and target on its own path.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `choose`.
        by
            As in `compare`.

        Returns
        -------
        pandas.DataFrame
            One row a step and module, as `loops_nb.frames.comparing.drift_frame` has it.
        """
        return self._bench.drift(self.choose(checkpoints, run_id=run_id, target=target), by)

    def duplicates(self, checkpoints: Chosen = None, *, run_id: str | None = None, target: str | None = None) -> pd.DataFrame:
        """Find checkpoints that hold the same weights under different names.

        Parameters as in `choose`; columns as `loops_nb.frames.comparing.duplicates_frame` has them.
        """
        return self._bench.duplicates(self.choose(checkpoints, run_id=run_id, target=target))

    @property
    def _bench(self) -> Workbench:
        return Workbench(self._transport)


class RunsHandling:
    """What ``loops.runs`` does with the weights that a run saved."""

    _transport: Transport

    def drift(self, run_id: str, *, target: str | None = None, by: str = "module") -> pd.DataFrame:
        """Follow the weights of a run along its steps.

        Parameters
        ----------
        run_id
            The run: its id, or its name where only one run has it.
        target
            Its ``trainer`` or its ``sampler`` checkpoints; the sampler's when left out, if there are any.
        by
            ``module``, or ``layer``, ``module_type`` or ``checkpoint`` for sums.

        Returns
        -------
        pandas.DataFrame
            One row a step and module, as `loops_nb.frames.comparing.drift_frame` has it.
        """
        bench = Workbench(self._transport)
        return bench.drift(bench.of_run(run_id, target), by)


class _LentCheckpoints(CheckpointsHandling):
    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class _LentRuns(RunsHandling):
    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class _Awaited:
    _transport: AsyncTransport


def _in_thread(
    lend: Callable[[Transport], H], method: Callable[Concatenate[H, P], R]
) -> Callable[Concatenate[_Awaited, P], Coroutine[Any, Any, R]]:
    """Return a method that does the same in a thread, over a transport of its own with the same address and key."""

    @wraps(method)
    async def awaited(self: _Awaited, *args: P.args, **options: P.kwargs) -> R:
        opened: list[Storage] = []

        def work() -> R:
            OPENED.set(opened)
            with closing(Transport(self._transport.exchange)) as transport:
                return method(lend(transport), *args, **options)

        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            # A thread cannot be ended; without its connections it ends by itself, and keeps what has come.
            for storage in opened:
                storage.close()
            raise

    return cast("Callable[Concatenate[_Awaited, P], Coroutine[Any, Any, R]]", awaited)


class AsyncCheckpointsHandling(_Awaited):
    """The same as `CheckpointsHandling`, awaited."""

    choose = _in_thread(_LentCheckpoints, CheckpointsHandling.choose)
    plan_download = _in_thread(_LentCheckpoints, CheckpointsHandling.plan_download)
    download = _in_thread(_LentCheckpoints, CheckpointsHandling.download)
    verify = _in_thread(_LentCheckpoints, CheckpointsHandling.verify)
    open = _in_thread(_LentCheckpoints, CheckpointsHandling.open)
    tensors = _in_thread(_LentCheckpoints, CheckpointsHandling.tensors)
    changes = _in_thread(_LentCheckpoints, CheckpointsHandling.changes)
    compare = _in_thread(_LentCheckpoints, CheckpointsHandling.compare)
    drift = _in_thread(_LentCheckpoints, CheckpointsHandling.drift)
    duplicates = _in_thread(_LentCheckpoints, CheckpointsHandling.duplicates)


class AsyncRunsHandling(_Awaited):
    """The same as `RunsHandling`, awaited."""

    drift = _in_thread(_LentRuns, RunsHandling.drift)
