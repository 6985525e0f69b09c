"""The static report of a panel: one snapshot, as HTML and as text, with the time when it was taken.

It stands beside the live panel in the notebook's file, and is what a reader sees where nothing is live: on GitHub, in
an export, in a notebook that is opened again.  So nothing in it is relative to the time of reading.
"""

from loops_nb.panels.report.html import report_html
from loops_nb.panels.report.text import report_text

__all__ = ["report_html", "report_text"]
