import type { AnyModel, Host } from "@anywidget/types";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { userEvent, page as viewport } from "vitest/browser";
import bundle from "../../loops_nb/static/experiments.js?raw";
import type {
  ExperimentColumn,
  ExperimentsChange,
  ExperimentsFromPage,
  ExperimentsSnapshot,
  ExperimentsToPage,
  Traits,
} from "../src/experiments/contract";
import widget from "../src/experiments/index";
import { comparator, isExpression } from "../src/experiments/table-data";
import { numberText } from "../src/number";
import { sparkPath } from "../src/ui/spark";
import { THEMES } from "./themes";

const COLUMNS: ExperimentColumn[] = [
  { name: "name", title: "Name", drawn: "name" },
  { name: "state", title: "State", drawn: "state" },
  { name: "spark", title: "loss", drawn: "spark", group: "metric" },
  { name: "best.loss", title: "loss best", drawn: "number", group: "metric", mode: "min" },
  { name: "last.accuracy", title: "accuracy last", drawn: "number", group: "metric", mode: "max" },
  { name: "params.lr", title: "lr", drawn: "value", group: "parameter" },
  { name: "tags", title: "Tags", drawn: "text" },
  { name: "created_at", title: "Age", drawn: "age" },
  { name: "run_id", title: "Run", drawn: "id", shown: false },
];
const SENT = ["id", "name", "state", "created_at", "last_at", "best.loss", "last.accuracy", "params.lr", "tags"];
const STATES = ["running", "finished", "crashed", "stale"];

function rowOf(i: number, more: Record<string, string | number | null> = {}) {
  const cells: Record<string, string | number | null> = {
    id: `e${i}`,
    name: `sweep-${i}`,
    state: STATES[i % 4] as string,
    created_at: Date.now() - i * 1000,
    last_at: Date.now(),
    "best.loss": i === 2 ? "NaN" : 1 / (i + 1),
    "last.accuracy": i / 10,
    "params.lr": i % 3 ? 10 ** -i : "auto",
    tags: i % 2 ? "baseline" : null,
    ...more,
  };
  return SENT.map((name) => cells[name] ?? null) as [];
}

function snapshotOf(count: number, more: Partial<ExperimentsSnapshot> = {}): ExperimentsSnapshot {
  return {
    type: "snapshot",
    seq: 1,
    now: Date.now(),
    title: "Experiments",
    line: "%loops watch experiments",
    columns: COLUMNS,
    sent: SENT,
    rows: Array.from({ length: count }, (_, i) => rowOf(i)),
    total: count,
    shared: [{ column: "params.model", title: "model", value: "tiny" }],
    notes: [],
    empty: count ? "" : "No experiments yet.",
    metric: "loss",
    sparks: { e0: "zfK0" },
    choices: { columns: {}, sort: null },
    health: { state: "live", looked_at: Date.now(), every: 0, since: null, next_at: null, reason: "", hint: "" },
    last_at: Date.now(),
    ...more,
  };
}

type Callback = (content?: unknown, buffers?: unknown) => void;

class Board {
  readonly sent: ExperimentsFromPage[] = [];
  readonly el = document.createElement("div");
  readonly #callbacks = new Map<string, Callback>();
  readonly #ends: (() => void)[] = [];

  constructor(snapshot: ExperimentsSnapshot, { width = 1000, host }: { width?: number; host?: Host } = {}) {
    this.el.style.width = `${width}px`;
    document.body.append(this.el);
    const model = {
      get: () => structuredClone(snapshot),
      on: (event: string, callback: Callback) => this.#callbacks.set(event, callback),
      off: (event: string) => this.#callbacks.delete(event),
      send: (message: ExperimentsFromPage) => this.sent.push(structuredClone(message)),
    } as unknown as AnyModel<Traits>;
    const { render } = widget();
    this.#ends.push(render({ model, el: this.el, ...(host && { host }) }));
    this.tell(snapshot);
    open.add(this);
  }

  tell(message: ExperimentsToPage): void {
    this.#callbacks.get("msg:custom")?.(structuredClone(message), []);
  }

  change(change: Partial<ExperimentsChange>): void {
    this.tell({ type: "change", base: 1, seq: 2, now: Date.now(), total: 0, ...change } as ExperimentsChange);
  }

  get root(): ShadowRoot {
    return (this.el.firstElementChild as HTMLElement).shadowRoot as ShadowRoot;
  }

