"""What a panel leaves behind: a report of one snapshot, as HTML and as text, that says by itself what it shows and when that was so.

It stands beside the live panel in the notebook's file, and is what a reader sees where nothing is live: on GitHub, in an export, in a
notebook that is opened again.  So nothing in it is relative to the time of reading.
"""

from loops_nb.panels.report.html import report_html
from loops_nb.panels.report.text import report_text

__all__ = ["report_html", "report_text"]
