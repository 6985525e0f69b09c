import type { AnyModel } from "@anywidget/types";
import axe from "axe-core";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { page as viewport } from "vitest/browser";
import bundle from "../../loops_nb/static/curves.js?raw";
import { appendPoints, decodeChart, floats, metadataOf, nearest } from "../src/curves/chart-data";
import type {
  ChartData,
  ChartSpec,
  CurveMark,
  CurveRun,
  CurvesFromPage,
  CurvesMetadata,
  CurvesSnapshot,
  CurvesToPage,
  LineStats,
  Traits,
} from "../src/curves/contract";
import { cancelDrawing, drawInTime } from "../src/curves/frames";
import widget from "../src/curves/index";
import { extremePoint, markersAlong, outOfRange, type Projection, readLine, spreadLabels, valueBounds } from "../src/curves/line-values";
import { amount, axisTicks, bounds, exact, lasting, number, type Scale, ticks } from "../src/curves/scale";
import type { Health } from "../src/protocol";
import { THEMES } from "./themes";

const SPEC: ChartSpec = {
  key: "loss",
  axis: "step",
  smoothing: 0,
  low: null,
  high: null,
  columns: 600,
  group_by: "",
  band: "std",
  baseline: "",
  against: "difference",
};

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

function curve(lines: number[][], more: Partial<ChartData> = {}): ChartData {
  return {
    spec: SPEC,
    origin: 0,
    first: 0,
    last: Math.max(...lines.map((y) => y.length)) - 1,
    unknown: 0,
    mode: "min",
    compared: null,
    notes: [],
    best: [
      { runs: [1], words: "★ best" },
      { runs: [0, 1], words: "tied for best" },
    ],
    lines: lines.map((y, run) => ({ run, x: packed(y.map((_, i) => i)), y: packed(y), stats: stats(y) })),
    ...more,
  };
}

