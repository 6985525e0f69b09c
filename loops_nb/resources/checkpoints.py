"""``loops.checkpoints``: list, resolve, download, open and compare saved weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from loops_nb.api.models import Checkpoint, CheckpointFile, CheckpointSource, DeployedModel
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.service import (
    CONNECTIONS,
    FOLDER,
    CheckpointSelection,
    Patterns,
    check_target,
    verify_all,
)
from loops_nb.checkpoints.uses import remember_deployed
from loops_nb.client.operations import checkpoints as routes
from loops_nb.client.pagination import FilesPage
from loops_nb.resources.base import Resource
from loops_nb.resources.blocking import run_blocking
from loops_nb.resources.frames import files_frame, frame_of, with_origin

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from loops_nb.checkpoints.deletion import DeletionPlan
    from loops_nb.checkpoints.tensors import FetchedCheckpoint
    from loops_nb.checkpoints.transfer import Download, DownloadPlan, Verification
    from loops_nb.frames import ListingRows
    from loops_nb.panels import CheckpointsPanel

# Inside the class the name `list` is the method.
CheckpointRefs: TypeAlias = list[CheckpointRef]
Verifications: TypeAlias = "list[Verification]"


class Checkpoints(Resource):
    """Saved weights: list, resolve, download, open, compare, deploy and watch them."""

    def list(
        self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None
    ) -> list[Checkpoint]:
        """List checkpoints, newest first (``GET /v1/loops/checkpoints``); give exactly one filter.

        Parameters
        ----------
        run_id : str, optional
            All of this run.
        base_model : str, optional
            All of the caller's runs of this base model.
        checkpoint_path : str, optional
            The ``bt://`` URI of one checkpoint.

        Returns
        -------
        list of Checkpoint
            Newest first.

        Raises
        ------
        InvalidArgumentError
            If not exactly one filter is given; nothing was sent.

        Examples
        --------
        >>> newest = loops.checkpoints.list(run_id="k4q95w5")[0]
        """
        return self._transport.send(routes.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path))

    def frame(
        self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None
    ) -> pd.DataFrame:
        """List checkpoints as a DataFrame (``GET /v1/loops/checkpoints``); give exactly one filter.

        Parameters
        ----------
        run_id, base_model, checkpoint_path : str, optional
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint; columns of the kind ``checkpoints`` in `loops_nb.frames`.

        Raises
        ------
        InvalidArgumentError
            If not exactly one filter is given; nothing was sent.

        Examples
        --------
        >>> df = loops.checkpoints.frame(run_id="k4q95w5")
        """
        return frame_of(self.listing(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path))

    def listing(
        self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None
    ) -> ListingRows:
        """List the rows of `frame` (``GET /v1/loops/checkpoints``), without pandas.

        Parameters
        ----------
        run_id, base_model, checkpoint_path
            As in `frame`.

        Returns
        -------
        ListingRows
            See `loops_nb.frames.ListingRows`; its method ``frame`` makes the DataFrame.

        Raises
        ------
        InvalidArgumentError
            If not exactly one filter is given; nothing was sent.

        Examples
        --------
        >>> loops.checkpoints.listing(run_id="k4q95w5").values("uri")
        """
        request = routes.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path)
        return with_origin(self._listing(request, "checkpoints"), self._transport.config)

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of a checkpoint, fetching pages as needed.

        Route: ``GET /v1/loops/checkpoints/{checkpoint_id}/files``.  The URLs are presigned and expire: use them at
        once, and store them nowhere.

        Parameters
        ----------
        checkpoint_id : str
            The checkpoint's ``id`` (not its name).
        page_size : int, default 1000
            Files a request, at least 1.

        Yields
        ------
        CheckpointFile
            A file with its presigned URL.

        Raises
        ------
        EndlessPagesError
            If the pages of the service do not end; what came before is valid.

        Examples
        --------
        >>> for file in loops.checkpoints.files("c0ffee1"):
        ...     print(file.relative_file_name, file.size_bytes)
        """
        return self._files(routes.files(checkpoint_id, page_size=page_size))

    def files_page(self, checkpoint_id: str, *, page_size: int = 1000, page_token: int = 0) -> FilesPage:
        """Fetch one page of the files of a checkpoint (``GET /v1/loops/checkpoints/{checkpoint_id}/files``).

        `files` follows the pages by itself; this is for those who keep a place in them.

        Parameters
        ----------
        checkpoint_id : str
            The checkpoint's ``id`` (not its name).
        page_size : int, default 1000
            Files of the page, at least 1.
        page_token : int, default 0
            ``next_page_token`` of the page before: the number of files before this page.

        Returns
        -------
        FilesPage
            ``files`` with presigned URLs, ``next_page_token`` (None on the last page) and ``total_count``.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds; nothing was sent.
        NotFoundError
            If there is no such checkpoint.

        Examples
        --------
        >>> page = loops.checkpoints.files_page("c0ffee1", page_size=100)
        >>> page.total_count, page.next_page_token
        (250, 100)
        """
        return self._transport.send(routes.one_page(checkpoint_id, page_size=page_size, page_token=page_token))

    def files_frame(self, checkpoint_id: str, *, page_size: int = 1000, urls: bool = False) -> pd.DataFrame:
        """List all files of a checkpoint as a DataFrame (``GET /v1/loops/checkpoints/{checkpoint_id}/files``).

        Parameters
        ----------
        checkpoint_id : str
            The checkpoint's ``id`` (not its name).
        page_size : int, default 1000
            Files a request, at least 1.
        urls : bool, default False
            Add the presigned URLs.  They are secrets: such a frame must not be shown or saved.

        Returns
        -------
        pandas.DataFrame
            One row a file; columns of the kind ``files`` in `loops_nb.frames`.

        Raises
        ------
        EndlessPagesError
            If the pages of the service do not end.

        Examples
        --------
        >>> loops.checkpoints.files_frame("c0ffee1")["size_bytes"].sum()
        """
        walk = routes.files(checkpoint_id, page_size=page_size)
        return files_frame([page.body for page in self._transport.pages(walk)], urls=urls)

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Fetch where a checkpoint's files are stored (``GET /v1/loops/checkpoints/{checkpoint_id}/source``).

        Parameters
        ----------
        checkpoint_id : str
            The checkpoint's ``id`` (not its name).

        Returns
        -------
        CheckpointSource
            Its ``kind`` is ``s3`` or ``volume``.

        Examples
        --------
        >>> loops.checkpoints.source("c0ffee1").kind
        's3'
        """
        return self._transport.send(routes.source(checkpoint_id))

    def validate(self, checkpoint_path: str, *, run_id: str | None = None) -> None:
        """Check that a sampler checkpoint can be loaded (``POST /v1/loops/checkpoints/validate``).

        Parameters
        ----------
        checkpoint_path : str
            ``bt://loops:<run_id>/sampler_weights/<name>``.
        run_id : str, optional
            The run whose sampler is to load it: their LoRA configurations must match.

        Raises
        ------
        BadRequestError
            If it cannot be loaded.

        Examples
        --------
        >>> loops.checkpoints.validate("bt://loops:k4q95w5/sampler_weights/step-100")
        """
        return self._transport.send(routes.validate(checkpoint_path, run_id=run_id))

    def deploy(
        self, *, checkpoint_ids: Sequence[str], model_name: str, instance_type_id: str, hf_secret_name: str
    ) -> DeployedModel:
        """Create an inference model from sampler checkpoints (``POST /v1/loops/checkpoints/deploy``).

        It is billed, and not idempotent.  Which checkpoints it was made of is noted on this machine, for plans of
        deletions: the service does not tell.

        Parameters
        ----------
        checkpoint_ids : sequence of str
            Ids (not names) of the sampler checkpoints that are served together.
        model_name : str
            Name of the new model.
        instance_type_id : str
            Hardware.
        hf_secret_name : str
            The team's secret that holds the Hugging Face token.

        Returns
        -------
        DeployedModel
            Ids of the model and of its deployment.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> model = loops.checkpoints.deploy(
        ...     checkpoint_ids=["c0ffee1"], model_name="support", instance_type_id="H100", hf_secret_name="hf_token"
        ... )
        """
        model = self._transport.send(
            routes.deploy(
                checkpoint_ids=checkpoint_ids,
                model_name=model_name,
                instance_type_id=instance_type_id,
                hf_secret_name=hf_secret_name,
            )
        )
        remember_deployed(
            self._transport.config.address.url, model, model_name=model_name, checkpoint_ids=checkpoint_ids
        )
        return model

    def resolve(
        self, checkpoints: CheckpointSelection = None, *, run_id: str | None = None, target: str | None = None
    ) -> CheckpointRefs:
        """Resolve ids, URIs and names to checkpoints (``GET /v1/loops/checkpoints``).

        Parameters
        ----------
        checkpoints : str, Checkpoint, CheckpointRef, iterable of them, or pandas.DataFrame, optional
            Ids, ``bt://`` URIs, ``run/name``, ``run/weights/name``, objects of `list`, or a DataFrame of checkpoints.
        run_id : str, optional
            Id or name of a run: bare names are those of this run.  Without ``checkpoints``, all that it has saved.
        target : {"trainer", "sampler"}, optional
            Only these: one name may be saved for both.

        Returns
        -------
        list of CheckpointRef
            In the order given, without duplicates.

        Raises
        ------
        InvalidArgumentError
            If nothing is named, or a name is ambiguous.
        NotFoundError
            If there is no such checkpoint or run.

        Examples
        --------
        >>> refs = loops.checkpoints.resolve("k4q95w5/step-100", target="trainer")
        """
        return run_blocking(self._transport, lambda service: service.resolve(checkpoints, run_id=run_id, target=target))

    #: The earlier name of `resolve`.
    choose = resolve

    def plan_deletion(
        self, checkpoints: CheckpointSelection = None, *, run_id: str | None = None, target: str | None = None
    ) -> DeletionPlan:
        """Return what a deletion would delete; nothing is deleted.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`.

        Returns
        -------
        DeletionPlan
            The checkpoints, their size in bytes, and what uses them as far as listings tell.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            As in `resolve`.

        Examples
        --------
        >>> loops.checkpoints.plan_deletion(run_id="k4q95w5", target="trainer")
        """
        return run_blocking(
            self._transport,
            lambda service: service.plan_deletion(service.resolve(checkpoints, run_id=run_id, target=target)),
        )

    def delete(
        self,
        checkpoints: CheckpointSelection | DeletionPlan = None,
        *,
        run_id: str | None = None,
        target: str | None = None,
        workers: int = 8,
    ) -> pd.DataFrame:
        """Delete checkpoints for good, in parallel (``DELETE /v1/loops/checkpoints/{checkpoint_id}``).

        The service refuses one that is deployed, served by an active sampler or the start of an active run; it is kept,
        and its row says why.

        Parameters
        ----------
        checkpoints : str, Checkpoint, CheckpointRef, iterable of them, pandas.DataFrame, or DeletionPlan, optional
            As in `resolve`, or the plan of `plan_deletion`.
        run_id, target : str, optional
            As in `resolve`; a run without ``checkpoints`` means all that it has saved.
        workers : int, default 8
            Simultaneous requests, 1 to 32.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint: kind, id, run_id, name, target, size_bytes, result (``deleted``, ``kept``,
            ``failed``), reason.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            As in `resolve`; nothing was deleted.

        Examples
        --------
        >>> loops.checkpoints.delete("k4q95w5/step-100", target="trainer")
        """
        return run_blocking(
            self._transport,
            lambda service: service.delete(checkpoints, run_id=run_id, target=target, workers=workers),
        )

    def plan_pruning(
        self,
        run_id: str,
        *,
        keep_best: int = 0,
        keep_last: int = 0,
        older_than: timedelta | datetime | None = None,
        metric: str = "loss",
        mode: str | None = None,
        target: str | None = None,
    ) -> DeletionPlan:
        """Return the plan to delete the checkpoints of a run that are not worth keeping; nothing is deleted.

        Parameters
        ----------
        run_id : str
            Id of the run, or its name if only one has it.
        keep_best : int, default 0
            How many of each target are kept as best, by the value recorded on this machine up to their step.
        keep_last : int, default 0
            How many of each target are kept as newest.
        older_than : datetime.timedelta or datetime.datetime, optional
            Keep what was saved later: back from now, or a time with a time zone.
        metric : str, default "loss"
            Key of the metric that decides which are best; checkpoints without a value are kept.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better; by default inferred from the key.
        target : {"trainer", "sampler"}, optional
            Only these.

        Returns
        -------
        DeletionPlan
            What `delete` would delete; its ``notes`` say what is kept, and by which numbers.

        Raises
        ------
        InvalidArgumentError
            If nothing says what to keep, or what is recorded does not tell which are best.
        NotFoundError
            If there is no such run.

        Examples
        --------
        >>> plan = loops.checkpoints.plan_pruning("k4q95w5", keep_best=3, keep_last=2)
        >>> loops.checkpoints.delete(plan)
        """
        return run_blocking(
            self._transport,
            lambda service: service.plan_pruning(
                run_id,
                best=keep_best,
                last=keep_last,
                older_than=older_than,
                metric=metric,
                mode=mode,
                target=target,
            ),
        )

    def plan_download(
        self,
        checkpoints: CheckpointSelection = None,
        into: str | os.PathLike[str] = FOLDER,
        *,
        run_id: str | None = None,
        target: str | None = None,
        include: Patterns = (),
        exclude: Patterns = (),
    ) -> DownloadPlan:
        """Return what a download would fetch, what is present already, and the free space; nothing is downloaded.

        Parameters
        ----------
        checkpoints, into, run_id, target, include, exclude
            As in `download`.

        Returns
        -------
        DownloadPlan
            The files with their state and size in bytes.

        Raises
        ------
        InvalidArgumentError, NotFoundError, UnsafeNameError, VolumeBackedError
            As in `download`.

        Examples
        --------
        >>> loops.checkpoints.plan_download(run_id="k4q95w5", include="*.json")
        """
        check_target(into)
        return run_blocking(
            self._transport,
            lambda service: service.plan(
                service.resolve(checkpoints, run_id=run_id, target=target), into, include, exclude
            ),
        )

    def download(
        self,
        checkpoints: CheckpointSelection = None,
        into: str | os.PathLike[str] = FOLDER,
        *,
        run_id: str | None = None,
        target: str | None = None,
        include: Patterns = (),
        exclude: Patterns = (),
        connections: int = CONNECTIONS,
        quiet: bool = False,
    ) -> Download:
        """Download checkpoints (``GET /v1/loops/checkpoints/{checkpoint_id}/files`` and its presigned URLs).

        A file is complete or absent: it has a temporary name until its size and, where the server sends one, its
        checksum are verified.  An interrupted download resumes: the same call fetches only what is missing.  At the end
        each folder has a manifest, which `verify` checks later.

        Parameters
        ----------
        checkpoints : str, Checkpoint, CheckpointRef, iterable of them, or pandas.DataFrame, optional
            As in `resolve`.
        into : str or path-like, default "checkpoints"
            Folder for all of them; each goes to ``into/run/weights/name``, as in its ``bt://`` URI.  Or a place in a
            bucket: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix`` (extra ``cloud``);
            nothing is written to disk then, and the credentials are those of your cloud's settings.
        run_id, target : str, optional
            As in `resolve`.
        include, exclude : str or sequence of str, default ()
            Patterns of file names such as ``"*.json"``; ``exclude`` wins.
        connections : int, default 16
            Simultaneous connections, 1 to 64.
        quiet : bool, default False
            Show no progress.

        Returns
        -------
        Download
            The checkpoints with their paths, and how many bytes were fetched.

        Raises
        ------
        UnsafeNameError
            If the service lists names that cannot be files of that folder; nothing was downloaded.
        VolumeBackedError
            If the files have no URLs.
        NoSpaceError
            If the disk is too small.
        BucketError
            If the bucket cannot be read or written; what was complete is kept.
        ConfigError
            If it is a bucket, and obstore is not installed.
        DownloadIncompleteError
            If some files failed; the others are complete.
        InvalidArgumentError, NotFoundError
            As in `resolve`, and if no file matches the patterns.

        Examples
        --------
        >>> done = loops.checkpoints.download("k4q95w5/step-100", into="weights")
        >>> done.checkpoints[0].path
        """
        check_target(into)
        return run_blocking(
            self._transport,
            lambda service: service.download(
                service.resolve(checkpoints, run_id=run_id, target=target),
                into,
                include,
                exclude,
                connections=connections,
                quiet=quiet,
            ),
        )

    def export_adapter(
        self,
        checkpoints: CheckpointSelection,
        into: str | os.PathLike[str],
        *,
        run_id: str | None = None,
        target: str | None = None,
        merge: bool = False,
        base: str | None = None,
        push: str | None = None,
        private: bool = True,
        connections: int = CONNECTIONS,
        quiet: bool = False,
    ) -> pd.DataFrame:
        """Export checkpoints as adapters that PEFT, vLLM and SGLang load as they are.

        Routes: ``GET /v1/loops/checkpoints/{checkpoint_id}/files`` and its presigned URLs.  The folder gets
        ``adapter_model.safetensors`` with PEFT's names, ``adapter_config.json``, and ``README.md`` with base model,
        run, step, recorded metrics and hashes.  It appears when it is whole; what an interrupted download fetched is
        kept beside it, and the same call goes on from there.

        Parameters
        ----------
        checkpoints : str, Checkpoint, CheckpointRef, iterable of them, or pandas.DataFrame
            As in `resolve`.
        into : str or path-like
            Folder of the adapter, which must not exist or be empty; of several checkpoints, each gets the folder
            ``into/run/weights/name``.
        run_id, target : str, optional
            As in `resolve`.
        merge : bool, default False
            Write the base model with the adapter merged into its weights instead.  Needs torch, transformers, peft and
            the base weights on this machine.
        base : str, optional
            With ``merge``: folder or name of the base weights; default is the base model of the checkpoint.
        push : str, optional
            Push the folder to this repository (``ORG/NAME``) of the Hugging Face Hub, with ``huggingface_hub`` and
            its login.
        private : bool, default True
            Whether a repository that is made for it is private.
        connections : int, default 16
            Simultaneous connections, 1 to 64.
        quiet : bool, default False
            Show no progress.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint: path, checkpoint, id, base_model, sha256, url (strings), rank, tensors, size_bytes
            (Int64, bytes).

        Raises
        ------
        ExportError
            If it holds no adapter whose names, ranks and scales are known, or it cannot be merged or pushed.
        InvalidArgumentError
            If the folder exists, or an argument cannot be used.
        DownloadError, NotFoundError
            As in `download`.

        Examples
        --------
        >>> loops.checkpoints.export_adapter("k4q95w5/step-100", "adapters/support", target="sampler")
        """
        return run_blocking(
            self._transport,
            lambda service: service.export_adapter(
                service.resolve(checkpoints, run_id=run_id, target=target),
                into,
                merge=merge,
                base=base,
                push=push,
                private=private,
                connections=connections,
                quiet=quiet,
            ),
        )

    def verify(self, folder: str | os.PathLike[str], *, executor: Executor | None = None) -> Verifications:
        """Check folders against the manifests of their downloads; the service is not asked.

        Every byte is read, also of a copy in a bucket.

        Parameters
        ----------
        folder : str or path-like
            The folder of a checkpoint, or one with several below it; or a place in a bucket, as in `download`.
        executor : concurrent.futures.Executor, optional
            Has its workers read the files; they have to reach the folder under the same path.  It is not shut down.

        Returns
        -------
        list of Verification
            One for each checkpoint.

        Raises
        ------
        ExecutorError
            If the executor cannot do the work, or a worker does not see the folder.
        VerificationError
            If a file is missing or differs from what was downloaded.
        InvalidArgumentError
            If there is no manifest.
        BucketError, ConfigError
            As in `download`.

        Examples
        --------
        >>> loops.checkpoints.verify("weights")
        """
        return run_blocking(self._transport, lambda _: verify_all(folder, executor=executor))

    def open(
        self, checkpoint: CheckpointSelection, *, run_id: str | None = None, target: str | None = None
    ) -> FetchedCheckpoint:
        """Open a remote checkpoint: only the headers of its safetensors files are read.

        Parameters
        ----------
        checkpoint : str, Checkpoint, CheckpointRef or pandas.DataFrame
            As in `resolve`, exactly one; or the address of a copy in a bucket, such as
            ``s3://bucket/prefix/run/weights/name``, for which the service is not asked.
        run_id, target : str, optional
            As in `resolve`.

        Returns
        -------
        RemoteCheckpoint or BucketCheckpoint
            With ``tensors`` (by name), ``adapter_config``, and ``tensor(name)``, which fetches one tensor as a NumPy
            array.

        Raises
        ------
        UnreadableTensorsError
            If a file is not the safetensors file that its name says it is.
        InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `download`.

        Examples
        --------
        >>> opened = loops.checkpoints.open("k4q95w5/step-100", target="trainer")
        >>> opened.adapter_config["r"]
        16
        """
        return run_blocking(
            self._transport, lambda service: service.open_one(service.resolve_one(checkpoint, run_id, target))
        )

    def tensors(
        self, checkpoints: CheckpointSelection = None, *, run_id: str | None = None, target: str | None = None
    ) -> pd.DataFrame:
        """List the tensors of checkpoints from the headers of their files, which are cached.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`; addresses of copies in buckets as in `open`.

        Returns
        -------
        pandas.DataFrame
            One row a tensor; columns as in `loops_nb.checkpoints.tensors.frames`.

        Raises
        ------
        UnreadableTensorsError, InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `open`.

        Examples
        --------
        >>> loops.checkpoints.tensors("k4q95w5/step-100").groupby("dtype")["size_bytes"].sum()
        """
        return run_blocking(
            self._transport,
            lambda service: service.tensors(service.resolve_readable(checkpoints, run_id, target)),
        )

    def changes(
        self,
        checkpoints: CheckpointSelection = None,
        *,
        run_id: str | None = None,
        target: str | None = None,
        executor: Executor | None = None,
        share_urls: bool = False,
    ) -> pd.DataFrame:
        """List the tensors that appeared, vanished, or changed shape or dtype since the first of the checkpoints.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`, two or more; addresses of copies in buckets as in `open`.
        executor, share_urls
            As in `compare`.

        Returns
        -------
        pandas.DataFrame
            One row a change; columns as in `loops_nb.checkpoints.compare.frames.changes_frame`.

        Raises
        ------
        UnreadableTensorsError, InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `open`.
        ExecutorError
            If the executor cannot do the work.

        Examples
        --------
        >>> loops.checkpoints.changes(["k4q95w5/step-50", "k4q95w5/step-100"], target="sampler")
        """
        return run_blocking(
            self._transport,
            lambda service: service.with_executor(executor, share_urls=share_urls, reads=checkpoints).changes(
                service.resolve_readable(checkpoints, run_id, target)
            ),
        )

    def compare(
        self,
        checkpoints: CheckpointSelection = None,
        *,
        run_id: str | None = None,
        target: str | None = None,
        by: str = "module",
        executor: Executor | None = None,
        share_urls: bool = False,
    ) -> pd.DataFrame:
        """Compare the weights of checkpoints with those of the first.

        For each LoRA module the update ``B @ A`` times alpha / rank is compared, computed from the small factors; for
        other tensors the numbers themselves.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`, two or more; addresses of copies in buckets as in `open`.
        by : {"module", "layer", "module_type", "checkpoint"}, default "module"
            What the numbers are summed up by; ``module`` sums up nothing.
        executor : concurrent.futures.Executor, optional
            Has its workers do the work: of processes, Dask (``client.get_executor()``), ipyparallel
            (``client.executor()``), ...  It is not shut down.  Workers read with an API key of their own
            (``BASETEN_API_KEY``), never with yours.
        share_urls : bool, default False
            Hand presigned URLs of the files to workers that have no key.  They are secrets until they expire.

        Returns
        -------
        pandas.DataFrame
            norm, change, relative_change, cosine and more; columns as in
            `loops_nb.checkpoints.compare.frames.compare_frame`.

        Raises
        ------
        UnreadableTensorsError, InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `open`.
        ExecutorError
            If the executor cannot do the work.

        Examples
        --------
        >>> loops.checkpoints.compare(["k4q95w5/step-50", "k4q95w5/step-100"], target="sampler", by="layer")
        >>> client = dask.distributed.Client("tcp://scheduler:8786")
        >>> loops.checkpoints.compare(run_id="k4q95w5", executor=client.get_executor())
        """
        return run_blocking(
            self._transport,
            lambda service: service.with_executor(executor, share_urls=share_urls, reads=checkpoints).compare(
                service.resolve_readable(checkpoints, run_id, target), by
            ),
        )

    def drift(
        self,
        checkpoints: CheckpointSelection = None,
        *,
        run_id: str | None = None,
        target: str | None = None,
        by: str = "module",
        executor: Executor | None = None,
        share_urls: bool = False,
    ) -> pd.DataFrame:
        """Compute how weights changed over the steps of their checkpoints, each run and target by itself.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`; addresses of copies in buckets as in `open`.
        by : {"module", "layer", "module_type", "checkpoint"}, default "module"
            As in `compare`.
        executor, share_urls
            As in `compare`.

        Returns
        -------
        pandas.DataFrame
            One row a step and module; columns as in `loops_nb.checkpoints.compare.frames.drift_frame`.

        Raises
        ------
        UnreadableTensorsError, InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `open`.
        ExecutorError
            If the executor cannot do the work.

        Examples
        --------
        >>> loops.checkpoints.drift(run_id="k4q95w5", target="sampler", by="layer")
        """
        return run_blocking(
            self._transport,
            lambda service: service.with_executor(executor, share_urls=share_urls, reads=checkpoints).drift(
                service.resolve_readable(checkpoints, run_id, target), by
            ),
        )

    def duplicates(
        self,
        checkpoints: CheckpointSelection = None,
        *,
        run_id: str | None = None,
        target: str | None = None,
        executor: Executor | None = None,
        share_urls: bool = False,
    ) -> pd.DataFrame:
        """Find checkpoints that hold the same weights under different names.

        Parameters
        ----------
        checkpoints, run_id, target
            As in `resolve`; addresses of copies in buckets as in `open`.
        executor, share_urls
            As in `compare`.

        Returns
        -------
        pandas.DataFrame
            One row a duplicate; columns as in `loops_nb.checkpoints.compare.frames.duplicates_frame`.

        Raises
        ------
        UnreadableTensorsError, InvalidArgumentError, NotFoundError, VolumeBackedError
            As in `open`.
        ExecutorError
            If the executor cannot do the work.

        Examples
        --------
        >>> loops.checkpoints.duplicates(run_id="k4q95w5")
        """
        return run_blocking(
            self._transport,
            lambda service: service.with_executor(executor, share_urls=share_urls, reads=checkpoints).duplicates(
                service.resolve_readable(checkpoints, run_id, target)
            ),
        )

    def watch(
        self,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> CheckpointsPanel:
        """Show the checkpoints of a run or of a base model in a panel that updates live.

        Parameters
        ----------
        run_id, base_model : str, optional
            Exactly one of them.
        interval : float, optional
            Seconds between two polls while something changes; default is unchanged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        CheckpointsPanel
            A widget; its ``frame`` is the newest listing.

        Raises
        ------
        InvalidArgumentError
            If not exactly one of ``run_id`` and ``base_model`` is given.

        Examples
        --------
        >>> loops.checkpoints.watch(run_id="k4q95w5")
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.CheckpointsPanel(
            self._transport, run_id=run_id, base_model=base_model, interval=interval, time_zone=time_zone
        )
