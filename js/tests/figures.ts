import { afterEach, it } from "vitest";
import type { PanelChange } from "../src/contract";
import { closeAll, Page, shifted } from "./page";
import { rowOf, snapshot } from "./sample";

const ROWS = 10_000;

afterEach(closeAll);

/** Until the page has drawn. */
function drawn(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

/** How long the longest task was, seen from a timer that wants to run all the time. */
async function longest(while_: () => Promise<void>): Promise<number> {
  let worst = 0;
  let goesOn = true;
  const channel = new MessageChannel();
  let last = performance.now();
  channel.port1.onmessage = () => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
    if (goesOn) channel.port2.postMessage(0);
  };
  channel.port2.postMessage(0);
  await while_();
  goesOn = false;
  channel.port1.close();
  return worst;
}

function say(what: string, times: number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1);
  console.info(`${what}: median ${at(0.5)} ms, p95 ${at(0.95)} ms, worst ${at(1)} ms (${times.length} times)`);
}

it("figures", async () => {
  for (const view of ["fleet", "checkpoints"] as const) {
    const table = view === "fleet" ? "runs" : "checkpoints";
    const given = shifted(snapshot(view, ROWS));
    const open: number[] = [];
    for (let i = 0; i < 5; i++) {
      closeAll();
      const before = performance.now();
      const page = new Page(given);
      while (!page.has("tr[data-id]")) await drawn();
      await drawn();
      open.push(performance.now() - before);
    }
    say(`${view}: open ${ROWS} rows`, open);

    closeAll();
    const page = new Page(given);
    await drawn();
    await drawn();
    const updates: number[] = [];
    for (let i = 1; i <= 40; i++) {
      const rows = Array.from({ length: 100 }, (_, k) => rowOf(table, (k * 97 + i) % ROWS, { base_model: `model ${i}`, finished: false }));
      const change: PanelChange = {
        type: "change",
        base: i,
        seq: i + 1,
        now: Date.now(),
        tables: { [table]: { rows, removed: [], total: ROWS } },
      };
      const before = performance.now();
      const task = await longest(async () => {
        page.model.tell(change);
        await drawn();
      });
      updates.push(Math.min(task, performance.now() - before));
    }
    say(`${view}: an update of 100 rows, its longest task`, updates);

    const box = page.one(".box");
    const scrolls: number[] = [];
    for (let i = 0; i < 60; i++) {
      scrolls.push(
        await longest(async () => {
          box.scrollTop += 700;
          await drawn();
        }),
      );
    }
    say(`${view}: scrolling by a page, its longest task`, scrolls);

    const filters: number[] = [];
    for (const words of ["g", "gr", "step", "qwen", "1 2", "kimi 7", "none", ""]) {
      filters.push(
        await longest(async () => {
          page.filter(words);
          await drawn();
        }),
      );
    }
    say(`${view}: a key in the filter, its longest task`, filters);

    const sorts: number[] = [];
    for (const heading of page.all("th button").slice(0, 6)) {
      sorts.push(
        await longest(async () => {
          heading.click();
          await drawn();
        }),
      );
    }
    say(`${view}: sorting by another column, its longest task`, sorts);
  }
}, 120_000);
