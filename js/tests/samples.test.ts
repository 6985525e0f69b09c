import type { AnyModel } from "@anywidget/types";
import axe from "axe-core";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import type {
  SampleCell,
  SampleGridData,
  SampleSpec,
  SamplesFromPage,
  SamplesSnapshot,
  SamplesToPage,
  Traits,
} from "../src/samples/contract";
import widget from "../src/samples/index";
import { shortened, wordDiff } from "../src/samples/word-diff";
import { THEMES } from "./themes";

const SPEC: SampleSpec = { experiment: "ex-1", mode: "spread", steps: [0, 50, 100], columns: 3, order: "recorded", search: "", first: 0 };

function cell(id: number, completion: string, more: Partial<SampleCell> = {}): SampleCell {
  return { id, completion, more: 0, cut: 0, reward: "0.5", fields: [], ...more };
}

const CELLS = [
  cell(1, "the answer is 9"),
  cell(2, "the answer is not 9", { fields: [["expected", "<b>4</b>"]] }),
  cell(3, "the answer is 4", { more: 500 }),
  cell(4, "<img src=x onerror=alert(1)>"),
];

function grid(more: Partial<SampleGridData> = {}): SampleGridData {
  return {
    spec: SPEC,
    steps: [
      { step: 0, samples: 2, reward: "0" },
      { step: 50, samples: 1, reward: "0.5" },
      { step: 100, samples: 1, reward: "1" },
    ],
    rows: [
      { key: "a-1", prompt: "2 + 2 =", more: 0, number: 1, total: 1, reward: "1", change: "+0.5", is_better: true, cells: [1, 2, 3] },
      { key: "b-1", prompt: "<i>x</i>", more: 0, number: 1, total: 2, reward: "", change: "", is_better: null, cells: [4, null, null] },
    ],
    total: 2,
    known_steps: [0, 25, 50, 75, 100],
    step_count: 5,
    dropped: 3,
    has_rewards: true,
    cells: CELLS,
    ...more,
  };
}

function snapshot(more: Partial<SamplesSnapshot> = {}): SamplesSnapshot {
  return {
    type: "snapshot",
    now: Date.now(),
    title: "Samples of grpo-1",
    line: "%loops watch samples grpo-1",
    metadata: { runs: [{ id: "ex-1", name: "grpo-1" }], more_runs: 0, waiting: "" },
    grid: grid(),
    seq: 0,
    health: { state: "live", looked_at: null, every: 0, since: null, next_at: null, reason: "", hint: "" },
    ...more,
  };
}

class SamplesPage {
  readonly sent: SamplesFromPage[] = [];
  readonly el = document.createElement("div");
  readonly #callbacks: ((message: SamplesToPage) => void)[] = [];
  readonly #end: () => void;

  constructor(first: SamplesSnapshot, width = 1000) {
    this.el.style.width = `${width}px`;
    document.body.append(this.el);
    const model = {
      get: () => structuredClone(first),
      on: (event: string, callback: (message: SamplesToPage) => void) => event === "msg:custom" && this.#callbacks.push(callback),
      off: () => {},
      send: (message: SamplesFromPage) => this.sent.push(structuredClone(message)),
    } as unknown as AnyModel<Traits>;
    this.#end = widget().render({ model, el: this.el });
    open.push(this);
  }

