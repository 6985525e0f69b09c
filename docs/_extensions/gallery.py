"""The recordings that the gallery replays: what panels told their pages while a small run was trained.

Made at each build with the local service, so that they fit the page code; ``docs/_static/gallery.js`` plays them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loops_nb
from loops_nb import Loops
from loops_nb.local import launcher
from loops_nb.panels.curves.panel import CurvesPanel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent.parent
sys.path.append(str(HERE.parent / "examples"))

from plain_http import PlainLoops, PlainRun, datum, words_of  # noqa: E402 - an example, not a package

STATIC = HERE.parent / "loops_nb" / "static"
RECORDED = HERE / "_static" / "panels"
DISHES = {"Monday": "soup", "Tuesday": "rice", "Wednesday": "beans", "Thursday": "fish", "Friday": "pancakes"}
#: Tokens of this model are bytes, and 256 for the end.
DATA = [
    datum(tokens[:-1], tokens[1:])
    for tokens in ([*f"{day} we eat {dish}.".encode(), 256] for day, dish in DISHES.items())
]
RATES = (0.003, 0.001, 0.0003)
STEPS = 60
#: Seconds after each step, so that a reader can follow.
PAUSE = 0.2
#: Some columns of pixels; a page may be narrower.
_COLUMNS = 500


class Recorder:
    """Takes down what a panel tells its page, with the milliseconds since the beginning.

    Parameters
    ----------
    panel : LiveWidget
        Not shown anywhere; its page is played by this class.
    bundle : str
        File of the page code.
    """

    def __init__(self, panel: Any, bundle: str) -> None:
        self.panel, self.bundle = panel, bundle
        self.messages: list[tuple[int, Any]] = []
        self.snapshot: Any = {}
        self._asked: set[str] = set()
        self._began = time.monotonic()
        self.began_at = time.time()
        panel.send = self._take
        self.snapshot = _plain(panel.get_state("snapshot")["snapshot"])
        self.tell({"type": "view_opened", "view": "view", "have": None})
        self.tell({"type": "view_visibility", "view": "view", "visible": True})

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message as the page does."""
        self.panel._heard(self.panel, message, [])  # noqa: SLF001 - as the page's half of the widget

    def look(self) -> None:
        """Ask for the chart of each metric, as a page does that shows all of them."""
        state = self.panel.get_state("snapshot")["snapshot"]
        for key in set(state["metadata"]["keys"]) - self._asked:
            self._asked.add(key)
            wanted = {**state["spec"], "key": key, "columns": _COLUMNS}
            self.tell({"type": "set_chart", "view": "view", "spec": wanted, "stream": f"view/{key}", "charts": 9})

    def write(self, path: Path) -> None:
        """Write the recording as JSON."""
        self.panel.close()
        content = {
            "bundle": self.bundle,
            "began": round(1000 * self.began_at),
            "snapshot": self.snapshot,
            "messages": self.messages,
        }
        path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False), "utf-8")

    def _take(self, content: Any, buffers: Any = None) -> None:
        del buffers
        self.messages.append((round(1000 * (time.monotonic() - self._began)), _plain(content)))


def _plain(content: Any) -> Any:
    """Return a copy as it arrives at a page."""
    return json.loads(json.dumps(content))


@contextlib.contextmanager
def _service() -> Iterator[str]:
    """Run a local service with sample data in a home of its own."""
    kept = {name: os.environ.pop(name, None) for name in ("BASETEN_API_KEY", "LOOPS_BASE_URL", "LOOPS_NB_HOME")}
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOOPS_NB_HOME"] = home
        try:
            os.environ["LOOPS_BASE_URL"] = url = launcher.start(sample=True).url
            yield url
        finally:
            launcher.stop()
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _train(plain: PlainLoops, rate: float, run: PlainRun | None = None) -> None:
    """Train a small run for real, and record it as a training loop does."""
    run = run or plain.run("loops-local/tiny", seed=1, name=f"dishes-lr{rate}")
    params = {"lr": rate, "rank": 16}
    with loops_nb.experiment(f"dishes-lr{rate}", params=params, tags=["dishes"], run=run.run_id) as experiment:
        for step in range(1, STEPS + 1):
            loss = run.forward_backward(DATA)["loss"]
            norm = run.optim_step(learning_rate=rate)["metrics"]["grad_norm"]
            experiment.log(step=step, **{"train/loss": loss, "train/grad_norm": norm})
            time.sleep(PAUSE)
            if step % 15 == 0:
                run.save_for_sampler(f"step-{step}")
                for day in ("Monday", "Thursday"):
                    (tokens,) = run.sample(f"{day} we eat".encode(), max_tokens=12)
                    completion = words_of(tokens)
                    right = completion.strip().startswith(DISHES[day])
                    experiment.sample(step=step, prompt=f"{day} we eat", completion=completion, reward=float(right))


def record(folder: Path) -> None:
    """Write one recording a panel."""
    with _service() as url, Loops(base_url=url) as loops:
        plain = PlainLoops(url, loops.reveal_key())
        first = plain.run("loops-local/tiny", seed=1, name=f"dishes-lr{RATES[0]}")
        recorders = {
            "fleet": Recorder(loops.runs.watch(), "panels.js"),
            "run": Recorder(loops.runs.watch(first.run_id), "panels.js"),
            "logs": Recorder(loops.logs.watch(first.run_id), "logs.js"),
        }
        with ThreadPoolExecutor(len(RATES)) as pool:
            training = [pool.submit(_train, plain, RATES[0], first)]
            training += [pool.submit(_train, plain, rate) for rate in RATES[1:]]
            while len(loops.metrics.experiments()) < len(RATES):
                wait(training, timeout=0.1)
            recorders |= {
                "curves": Recorder(CurvesPanel(), "curves.js"),
                "experiments": Recorder(loops.metrics.watch(), "experiments.js"),
                "samples": Recorder(loops.metrics.watch_samples(f"dishes-lr{RATES[0]}"), "samples.js"),
            }
            grid = {
                "experiment": "",
                "mode": "spread",
                "steps": [],
                "columns": 3,
                "order": "recorded",
                "search": "",
                "first": 0,
            }
            recorders["samples"].tell({"type": "set_samples", "view": "view", "spec": grid})
            while wait(training, timeout=0.5).not_done:
                recorders["curves"].look()
        for one in training:
            one.result()
        for name, recorder in recorders.items():
            recorder.write(folder / f"{name}.json")


def write_recordings(_app: Sphinx) -> None:
    """Write the recordings and the page code, unless they are younger than that code."""
    bundles = sorted(STATIC.glob("*.js"))
    newest = max(path.stat().st_mtime for path in (*bundles, Path(__file__)))
    made = sorted(RECORDED.glob("*.json"))
    if made and min(path.stat().st_mtime for path in made) > newest:
        return
    shutil.rmtree(RECORDED, ignore_errors=True)
    RECORDED.mkdir()
    for bundle in bundles:
        shutil.copy(bundle, RECORDED)
    record(RECORDED)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_recordings, priority=1)
    return {"parallel_read_safe": True}