  one<T extends HTMLElement = HTMLElement>(selector: string): T {
    const found = this.root.querySelector<T>(selector);
    if (!found) throw new Error(`nothing is ${selector} in\n${this.root.querySelector("section")?.outerHTML.slice(0, 2000)}`);
    return found;
  }

  all<T extends HTMLElement = HTMLElement>(selector: string): T[] {
    return [...this.root.querySelectorAll<T>(selector)];
  }

  text(selector = "section"): string {
    return (this.root.querySelector(selector)?.textContent ?? "").replace(/\s+/g, " ").trim();
  }

  ids(): string[] {
    return this.all("tr[data-id]").map((row) => row.dataset.id ?? "");
  }

  sentOf<T extends ExperimentsFromPage["type"]>(type: T) {
    return this.sent.filter((message): message is Extract<ExperimentsFromPage, { type: T }> => message.type === type);
  }

  press(key: string, on: Element | null = this.root.activeElement): void {
    on?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
  }

  close(): void {
    for (const end of this.#ends) end();
    this.el.remove();
    open.delete(this);
  }
}

const open = new Set<Board>();
const until = vi.waitFor;

afterEach(() => {
  for (const board of [...open]) board.close();
  // What was chosen is kept on the page until a kernel confirms it.
  Reflect.deleteProperty(globalThis, Symbol.for("loops_nb.unconfirmedChoices"));
});

async function opened(count = 8, more: Partial<ExperimentsSnapshot> = {}, around = {}): Promise<Board> {
  const board = new Board(snapshotOf(count, more), around);
  await until(() => expect(board.root.querySelector(count ? "tr[data-id]" : "[data-empty]")).not.toBeNull());
  return board;
}

describe("the leaderboard", () => {
  it("shows state, sparkline, values and what all rows share", async () => {
    const board = await opened();
    expect(board.ids()).toEqual(["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"]);
    expect(board.text('tr[data-id="e0"]')).toContain("Running");
    expect(board.one('tr[data-id="e0"] svg.spark path').getAttribute("d")).toBe(sparkPath("zfK0"));
    expect(board.text('tr[data-id="e2"] [data-column="best.loss"]')).toBe("NaN");
    expect(board.text("[data-shared]")).toBe("The same in all: model tiny");
    expect(board.text("[data-count]")).toBe("8 experiments");
    expect(board.text("header")).toContain("Updates live · 2 running");
  });

  it("sorts by every heading, best first, and has the kernel keep it", async () => {
    const board = await opened();
    board.one('[data-sort="best.loss"]').click();
    await until(() => expect(board.ids()).toEqual(["e7", "e6", "e5", "e4", "e3", "e1", "e0", "e2"]));
    expect(board.one('th:has([data-sort="best.loss"])').getAttribute("aria-sort")).toBe("ascending");
    board.one('[data-sort="last.accuracy"]').click();
    await until(() => expect(board.ids()[0]).toBe("e7"));
    expect(board.one('th:has([data-sort="last.accuracy"])').getAttribute("aria-sort")).toBe("descending");
    expect(board.sentOf("choose").at(-1)?.choices.sort).toEqual({ column: "last.accuracy", down: true });
  });

  it("orders numbers before texts, and what is missing last, both ways", () => {
    const places = new Map([["v", 1]]);
    const rows = [
      ["a", "x"],
      ["b", 2],
      ["c", null],
      ["d", "Infinity"],
      ["e", "NaN"],
      ["f", -1],
    ].map(([id, v]) => ({
      id: String(id),
      cells: [String(id), v ?? null],
      changedAt: 0,
      changed: null,
    }));
    const ids = (down: boolean) => [...rows].sort(comparator(places, { column: "v", down })).map((row) => row.id);
    expect(ids(false)).toEqual(["f", "b", "d", "a", "c", "e"]);
    expect(ids(true)).toEqual(["a", "d", "b", "f", "c", "e"]);
  });

  it("takes in changes of rows, and asks again where one is missing", async () => {
    const board = await opened(3);
    board.change({ rows: [rowOf(1, { "best.loss": 0.125 }), rowOf(9)], removed: ["e0"], total: 3, sparks: { e1: "0z" } });
    await until(() => expect(board.ids()).toEqual(["e1", "e2", "e9"]));
    expect(board.text('tr[data-id="e1"] [data-column="best.loss"]')).toBe("0.125");
    expect(board.root.querySelector('tr[data-id="e1"] svg.spark')).not.toBeNull();
    board.change({ base: 7, seq: 8 });
    await until(() => expect(board.sentOf("resync")).toHaveLength(1));
  });

  it("does not light up the rows that were left out of what was saved", async () => {
    const whole = snapshotOf(6);
    const board = await opened(6, { rows: whole.rows.slice(0, 2) });
    expect(board.ids()).toHaveLength(2);
    board.tell({ ...whole, seq: 2 });
    await until(() => expect(board.ids()).toHaveLength(6));
    expect(board.all(".flash")).toEqual([]);
    board.change({ base: 2, seq: 3, rows: [rowOf(1, { "best.loss": 0.0625 }), rowOf(2, { "best.loss": 0.03125 })], total: 6 });
    await until(() => expect(board.all('.flash[data-column="best.loss"]')).toHaveLength(2));
    // Every other row has a ground of its own.
    const grounds = board.all('.flash[data-column="best.loss"]').map((cell) => getComputedStyle(cell).backgroundColor);
    expect(new Set(grounds).size).toBe(1);
  });

  it("draws five thousand rows only where one looks, and asks for the sparklines of those", async () => {
    const began = performance.now();
    const board = await opened(5000);
    expect(performance.now() - began).toBeLessThan(2000);
    expect(board.ids().length).toBeLessThan(60);
    expect(board.one("table").getAttribute("aria-rowcount")).toBe("5001");
    await until(() => expect(board.sentOf("show_rows").at(-1)?.ids[0]).toBe("e0"));
    const box = board.one(".box");
    box.scrollTop = 60_000;
    box.dispatchEvent(new Event("scroll"));
    await until(() => expect(board.sentOf("show_rows").at(-1)?.ids).toContain("e2000"));
    expect(board.sentOf("show_rows").at(-1)?.ids.length).toBeLessThan(60);
  });
});

describe("columns", () => {
  it("are chosen in a list, and the default needs no choice", async () => {
    const board = await opened(3);
    expect(board.all("th").map((th) => th.textContent)).not.toContain("Run");
    board.one("[data-control=columns]").click();
    await until(() => expect(board.one("[data-choose=run_id]")).toBeDefined());
    board.one("[data-choose=run_id]").click();
    await until(() => expect(board.all("th").map((th) => th.textContent)).toContain("Run"));
    // Its cells come when the kernel has heard of it.
    expect(board.text('tr[data-id="e0"] [data-column=run_id]')).toBe("…");
    expect(board.sentOf("choose").at(-1)?.choices.columns).toEqual({ run_id: true });
    board.one("[data-choose=run_id]").click();
    await until(() => expect(board.sentOf("choose").at(-1)?.choices.columns).toEqual({}));
    board.press("Escape", board.one(".chooser"));
    await until(() => expect(board.root.querySelector(".chooser")).toBeNull());
    expect((board.root.activeElement as HTMLElement).dataset.control).toBe("columns");
  });
});

describe("what is chosen while the kernel is busy", () => {
  const shown = (board: Board) => board.all("th").map((th) => th.textContent?.trim());
  const chosen = async (board: Board, column: string) => {
    if (!board.root.querySelector(".chooser")) board.one("[data-control=columns]").click();
    await until(() => expect(board.one(`[data-choose="${column}"]`)).toBeDefined());
    board.one(`[data-choose="${column}"]`).click();
  };

  it("is not undone by what the kernel sent before it heard of it", async () => {
    const board = await opened(3);
    await chosen(board, "run_id");
    await until(() => expect(shown(board)).toContain("Run"));
    await chosen(board, "tags");
    await until(() => expect(shown(board)).not.toContain("Tags"));
    board.tell(snapshotOf(3, { seq: 2, rows: [rowOf(7)], total: 1, choices: { columns: { run_id: true }, sort: null } }));
    await until(() => expect(board.ids()).toEqual(["e7"]));
    expect(shown(board)).not.toContain("Tags");
    await chosen(board, "params.lr");
    expect(board.sentOf("choose").at(-1)?.choices.columns).toEqual({ run_id: true, tags: false, "params.lr": false });
  });

  it("is sent by the next panel on the page, until a kernel confirms it", async () => {
    const columns = { run_id: true };
    const first = await opened(3);
    await chosen(first, "run_id");
    first.close();
    const second = await opened(3);
    expect(second.sentOf("choose").map(({ choices }) => choices.columns)).toEqual([columns]);
    await until(() => expect(shown(second)).toContain("Run"));
    second.change({ total: 3, choices: { columns, sort: null } });
    const third = await opened(3);
    expect(third.sentOf("choose")).toEqual([]);
    expect(shown(third)).not.toContain("Run");
  });
});

describe("the filter", () => {
  async function typed(board: Board, text: string): Promise<void> {
    await userEvent.fill(board.one("input[type=search]"), text);
  }

  it("finds words here, also without a kernel", async () => {
    const board = await opened();
    await typed(board, "baseline sweep-3");
    await until(() => expect(board.ids()).toEqual(["e3"]));
    expect(board.text("[data-count]")).toBe("1 of 8 experiments");
    expect(board.sentOf("filter")).toEqual([]);
    await typed(board, "nothing like it");
    await until(() => expect(board.text("[data-empty=no-match]")).toContain("Nothing matches."));
    board.one("[data-empty] button").click();
    await until(() => expect(board.ids()).toHaveLength(8));
  });

  it("has an expression read by the kernel, follows its answers and says what is wrong with it", async () => {
    const board = await opened();
    await typed(board, "lr < 1e-3");
    await until(() => expect(board.sentOf("filter").at(-1)?.text).toBe("lr < 1e-3"));
    const { view } = board.sentOf("filter")[0] as { view: string };
    board.tell({ type: "filtered", view, text: "lr < 1e-3", ids: ["e4", "e5"], error: "" });
    await until(() => expect(board.ids()).toEqual(["e4", "e5"]));
    board.tell({ type: "filtered", view, text: "lr < 1e-3", ids: ["e4"], error: "" });
    await until(() => expect(board.ids()).toEqual(["e4"]));
    await typed(board, "lrr < 1e-3");
    await until(() => expect(board.sentOf("filter").at(-1)?.text).toBe("lrr < 1e-3"));
    board.tell({ type: "filtered", view, text: "lrr < 1e-3", ids: [], error: "The filter names 'lrr'. Did you mean lr?" });
    await until(() => expect(board.text("[data-filter-note]")).toContain("Did you mean lr?"));
    expect(board.ids()).toHaveLength(8);
    await typed(board, "");
    await until(() => expect(board.sentOf("filter").at(-1)?.text).toBe(""));
  });

  it("tells expressions and words apart", () => {
    expect(["lr < 1", "a == b", "not x", "model in ('a')", "x != 1"].map(isExpression)).not.toContain(false);
    expect(["sweep-1", "not-a-number", "in the end", "lr 1e-3"].map(isExpression)).not.toContain(true);
  });
});

describe("curves", () => {
  function hosted() {
    const shown: string[] = [];
    const host = {
      getWidget: async (name: string) => ({ render: async () => shown.push(name) }),
    } as unknown as Host;
    return { shown, host };
  }

  it("of a row open below the table by a press, with all that is known of it, and close", async () => {
    const { shown, host } = hosted();
    const board = await opened(3, {}, { host });
    board.one('tr[data-id="e1"] [data-control=open]').click();
    await until(() => expect(board.sentOf("open_curves")).toHaveLength(1));
    const { view, ids } = board.sentOf("open_curves")[0] as { view: string; ids: string[] };
    expect(ids).toEqual(["e1"]);
    board.tell({ type: "curves", view, ids, widget: "w1", text: "type this", facts: [{ column: "params.lr", title: "lr", value: "0.1" }] });
    await until(() => expect(shown).toEqual(["anywidget:w1"]));
    expect(board.text(".opened")).toContain("lr0.1");
    expect(board.text(".opened")).not.toContain("type this");
    board.one("[data-control=close-curves]").click();
    await until(() => expect(board.root.querySelector(".opened")).toBeNull());
  });

  it("of ticked rows are compared, and follow the ticks", async () => {
    const board = await opened(4);
    expect(board.one<HTMLButtonElement>("[data-control=compare]").disabled).toBe(true);
    board.one('tr[data-id="e1"] [data-control=tick]').click();
    board.one('tr[data-id="e2"] [data-control=tick]').click();
    await until(() => expect(board.text("[data-control=compare]")).toBe("Compare 2"));
    board.one("[data-control=compare]").click();
    await until(() => expect(board.sentOf("open_curves").at(-1)?.ids).toEqual(["e1", "e2"]));
    board.one('tr[data-id="e3"] [data-control=tick]').click();
    await until(() => expect(board.sentOf("open_curves").at(-1)?.ids).toEqual(["e1", "e2", "e3"]));
    board.one("[data-control=untick]").click();
    await until(() => expect(board.root.querySelector(".opened")).toBeNull());
    board.one("[data-control=tick-all]").click();
    await until(() => expect(board.text("[data-control=compare]")).toBe("Compare 4"));
  });

  it("are words where the page shows no panel inside of another", async () => {
    const board = await opened(2);
    board.one('tr[data-id="e0"] [data-control=open]').click();
    await until(() => expect(board.sentOf("open_curves")).toHaveLength(1));
    const { view } = board.sentOf("open_curves")[0] as { view: string };
    board.tell({ type: "curves", view, ids: ["e0"], widget: "w1", text: "Type %loops curves e0", facts: [] });
    await until(() => expect(board.text(".opened")).toContain("Type %loops curves e0"));
  });

  it("open by Enter and tick by the space bar, whichever control has the focus", async () => {
    const board = await opened(4);
    board.one('tr[data-id="e0"] [data-control=open]').focus();
    board.press("ArrowDown");
    await until(() => expect(board.root.activeElement?.closest("tr")?.dataset.id).toBe("e1"));
    board.press(" ");
    await until(() => expect(board.one<HTMLInputElement>('tr[data-id="e1"] [data-control=tick]').checked).toBe(true));
    board.press("ArrowLeft");
    await until(() => expect((board.root.activeElement as HTMLElement).dataset.control).toBe("tick"));
    board.press("Enter");
    await until(() => expect(board.sentOf("open_curves").at(-1)?.ids).toEqual(["e1"]));
    expect(board.all("[tabindex='0'][data-control]").map((each) => each.closest("tr")?.dataset.id)).toEqual(["e1", "e1", "e1"]);
  });
});

describe("where nothing is", () => {
  it("says so, and an error is something else", async () => {
    const board = await opened(0);
    expect(board.text("[data-empty]")).toContain("No experiments yet.");
    const failing = await opened(0, {
      health: { state: "failing", looked_at: null, every: 0, since: Date.now(), next_at: null, reason: "The file is broken.", hint: "" },
    });
    expect(failing.text("[data-health=failing]")).toContain("The file is broken.");
    expect(failing.text("[data-empty]")).not.toContain("No experiments yet.");
  });
});

describe("looks", () => {
  for (const theme of ["light", "dark"] as const) {
    it(`axe finds nothing in ${theme}, with everything open`, async () => {
      await viewport.viewport(1000, 900);
      for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
      document.body.style.background = THEMES[theme]["--jp-layout-color0"] as string;
      const board = await opened(12);
      board.one('tr[data-id="e1"] [data-control=open]').click();
      await until(() => expect(board.sentOf("open_curves")).toHaveLength(1));
      const { view } = board.sentOf("open_curves")[0] as { view: string };
      board.tell({ type: "curves", view, ids: ["e1"], widget: "", text: "words", facts: [{ column: "", title: "Note", value: "spike" }] });
      board.one("[data-control=columns]").click();
      await until(() => expect(board.root.querySelector(".chooser")).not.toBeNull());
      const { violations } = await axe.run(board.el);
      expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
      document.body.removeAttribute("style");
    });
  }

  it("scrolls sideways in its box, not the page, where it is narrow", async () => {
    const board = await opened(5, {}, { width: 420 });
    await until(() => expect(board.one(".box").scrollWidth).toBeGreaterThan(420));
    expect(board.el.scrollWidth).toBeLessThanOrEqual(420);
  });
});

describe("parts", () => {
  it("writes numbers with five digits", () => {
    expect([0.37868123, 1, 12345.678, 1e-5, 0, 1234, Number.NaN].map(numberText)).toEqual([
      "0.37868",
      "1",
      "12,345.68",
      "1.00e-5",
      "0",
      "1,234",
      "NaN",
    ]);
  });

  it("draws sparklines over gaps", () => {
    expect(sparkPath("z 0")).toBe("M0.0 2.0L100.0 18.0");
    expect(sparkPath("0")).toBe("M0 18H100");
    expect(sparkPath("")).toBe("");
  });

  it("is a small bundle", () => {
    expect(new TextEncoder().encode(bundle).length).toBeLessThanOrEqual(80_000);
  });
});
