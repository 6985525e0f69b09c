"""One Jupyter server of a kind and one Chromium for the folder; a page, a notebook and a service for each test."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from loops_nb import Loops
from tests.browser.fault_proxy import FaultProxy
from tests.browser.jupyter import Application, JupyterServer
from tests.browser.notebook import Notebook, written
from tests.browser.prepare import BUILD, chromium, missing
from tests.browser.service_state import Clock, ServiceState
from tests.service import ThreadService, running_service

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
#: Sentinel of the key that every notebook of these tests works with: it must turn up nowhere in a page.
KEY = "sentinel-key-of-the-browser-tests-0123456789"
VIEWPORT: ViewportSize = {"width": 1280, "height": 900}
#: What Notebook 7 throws by itself, whatever is in the notebook; and JupyterLab, where a kernel ends early.
_NOT_OURS = (
    "Cannot read properties of undefined (reading 'schema')",
    "Canceled future for create_subshell_request message before replies were done",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they do not depend on the interpreter that pytest runs on."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.once)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the pages of a failed test show, before they are closed."""
    report = yield
    opener = getattr(item, "funcargs", {}).get("opener")
    if report.when == "call" and report.failed and isinstance(opener, NotebookOpener):
        with contextlib.suppress(PlaywrightError):
            opener.keep_traces(item.name)
    return report


# Of the folder, not of the session: while Playwright runs, its event loop keeps asyncio.run from working in tests
# elsewhere.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    gone = missing()
    assert not gone, f"not installed: {', '.join(gone)}. Run 'python -m tests.browser.prepare' once, or 'make test'."
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """The pages of a worker share their cache: JupyterLab is a few megabytes of JavaScript."""
    opened = browser.new_context(viewport=VIEWPORT)
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Application], JupyterServer]]:
    """Start a server of an application at its first need."""
    started: dict[Application, JupyterServer] = {}

    def server(application: Application) -> JupyterServer:
        if application not in started:
            started[application] = JupyterServer(tmp_path_factory.mktemp(application), application).start()
        return started[application]

    yield server
    for one in started.values():
        one.stop()


class SharedPage:
    """A loaded page of JupyterLab that one test leaves to the next: loading it takes longer than most tests."""

    def __init__(self) -> None:
        self.page: Page | None = None


@pytest.fixture(scope="package")
def shared_page(context: BrowserContext) -> SharedPage:
    """The page of this worker that tests use one after the other."""
    return SharedPage()


