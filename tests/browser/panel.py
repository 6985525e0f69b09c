"""A panel on a page, as a person finds things in it: by roles, headings and words."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from loops_nb.panels.report.html import LIVE_CLASS, REPORT_CLASS
from tests.browser.notebook import PATIENCE_SECONDS

#: The widget's element; its shadow root holds the panel.
LIVE = f".{LIVE_CLASS}"
#: The report beside it.
REPORT = f".{REPORT_CLASS}"

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


class Panel:
    """One live panel.

    Parameters
    ----------
    page
        Where it is.
    number
        Which one of the page's.
    """

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page = page
        self.root = page.locator(LIVE).nth(number)

    def shown(self) -> Panel:
        """Wait until it is drawn."""
        expect(self.root).to_be_visible()
        return self

    def row(self, text: str) -> Locator:
        """Return the row with a text in it."""
        return self.root.get_by_role("row").filter(has_text=text)

    def button(self, name: str) -> Locator:
        """Return a button."""
        return self.root.get_by_role("button", name=name)

    def says(self, text: str) -> None:
        """Wait until it shows a text."""
        expect(self.root).to_contain_text(text)

    def says_no_more(self, text: str) -> None:
        """Wait until a text is gone."""
        expect(self.root).not_to_contain_text(text)

    def stands(self, standing: str) -> None:
        """Wait until it says of its data that it is ``live``, ``failing``, ``paused``, ``over``, ``saved``, ``gone``..."""
        expect(self.root.locator("[data-standing]")).to_have_attribute("data-standing", standing)

    def filter(self, text: str) -> None:
        """Type into the filter."""
        self.root.get_by_role("searchbox").fill(text)
