import type { AnyModel } from "@anywidget/types";
import axe from "axe-core";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { page as viewport } from "vitest/browser";
import bundle from "../../loops_nb/static/curves.js?raw";
import type {
  Curve,
  CurveHead,
  CurveMark,
  CurvesFromPage,
  CurvesSnapshot,
  CurvesToPage,
  LineStats,
  Look,
  Traits,
} from "../src/curves/contract";
import { beads, cutOff, extreme, pathOf, reading, spread, valuesOf } from "../src/curves/geometry";
import widget from "../src/curves/index";
import { extended, floats, nearest, pictureOf } from "../src/curves/points";
import { along, amount, bounds, exact, lasting, number, place, type Scale, ticks, valueAt } from "../src/curves/scale";
import { THEMES } from "./themes";

const LOOK: Look = { key: "loss", axis: "step", smoothing: 0, low: null, high: null, columns: 600 };

function packed(values: number[]): string {
  return btoa(String.fromCharCode(...new Uint8Array(new Float32Array(values).buffer)));
}

function stats(y: number[]): LineStats {
  const fine = y.filter(Number.isFinite);
  const [low, high] = [Math.min(...fine), Math.max(...fine)];
  const last = y.at(-1) as number;
  return {
    count: y.length,
    odd: y.length - fine.length,
    last: Number.isFinite(last) ? last : String(last),
    last_step: y.length - 1,
    low,
    low_step: y.indexOf(low),
    high,
    high_step: y.indexOf(high),
  };
}

function curve(lines: number[][], more: Partial<Curve> = {}): Curve {
  return {
    look: LOOK,
    origin: 0,
    first: 0,
    last: Math.max(...lines.map((y) => y.length)) - 1,
    unknown: 0,
    mode: "min",
    best: [
      { runs: [1], words: "★ best" },
      { runs: [0, 1], words: "tied for best" },
    ],
    lines: lines.map((y, run) => ({ run, x: packed(y.map((_, i) => i)), y: packed(y), stats: stats(y) })),
    ...more,
  };
}

const HEAD: CurveHead = {
  runs: ["slow", "fast"].map((name, look) => ({
    id: `ex-${look}`,
    name,
    label: name,
    run_id: null,
    look,
    tags: [],
    began: 1_700_000_000_000,
    last_at: null,
  })),
  keys: ["loss", "accuracy"],
  marks: [
    {
      run: "ex-1",
      kind: "save",
      step: 4,
      at: 1_700_000_004_000,
      tokens: null,
      name: "step-4",
      uri: "bt://loops:r/weights/step-4",
      target: "trainer",
    },
  ],
  params: [{ name: "lr", values: ["0.0001", null] }],
  same_params: 2,
  more_params: 0,
  more_runs: 0,
  more_marks: 0,
  more_keys: 0,
  newer_runs: 0,
  missing: [],
  waiting: "",
  is_named: false,
};
const SLOW = [3, 2.5, 2, 1.5, 1.2, 1.1, 1, 1, 1];
const FAST = [3, 1, 0.5, 0.2, 0.1, 5, 0.1, 0.1, 0.1];

/** The widget's model as a kernel would stand behind it. */
class Kernel {
  readonly sent: CurvesFromPage[] = [];
  readonly el = document.createElement("div");
  readonly #callbacks = new Map<string, Set<(...given: unknown[]) => void>>();
  readonly #ends: (() => void)[];

  constructor(snapshot: CurvesSnapshot | Record<string, never>, width = 900) {
    const model = {
      get: (name: keyof Traits) => {
        if (name !== "snapshot") throw new Error(`no trait ${name}`);
        return snapshot;
      },
      send: (message: CurvesFromPage) => this.sent.push(structuredClone(message)),
      on: (event: string, callback: (...given: unknown[]) => void) => this.#of(event).add(callback),
      off: (event: string, callback: (...given: unknown[]) => void) => this.#of(event).delete(callback),
    } as unknown as AnyModel<Traits>;
    this.el.style.width = `${width}px`;
    document.body.append(this.el);
    const { initialize, render } = widget();
    this.#ends = [initialize({ model }), render({ model, el: this.el })];
    open.add(this);
    this.showAgain = () => {
      this.#ends.pop()?.();
      this.#ends.push(render({ model, el: this.el }));
    };
  }