class NotebookOpener:
    """Opens notebooks in pages of the browser.

    Parameters
    ----------
    server
        The Jupyter server.
    context
        Where pages are opened.
    name
        Prefix of the notebooks' names.
    shared
        A page that stays open from one test to the next; none when left out.
    own_page
        Whether to open all notebooks in pages of this test, and not the first one in the shared page.
    """

    def __init__(
        self,
        server: JupyterServer,
        context: BrowserContext,
        name: str,
        shared: SharedPage | None = None,
        *,
        own_page: bool = True,
    ) -> None:
        self.server = server
        self.opened: list[Notebook] = []
        self._context = context
        self._name = name
        self._made = 0
        self._shared = shared or SharedPage()
        self._own_page = own_page

    def notebook(
        self,
        *cells: str,
        kernel: str = "python3",
        environment: dict[str, str] | None = None,
        after: Notebook | None = None,
    ) -> Notebook:
        """Write a notebook, open it as `open` does, and set variables of its kernel's environment."""
        self._made += 1
        path = self.server.root / f"{self._name}-{self._made}.ipynb"
        path.write_text(written(cells, kernel), encoding="utf-8")
        found = self.open(path, after=after)
        if environment:
            found.insist(f"import os; os.environ.update({environment!r})")
        return found

    def open(self, path: Path, *, kernel: bool = True, after: Notebook | None = None) -> Notebook:
        """Open a notebook that is there; ``after`` another one, it takes its place where that is possible."""
        shared = None if self._own_page or self.opened else self._shared.page
        if after is not None:
            if after.leave_page():
                shared = after.page
            else:
                after.page.close()
                self.server.end_kernels()
        notebook = Notebook(shared or self._context.new_page(), path, KEY)
        self.opened.append(notebook)
        if shared:
            notebook.open_in_tab(kernel=kernel)
        else:
            notebook.open(self.server.address(path.name), kernel=kernel)
        return notebook

    def close(self) -> None:
        """Close the pages, but for one that the next test can use."""
        if not self._own_page and self.opened:
            first = self.opened[0]
            self._shared.page = first.page if first.leave_page() else None
        for page in self._context.pages:
            if page is self._shared.page:
                page.set_viewport_size(VIEWPORT)
            else:
                page.close()
        self.server.end_kernels()

    def page(self) -> Page:
        """Open an empty page."""
        return self._context.new_page()

    def keep_traces(self, test: str) -> None:
        """Keep pictures of all pages, what they said, and the notebooks under ``build``."""
        folder = BUILD / "failed" / re.sub(r"\W+", "-", test)
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in self.opened:
            (folder / f"{notebook.path.stem}.log").write_text(
                "\n".join([*notebook.console, *notebook.errors]), encoding="utf-8"
            )
            (folder / notebook.path.name).write_bytes(notebook.path.read_bytes())
        for number, page in enumerate(self._context.pages):
            page.screenshot(path=folder / f"page-{number}.png")


# After the service, so that it ends when no kernel asks it any more.
@pytest.fixture
def opener(
    request: pytest.FixtureRequest,
    servers: Callable[[Application], JupyterServer],
    context: BrowserContext,
    service: ThreadService,
    shared_page: SharedPage,
) -> Iterator[NotebookOpener]:
    """A notebook opener in JupyterLab, or in the application that the test is parametrized with."""
    application: Application = getattr(request, "param", "lab")
    server = servers(application)
    # A page reads settings when it is loaded.
    own_page = application != "lab" or not {"keeps_state", "windowing"}.isdisjoint(request.fixturenames)
    own_page = own_page or request.node.get_closest_marker("own_page") is not None
    made = NotebookOpener(server, context, re.sub(r"\W+", "-", request.node.name), shared_page, own_page=own_page)
    yield made
    made.close()
    errors = [
        error for notebook in made.opened for error in notebook.errors if not any(known in error for known in _NOT_OURS)
    ]
    assert errors == []
    for notebook in made.opened:
        assert notebook.hosts <= {"127.0.0.1", ""}
        assert notebook.leaks == []
        assert KEY not in "\n".join(notebook.console)
        assert KEY not in notebook.path.read_text("utf-8")


@pytest.fixture
def proxy() -> FaultProxy:
    """Stands before the service."""
    return FaultProxy()


@pytest.fixture
def clock() -> Clock:
    """The service's clock."""
    return Clock()


@pytest.fixture
def service(proxy: FaultProxy, clock: Clock, tmp_path: Path) -> Iterator[ThreadService]:
    """A service of the test's own, empty; its time passes when the test says so."""
    with running_service(speed=1.0, wrap=proxy.wrap, data_dir=tmp_path / "service", clock=clock) as running:
        assert isinstance(running, ThreadService)
        yield running


@pytest.fixture
def state(service: ThreadService, clock: Clock, proxy: FaultProxy) -> Iterator[ServiceState]:
    """What goes on at the service."""
    with Loops("another-key", service.url) as loops:
        yield ServiceState(loops, clock, proxy)


@pytest.fixture
def connected(service: ThreadService) -> dict[str, str]:
    """The environment of a kernel that works with the service, with a key that must be seen nowhere."""
    return {"LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": KEY}


@pytest.fixture
def recording(connected: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a kernel that also records, unlike others."""
    return connected | {"LOOPS_NB_HOME": str(tmp_path / "home")}