const METADATA: CurvesMetadata = {
  runs: ["slow", "fast"].map((name, style) => ({
    id: `ex-${style}`,
    name,
    label: name,
    run_id: null,
    style,
    tags: [],
    began: 1_700_000_000_000,
    last_at: null,
    color: "",
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
  how: "",
  is_named: false,
  color_by: "",
  colors: [],
};
const HEALTH: Health = { state: "live", looked_at: null, every: 0, since: null, next_at: null, reason: "", hint: "" };
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

  /** The runs whose lines are drawn; none before there is a chart. */
  get lines(): string[] {
    return this.all(".chart").flatMap((chart) => (chart.dataset.lines ? chart.dataset.lines.split(" ") : []));
  }

  /** The canvas as it is. */
  get picture(): string {
    return this.one<HTMLCanvasElement>(".plot canvas").toDataURL();
  }

  /** What is written on the canvas: the text, and its sides in pixels of the page from the left of the canvas. */
  get texts(): Written[] {
    return written.get(this.one<HTMLCanvasElement>(".plot canvas")) ?? [];
  }

  get asked() {
    return this.sent.filter((message) => message.type === "set_chart");
  }

  /** Answers what the page asked for last. */
  answer(lines: number[][], seq = 1): void {
    const { view, spec } = this.asked.at(-1) as Extract<CurvesFromPage, { type: "set_chart" }>;
    this.tell({ type: "chart", stream: view, seq, now: Date.now(), chart: curve(lines, { spec: { ...spec, key: spec.key || "loss" } }) });
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
    if (!["msg:custom", "change:snapshot", "comm_live_update"].includes(event)) throw new Error(`no event ${event}`);
    const all = this.#callbacks.get(event) ?? new Set();
    this.#callbacks.set(event, all);
    return all;
  }
}

interface Written {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  /** Whether it runs upwards. */
  readonly isTurned: boolean;
}

/** What was written on each canvas since it was cleared. */
const written = new WeakMap<HTMLCanvasElement, Written[]>();
const { fillText, clearRect } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.clearRect = function (...given) {
  written.set(this.canvas, []);
  clearRect.apply(this, given);
};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
  const { a, b, e } = this.getTransform();
  const width = this.measureText(text).width * (a || 1);
  const at = e + x * a;
  const left = this.textAlign === "right" ? at - width : this.textAlign === "center" ? at - width / 2 : at;
  written.get(this.canvas)?.push({ text, left: left / devicePixelRatio, right: (left + width) / devicePixelRatio, isTurned: b !== 0 });
  fillText.call(this, text, x, y, ...more);
};

const open = new Set<Kernel>();

function snapshot(more: Partial<CurvesSnapshot> = {}): CurvesSnapshot {
  return {
    type: "snapshot",
    now: Date.now(),
    title: "Curves",
    line: "%loops curves",
    metadata: METADATA,
    chart: curve([SLOW, FAST]),
    seq: 3,
    spec: SPEC,
    enlarged: "loss",
    health: { ...HEALTH, state: "live", reason: "" },
    ...more,
  };
}

async function drawn(given: Partial<CurvesSnapshot> = {}): Promise<Kernel> {
  const kernel = new Kernel(snapshot(given));
  await vi.waitFor(() => expect(kernel.asked).toHaveLength(1));
  await vi.waitFor(() => expect(kernel.lines).toHaveLength(2));
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
    const [line] = decodeChart(whole).lines;
    if (!line) throw new Error("no line");
    expect(line.raw).toEqual({ x: [0, 1, 2], y });
    expect(extremePoint(line, false)).toEqual({ x: 1, y: 1e300 });
    const more = [{ run: 0, x: packed([3, 4]), y: wide([5e300, 6]), wide: true }];
    expect(appendPoints(decodeChart(whole), more, 4).lines[0]?.raw.y).toEqual([...y, 5e300, 6]);
  });

  it("that come to the end leave other lines as they are", () => {
    const before = decodeChart(curve([SLOW, FAST]));
    const after = appendPoints(before, [{ run: 1, x: packed([9]), y: packed([0.05]), stats: stats([0.05]) }], 9);
    expect(after.lines[0]).toBe(before.lines[0]);
    expect(after.lines[1]?.raw.x.at(-1)).toBe(9);
    expect(after.last).toBe(9);
  });

  it("take the place of the end of a line with its band, where the kernel has computed it again", () => {
    const band = { lo: packed([1, 2, 3]), hi: packed([5, 6, 7]) };
    const line = { run: 0, x: packed([0, 1, 2]), y: packed([3, 4, 5]), ...band, stats: stats([3, 4, 5]) };
    const before = decodeChart(curve([], { lines: [line] }));
    const more = { run: 0, keep: 2, x: packed([3, 4]), y: packed([8, 9]), lo: packed([7, 8]), hi: packed([9, 10]), stats: stats([9]) };
    const [after] = appendPoints(before, [more], 4).lines;
    expect(after?.raw).toEqual({ x: [0, 1, 3, 4], y: [3, 4, 8, 9] });
    expect(after?.band).toEqual({ low: { x: [0, 1, 3, 4], y: [1, 2, 7, 8] }, high: { x: [0, 1, 3, 4], y: [5, 6, 9, 10] } });
    expect(after?.stats).toEqual(stats([9]));
    expect(before.lines[0]?.raw.x).toEqual([0, 1, 2]);
  });

  it("of groups have the marks of their members", () => {
    const compared = [{ id: "group:a", label: "lr=1: mean of 2", style: 0, members: ["ex-0", "ex-1"], color: "" }];
    const chart = decodeChart(curve([SLOW], { compared, spec: { ...SPEC, axis: "elapsed" } }));
    expect(metadataOf(chart, METADATA).marks).toMatchObject([{ run: "group:a", step: 4, at: 4000, name: "fast, step-4" }]);
  });

  it("that come to the end are counted where the kernel does not", () => {
    const before = decodeChart(curve([SLOW, FAST]));
    const after = appendPoints(before, [{ run: 1, x: packed([9, 10]), y: packed([0.0625, 0.5]) }], 10);
    expect(after.lines[1]?.stats).toMatchObject({ count: 11, last: 0.5, last_step: 10, low: 0.0625, low_step: 9, high: 5, high_step: 5 });
    expect(after.lines[0]?.stats).toBe(before.lines[0]?.stats);
    const [, line] = appendPoints(after, [{ run: 1, x: packed([12.5]), y: packed([0.25]), step: 11 }], 12.5).lines;
    expect(line?.stats).toMatchObject({ count: 12, last: 0.25, last_step: 11 });
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
    .map(({ a, more, isLog }): Scale => ({ low: a, high: a * more, isLog }));

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
    const across = (low: number, high: number): Scale => ({ low, high, isLog: false });
    expect(axisTicks("step", across(0, 3), 8).map(({ label }) => label)).toEqual(["0", "1", "2", "3"]);
    expect(axisTicks("elapsed", across(0, 600), 6).map(({ label }) => label)).toEqual([
      "0 s",
      "2 min",
      "4 min",
      "6 min",
      "8 min",
      "10 min",
    ]);
    expect(axisTicks("tokens", across(0, 2e6), 4).map(({ label }) => label)).toEqual(["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
    expect(axisTicks("step", across(0, 2e6), 4).map(({ label }) => label)).toEqual(["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
    expect(axisTicks("step", across(-4e18, 4e18), 4).map(({ label }) => label)).toEqual(["-4e18", "-2e18", "0", "2e18", "4e18"]);
  });

  it("says all values of an axis in one way, in as few letters as are true", () => {
    const said = (low: number, high: number, isLog = false) => ticks({ low, high, isLog }, 6).map(({ label }) => label);
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
          const found = axisTicks(axis, { low: from, high: from + Math.min(wide, 80_000) }, 8);
          expect(new Set(found.map(({ label }) => label)).size).toBe(found.length);
        }
      }),
    );
  });

  it("has finite bounds around the largest and the smallest of all numbers", () => {
    for (const isLog of [false, true]) {
      const { high, low } = bounds({ low: isLog ? 1e-250 : -1.7e308, high: 1.7e308 }, isLog);
      expect([low, high].every(Number.isFinite)).toBe(true);
      expect(high).toBeGreaterThanOrEqual(1.7e308);
    }
  });
});