  /** Takes the view away, and puts another one of the same widget in its place. */
  readonly showAgain: () => void;

  tell(message: CurvesToPage): void {
    for (const callback of [...this.#of("msg:custom")]) callback(structuredClone(message), []);
  }

  disconnect(): void {
    for (const callback of [...this.#of("comm_live_update")]) callback();
  }

  get root(): ShadowRoot {
    return this.el.firstElementChild?.shadowRoot as ShadowRoot;
  }

  all<T extends Element = HTMLElement>(selector: string): T[] {
    return [...this.root.querySelectorAll<T>(selector)];
  }

  one<T extends Element = HTMLElement>(selector: string): T {
    const found = this.root.querySelector<T>(selector);
    if (!found) throw new Error(`nothing is ${selector}`);
    return found;
  }

  get asked() {
    return this.sent.filter((message) => message.type === "look");
  }

  /** Answers what the page asked for last. */
  answer(lines: number[][], seq = 1): void {
    const { view, look } = this.asked.at(-1) as Extract<CurvesFromPage, { type: "look" }>;
    this.tell({ type: "curve", view, seq, now: Date.now(), curve: curve(lines, { look: { ...look, key: look.key || "loss" } }) });
  }

  press(key: string): void {
    this.one(".hand").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
  }

  close(): void {
    for (const end of this.#ends) end();
    this.el.remove();
    open.delete(this);
  }

  #of(event: string) {
    if (!["msg:custom", "comm_live_update"].includes(event)) throw new Error(`no event ${event}`);
    const all = this.#callbacks.get(event) ?? new Set();
    this.#callbacks.set(event, all);
    return all;
  }
}

const open = new Set<Kernel>();

function snapshot(more: Partial<CurvesSnapshot> = {}): CurvesSnapshot {
  return {
    type: "snapshot",
    now: Date.now(),
    title: "Curves",
    line: "%loops curves",
    head: HEAD,
    curve: curve([SLOW, FAST]),
    seq: 3,
    state: "live",
    reason: "",
    ...more,
  };
}

async function drawn(given: Partial<CurvesSnapshot> = {}): Promise<Kernel> {
  const kernel = new Kernel(snapshot(given));
  await vi.waitFor(() => expect(kernel.asked).toHaveLength(1));
  await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(2));
  return kernel;
}

beforeEach(async () => {
  await viewport.viewport(1000, 1200);
  document.documentElement.lang = "en";
  document.title = "curves";
});
afterEach(() => {
  for (const kernel of [...open]) kernel.close();
  document.body.removeAttribute("style");
});

describe("points", () => {
  it("come as they were packed", () => {
    fc.assert(
      fc.property(fc.array(fc.float()), fc.integer({ min: 0, max: 1e9 }), (values, origin) => {
        expect(floats(packed(values), origin)).toEqual(values.map((value) => value + origin));
      }),
    );
  });

  it("come with all their digits where 32 bits cannot tell them", () => {
    const wide = (values: number[]) => btoa(String.fromCharCode(...new Uint8Array(new Float64Array(values).buffer)));
    const y = [-1e300, 1e300, 1e-300];
    const whole = curve([y], { lines: [{ run: 0, x: packed([0, 1, 2]), y: wide(y), wide: true, stats: stats(y) }] });
    const [line] = pictureOf(whole).lines;
    if (!line) throw new Error("no line");
    expect(line.raw).toEqual({ x: [0, 1, 2], y });
    expect(extreme(line, false)).toEqual({ x: 1, y: 1e300 });
    const more = [{ run: 0, x: packed([3, 4]), y: wide([5e300, 6]), wide: true }];
    expect(extended(pictureOf(whole), more, 4).lines[0]?.raw.y).toEqual([...y, 5e300, 6]);
  });

  it("that come to the end leave other lines as they are", () => {
    const before = pictureOf(curve([SLOW, FAST]));
    const after = extended(before, [{ run: 1, x: packed([9]), y: packed([0.05]), stats: stats([0.05]) }], 9);
    expect(after.lines[0]).toBe(before.lines[0]);
    expect(after.lines[1]?.raw.x.at(-1)).toBe(9);
    expect(after.last).toBe(9);
  });

  it("are found by where they are; of two as near the later one", () => {
    expect(nearest({ x: [0, 1, 2], y: [5, 6, 7] }, 1.4)).toBe(1);
    expect(nearest({ x: [0, 1, 0, 1], y: [5, 6, 7, 8] }, 1)).toBe(3);
    expect(nearest({ x: [0, 1], y: [5, Number.NaN] }, 1)).toBe(0);
    expect(nearest({ x: [], y: [] }, 1)).toBe(-1);
  });
});

describe("a scale", () => {
  const scales = fc
    .record({
      a: fc.double({ min: 1e-6, max: 1e6, noNaN: true }),
      more: fc.double({ min: 1.01, max: 1e6, noNaN: true }),
      isLog: fc.boolean(),
    })
    .map(({ a, more, isLog }): Scale => ({ low: a, high: a * more, isLog, from: 300, to: 10 }));

  it("puts a value where it is read again", () => {
    fc.assert(
      fc.property(scales, fc.double({ min: 0, max: 1, noNaN: true }), (scale, share) => {
        const value = valueAt(scale, scale.from + share * (scale.to - scale.from));
        expect(place(scale, value)).toBeCloseTo(scale.from + share * (scale.to - scale.from), 3);
      }),
    );
  });

  it("has few marks, inside its bounds, each once, said differently", () => {
    fc.assert(
      fc.property(scales, (scale) => {
        const found = ticks(scale, 6);
        expect(found.length).toBeLessThanOrEqual(13);
        for (const { at } of found) expect(at >= scale.low * (1 - 1e-6) && at <= scale.high * (1 + 1e-6)).toBe(true);
        expect(new Set(found.map(({ label }) => label)).size).toBe(found.length);
      }),
    );
  });

  it("says numbers shortly", () => {
    expect([number(0), number(0.5), number(1234567), number(0.00001234), number(1e300)]).toEqual([
      "0",
      "0.5",
      "1,234,567",
      "1.23e-5",
      "1e300",
    ]);
    expect([exact("NaN"), exact("-Infinity"), exact(null), exact(0.123456789)]).toEqual(["NaN", "−∞", "–", "0.12346"]);
    expect([exact(912_010_839_355.87), exact(123_456.7), exact(10_000.001), exact(9999.51)]).toEqual([
      "912,010,839,355.87",
      "123,456.7",
      "10,000",
      "9999.5",
    ]);
    expect([amount(1500), amount(2e6), amount(12)]).toEqual(["1.5k", "2M", "12"]);
    expect([lasting(0), lasting(0.25), lasting(90), lasting(90_061)]).toEqual(["0 s", "0.25 s", "1 min 30 s", "1 d 1 h"]);
    const across = (low: number, high: number): Scale => ({ low, high, isLog: false, from: 0, to: 600 });
    expect(along("step", across(0, 3), 8).map(({ label }) => label)).toEqual(["0", "1", "2", "3"]);
    expect(along("elapsed", across(0, 600), 6).map(({ label }) => label)).toEqual(["0 s", "2 min", "4 min", "6 min", "8 min", "10 min"]);
    expect(along("tokens", across(0, 2e6), 4).map(({ label }) => label)).toEqual(["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
    expect(along("step", across(0, 2e6), 4).map(({ label }) => label)).toEqual(["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
    expect(along("step", across(-4e18, 4e18), 4).map(({ label }) => label)).toEqual(["-4e18", "-2e18", "0", "2e18", "4e18"]);
  });

  it("says all values of an axis in one way, in as few letters as are true", () => {
    const said = (low: number, high: number, isLog = false) => ticks({ low, high, isLog, from: 300, to: 0 }, 6).map(({ label }) => label);
    expect(said(0, 3)).toEqual(["0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
    expect(said(0, 6e8)).toEqual(["0", "100M", "200M", "300M", "400M", "500M", "600M"]);
    expect(said(0, 1e12)).toEqual(["0", "0.2T", "0.4T", "0.6T", "0.8T", "1.0T"]);
    expect(said(0, 1e-5)).toEqual(["0", "2e-6", "4e-6", "6e-6", "8e-6", "1e-5"]);
    expect(said(1e9, 1e9 + 3)).toEqual(["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"].map((end) => `1,000,000,00${end}`));
    expect(said(-1e308, 1e308)).toEqual(["-1e308", "-5e307", "0", "5e307", "1e308"]);
    expect(said(1, 1e12, true)).toEqual(["1e0", "1e3", "1e6", "1e9", "1e12"]);
    expect(said(0.01, 1000, true)).toEqual(["0.01", "0.1", "1", "10", "100", "1000"]);
  });

  it("says numbers of the clock that are apart differently", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_600_000_000, max: 1_900_000_000 }), fc.double({ min: 0.01, max: 1e7, noNaN: true }), (low, wide) => {
        for (const axis of ["clock", "elapsed"] as const) {
          const from = axis === "clock" ? low : 0;
          const found = along(axis, { low: from, high: from + Math.min(wide, 80_000), isLog: false, from: 0, to: 800 }, 8);
          expect(new Set(found.map(({ label }) => label)).size).toBe(found.length);
        }
      }),
    );
  });

  it("has room for the largest and the smallest of all numbers", () => {
    const { high, low } = bounds({ low: -1.7e308, high: 1.7e308 }, false);
    const up: Scale = { high, low, isLog: false, from: 300, to: 0 };
    expect(place(up, 0)).toBeCloseTo(150);
    expect(place(up, 1e308)).toBeLessThan(75);
    const logs: Scale = { ...bounds({ low: 1e-250, high: 1e250 }, true), isLog: true, from: 300, to: 0 };
    expect(place(logs, 1)).toBeCloseTo(150);
    expect(valueAt(logs, 150)).toBeCloseTo(1);
  });
});

describe("geometry", () => {
  const across: Scale = { low: 0, high: 10, isLog: false, from: 0, to: 100 };
  const up: Scale = { low: 0, high: 10, isLog: false, from: 100, to: 0 };

  it("lifts the pen where there is no number, and makes a dot of what stands alone", () => {
    expect(pathOf({ x: [0, 1, 1, 2, 2, 3, 4], y: [0, 1, Number.NaN, 2, Number.NaN, 3, 4] }, across, up)).toBe(
      "M0.0 100.0L10.0 90.0M20.0 80.0h0M30.0 70.0L40.0 60.0",
    );
    const logs: Scale = { low: 1, high: 100, isLog: true, from: 100, to: 0 };
    expect(pathOf({ x: [0, 1, 2], y: [1, -5, 100] }, across, logs)).toBe("M0.0 100.0h0M20.0 0.0h0");
  });

  it("shows all that is seen, and without spikes what most of it is", () => {
    const lines = pictureOf(curve([Array.from({ length: 100 }, (_, i) => (i === 50 ? 1000 : i / 100))])).lines;
    expect(valuesOf(lines, 0, 99, false, false).high).toBeGreaterThan(1000);
    const cut = valuesOf(lines, 0, 99, false, true);
    expect(cut.high).toBeLessThan(10);
    const scale: Scale = { ...cut, isLog: false, from: 100, to: 0 };
    expect(cutOff((lines[0] as (typeof lines)[0]).raw, { ...across, high: 99 }, scale)).toEqual([
      { at: expect.any(Number), isAbove: true },
    ]);
  });

  it("reads values and extremes off a line", () => {
    const [line] = pictureOf(curve([FAST])).lines;
    if (!line) throw new Error("no line");
    expect(reading(line, 5.1)).toEqual({ x: 5, y: 5, raw: null });
    expect(extreme(line, true)).toEqual({ x: 4, y: Math.fround(0.1) });
    expect(extreme(line, false)).toEqual({ x: 5, y: 5 });
    expect(beads(line.raw, across, up, 0).length).toBeGreaterThan(0);
  });

  it("keeps labels apart and inside", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 290 }), { maxLength: 12 }), (wanted) => {
        const found = spread(wanted, 13, 0, 300).toSorted((a, b) => a - b);
        for (let i = 1; i < found.length; i++) expect((found[i] as number) - (found[i - 1] as number)).toBeGreaterThanOrEqual(13);
        expect(found.every((at) => at >= 0 && at <= 300)).toBe(true);
      }),
    );
  });
});

