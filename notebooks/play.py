"""Run the notebooks on the local service: printed (``demo``), in JupyterLab (``lab``), or to keep outputs (``write``).

``write`` keeps what they print in the files themselves, so that GitHub and the manual show it: without live panels,
which need a kernel, and without what names this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from loops_nb.local import launcher

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
#: Listings and panels; then a run that is trained, saved and sampled on this machine.
PLAYED = (NOTEBOOK, ROOT / "notebooks" / "train_locally.ipynb")
BUILD = ROOT / "build"
SECONDS_A_CELL = 120
#: Runs and samplers of the demo start as fast as their processes do.
DEMO_SPEED = 100.0

#: What differs from machine to machine, and what is written in its place.
MACHINE = {
    r"(?<=127\.0\.0\.1:)\d{4,5}\b": "8787",
    r"\bpid \d+": "pid 4242",
    r"(?<![\w/])/tmp/tmp\w+": "/tmp/example",  # noqa: S108 - a text
}
#: Where the digest of the code stands that was run.
WRITTEN = "outputs_of"
#: MIME type of a live panel; its report is a separate output.
LIVE = "application/vnd.jupyter.widget-view+json"


def use_home(home: Path) -> None:
    """Keep all that this process and its kernels record in a folder, with no key and no service of the user's."""
    for name in ("BASETEN_API_KEY", "LOOPS_BASE_URL"):
        os.environ.pop(name, None)
    os.environ |= {"LOOPS_NB_HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "COLUMNS": "160"}


@contextlib.contextmanager
def sample_service(home: Path) -> Iterator[None]:
    """Run the local service with its sample data on a free port; ``%loops local start`` in the notebook finds it."""
    use_home(home)
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
    use_home(home)
    try:
        asyncio.run(play_together(home))
    finally:
        launcher.stop()


async def play_together(home: Path) -> None:
    """Run the notebooks at the same time; their kernels start beside the service."""
    started = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        service = tasks.create_task(asyncio.to_thread(launcher.start, sample=True, speed=DEMO_SPEED))
        # The service starts beside the imports, which take as long.
        await asyncio.sleep(0)
        played = [tasks.create_task(play(path, home, service)) for path in PLAYED]
        found = await service
        print(f"Loops local service on {found.url} (data in {found.data_dir})", flush=True)
        # While cells wait for training.
        tasks.create_task(asyncio.to_thread(importlib.import_module, "nbconvert"))
        for one in played:
            notebook, page = await one
            for cell in notebook.cells:
                show(cell)
            print(f"\nThe executed notebook: {page.relative_to(ROOT)} ({page.stat().st_size // 1024} KB)", flush=True)
    print(f"{len(played)} notebooks in {time.monotonic() - started:.0f} s.")


async def play(path: Path, home: Path, service: asyncio.Task[Any]) -> tuple[Any, Path]:
    """Run one notebook once there is a service, and write it as HTML; returns both."""

    async def when_served(**_: Any) -> None:
        await asyncio.shield(service)

    client = client_of(path, home, path.parent)
    client.on_notebook_start = when_served
    notebook = await client.async_execute()
    page = BUILD / f"{path.stem}.html"
    page.write_text(await asyncio.to_thread(html_of, notebook), encoding="utf-8")
    return notebook, page


def html_of(notebook: Any) -> str:
    """Return a notebook as a page."""
    from nbconvert import HTMLExporter  # only here

    return str(HTMLExporter().from_notebook_node(notebook)[0])


def client_of(path: Path, home: Path, folder: Path) -> Any:
    """Return what runs a notebook in a folder."""
    import nbclient  # only here
    import nbformat
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    # Unix sockets instead of TCP: no other user can connect to the kernel.
    over_sockets = Config({"KernelManager": {"transport": "ipc", "ip": str(home / path.stem)}})
    where = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, config=over_sockets, timeout=SECONDS_A_CELL, resources=where)
    # The reports of the panels are kept; widget state would need scripts from a CDN.
    client.store_widget_state = False
    client.record_timing = False
    return client


def write() -> None:
    """Run all notebooks, or those that are named, and keep what they print."""
    import nbformat

    wanted = sys.argv[2:] or [path.stem for path in sorted(NOTEBOOK.parent.glob("*.ipynb"))]
    for name in wanted:
        path = NOTEBOOK.parent / f"{name}.ipynb"
        # A short path: it is part of those of sockets, whose length is limited.
        with tempfile.TemporaryDirectory() as folder, sample_service(Path(folder) / "home"):
            notebook = client_of(path, Path(folder), Path(folder)).execute()
            text = nbformat.writes(notebook)
            for pattern, replacement in MACHINE.items():
                text = re.sub(pattern, replacement, text)
            text = text.replace(folder, "/home/you")
        notebook = nbformat.reads(text, as_version=4)
        for cell in notebook.cells:
            if cell["cell_type"] == "code":
                cell["outputs"] = merged(output for output in cell["outputs"] if LIVE not in output.get("data", {}))
        notebook.metadata = nbformat.read(path, as_version=4).metadata
        notebook.metadata[WRITTEN] = sources_digest(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB", flush=True)


def merged(outputs: Iterable[Any]) -> list[Any]:
    """Return outputs with what was printed in pieces in one."""
    found: list[Any] = []
    for output in outputs:
        if found and output["output_type"] == "stream" and output.get("name") == found[-1].get("name"):
            found[-1]["text"] += output["text"]
        else:
            found.append(output)
    for output in found:
        if output["output_type"] == "stream":
            # Of a line that was written again and again, the last is what was to be seen.
            output["text"] = re.sub(r"[^\n]*\r(?!\n)", "", output["text"])
    return found


def sources_digest(notebook: Any) -> str:
    """Return a digest of the code of a notebook: outputs are of just this code."""
    sources = "\0".join(cell["source"] for cell in notebook.cells if cell["cell_type"] == "code")
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


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
    {"demo": demo, "lab": lab, "write": write}[sys.argv[1]]()
