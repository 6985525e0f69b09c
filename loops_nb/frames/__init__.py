"""DataFrames of the listings of the Loops API: pure functions of JSON bytes; pandas is imported by the first frame.

`loops_nb.frames.columns` is the one table of columns and dtypes.  Every frame has the same columns and dtypes whatever
the service sent, an empty listing included.  Nothing in a frame or its ``attrs`` is secret, except for the URLs of a
files frame when they are requested.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from loops_nb.frames.columns import (
    CAPABILITIES,
    CHECKPOINTS,
    DEPLOYMENTS,
    FILES,
    KINDS,
    LOGS,
    PRICES,
    RECEIPTS,
    RUNS,
    SAMPLERS,
    SESSIONS,
    TEAMS,
    Column,
    Dtype,
    Kind,
)
from loops_nb.frames.json_rows import Rows, decode
from loops_nb.frames.listing_rows import ListingRows
from loops_nb.frames.run_hardware import hardware_of_runs, serverless_samplers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = [
    "KINDS",
    "Column",
    "Dtype",
    "Kind",
    "ListingRows",
    "capabilities_frame",
    "checkpoints_frame",
    "decoded_listing",
    "deployments_frame",
    "files_frame",
    "logs_frame",
    "prices_frame",
    "receipts_frame",
    "runs_frame",
    "runs_listing",
    "samplers_frame",
    "sessions_frame",
    "teams_frame",
]


def runs_frame(body: bytes, *, deployments: bytes | None = None) -> pd.DataFrame:
    """Return runs, with the state of both halves.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/runs``, of a route that returns one run, or of the legacy ``POST
        /v1/trainers/search``.
    deployments : bytes or None, default None
        Response of ``GET /v1/loops/deployments``; without it ``deployment_status``, ``gpu_type`` and ``gpu_count`` are
        missing values, as they are for a run whose deployment is not in it.

    Returns
    -------
    pandas.DataFrame
        Columns id, name, base_model, status, deployment_status, sampler_status, serverless, created_at, session_id,
        deployment_id, sampler_id, owner, gpu_type, gpu_count, lora_config_version and base_url;
        `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> runs_frame(b'{"runs": [{"id": "k4q95w5", "base_model": "Qwen/Qwen3-8B"}]}').loc[0, "base_model"]
    'Qwen/Qwen3-8B'
    """
    return runs_listing(body, deployments=deployments).frame()


def runs_listing(body: bytes, *, deployments: bytes | None = None) -> ListingRows:
    """Return the rows of `runs_frame`, without pandas.

    Parameters
    ----------
    body, deployments : bytes
        As in `runs_frame`.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> runs_listing(b'{"runs": [{"id": "k4q95w5", "base_model": "Qwen/Qwen3-8B"}]}').values("base_model")
    ['Qwen/Qwen3-8B']
    """
    rows = decode(body, RUNS, RUNS.columns)
    known = None if deployments is None else decode(deployments, DEPLOYMENTS, DEPLOYMENTS.columns)
    return ListingRows(RUNS, rows, hardware_of_runs(rows, known))


def samplers_frame(body: bytes) -> pd.DataFrame:
    """Return samplers, paired and standalone.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/samplers``, or of a route that returns one sampler.

    Returns
    -------
    pandas.DataFrame
        Columns id, base_model, status, serverless, created_at, model_id, deployment_id, owner, gpu_type, gpu_count,
        node_count, instance_type, base_checkpoint and base_url; `loops_nb.frames.columns` has their dtypes and
        meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> samplers_frame(b'{"samplers": [{"id": "s1", "status": {"name": "ACTIVE"}}]}').loc[0, "status"]
    'ACTIVE'
    """
    return _frame(body, SAMPLERS)


def checkpoints_frame(body: bytes) -> pd.DataFrame:
    """Return checkpoints.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/checkpoints``, or of the legacy routes that return checkpoints.

    Returns
    -------
    pandas.DataFrame
        Columns id, checkpoint_id (the saved name), run_id, target, created_at, checkpoint_type, base_model, lora_rank,
        size_bytes (bytes), sync_status, lora_config_version and uri; `loops_nb.frames.columns` has their dtypes and
        meaning.  The whole adapter configuration is not in the frame: rows with equal ones would share a dict, and an
        edit of one would edit all. The objects of ``checkpoints.list()`` have it.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> body = b'{"checkpoints": [{"id": "c1", "run_id": "r1", "checkpoint_id": "step-10", "target": "trainer"}]}'
    >>> checkpoints_frame(body).loc[0, "uri"]
    'bt://loops:r1/weights/step-10'
    """
    return _frame(body, CHECKPOINTS)


def files_frame(pages: Iterable[bytes], *, urls: bool = False) -> pd.DataFrame:
    """Return the files of a checkpoint or of a debug archive.

    Parameters
    ----------
    pages : iterable of bytes
        Responses of ``GET /v1/loops/checkpoints/{checkpoint_id}/files``, in order.
    urls : bool, default False
        Whether to add the column ``url``.  A presigned URL is a secret, and a frame that is shown is saved with the
        notebook.

    Returns
    -------
    pandas.DataFrame
        Columns relative_file_name, size_bytes (bytes), node_rank, last_modified, and url if asked for;
        `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such responses; the text names the place in the page.

    Examples
    --------
    >>> list(files_frame([b'{"presigned_urls": []}']).columns)
    ['relative_file_name', 'size_bytes', 'node_rank', 'last_modified']
    """
    from loops_nb.frames.arrays import build  # needs pandas

    columns = tuple(column for column in FILES.columns if urls or not column.optional)
    decoded = [decode(page, FILES, columns) for page in pages] or [decode(b'{"presigned_urls":[]}', FILES, columns)]
    return build(FILES, columns, Rows(list(chain.from_iterable(page.items for page in decoded)), decoded[0].readers))


def deployments_frame(body: bytes) -> pd.DataFrame:
    """Return Loops deployments, with the state of both halves.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/deployments``, or of the route that returns one.

    Returns
    -------
    pandas.DataFrame
        Columns id, base_model, status, sampler_status, created_at, active_run_id, latest_run_id, sampler_id, owner,
        availability_model, gpu_type, gpu_count, sampler_gpu_type, sampler_gpu_count, node_count, instance_type and
        base_url; `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> body = b'{"deployments": [{"id": "d1", "node_count": 2, "instance_type": {"gpu_count": 8}}]}'
    >>> int(deployments_frame(body).loc[0, "gpu_count"])
    16
    """
    return _frame(body, DEPLOYMENTS)


def capabilities_frame(body: bytes) -> pd.DataFrame:
    """Return the base models that can be trained.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/capabilities``.

    Returns
    -------
    pandas.DataFrame
        Columns model_name, enabled, serverless, max_seq_len and max_enabled_seq_len (tokens), supports_vision_language,
        reason, reason_detail and remediation; `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> body = b'{"supported_models": [{"model_name": "Qwen/Qwen3-8B", "max_seq_len": 32768}]}'
    >>> int(capabilities_frame(body).loc[0, "max_seq_len"])
    32768
    """
    return _frame(body, CAPABILITIES)


def logs_frame(body: bytes) -> pd.DataFrame:
    """Return log lines, in the order of the response.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/deployments/{deployment_id}/logs``, or of the logs of a sampler's model deployment.

    Returns
    -------
    pandas.DataFrame
        Columns timestamp (``datetime64[ns, UTC]``: lines of one request may be nanoseconds apart), level, half,
        replica, request_id and message; `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> logs_frame(b'{"logs": [{"timestamp": "1790000000000000000", "message": "ready"}]}').loc[0, "message"]
    'ready'
    """
    return _frame(body, LOGS)


def sessions_frame(body: bytes) -> pd.DataFrame:
    """Return sessions: the column id, all that the API has of one.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/loops/sessions/{session_id}``, or of a route that creates one.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> sessions_frame(b'{"session": {"id": "s1"}}').loc[0, "id"]
    's1'
    """
    return _frame(body, SESSIONS)


def teams_frame(body: bytes) -> pd.DataFrame:
    """Return the teams of the organisation.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/teams``.

    Returns
    -------
    pandas.DataFrame
        Columns id, name, default and created_at; `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> teams_frame(b'{"teams": [{"id": "t1", "name": "research"}]}').loc[0, "name"]
    'research'
    """
    return _frame(body, TEAMS)


def prices_frame(body: bytes) -> pd.DataFrame:
    """Return the prices of instance types.

    Parameters
    ----------
    body : bytes
        Response of ``GET /v1/instance_type_prices``.

    Returns
    -------
    pandas.DataFrame
        Columns id, name, gpu_type, gpu_count, usd_per_minute and usd_per_hour (of one node) and note;
        `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> body = b'{"instance_types": [{"instance_type": {"id": "h100-1"}, "price": 0.5}]}'
    >>> float(prices_frame(body).loc[0, "usd_per_hour"])
    30.0
    """
    return _frame(body, PRICES)


def receipts_frame(body: bytes) -> pd.DataFrame:
    """Return the receipt of a deactivation as a frame of one row.

    Parameters
    ----------
    body : bytes
        Response of a route that ends with ``/deactivate``.

    Returns
    -------
    pandas.DataFrame
        Columns id, base_model and owner; `loops_nb.frames.columns` has their dtypes and meaning.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> receipts_frame(b'{"id": "k4q95w5"}').loc[0, "id"]
    'k4q95w5'
    """
    return _frame(body, RECEIPTS)


def decoded_listing(body: bytes, kind: Kind) -> ListingRows:
    """Return the rows of a listing of any kind but ``runs``, without pandas.

    Parameters
    ----------
    body : bytes
        The response.
    kind : Kind
        One of `KINDS`.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such a response; the text names the place in the document.

    Examples
    --------
    >>> decoded_listing(b'{"teams": [{"id": "t1", "name": "research"}]}', TEAMS).values("name")
    ['research']
    """
    rows = decode(body, kind, kind.columns)
    given = {"serverless": serverless_samplers(rows)} if kind is SAMPLERS else None
    return ListingRows(kind, rows, given)


def _frame(body: bytes, kind: Kind) -> pd.DataFrame:
    return decoded_listing(body, kind).frame()