describe("a panel", () => {
  it("draws what came with it, and asks for as much as it is wide", async () => {
    const kernel = await drawn();
    expect(kernel.asked[0]).toMatchObject({ look: { key: "loss", axis: "step", columns: 900 - 8 - 70 } });
    kernel.answer([SLOW, FAST]);
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.standing).toBe("live"));
    expect(kernel.one('[data-run="ex-1"]').textContent).toContain("★ best");
    expect(kernel.one('[data-table="params"]').textContent).toContain("0.0001");
    expect(kernel.all("[data-best]")).toHaveLength(2);
  });

  it("marks the best value whole, also at the very end, and not where one zoomed past it", async () => {
    const kernel = await drawn({ curve: curve([[3, 2, 1], FAST.slice(0, 3)]) });
    kernel.answer([
      [3, 2, 1],
      [3, 1, 2],
    ]);
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.standing).toBe("live"));
    const ring = kernel.one<SVGCircleElement>('[data-best="0"]');
    expect(ring.closest("[clip-path]")).toBeNull();
    const { right } = ring.getBoundingClientRect();
    expect(right).toBeLessThanOrEqual(kernel.one<SVGSVGElement>(".chart > svg").getBoundingClientRect().right);
    for (const key of ["Home", "+", "+"]) {
      kernel.press(key);
      await vi.waitFor(() => expect(kernel.all(".cross")).toHaveLength(1));
    }
    await vi.waitFor(() => expect(kernel.all('[data-best="0"]')).toHaveLength(0));
  });

  it("draws what is sent unasked while it was not answered, and what comes to the end of its own picture", async () => {
    const kernel = await drawn();
    const d = () => kernel.one('[data-line="0"]').getAttribute("d");
    const first = d();
    const more = { now: Date.now(), lines: [{ run: 0, x: packed([9]), y: packed([0.9]), stats: stats([0.9]) }], last: 9 };
    kernel.tell({ type: "tail", view: "*", base: 3, seq: 4, ...more });
    await vi.waitFor(() => expect(d()).not.toBe(first));
    kernel.answer([SLOW, FAST], 7);
    await vi.waitFor(() => expect(d()).toBe(first));
    const { view } = kernel.asked[0] as Extract<CurvesFromPage, { type: "look" }>;
    kernel.tell({ type: "tail", view: "*", base: 4, seq: 5, ...more });
    kernel.tell({ type: "tail", view, base: 7, seq: 8, ...more });
    await vi.waitFor(() => expect(d()).not.toBe(first));
  });

  it("asks again for what was lost, once a second at most", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST], 1);
    const { view } = kernel.asked[0] as Extract<CurvesFromPage, { type: "look" }>;
    await new Promise((done) => setTimeout(done, 1050));
    for (const seq of [5, 6, 7]) kernel.tell({ type: "tail", view, base: seq - 1, seq, now: Date.now(), lines: [], last: null });
    kernel.tell({ type: "pulse", now: Date.now(), seqs: { [view]: 7 } });
    await vi.waitFor(() => expect(kernel.asked).toHaveLength(2));
  });

  it("zooms on the page at once, and by keys", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    const before = kernel.one('[data-line="0"]').getAttribute("d");
    kernel.press("Home");
    await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuetext")).toContain("slow 3"));
    kernel.press("+");
    await vi.waitFor(() => expect(kernel.one('[data-line="0"]').getAttribute("d")).not.toBe(before));
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ look: { low: 0 } }));
    kernel.press("]");
    await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuetext")).toContain("at 4"));
    kernel.press("0");
    await vi.waitFor(() => expect(kernel.one('[data-line="0"]').getAttribute("d")).toBe(before));
  });

  it("makes room for what stands beside the axis", async () => {
    const tall = SLOW.map((value) => 1e9 + value);
    const kernel = await drawn({ curve: curve([tall, tall]) });
    const left = kernel.one("svg").getBoundingClientRect().left;
    const names = kernel.all<SVGTextElement>('.chart text[text-anchor="end"]');
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) expect(name.getBoundingClientRect().left).toBeGreaterThanOrEqual(left);
  });

  it("cuts no label off where the axis ends", async () => {
    const look: Look = { ...LOOK, axis: "clock" };
    const given = curve([SLOW, FAST], { look, origin: 1_700_000_000, first: 1_700_000_000, last: 1_700_000_000.00402 });
    // Too narrow for names beside the curves.
    const kernel = new Kernel(snapshot({ curve: given }), 500);
    await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(2));
    const right = kernel.one("svg").getBoundingClientRect().right;
    const names = kernel.all<SVGTextElement>('.chart text[text-anchor="middle"]');
    expect(names.at(-1)?.textContent).toMatch(/\d\.00[45]$/);
    for (const name of names) expect(name.getBoundingClientRect().right).toBeLessThanOrEqual(right);
  });

  it("puts marks at one place beside each other, and goes to those that are out of sight", async () => {
    const mark = (step: number, target: string) => ({
      ...(HEAD.marks[0] as CurveMark),
      step,
      target,
      name: target,
      uri: `bt://${target}/${step}`,
    });
    const head = { ...HEAD, marks: [mark(4, "trainer"), mark(4, "sampler"), mark(8, "trainer")] };
    const kernel = await drawn({ head });
    kernel.answer([SLOW, FAST]);
    const at = (name: string) => kernel.one(`[data-mark="bt://${name}"]`).getBoundingClientRect().left;
    expect(at("sampler/4") - at("trainer/4")).toBeCloseTo(10, 1);
    kernel.press("Home");
    await vi.waitFor(() => expect(kernel.all(".cross")).toHaveLength(1));
    for (const last of ["5", "3.1", "1.9"]) {
      kernel.press("+");
      await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuemax")?.startsWith(last)).toBe(true));
    }
    await vi.waitFor(() => expect(kernel.all("[data-mark]")).toHaveLength(0));
    for (const step of [4, 8]) {
      kernel.press("]");
      await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuetext")).toContain(`at ${step}`));
    }
    expect(kernel.all('[data-mark="bt://trainer/8"]')).toHaveLength(1);
  });

  it("is found as it was left, as long as the page lives", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    const choose = kernel.one<HTMLSelectElement>("select");
    choose.value = "accuracy";
    choose.dispatchEvent(new Event("change"));
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ look: { key: "accuracy" } }));
    kernel
      .all(".group button")
      .find((button) => button.textContent === "Clock")
      ?.click();
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ look: { axis: "clock" } }));
    kernel.one<HTMLInputElement>('input[type="checkbox"]').click();
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(1));
    kernel.answer([SLOW, FAST]);
    const times = kernel.asked.length;
    kernel.showAgain();
    await vi.waitFor(() => expect(kernel.asked).toHaveLength(times + 1));
    expect(kernel.asked.at(-1)).toMatchObject({ look: { key: "accuracy", axis: "clock" } });
    expect(kernel.one<HTMLInputElement>('input[type="checkbox"]').checked).toBe(true);
    expect(kernel.one('[data-run="ex-0"] button').getAttribute("aria-pressed")).toBe("false");
    expect(kernel.one(".chart").dataset.drawn).toBe("accuracy clock 0");
  });

  it("inside of another says nothing of how that stands, but what cannot be read", async () => {
    const kernel = await drawn({ line: "" });
    kernel.disconnect();
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.standing).toBe("gone"));
    expect(kernel.all("[data-health], .standing")).toHaveLength(0);
    kernel.tell({ type: "head", now: Date.now(), head: HEAD, state: "failing", reason: "The disk is gone." });
    await vi.waitFor(() => expect(kernel.one("[data-health]").textContent).toContain("The disk is gone."));
  });

  it("says how to record what an axis needs, and draws none without", async () => {
    const none = { first: null, last: null, unknown: 2, lines: [0, 1].map((run) => ({ run, stats: stats([1]) })) };
    const kernel = new Kernel(snapshot({ curve: curve([], { ...none, look: { ...LOOK, axis: "tokens" } }) }));
    await vi.waitFor(() =>
      expect(kernel.root.textContent).toContain("2 experiments have nothing on this axis: their tokens were not recorded"),
    );
    expect(kernel.root.textContent).toContain("tokens_seen=");
    expect(kernel.all(".chart")).toHaveLength(0);
  });

  it("makes up no axis where nothing is a number", async () => {
    const nothing = [Number.NaN, Number.NaN];
    const kernel = new Kernel(snapshot({ curve: curve([nothing], { lines: [{ run: 0, odd: [[0, 0, 2]], stats: stats(nothing) }] }) }));
    await vi.waitFor(() => expect(kernel.all(".chart")).toHaveLength(1));
    expect(kernel.all('.chart text[text-anchor="end"]')).toHaveLength(0);
  });

  it("tells experiments of one name apart, and how many there are besides", async () => {
    const runs = HEAD.runs.map((run) => ({ ...run, name: `twin (${run.id})`, label: "twin" }));
    const kernel = await drawn({ head: { ...HEAD, runs, more_runs: 6, params: [], same_params: 1 } });
    expect(kernel.one('[data-run="ex-1"]').textContent).toMatch(/twin \(ex-1\) began 1[45] Nov, \d\d:\d\d:\d\d/);
    expect(kernel.one("[data-more]").textContent).toContain("2 newest of 8 experiments shown");
    expect(kernel.one("[data-more]").compareDocumentPosition(kernel.one(".chart")) & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();
    expect(kernel.root.textContent).toContain("The one parameter is the same.");
  });

  it("names the winner that the kernel found over all, also while it is hidden, and none where the direction is not known", async () => {
    const kernel = await drawn();
    kernel.one('[data-run="ex-1"] button').click();
    await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(1));
    expect(kernel.one('[data-run="ex-1"]').textContent).toContain("★ best");
    expect(kernel.one('[data-run="ex-0"]').textContent).not.toContain("best");
    const choose = kernel.one<HTMLSelectElement>("thead select");
    choose.value = "max";
    choose.dispatchEvent(new Event("change"));
    for (const run of ["ex-0", "ex-1"])
      await vi.waitFor(() => expect(kernel.one(`[data-run="${run}"]`).textContent).toContain("tied for best"));
    const unknown = new Kernel(snapshot({ curve: curve([SLOW, FAST], { mode: null }) }));
    await vi.waitFor(() => expect(unknown.all("[data-line]")).toHaveLength(2));
    expect(unknown.one<HTMLSelectElement>("thead select").value).toBe("");
    expect(unknown.one("tbody").textContent).not.toContain("best");
    expect(unknown.all("[data-best]")).toHaveLength(0);
  });

  it("keeps each line with its experiment when the list of them changes before the next picture", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    const first = { ...(HEAD.runs[0] as CurveHead["runs"][0]), id: "ex-2", name: "older", label: "older", look: 2 };
    kernel.tell({ type: "head", now: Date.now(), head: { ...HEAD, runs: [first, ...HEAD.runs] }, state: "live", reason: "" });
    await vi.waitFor(() => expect(kernel.all('[data-line="1"]')).toHaveLength(1));
    expect(kernel.one('[data-run="ex-0"]').textContent).toContain("1 @ 8");
    expect(kernel.all('[data-run="ex-2"]')).toHaveLength(0);
  });

  it("offers newer experiments, and asks for them when told to", async () => {
    const kernel = await drawn({ head: { ...HEAD, newer_runs: 2 } });
    const button = kernel.one<HTMLButtonElement>('[data-control="newer"]');
    expect(button.closest('[role="status"]')?.textContent).toBe("2 newer experiments: Show the newest");
    button.click();
    expect(kernel.sent.at(-1)).toMatchObject({ type: "newer" });
  });

  it("searches its keys, here and in the kernel", async () => {
    const keys = ["loss", ...Array.from({ length: 70 }, (_, i) => `layers.${i}/grad_norm`)];
    const kernel = await drawn({ head: { ...HEAD, keys, more_keys: 3000 } });
    const find = kernel.one<HTMLInputElement>(".find");
    expect(find.placeholder).toBe("3,071 keys");
    find.value = "router 7";
    find.dispatchEvent(new Event("input"));
    await vi.waitFor(() => expect(kernel.sent.at(-1)).toMatchObject({ type: "find", text: "router 7" }));
    const { view } = kernel.sent.at(-1) as Extract<CurvesFromPage, { type: "find" }>;
    kernel.tell({ type: "keys", view, text: "router 7", now: Date.now(), keys: ["router.7/load"], total: 1 });
    await vi.waitFor(() => expect(kernel.one("[data-found]").textContent).toBe("1 found; Enter draws router.7/load"));
    find.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ look: { key: "router.7/load" } }));
  });

  it("hides and shows by the legend", async () => {
    const kernel = await drawn();
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(1));
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.all("[data-line]")).toHaveLength(2));
  });

  it("offers the URI of a checkpoint, in the clipboard or to copy by hand", async () => {
    const kernel = await drawn();
    const write = vi.spyOn(navigator.clipboard, "writeText").mockResolvedValue();
    kernel.one("[data-mark]").click();
    await vi.waitFor(() => expect(kernel.one(".said").textContent).toContain("Copied the URI: bt://loops:r/weights/step-4"));
    expect(write).toHaveBeenCalledWith("bt://loops:r/weights/step-4");
    write.mockRejectedValue(new Error("no"));
    kernel.one("[data-mark]").click();
    await vi.waitFor(() => expect(kernel.one(".said").textContent).toContain("Copy by hand"));
    write.mockRestore();
  });

  it("says when it is not up to date, and when the kernel is gone", async () => {
    const kernel = await drawn();
    kernel.tell({ type: "head", now: Date.now(), head: HEAD, state: "failing", reason: "The disk is gone." });
    await vi.waitFor(() => expect(kernel.one("[data-health]").textContent).toContain("The disk is gone."));
    kernel.disconnect();
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.standing).toBe("gone"));
    expect(kernel.all("[data-line]")).toHaveLength(2);
  });

  it("says what to do where nothing is yet, and takes names as text", async () => {
    const empty = {
      ...HEAD,
      runs: [],
      keys: [],
      marks: [],
      params: [],
      same_params: 0,
      waiting: "Nothing was recorded yet of <img src=x onerror=alert(1)>.",
    };
    const kernel = new Kernel(snapshot({ head: empty, curve: null }));
    await vi.waitFor(() => expect(kernel.one("[data-empty]").textContent).toContain("Nothing was recorded yet"));
    expect(kernel.all("img")).toHaveLength(0);
    expect(kernel.root.textContent).toContain("<img src=x");
  });

  it.each(["light", "dark", "none"] as const)("has nothing that axe finds in the theme %s", async (theme) => {
    if (theme !== "none") {
      for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
      document.body.style.background = "var(--jp-layout-color0)";
    }
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    for (const details of kernel.all<HTMLDetailsElement>("details")) details.open = true;
    kernel.press("Home");
    await vi.waitFor(() => expect(kernel.all(".tip")).toHaveLength(1));
    const found = await axe.run(kernel.el, {
      elementRef: true,
      rules: { region: { enabled: false }, "heading-order": { enabled: false } },
    });
    expect(found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
  });
});

describe("the bundle", () => {
  it("is at most 60 KB, and asks no host for anything", () => {
    expect(new TextEncoder().encode(bundle).length).toBeLessThanOrEqual(60_000);
    const addresses = (bundle.match(/https?:\/\/[^"'`\s)]+/g) ?? []).filter((address) => !address.startsWith("http://www.w3.org/"));
    expect(addresses).toEqual([]);
    expect(bundle).not.toMatch(/\beval\(|new Function\(|\bimport\(|\bfetch\(|XMLHttpRequest|@import/);
  });
});
