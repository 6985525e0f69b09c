"""What opening checkpoints has cost, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from loops_nb.drawing.wording import many, size
from loops_nb.tensors.remote import RemoteCheckpoint

_TINY = 0.01
_FEW = 10


def fetched_sentence(checkpoints: Sequence[RemoteCheckpoint]) -> str:
    """Say how much of some checkpoints was read until now, as in ``Read 43.0 kB of 12.3 MB (0.35 %).``.

    Parameters
    ----------
    checkpoints
        Those that were opened.
    """
    fetched, total = sum(one.bytes_fetched for one in checkpoints), sum(one.total_bytes for one in checkpoints)
    where = f" in {many(len(checkpoints), 'checkpoint')}" if len(checkpoints) > 1 else ""
    if not fetched:
        return f"Read nothing of {size(total)}{where}: the headers are known from an earlier time." if total else "Read nothing."
    if fetched >= total:
        # Tiny files are read with their headers once and for their tensors again: a share of more than all says nothing.
        return f"Read {size(fetched)}{where}."
    return f"Read {size(fetched)} of {size(total)}{where} ({_share(fetched, total)})."


def _share(part: int, whole: int) -> str:
    percent = 100 * part / whole
    if percent < _TINY:
        return f"less than {_TINY} %"
    return f"{percent:.2g} %" if percent < _FEW else f"{percent:.0f} %"