  tell(message: SamplesToPage): void {
    for (const callback of this.#callbacks) callback(structuredClone(message));
  }

  get view(): string {
    return this.asked().view;
  }

  asked(): Extract<SamplesFromPage, { type: "set_samples" }> {
    const found = this.sent.filter((message) => message.type === "set_samples").at(-1);
    if (!found) throw new Error("nothing was asked for");
    return found;
  }

  answer(seq: number, base: number, data: SampleGridData): void {
    this.tell({ type: "grid", stream: this.view, seq, base, now: Date.now(), grid: data });
  }

  get root(): ShadowRoot {
    return this.el.firstElementChild?.shadowRoot as ShadowRoot;
  }

  one<T extends HTMLElement = HTMLElement>(selector: string): T {
    const found = this.root.querySelector<T>(selector);
    if (!found) throw new Error(`nothing is ${selector} in ${this.root.querySelector("section")?.outerHTML.slice(0, 1500)}`);
    return found;
  }

  text(selector: string): string {
    return (this.one(selector).textContent ?? "").replace(/\s+/g, " ").trim();
  }

  choose(control: string, value: string): void {
    const select = this.one<HTMLSelectElement>(`[data-control=${control}]`);
    select.value = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  close(): void {
    this.#end();
    this.el.remove();
  }
}

const open: SamplesPage[] = [];
afterEach(() => {
  for (const page of open.splice(0)) page.close();
});

async function shown(first = snapshot(), width = 1000): Promise<SamplesPage> {
  const page = new SamplesPage(first, width);
  await vi.waitFor(() => page.asked());
  return page;
}

describe("a panel of samples", () => {
  it("shows prompts down, steps across, and marks differences", async () => {
    const page = await shown();
    expect([...page.root.querySelectorAll("tbody th")].map((th) => th.firstChild?.textContent)).toEqual(["2 + 2 =", "<i>x</i>"]);
    expect(page.text("[data-sample='2'] ins")).toBe("not");
    expect(page.text("[data-sample='3'] del")).toBe("not 9");
    expect(page.text("[data-sample='3'] ins")).toBe("4");
    expect(page.text("tbody [data-reward]")).toBe("1+0.5");
    expect(page.text("thead th:last-child")).toContain("mean reward 1");
    expect(page.root.querySelector("img, i, b")).toBeNull();
  });

  it("takes in a new step with new texts only, and asks again when a message was lost", async () => {
    const page = await shown();
    page.answer(1, -1, grid());
    const steps = [...grid().steps.slice(0, 2), { step: 120, samples: 1, reward: "1" }];
    const [first, second] = grid().rows as [SampleGridData["rows"][0], SampleGridData["rows"][0]];
    const rows = [{ ...first, cells: [1, 2, 9] }, second];
    page.answer(2, 1, grid({ steps, rows, cells: [cell(9, "the answer is not 4")] }));
    await vi.waitFor(() => expect(page.text("[data-sample='9'] ins")).toBe("4"));
    expect(page.text("[data-sample='1']")).toContain("the answer is 9");
    page.answer(5, 4, grid({ cells: [] }));
    await vi.waitFor(() => expect(page.sent.some((message) => message.type === "resync")).toBe(true));
    expect(page.text("[data-sample='9']")).toContain("the answer is");
  });

  it("asks for other steps, orders and words", async () => {
    const page = await shown();
    page.choose("step", "25");
    await vi.waitFor(() => expect(page.asked().spec).toMatchObject({ mode: "chosen", steps: [25, 50, 100] }));
    page.choose("mode", "newest");
    await vi.waitFor(() => expect(page.asked().spec.mode).toBe("newest"));
    page.choose("order", "lowest");
    await vi.waitFor(() => expect(page.asked().spec.order).toBe("lowest"));
    const field = page.one<HTMLInputElement>("input[type=search]");
    field.value = "zebra";
    field.dispatchEvent(new Event("input", { bubbles: true }));
    await vi.waitFor(() => expect(page.asked().spec.search).toBe("zebra"));
    page.answer(1, -1, grid({ spec: { ...SPEC, search: "zebra" }, rows: [], total: 0, cells: [] }));
    await vi.waitFor(() => expect(page.text(".empty")).toContain("zebra"));
    expect(page.root.querySelector("input[type=search]")).not.toBeNull();
  });

  it("is moved in by arrow keys, and Enter opens a row", async () => {
    const page = await shown();
    const first = page.one("[data-sample='1']");
    first.focus();
    const press = (key: string) =>
      page.root.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    press("ArrowRight");
    expect((page.root.activeElement as HTMLElement).dataset.sample).toBe("2");
    await vi.waitFor(() => expect(page.one("[data-sample='2']").tabIndex).toBe(0));
    press("Enter");
    await vi.waitFor(() => expect(page.text("[data-sample='2'] dl")).toContain("expected <b>4</b>"));
    expect(page.sent.filter((message) => message.type === "read_sample")).toMatchObject([{ id: 3 }]);
    page.tell({ type: "sample_text", view: page.view, now: 0, id: 3, prompt: "2 + 2 =", completion: "the answer is 4 indeed" });
    await vi.waitFor(() => expect(page.text("[data-sample='3']")).toContain("4 indeed"));
    press("ArrowDown");
    press("ArrowLeft");
    expect((page.root.activeElement as HTMLElement).dataset.sample).toBe("4");
  });

  it("says what to do while there are no samples", async () => {
    const page = await shown(snapshot({ grid: null, metadata: { runs: [], more_runs: 0, waiting: "No samples of x yet." } }));
    expect(page.text(".empty")).toContain("No samples of x yet.");
    expect(page.text(".empty")).toContain("exp.sample(");
  });

  it.each(["light", "dark"] as const)("has no findings of axe in the %s theme", async (theme) => {
    for (const [name, value] of Object.entries(THEMES[theme])) document.documentElement.style.setProperty(name, value);
    document.body.style.background = THEMES[theme]["--jp-layout-color0"] as string;
    const page = await shown(
      snapshot({
        metadata: { runs: ["ex-1", "ex-2"].map((id) => ({ id, name: "x" })), more_runs: 1, waiting: "w" },
      }),
    );
    page.one("[data-control=open]").click();
    await vi.waitFor(() => page.one("dl"));
    const { violations } = await axe.run({ include: [page.el] }, { rules: { region: { enabled: false } } });
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
    document.documentElement.removeAttribute("style");
    document.body.removeAttribute("style");
  });
});

describe("word differences", () => {
  it("hold both texts", () => {
    const words = fc.array(fc.constantFrom("a", "b", "cd", " ", "\n", ",", "é"), { maxLength: 40 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(words, words, (older, newer) => {
        const parts = wordDiff(older, newer);
        const text = (without: string) =>
          parts
            .filter(({ kind }) => kind !== without)
            .map((part) => part.text)
            .join("");
        return text("removed") === newer && text("added") === older;
      }),
    );
  });

  it("are seen far into a long text", () => {
    const text = "word ".repeat(200);
    expect(shortened(wordDiff(`${text}one ${text}`, `${text}two ${text}`), 10)).toEqual([
      { kind: "same", text: " … word word " },
      { kind: "removed", text: "one" },
      { kind: "added", text: "two" },
      { kind: "same", text: " word word … " },
    ]);
    expect(shortened(wordDiff(text, text), 10)).toEqual([{ kind: "same", text }]);
  });

  it("are found in long texts at once", () => {
    const text = Array.from({ length: 4000 }, (_, n) => `word${n % 700}`).join(" ");
    const began = performance.now();
    const parts = wordDiff(text, text.replaceAll("word7 ", "other "));
    expect(parts.filter(({ kind }) => kind === "added")).toHaveLength(6);
    wordDiff(text, text.replaceAll("w", "v"));
    expect(performance.now() - began).toBeLessThan(1500);
  });
});
