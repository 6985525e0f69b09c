"""Run the notebooks against the local service: as a script (``demo``), or in JupyterLab (``lab``)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from loops_nb.local import launcher

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
#: Listings and panels; then a run that is trained, saved and sampled on this machine.
PLAYED = (NOTEBOOK, ROOT / "notebooks" / "train_locally.ipynb")
BUILD = ROOT / "build"
SECONDS_A_CELL = 120
#: MIME type of a live panel; its report is a separate output.
LIVE = "application/vnd.jupyter.widget-view+json"


@contextlib.contextmanager
def sample_service(home: Path) -> Iterator[None]:
    """Run the local service with its sample data on a free port; ``%loops local start`` in the notebook finds it."""
    for name in ("BASETEN_API_KEY", "LOOPS_BASE_URL"):
        # Never use the API key or the service of the user's environment.
        os.environ.pop(name, None)
    os.environ |= {"LOOPS_NB_HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "COLUMNS": "160"}
    found = launcher.start(sample=True)
    print(f"Loops local service on {found.url} (data in {found.data_dir})", flush=True)
    try:
        yield
    finally:
        launcher.stop()


def demo() -> None:
    """Run the notebooks in kernels, print their output, and write them as HTML."""
    home = BUILD / "demo"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with sample_service(home):
        for path in PLAYED:
            play(path, home)


def play(path: Path, home: Path) -> None:
    """Run one notebook, print its output, and write it as HTML."""
    import nbclient  # only here
    import nbformat
    from nbconvert import HTMLExporter
    from traitlets.config import Config

    started = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    # Unix sockets instead of TCP: no other user can connect to the kernel.
    over_sockets = Config({"KernelManager": {"transport": "ipc", "ip": str(home / path.stem)}})
    where = {"metadata": {"path": str(path.parent)}}
    client = nbclient.NotebookClient(notebook, config=over_sockets, timeout=SECONDS_A_CELL, resources=where)
    # The HTML has the reports of the panels; widget state would need scripts from a CDN.
    client.store_widget_state = False
    client.execute()
    for cell in notebook.cells:
        show(cell)
    page = BUILD / f"{path.stem}.html"
    page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    print(
        f"\nThe executed notebook: {page.relative_to(ROOT)} ({page.stat().st_size // 1024} KB), in "
        f"{time.monotonic() - started:.0f} s."
    )


def show(cell: dict[str, object]) -> None:
    """Print one cell as a terminal would show it."""
    source = str(cell["source"])
    if cell["cell_type"] == "markdown":
        print(f"\n{source}")
        return
    print("\n" + "\n".join(f">>> {line}" for line in source.splitlines()))
    for output in cell["outputs"]:  # type: ignore[attr-defined]
        if output["output_type"] == "stream":
            print(output["text"].rstrip())
        elif output["output_type"] == "error":
            print("\n".join(output["traceback"]))
        elif LIVE not in output["data"]:
            print(output["data"].get("text/plain", "").rstrip())


def lab() -> None:
    """Open copies of the notebooks in JupyterLab with the same service, until it is stopped."""
    home = BUILD / "lab"
    home.mkdir(parents=True, exist_ok=True)
    for notebook in NOTEBOOK.parent.glob("*.ipynb"):
        if not (home / notebook.name).exists():
            shutil.copy(notebook, home)
    with sample_service(home):
        command = [sys.executable, "-m", "jupyterlab", str(home / NOTEBOOK.name), *sys.argv[2:]]
        if os.geteuid() == 0:
            command.append("--allow-root")
        with contextlib.suppress(KeyboardInterrupt):
            subprocess.run(command, check=False)


if __name__ == "__main__":
    {"demo": demo, "lab": lab}[sys.argv[1]]()
