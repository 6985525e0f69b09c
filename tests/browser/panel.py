"""A panel on a page, as a user finds things in it: by roles, headings and words."""

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

    def row(self, id_: str) -> Locator:
        """Return the row of a thing."""
        return self.root.locator(f'tr[data-id="{id_}"]')

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
        """Wait until its data is said to be ``live``, ``failing``, ``paused``, ``over``, ``saved``, ``gone``..."""
        expect(self.root.locator("[data-status]")).to_have_attribute("data-status", standing)

    def filter(self, text: str) -> None:
        """Type into the filter."""
        self.root.get_by_role("searchbox").fill(text)

    def show_finished(self) -> None:
        """Show what has ended, too."""
        self.root.get_by_role("checkbox", name="Hide finished").uncheck()

    def scroll_to_the_end(self) -> None:
        """Scroll the first table as far as it goes."""
        self.root.locator("[data-table] .box").first.evaluate("box => { box.scrollTop = box.scrollHeight }")

    def ask_to_deactivate(self, id_: str) -> None:
        """Choose to deactivate something from the menu of its row."""
        self._choose(id_, "Deactivate…")

    def ask_to_delete(self, id_: str) -> None:
        """Choose to delete something from the menu of its row."""
        self._choose(id_, "Delete…")

    def ask_to_deploy(self, id_: str) -> None:
        """Choose to deploy a checkpoint from the menu of its row."""
        self._choose(id_, "Deploy…")

    def _choose(self, id_: str, item: str) -> None:
        self.row(id_).locator("[data-control=menu]").click()
        self.root.get_by_role("menuitem", name=item).click()

    def confirm(self, verb: str = "Deactivate") -> None:
        """Say yes, as soon as that is possible."""
        self.root.get_by_role("alertdialog").get_by_role("button", name=verb, exact=True).click()

    def think_better(self) -> None:
        """Say no."""
        self.root.get_by_role("alertdialog").get_by_role("button", name="Keep it").click()

    def is_done_with(self, id_: str) -> None:
        """Wait until it says that the service took the deactivation."""
        expect(self.root.locator(f'[data-below="{id_}"] [data-ending]')).to_have_attribute("data-ending", "done")
