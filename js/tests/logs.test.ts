import type { AnyModel } from "@anywidget/types";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { LogFromPage, LogRow, LogSnapshot, LogToPage, Traits } from "../src/logs/contract";
import widget from "../src/logs/index";
import { asText, filtered } from "../src/logs/store";
import { THEMES } from "./themes";

const START = Date.UTC(2026, 10, 29, 12);

function row(number: number, level: string, message: string, half = "trainer"): LogRow {
  return { number, at: START + number * 1000, level, half, message };
}

const ROWS = [
  row(0, "INFO", "step 1, 84 tokens"),
  row(1, "", "printed <b>as it is</b>"),
  row(2, "WARNING", "the loss is nan"),
  row(3, "ERROR", "forward failed\n  MemoryError: no room", "sampler"),
];

function snapshot(more: Partial<LogSnapshot> = {}): LogSnapshot {
  return {
    type: "snapshot",
    seq: 4,
    now: Date.now(),
    title: "Log of run math-1",
    line: "%loops logs math-1 -f",
    health: { state: "live", looked_at: null, every: 0, since: null, next_at: null, reason: "", hint: "" },
    both: true,
    has_earlier: true,
    left_out: 0,
    rows: ROWS,
    ...more,
  };
}

class LogPage {
  readonly sent: LogFromPage[] = [];
  readonly el = document.createElement("div");
  readonly #callbacks: ((message: LogToPage) => void)[] = [];
  readonly #end: () => void;

  constructor(first: LogSnapshot) {
    document.body.append(this.el);
    const model = {
      get: () => structuredClone(first),
      on: (event: string, callback: (message: LogToPage) => void) => event === "msg:custom" && this.#callbacks.push(callback),
      off: () => {},
      send: (message: LogFromPage) => this.sent.push(structuredClone(message)),
    } as unknown as AnyModel<Traits>;
    this.#end = widget().render({ model, el: this.el });
    open.push(this);
  }

  tell(message: LogToPage): void {
    for (const callback of this.#callbacks) callback(structuredClone(message));
  }

  add(base: number, rows: LogRow[], first = 0): void {
    this.tell({ type: "log_rows", base, seq: base + 1, now: Date.now(), first, rows });
  }

  get root(): ShadowRoot {
    return this.el.firstElementChild?.shadowRoot as ShadowRoot;
  }

  one<T extends HTMLElement = HTMLElement>(selector: string): T {
    const found = this.root.querySelector<T>(selector);
    if (!found) throw new Error(`nothing is ${selector} in ${this.root.querySelector("section")?.outerHTML.slice(0, 1500)}`);
    return found;
  }

  numbers(): number[] {
    return [...this.root.querySelectorAll<HTMLElement>(".line")].map((line) => Number(line.dataset.number));
  }

  sentTypes(): string[] {
    return this.sent.map(({ type }) => type);
  }

  close(): void {
    this.#end();
    this.el.remove();
  }
}

const open: LogPage[] = [];
afterEach(() => {
  for (const page of open.splice(0)) page.close();
});

describe("a panel of log lines", () => {
  it("shows lines with named levels, takes in new ones, and asks again for what was lost", async () => {
    const page = new LogPage(snapshot());
    expect(page.numbers()).toEqual([0, 1, 2, 3]);
    expect(page.one("[data-number='3'] .level").textContent).toBe("ERROR");
    expect(page.one("[data-number='1'] .message").textContent).toBe("printed <b>as it is</b>");
    expect(page.root.querySelector("b")).toBeNull();
    const list = page.one(".lines");
    page.add(4, [row(4, "ERROR", "another"), ...Array.from({ length: 60 }, (_, n) => row(5 + n, "INFO", `line ${n}`))], 1);
    await vi.waitFor(() => expect(page.numbers().length).toBe(64));
    expect(page.numbers()[0]).toBe(1);
    expect(page.one("[role=status]").textContent).toContain("1 new error: another");
    const left = () => list.scrollHeight - list.scrollTop - list.clientHeight;
    await vi.waitFor(() => expect(left()).toBeLessThan(12));
    // A cell that leaves the page and comes back, and lines that are taller than they were estimated.
    page.el.style.display = "none";
    page.add(
      5,
      Array.from({ length: 40 }, (_, n) => row(70 + n, "INFO", `${n} ${"long ".repeat(200)}`)),
      1,
    );
    await new Promise(requestAnimationFrame);
    page.el.style.display = "";
    await vi.waitFor(() => expect(left()).toBeLessThan(12));
    expect(page.root.querySelector("[data-control=end]")).toBeNull();
    list.scrollTop -= 200;
    await vi.waitFor(() => page.one("[data-control=end]"));
    const top = list.scrollTop;
    page.add(6, [row(120, "INFO", "while it is read")], 1);
    await vi.waitFor(() => expect(page.numbers().at(-1)).toBe(120));
    expect(list.scrollTop).toBe(top);
    page.one("[data-control=end]").click();
    await vi.waitFor(() => expect(page.root.querySelector("[data-control=end]")).toBeNull());
    page.add(8, [row(999, "INFO", "after a gap")]);
    await vi.waitFor(() => expect(page.sentTypes()).toContain("resync"));
    expect(page.numbers()).not.toContain(999);
  });

  it("searches, filters by level and half, pauses, and reads earlier lines", async () => {
    const page = new LogPage(snapshot());
    const field = page.one<HTMLInputElement>("input[type=search]");
    field.value = "MEMORY";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await vi.waitFor(() => expect(page.numbers()).toEqual([3]));
    expect(page.one("mark").textContent).toBe("Memory");
    expect(page.one(".said").textContent).toBe("1 of 4 lines, 1 error");
    expect(filtered(ROWS, { search: "", level: "WARNING", half: "" }).map(({ number }) => number)).toEqual([2, 3]);
    expect(filtered(ROWS, { search: "", level: "", half: "sampler" }).map(({ number }) => number)).toEqual([3]);
    page.one("[data-control=pause]").click();
    page.one("[data-control=earlier]").click();
    expect(page.sent.slice(-2)).toEqual([{ type: "set_following", paused: true }, { type: "read_earlier" }]);
    page.tell({ type: "log_health", now: Date.now(), health: { ...snapshot().health, state: "paused" } });
    await vi.waitFor(() => expect(page.one("[data-control=resume]").textContent).toBe("Resume"));
    expect(asText(ROWS[2] as LogRow)).toBe("2026-11-29T12:00:02.000Z WARNING trainer the loss is nan");
  });

  it.each(["light", "dark"] as const)("has no findings of axe in the %s theme", async (theme) => {
    for (const [name, value] of Object.entries(THEMES[theme])) document.documentElement.style.setProperty(name, value);
    document.body.style.background = THEMES[theme]["--jp-layout-color0"] as string;
    const page = new LogPage(snapshot({ rows: [...ROWS, row(4, "DEBUG", "forward")] }));
    const { violations } = await axe.run({ include: [page.el] }, { rules: { region: { enabled: false } } });
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
    document.documentElement.removeAttribute("style");
    document.body.removeAttribute("style");
  });
});