describe("what is read off lines", () => {
  /** A chart of 100 by 100 pixels. */
  const projection = (high: number, least: number, most: number): Projection => ({
    low: 0,
    high,
    left: 0,
    right: 100,
    top: 0,
    bottom: 100,
    least,
    most,
    isLog: false,
    x: (at) => (at / high) * 100,
    y: (value) => 100 - ((value - least) / (most - least)) * 100,
    valueAt: (pixel) => (pixel / 100) * high,
  });

  it("shows all that is seen, and without spikes what most of it is", () => {
    const lines = decodeChart(curve([Array.from({ length: 100 }, (_, i) => (i === 50 ? 1000 : i / 100))])).lines;
    expect(valueBounds(lines, 0, 99, false, false).high).toBeGreaterThan(1000);
    const cut = valueBounds(lines, 0, 99, false, true);
    expect(cut.high).toBeLessThan(10);
    expect(outOfRange((lines[0] as (typeof lines)[0]).raw, projection(99, cut.low, cut.high))).toEqual([
      { at: expect.any(Number), isAbove: true },
    ]);
  });

  it("reads values and extremes off a line", () => {
    const [line] = decodeChart(curve([FAST])).lines;
    if (!line) throw new Error("no line");
    expect(readLine(line, 5.1)).toEqual({ x: 5, y: 5, raw: null });
    expect(extremePoint(line, true)).toEqual({ x: 4, y: Math.fround(0.1) });
    expect(extremePoint(line, false)).toEqual({ x: 5, y: 5 });
    expect(markersAlong(line.raw, projection(8, 0, 10), 0).length).toBeGreaterThan(0);
  });

  it("marks each point that no line can be drawn to", () => {
    const plot = projection(3, 0, 10);
    const marked = (...y: number[]) => markersAlong({ x: [0, 1, 2, 3].slice(0, y.length), y }, plot, 3, null).length;
    expect([marked(5), marked(5, Number.NaN, 6, Number.NaN), marked(Number.NaN), marked(1, 2, 3, 4)]).toEqual([1, 2, 0, 0]);
  });

  it("keeps labels apart and inside", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 290 }), { maxLength: 12 }), (wanted) => {
        const found = spreadLabels(wanted, 13, 0, 300).toSorted((a, b) => a - b);
        for (let i = 1; i < found.length; i++) expect((found[i] as number) - (found[i - 1] as number)).toBeGreaterThanOrEqual(13);
        expect(found.every((at) => at >= 0 && at <= 300)).toBe(true);
      }),
    );
  });
});

