"""Display of a listing before pandas is there: the table is on the screen while its DataFrame is made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from loops_nb.errors import readable_interrupt
from loops_nb.magics.context import preload_pandas
from loops_nb.magics.listing_table import listing_columns
from loops_nb.resources.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames.listing_rows import ListingRows


def displayed_or_frame(shell: Any, listing: ListingRows, line: str, *, may_display: bool) -> pd.DataFrame | None:
    """Return the DataFrame of a listing; None if it is the cell's output, and displayed already.

    Once pandas is imported, nothing is displayed here: IPython displays the DataFrame.

    Parameters
    ----------
    shell : InteractiveShell
        The IPython shell.
    listing : ListingRows
        What the verb returned.
    line : str
        The text after ``%loops``.
    may_display : bool
        Whether the line is one of the cell itself.
    """
    is_early = may_display and not _has_pandas() and _is_output_of_cell(shell, line)
    if not is_early or listing_columns(listing) is None:
        return frame_of(listing)
    # The steps of IPython's own display hook; the DataFrame is made after its table was shown.
    hook = shell.displayhook
    hook.check_for_underscore()
    hook.start_displayhook()
    hook.write_output_prompt()
    data, metadata = hook.compute_format_data(listing)
    hook.write_format_data(data, metadata)
    hook.log_output(data)
    hook.finish_displayhook()
    # In its own thread: an import that is interrupted halfway cannot be repeated.
    preload_pandas()
    with readable_interrupt(f"The DataFrame of %loops {line}", "The table is complete; _ is what it was before."):
        frame = frame_of(listing)
    hook.update_user_ns(frame)
    hook.fill_exec_result(frame)
    return None


def _has_pandas() -> bool:
    return hasattr(sys.modules.get("pandas"), "DataFrame")


def _is_output_of_cell(shell: Any, line: str) -> bool:
    """Return whether IPython displays what a line returns: it is the last one of the cell, and is there only once."""
    hook = getattr(shell, "displayhook", None)
    running = getattr(hook, "exec_result", None)
    # Another hook captures the output (`%%capture`).
    if running is None or sys.displayhook is not hook or running.info.silent:
        return False
    if shell.ast_node_interactivity not in {"last_expr", "last_expr_or_assign"} or line.rstrip().endswith(";"):
        return False
    cell: str = running.info.raw_cell.strip()
    if cell.startswith("%%"):
        # Its magic may run the lines any number of times.
        return False
    lines = cell.splitlines()
    same = [text for text in lines if text.partition("%loops")[2].split() == line.split()]
    return same == lines[-1:] and lines[-1].startswith("%loops")
