"""Text from the service is data, whatever it looks like, in the panel and in the report."""

from __future__ import annotations

from nbconvert import HTMLExporter
from playwright.sync_api import expect

from tests.browser.cells import fleet, one
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import LIVE, REPORT, Panel
from tests.browser.service_state import ServiceState

NAME = "<img src=x onerror=\"globalThis.hurt = 'name'\"><script>globalThis.hurt = 'script'</script>"
MODEL = "<b onmouseover=\"globalThis.hurt = 'model'\">bold</b>\u202egnirts&amp;"
USER = "</style></td></table><svg onload=\"globalThis.hurt = 'user'\">"


def test_names_are_shown_as_they_are(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("replaced")
    state.pretend("runs", run, name=NAME, base_model=MODEL, user={"email": USER}, status={"name": NAME})
    notebook = opener.notebook(fleet(), one(run), "panel.freeze()", environment=connected)
    notebook.run(0)
    notebook.run(1)
    fleet_panel, run_panel = Panel(notebook.page, 0).shown(), Panel(notebook.page, 1).shown()
    fleet_panel.says(NAME)
    run_panel.says(NAME)
    for element in ("img", "script", "b[onmouseover]", "svg[onload]"):
        assert notebook.page.locator(LIVE).locator(element).count() == 0, element
        assert notebook.page.locator(REPORT).locator(element).count() == 0, element
    notebook.run(2)
    expect(notebook.page.locator(REPORT).nth(1)).to_be_visible()
    expect(notebook.page.locator(REPORT).nth(1)).to_contain_text(NAME)
    assert notebook.page.evaluate("() => globalThis.hurt") is None
    notebook.save()

    page = opener.page()
    page.route("**", lambda route: route.abort() if not route.request.url.startswith("file:") else route.continue_())
    exported = notebook.path.with_suffix(".html")
    exported.write_text(HTMLExporter().from_filename(str(notebook.path))[0], encoding="utf-8")
    page.goto(exported.as_uri())
    expect(page.locator(REPORT).nth(1)).to_contain_text(NAME)
    assert page.locator(REPORT).locator("img, script, svg[onload]").count() == 0
    assert page.evaluate("() => globalThis.hurt") is None
