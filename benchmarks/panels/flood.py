"""Three ways of a message to the page while a cell floods stdout, side by side.

``python -m benchmarks.panels.flood``
"""

from __future__ import annotations

from typing import Any

from benchmarks.panels.figures import percentile
from benchmarks.panels.jupyterlab import jupyterlab, service
from benchmarks.rounds import figures_table

_SECONDS = 12
_WAYS = {
    "msg": "comm_msg, as every widget sends",
    "open": "comm_open, which the server's rate limit passes on",
    "own": "comm_open on a second connection of the page",
}
_PAGE = """export default {
  initialize({ model }) {
    globalThis.got = { msg: [], open: [], own: [] };
    const note = (way) => (comm, { content }) => {
      got[way].push(Date.now() - content.data.at);
      comm.dispose();
    };
    const { kernel } = model.widget_manager;
    const second = kernel.clone({ handleComms: true });
    // One comm stays open, so that the subshell of the target is not made again for each message.
    globalThis.kept = [kernel.createComm("flood"), second.createComm("flood"), second];
    kernel.registerCommTarget("flood", note("open"));
    second.registerCommTarget("flood", note("own"));
    model.on("msg:custom", ({ at }) => at && got.msg.push(Date.now() - at));
  },
  render({ el }) { el.textContent = "flood"; },
}"""
_SHOW = f"""
import threading, time, anywidget, comm
class Probe(anywidget.AnyWidget):
    _esm = {_PAGE!r}
probe, box = Probe(), comm.create_comm(target_name="flood", primary=False)
sent, is_on = 0, False
def send():
    global sent
    while True:
        time.sleep(0.5)
        if is_on:
            sent, at = sent + 1, time.time() * 1e3
            box.publish_msg("comm_open", data={{"at": at}}, metadata={{}}, target_name="flood", target_module=None)
            probe.send({{"at": at}})
threading.Thread(target=send, daemon=True).start()
probe"""
_FLOOD = f"""
is_on, until = True, time.time() + {_SECONDS}
while time.time() < until:
    print("x" * 200)
    time.sleep(0.001)
is_on = False"""
_WATCH = """() => {
  globalThis.long = 0;
  const add = (list) => list.getEntries().forEach(({ duration }) => { long += duration; });
  new PerformanceObserver(add).observe({ type: "longtask" });
}"""


def run() -> str:
    """Measure and return the table."""
    with jupyterlab() as lab, service() as served, lab.notebook(served, _SHOW, _FLOOD) as (notebook, _):
        notebook.run(0)
        notebook.page.wait_for_function("() => globalThis.kept")
        notebook.page.evaluate(_WATCH)
        notebook.run(1)
        # What waits in the page arrives after the cell.
        notebook.page.wait_for_timeout(2000)
        got: dict[str, list[float]] = notebook.page.evaluate("() => got")
        long: float = notebook.page.evaluate("() => long")
        sent = int(notebook.execute("print(sent)"))
    rows: list[Any] = [
        (
            what,
            f"{sent - len(got[way])} of {sent}",
            f"{percentile(got[way], 0.5):.0f} / {percentile(got[way], 0.95):.0f}",
        )
        for way, what in _WAYS.items()
    ]
    note = f"A cell prints 200 kB a second for {_SECONDS} s. Long tasks of the page meanwhile: {long / 1e3:.1f} s."
    return figures_table("Ways to the page while a cell floods stdout", note, ("way", "lost", "p50 / p95, ms"), rows)


if __name__ == "__main__":
    print(run())