describe("a panel", () => {
  it("draws what came with it, and asks for as much as it is wide", async () => {
    const kernel = await drawn();
    expect(kernel.asked[0]).toMatchObject({ spec: { key: "loss", axis: "step", columns: 900 - 8 - 70 } });
    kernel.answer([SLOW, FAST]);
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.status).toBe("live"));
    expect(kernel.one('[data-run="ex-1"]').textContent).toContain("★ best");
    expect(kernel.one('[data-table="params"]').textContent).toContain("0.0001");
    expect(kernel.one(".chart").dataset.best).toBe("0 1");
  });

  it("takes the pointer over the whole plot area", async () => {
    const kernel = await drawn();
    const [slider, clip] = [kernel.one(".hand"), kernel.one(".plot canvas")].map((one) => one.getBoundingClientRect());
    expect(slider?.width).toBeGreaterThan((clip?.width ?? 0) * 0.7);
    expect(slider?.height).toBeGreaterThan((clip?.height ?? 0) * 0.7);
  });

  it("marks the best value whole, also at the very end, and not where one zoomed past it", async () => {
    const kernel = await drawn({ chart: curve([[3, 2, 1], FAST.slice(0, 3)]) });
    kernel.answer([
      [3, 2, 1],
      [3, 1, 2],
    ]);
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.status).toBe("live"));
    expect(kernel.one(".chart").dataset.best).toContain("0");
    // It is at the right edge: nothing of it is cut off.
    const [slider, canvas] = [kernel.one(".hand"), kernel.one(".plot canvas")].map((one) => one.getBoundingClientRect());
    expect((slider?.right ?? 0) + 6.3).toBeLessThanOrEqual(canvas?.right ?? 0);
    for (const key of ["Home", "+", "+"]) {
      kernel.press(key);
      await vi.waitFor(() => expect(kernel.all(".tip")).toHaveLength(1));
    }
    await vi.waitFor(() => expect(kernel.one(".chart").dataset.best).not.toContain("0"));
  });

  it("draws what is sent unasked while it was not answered, and what comes to the end of its own picture", async () => {
    const kernel = await drawn();
    const d = () => kernel.picture;
    const first = d();
    const more = { now: Date.now(), lines: [{ run: 0, x: packed([9]), y: packed([0.9]), stats: stats([0.9]) }], last: 9 };
    kernel.tell({ type: "append", stream: "*", base: 3, seq: 4, ...more });
    await vi.waitFor(() => expect(d()).not.toBe(first));
    kernel.answer([SLOW, FAST], 7);
    await vi.waitFor(() => expect(d()).toBe(first));
    const { view } = kernel.asked[0] as Extract<CurvesFromPage, { type: "set_chart" }>;
    kernel.tell({ type: "append", stream: "*", base: 4, seq: 5, ...more });
    kernel.tell({ type: "append", stream: view, base: 7, seq: 8, ...more });
    await vi.waitFor(() => expect(d()).not.toBe(first));
  });

  it("asks again for what was lost, once a second at most", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST], 1);
    const { view } = kernel.asked[0] as Extract<CurvesFromPage, { type: "set_chart" }>;
    await new Promise((done) => setTimeout(done, 1050));
    for (const seq of [5, 6, 7]) kernel.tell({ type: "append", stream: view, base: seq - 1, seq, now: Date.now(), lines: [], last: null });
    kernel.tell({ type: "heartbeat", now: Date.now(), seqs: { [view]: 7 } });
    await vi.waitFor(() => expect(kernel.sent.filter(({ type }) => type === "resync")).toHaveLength(1));
    expect(kernel.sent.at(-1)).toEqual({ type: "resync", stream: view, have: 1 });
  });

  it("zooms on the page at once, and by keys", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    const before = kernel.picture;
    kernel.press("Home");
    await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuetext")).toContain("slow 3"));
    kernel.press("+");
    await vi.waitFor(() => expect(kernel.picture).not.toBe(before));
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ spec: { low: 0 } }));
    kernel.press("]");
    await vi.waitFor(() => expect(kernel.one(".hand").getAttribute("aria-valuetext")).toContain("at 4"));
    kernel.press("0");
    await vi.waitFor(() => expect(kernel.picture).toBe(before));
  });

  it("makes room for what stands beside the axis", async () => {
    const tall = SLOW.map((value) => 1e9 + value);
    const kernel = await drawn({ chart: curve([tall, tall]) });
    const plot = kernel.one(".hand").getBoundingClientRect().left - kernel.one(".plot canvas").getBoundingClientRect().left;
    const names = kernel.texts.filter(({ right, isTurned }) => !isTurned && right < plot);
    expect(names.length).toBeGreaterThan(3);
    const title = kernel.texts.find(({ text, isTurned }) => isTurned && text === "loss");
    for (const name of names) expect(name.left).toBeGreaterThanOrEqual(title?.right ?? Number.NaN);
    expect(title?.left).toBeGreaterThanOrEqual(0);
  });

  it("says what each axis is", async () => {
    const kernel = await drawn();
    for (const [axis, label] of [
      ["Tokens", "tokens"],
      ["Time since start", "time since the start"],
      ["Clock time", "clock time"],
      ["Steps", "step"],
    ]) {
      kernel
        .all(".group button")
        .find((button) => button.textContent === axis)
        ?.click();
      const times = kernel.asked.length;
      await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThan(times));
      kernel.answer([SLOW, FAST], kernel.asked.length);
      await vi.waitFor(() => expect(kernel.texts.map(({ text }) => text)).toContain(label));
      expect(kernel.texts.some(({ text, isTurned }) => isTurned && text === "loss")).toBe(true);
    }
  });

  it("cuts no label off where the axis ends", async () => {
    const spec: ChartSpec = { ...SPEC, axis: "clock" };
    const given = curve([SLOW, FAST], { spec, origin: 1_700_000_000, first: 1_700_000_000, last: 1_700_000_000.00402 });
    // Too narrow for names beside the curves.
    const kernel = new Kernel(snapshot({ chart: given }), 500);
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(2));
    await vi.waitFor(() => expect(kernel.texts.length).toBeGreaterThan(3));
    const names = kernel.texts.filter(({ text }) => text.includes(":"));
    expect(names.at(-1)?.text).toMatch(/\d\.00[45]$/);
    for (const name of names) expect(name.right).toBeLessThanOrEqual(kernel.one(".plot canvas").clientWidth);
  });

  it("puts marks at one place beside each other, and goes to those that are out of sight", async () => {
    const mark = (step: number, target: string) => ({
      ...(METADATA.marks[0] as CurveMark),
      step,
      target,
      name: target,
      uri: `bt://${target}/${step}`,
    });
    const metadata = { ...METADATA, marks: [mark(4, "trainer"), mark(4, "sampler"), mark(8, "trainer")] };
    const kernel = await drawn({ metadata });
    kernel.answer([SLOW, FAST]);
    const at = (name: string) => kernel.one(`[data-mark="bt://${name}"]`).getBoundingClientRect().left;
    expect(at("sampler/4") - at("trainer/4")).toBeCloseTo(10, 1);
    kernel.press("Home");
    await vi.waitFor(() => expect(kernel.all(".tip")).toHaveLength(1));
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
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ spec: { key: "accuracy" } }));
    kernel
      .all(".group button")
      .find((button) => button.textContent === "Clock time")
      ?.click();
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ spec: { axis: "clock" } }));
    kernel.one<HTMLInputElement>('input[type="checkbox"]').click();
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(1));
    kernel.answer([SLOW, FAST]);
    const times = kernel.asked.length;
    kernel.showAgain();
    await vi.waitFor(() => expect(kernel.asked).toHaveLength(times + 1));
    expect(kernel.asked.at(-1)).toMatchObject({ spec: { key: "accuracy", axis: "clock" } });
    expect(kernel.one<HTMLInputElement>('input[type="checkbox"]').checked).toBe(true);
    expect(kernel.one('[data-run="ex-0"] button').getAttribute("aria-pressed")).toBe("false");
    expect(kernel.one(".chart").dataset.drawn).toBe("accuracy clock 0");
  });

  it("inside of another says nothing of how that stands, but what cannot be read", async () => {
    const kernel = await drawn({ line: "" });
    kernel.disconnect();
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.status).toBe("gone"));
    expect(kernel.all("[data-health], .status")).toHaveLength(0);
    kernel.tell({
      type: "metadata",
      now: Date.now(),
      metadata: METADATA,
      health: { ...HEALTH, state: "failing", reason: "The disk is gone." },
    });
    await vi.waitFor(() => expect(kernel.one("[data-health]").textContent).toContain("The disk is gone."));
  });

  it("says how to record what an axis needs, and draws none without", async () => {
    const none = { first: null, last: null, unknown: 2, lines: [0, 1].map((run) => ({ run, stats: stats([1]) })) };
    const kernel = new Kernel(snapshot({ chart: curve([], { ...none, spec: { ...SPEC, axis: "tokens" } }) }));
    await vi.waitFor(() =>
      expect(kernel.root.textContent).toContain("2 experiments have nothing on this axis: their tokens were not recorded"),
    );
    expect(kernel.root.textContent).toContain("tokens_seen=");
    expect(kernel.all(".chart")).toHaveLength(0);
  });

  it("makes up no axis where nothing is a number", async () => {
    const nothing = [Number.NaN, Number.NaN];
    const kernel = new Kernel(snapshot({ chart: curve([nothing], { lines: [{ run: 0, odd: [[0, 0, 2]], stats: stats(nothing) }] }) }));
    await vi.waitFor(() => expect(kernel.all(".chart")).toHaveLength(1));
    await vi.waitFor(() => expect(kernel.one(".chart").dataset.odd).toBe("0"));
    expect(kernel.texts.filter(({ text, isTurned }) => !isTurned && /\d/.test(text) && !/^[012]$/.test(text))).toEqual([]);
  });

  it("tells experiments of one name apart, and how many there are besides", async () => {
    const runs = METADATA.runs.map((run) => ({ ...run, name: `twin (${run.id})`, label: "twin" }));
    const kernel = await drawn({ metadata: { ...METADATA, runs, more_runs: 6, params: [], same_params: 1 } });
    expect(kernel.one('[data-run="ex-1"]').textContent).toMatch(/twin \(ex-1\) began 1[45] Nov, \d\d:\d\d:\d\d/);
    expect(kernel.one("[data-more]").textContent).toContain("2 newest of 8 experiments shown");
    expect(kernel.one("[data-more]").compareDocumentPosition(kernel.one(".chart")) & Node.DOCUMENT_POSITION_FOLLOWING).toBeTruthy();
    expect(kernel.root.textContent).toContain("The one parameter is the same.");
  });

  it("names the winner that the kernel found over all, also while it is hidden, and none where the direction is not known", async () => {
    const kernel = await drawn();
    kernel.one('[data-run="ex-1"] button').click();
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(1));
    expect(kernel.one('[data-run="ex-1"]').textContent).toContain("★ best");
    expect(kernel.one('[data-run="ex-0"]').textContent).not.toContain("best");
    const choose = kernel.one<HTMLSelectElement>("thead select");
    choose.value = "max";
    choose.dispatchEvent(new Event("change"));
    for (const run of ["ex-0", "ex-1"])
      await vi.waitFor(() => expect(kernel.one(`[data-run="${run}"]`).textContent).toContain("tied for best"));
    const unknown = new Kernel(snapshot({ chart: curve([SLOW, FAST], { mode: null }) }));
    await vi.waitFor(() => expect(unknown.lines).toHaveLength(2));
    expect(unknown.one<HTMLSelectElement>("thead select").value).toBe("");
    expect(unknown.one("tbody").textContent).not.toContain("best");
    expect(unknown.one(".chart").dataset.best).toBe("");
  });

  it("keeps each line with its experiment when the list of them changes before the next picture", async () => {
    const kernel = await drawn();
    kernel.answer([SLOW, FAST]);
    const first = { ...(METADATA.runs[0] as CurvesMetadata["runs"][0]), id: "ex-2", name: "older", label: "older", style: 2 };
    kernel.tell({
      type: "metadata",
      now: Date.now(),
      metadata: { ...METADATA, runs: [first, ...METADATA.runs] },
      health: { ...HEALTH, state: "live", reason: "" },
    });
    await vi.waitFor(() => expect(kernel.lines).toEqual(["1", "2"]));
    expect(kernel.one('[data-run="ex-0"]').textContent).toContain("1 @ 8");
    expect(kernel.all('[data-run="ex-2"]')).toHaveLength(0);
  });

  it("offers newer experiments, and asks for them when told to", async () => {
    const kernel = await drawn({ metadata: { ...METADATA, newer_runs: 2 } });
    const button = kernel.one<HTMLButtonElement>('[data-control="newer"]');
    expect(button.closest('[role="status"]')?.textContent).toBe("2 newer experiments: Show the newest");
    button.click();
    expect(kernel.sent.at(-1)).toMatchObject({ type: "show_newest" });
  });

  it("searches its keys, here and in the kernel", async () => {
    const keys = ["loss", ...Array.from({ length: 70 }, (_, i) => `layers.${i}/grad_norm`)];
    const kernel = await drawn({ metadata: { ...METADATA, keys, more_keys: 3000 } });
    const find = kernel.one<HTMLInputElement>(".find");
    expect(find.placeholder).toBe("3,071 keys");
    find.value = "router 7";
    find.dispatchEvent(new Event("input"));
    await vi.waitFor(() => expect(kernel.sent.at(-1)).toMatchObject({ type: "search_keys", text: "router 7" }));
    const { view } = kernel.sent.at(-1) as Extract<CurvesFromPage, { type: "search_keys" }>;
    kernel.tell({ type: "found_keys", view, text: "router 7", now: Date.now(), keys: ["router.7/load"], total: 1 });
    await vi.waitFor(() => expect(kernel.one("[data-found]").textContent).toBe("1 found; Enter draws router.7/load"));
    find.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ spec: { key: "router.7/load" } }));
  });

  it("lets one of many lines stand out without drawing the others again", async () => {
    const many = Array.from({ length: 30 }, (_, i) => SLOW.map((value) => value + i));
    const runs = many.map((_, style) => ({ ...(METADATA.runs[0] as CurveRun), id: `ex-${style}`, name: `run ${style}`, style }));
    const kernel = new Kernel(snapshot({ metadata: { ...METADATA, runs }, chart: curve(many) }));
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(30));
    const { picture } = kernel;
    const button = kernel.one('[data-run="ex-7"] button');
    button.focus();
    await vi.waitFor(() => expect(kernel.all(".veil")).toHaveLength(1));
    const veil = kernel.one<HTMLCanvasElement>(".veil");
    const pixels = veil.getContext("2d")?.getImageData(0, 0, veil.width, veil.height).data ?? [];
    expect([...pixels].filter((value, i) => i % 4 === 3 && value === 255).length).toBeGreaterThan(veil.width);
    expect(kernel.picture).toBe(picture);
    button.blur();
    await vi.waitFor(() => expect(kernel.all(".veil")).toHaveLength(0));
  });

  it("hides and shows by the legend", async () => {
    const kernel = await drawn();
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(1));
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(2));
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
    kernel.tell({
      type: "metadata",
      now: Date.now(),
      metadata: METADATA,
      health: { ...HEALTH, state: "failing", reason: "The disk is gone." },
    });
    await vi.waitFor(() => expect(kernel.one("[data-health]").textContent).toContain("The disk is gone."));
    kernel.disconnect();
    await vi.waitFor(() => expect(kernel.one(".panel").dataset.status).toBe("gone"));
    expect(kernel.lines).toHaveLength(2);
  });

  it("says what to do where nothing is yet, and takes names as text", async () => {
    const empty = {
      ...METADATA,
      runs: [],
      keys: [],
      marks: [],
      params: [],
      same_params: 0,
      waiting: "Nothing was recorded yet of <img src=x onerror=alert(1)>.",
    };
    const kernel = new Kernel(snapshot({ metadata: empty, chart: null }));
    await vi.waitFor(() => expect(kernel.one("[data-empty]").textContent).toContain("Nothing was recorded yet"));
    expect(kernel.all("img")).toHaveLength(0);
    expect(kernel.root.textContent).toContain("<img src=x");
    const measured = new Kernel(snapshot({ metadata: { ...empty, waiting: "", how: "The service measures." }, chart: null }));
    await vi.waitFor(() => expect(measured.one(".empty").textContent).toBe("The service measures."));
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

describe("all metrics", () => {
  const KEYS = ["train/loss", "loss", "eval/loss", "train/lr", "layers.0/norm", "layers.1/norm"];

  async function opened(more: Partial<CurvesMetadata> = {}): Promise<Kernel> {
    const kernel = new Kernel(snapshot({ enlarged: "", metadata: { ...METADATA, keys: KEYS, ...more } }));
    await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThanOrEqual(KEYS.length));
    return kernel;
  }

  function answerAll(kernel: Kernel, from = 0): void {
    for (const { stream, spec } of kernel.asked.slice(from)) {
      kernel.tell({ type: "chart", stream, seq: 1, now: Date.now(), chart: curve([SLOW, FAST], { spec }) });
    }
  }

  const shown = (kernel: Kernel) => kernel.all(".cell").map(({ dataset }) => dataset.key);
  const search = (kernel: Kernel, text: string) => {
    const find = kernel.one<HTMLInputElement>(".find");
    find.value = text;
    find.dispatchEvent(new Event("input"));
  };

  beforeEach(() => localStorage.clear());

  it("are side by side, in sections by the beginning of their names, each asked for by itself", async () => {
    const kernel = await opened();
    expect(kernel.all(".section").map(({ dataset }) => dataset.section)).toEqual(["train", "", "eval", "layers"]);
    expect(kernel.asked.map(({ spec, stream, view }) => stream === `${view}/${spec.key}`)).not.toContain(false);
    expect(new Set(kernel.asked.map(({ spec }) => spec.key))).toEqual(new Set(KEYS));
    expect(kernel.asked.every(({ charts }) => charts === KEYS.length)).toBe(true);
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".chart[data-lines='0 1']")).toHaveLength(KEYS.length));
    expect(kernel.all('[data-table="legend"] .run')).toHaveLength(2);
    expect(kernel.all('[data-table="numbers"]')).toHaveLength(0);
    // A view that is opened again has its charts before the kernel answers.
    kernel.showAgain();
    await vi.waitFor(() => expect(kernel.all(".chart[data-lines='0 1']")).toHaveLength(KEYS.length));
    await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThan(KEYS.length));
  });

  it("are drawn in several frames if they are many, the newest state of each", async () => {
    const drawn: string[] = [];
    const charts = Array.from({ length: 30 }, (_, number) => ({ number }));
    for (const state of ["old", "new"]) {
      for (const chart of charts) drawInTime(chart, () => drawn.push(`${state} ${chart.number}`), false);
    }
    const atOnce = drawn.length;
    expect(atOnce).toBeLessThan(charts.length);
    drawInTime(charts[29] as object, () => drawn.push("pointed at"), true);
    expect(drawn.at(-1)).toBe("pointed at");
    cancelDrawing(charts[28] as object);
    await vi.waitFor(() => expect(drawn).toHaveLength(atOnce + 1 + 28));
    expect(drawn.slice(atOnce + 1)).toEqual(charts.slice(0, 28).map(({ number }) => `new ${number}`));
  });

  it("share the cross-hair, the zoom and what is hidden", async () => {
    const kernel = await opened();
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".hand")).toHaveLength(KEYS.length));
    const hairs = () => kernel.all(".u-cursor-x").filter((hair) => !hair.classList.contains("u-off"));
    kernel.one(".hand").focus();
    kernel.press("Home");
    kernel.press("ArrowRight");
    await vi.waitFor(() => expect(hairs()).toHaveLength(KEYS.length));
    const places = hairs().map((hair) => hair.style.transform);
    kernel.press("ArrowRight");
    await vi.waitFor(() => expect(hairs().some((hair, i) => hair.style.transform === places[i])).toBe(false));
    expect(kernel.all(".tip")).toHaveLength(1);
    kernel.press("+");
    await vi.waitFor(() => expect(kernel.all(".chart").some(({ dataset }) => dataset.range === "0 8")).toBe(false));
    kernel.press("0");
    kernel.one('[data-run="ex-0"] button').click();
    await vi.waitFor(() => expect(kernel.all(".chart[data-lines='1']")).toHaveLength(KEYS.length));
  });

  it("are asked for when they come into sight, and dropped when they are out of it", async () => {
    const keys = Array.from({ length: 60 }, (_, i) => `metric ${i}`);
    const kernel = new Kernel(snapshot({ enlarged: "", metadata: { ...METADATA, keys } }));
    await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThan(3));
    const first = kernel.asked.map(({ spec }) => spec.key);
    expect(first).toContain("metric 0");
    expect(first).not.toContain("metric 59");
    kernel.one('[data-key="metric 59"]').scrollIntoView();
    await vi.waitFor(() => expect(kernel.asked.map(({ spec }) => spec.key)).toContain("metric 59"));
    const dropped = kernel.sent.flatMap((message) => (message.type === "drop_charts" ? message.streams : []));
    expect(dropped.some((stream) => stream.endsWith("/metric 0"))).toBe(true);
    window.scrollTo(0, 0);
  });

  it("come with each new step, and ask again for one that was lost", async () => {
    const kernel = await opened();
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".hand")).toHaveLength(KEYS.length));
    const { stream } = kernel.asked[1] as Extract<CurvesFromPage, { type: "set_chart" }>;
    const lines = [{ run: 0, x: packed([9]), y: packed([7]), stats: stats([7]) }];
    kernel.tell({ type: "append", stream, base: 1, seq: 2, now: Date.now(), lines, last: 9 });
    await vi.waitFor(() => expect(kernel.all(".chart").filter(({ dataset }) => dataset.range === "0 9")).toHaveLength(1));
    kernel.tell({ type: "append", stream, base: 5, seq: 6, now: Date.now(), lines, last: 9 });
    await vi.waitFor(() => expect(kernel.sent.at(-1)).toMatchObject({ type: "resync", stream }));
  });

  it("become one that is enlarged, and all again; pins, search and order stay", async () => {
    const kernel = await opened();
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".hand")).toHaveLength(KEYS.length));
    kernel.one('[data-key="eval/loss"] .pin').click();
    await vi.waitFor(() => expect(shown(kernel)[0]).toBe("eval/loss"));
    expect(kernel.one(".section").dataset.section).toBe("Pinned");
    search(kernel, "loss");
    await vi.waitFor(() => expect(shown(kernel)).toEqual(["eval/loss", "train/loss", "loss"]));
    expect(kernel.one("[data-found]").textContent).toContain("3 found");
    kernel.one('[data-key="train/loss"] .enlarge').click();
    await vi.waitFor(() => expect(kernel.asked.at(-1)).toMatchObject({ spec: { key: "train/loss" } }));
    const { view, stream } = kernel.asked.at(-1) as Extract<CurvesFromPage, { type: "set_chart" }>;
    expect(stream).toBe(view);
    // As it was in the small chart, until the answer comes.
    expect(kernel.one(".chart").dataset.drawn).toBe("train/loss step 0");
    expect(kernel.all('[data-table="numbers"]')).toHaveLength(1);
    kernel.one('[data-control="all"]').click();
    await vi.waitFor(() => expect(shown(kernel)).toEqual(["eval/loss", "train/loss", "loss"]));
    search(kernel, "");
    const order = kernel.all<HTMLSelectElement>("select").find(({ value }) => value === "importance");
    if (!order) throw new Error("no order");
    order.value = "name";
    order.dispatchEvent(new Event("change"));
    await vi.waitFor(() => expect(shown(kernel)).toEqual(["eval/loss", ...KEYS.filter((key) => key !== "eval/loss").sort()]));
    kernel.close();
    const other = await opened();
    expect(shown(other)[0]).toBe("eval/loss");
    expect(shown(other)[1]).toBe("layers.0/norm");
  });

  it("are drawn as groups with bands, and against a baseline", async () => {
    const kernel = await opened();
    answerAll(kernel);
    const choose = async (label: string, value: string) => {
      const found = kernel.all("label").find(({ textContent }) => textContent?.startsWith(label));
      const select = found?.querySelector("select");
      if (!select) throw new Error(`no ${label}`);
      select.value = value;
      const times = kernel.asked.length;
      select.dispatchEvent(new Event("change"));
      await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThan(times));
      return times;
    };
    await choose("Group by", "lr");
    expect(kernel.asked.at(-1)).toMatchObject({ spec: { group_by: "lr", band: "std" } });
    await choose("Band", "minmax");
    const times = await choose("Baseline", "ex-1");
    expect(kernel.asked.at(-1)).toMatchObject({ spec: { group_by: "lr", band: "minmax", baseline: "ex-1", against: "difference" } });
    const compared = [{ id: "group:a", label: "lr=1: mean of 2", style: 0, members: ["ex-0", "ex-1"], color: "" }];
    const band = (by: number) => packed(SLOW.map((value) => value + by));
    for (const { stream, spec } of kernel.asked.slice(times)) {
      const chart = curve([SLOW], { spec, compared, notes: ["Values minus those of the baseline."] });
      const lines = chart.lines.map((line) => ({ ...line, lo: band(-2), hi: band(2) }));
      kernel.tell({ type: "chart", stream, seq: 2, now: Date.now(), chart: { ...chart, lines } });
    }
    await vi.waitFor(() => expect(kernel.one('[data-table="legend"]').textContent).toBe("lr=1: mean of 2"));
    expect(kernel.root.textContent).toContain("Values minus those of the baseline.");
    // There is room for the band, and it is painted.
    await vi.waitFor(() => expect(kernel.one(".chart").dataset.lines).toBe("0"));
    const [least, most] = (kernel.one(".chart").dataset.values ?? "").split(" ").map(Number);
    expect(least).toBeLessThan(-1);
    expect(most).toBeGreaterThan(5);
    const canvas = kernel.one<HTMLCanvasElement>(".plot canvas");
    const context = canvas.getContext("2d");
    const [x, y] = [canvas.width / 2, canvas.height / 2];
    const near = context?.getImageData(x, y - 30, 1, 60).data ?? [];
    expect([...near].filter((value, i) => i % 4 === 3 && value > 20 && value < 90).length).toBeGreaterThan(20);
  });

  it("open grouped and coloured by a parameter, also before anything is recorded", async () => {
    const spec = { ...SPEC, key: "", group_by: "lr,rank", band: "quartiles" } as const;
    const runs = METADATA.runs.map((run) => ({ ...run, color: "#275bd2" }));
    const metadata = { ...METADATA, runs, keys: KEYS, color_by: "lr", colors: [["#275bd2", "0.001"]] as [string, string][] };
    const kernel = new Kernel(snapshot({ enlarged: "", chart: null, spec, metadata }));
    await vi.waitFor(() => expect(kernel.asked.length).toBeGreaterThanOrEqual(KEYS.length));
    expect(kernel.asked.at(-1)).toMatchObject({ spec: { group_by: "lr,rank", band: "quartiles" } });
    const select = kernel.all("label").find(({ textContent }) => textContent?.startsWith("Group by"));
    expect(select?.querySelector("select")?.value).toBe("lr,rank");
    expect(kernel.one("[data-colours]").textContent).toBe("Color is lr:  0.001");
    expect(kernel.all<HTMLElement>(".swatch").map(({ style }) => style.getPropertyValue("--tone"))).toContain("#275bd2");
  });

  it("are saved as a picture with the names of charts and experiments", async () => {
    const kernel = await opened();
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".hand")).toHaveLength(KEYS.length));
    const saved: { name: string; blob: Promise<Blob> }[] = [];
    const click = vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      saved.push({ name: this.download, blob: fetch(this.href).then((answer) => answer.blob()) });
    });
    const texts: string[] = [];
    const write = vi.spyOn(CanvasRenderingContext2D.prototype, "fillText").mockImplementation((text) => {
      texts.push(text);
    });
    kernel.one('[data-control="png"]').click();
    write.mockRestore();
    await vi.waitFor(() => expect(saved).toHaveLength(1));
    click.mockRestore();
    expect(saved[0]?.name).toBe("curves.png");
    expect(texts).toEqual(["Curves", "slow", "fast", ...kernel.all(".cell").map(({ dataset }) => dataset.key)]);
    const { width, height } = await createImageBitmap((await saved[0]?.blob) as Blob);
    expect(width).toBeGreaterThan(500 * devicePixelRatio);
    expect(height).toBeGreaterThan(400 * devicePixelRatio);
  });

  it("stay one chart where a second metric comes while one looks at it", async () => {
    const kernel = new Kernel(snapshot({ enlarged: "", metadata: { ...METADATA, keys: ["loss"] } }));
    await vi.waitFor(() => expect(kernel.lines).toHaveLength(2));
    kernel.press("Home");
    kernel.tell({ type: "metadata", now: Date.now(), metadata: METADATA, health: HEALTH });
    await vi.waitFor(() => expect(kernel.one('[data-control="all"]').textContent).toBe("All 2 metrics"));
    expect(kernel.all(".cell")).toHaveLength(0);
  });

  it("have their latest values in a table", async () => {
    const kernel = await opened();
    answerAll(kernel);
    const table = kernel.one<HTMLDetailsElement>('[data-table="twin"]');
    table.open = true;
    await vi.waitFor(() => expect(kernel.all('[data-table="twin"] tbody tr')).toHaveLength(KEYS.length));
    expect(table.querySelector("tbody tr")?.textContent).toBe("train/loss10.1");
  });

  it.each(["light", "dark"] as const)("have nothing that axe finds in the theme %s", async (theme) => {
    for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
    document.body.style.background = "var(--jp-layout-color0)";
    const kernel = await opened();
    answerAll(kernel);
    await vi.waitFor(() => expect(kernel.all(".hand")).toHaveLength(KEYS.length));
    kernel.one<HTMLDetailsElement>('[data-table="twin"]').open = true;
    kernel.one(".hand").focus();
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
  it("is at most 130 KB, and asks no host for anything", () => {
    expect(new TextEncoder().encode(bundle).length).toBeLessThanOrEqual(130_000);
    const addresses = (bundle.match(/https?:\/\/[^"'`\s)]+/g) ?? []).filter((address) => !address.startsWith("http://www.w3.org/"));
    expect(addresses).toEqual([]);
    expect(bundle).not.toMatch(/\beval\(|new Function\(|\bimport\(|\bfetch\(|XMLHttpRequest|@import/);
  });
});
