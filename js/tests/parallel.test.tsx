import axe from "axe-core";
import fc from "fast-check";
import { render } from "preact";
import { useState } from "preact/hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { page as viewport } from "vitest/browser";
import base from "../src/base.css?inline";
import { ParallelCoordinates } from "../src/experiments/parallel-coordinates";
import style from "../src/experiments/parallel-coordinates.css?inline";
import {
  admits,
  type Brush,
  type Brushes,
  brushBetween,
  movedBrush,
  type Row,
  scaleOf,
  type Value,
} from "../src/experiments/parallel-scale";
import { THEMES } from "./themes";

const DIMENSIONS = [
  { key: "lr", label: "lr" },
  { key: "rank", label: "rank" },
  { key: "kind", label: "kind" },
  { key: "loss", label: "last loss" },
];
const RATES = [1e-5, 1e-4, 1e-3, 1e-2];
const ROWS: Row[] = Array.from({ length: 24 }, (_, i) => ({
  id: `id${i}`,
  name: i ? `run-${i}` : "<b>run</b>",
  values: [RATES[i % 4] as number, [8, 16, 32][i % 3] as number, i % 5 ? (i % 2 ? "adam" : "sgd") : null, (i % 4) + 1 + i / 100],
}));

let element: HTMLDivElement;
let brushes: Brushes = {};
const opened = vi.fn();

function Board({ rows = ROWS }: { rows?: readonly Row[] }) {
  const [state, setState] = useState<Brushes>({});
  brushes = state;
  return (
    <section class="panel">
      <ParallelCoordinates
        dimensions={DIMENSIONS}
        rows={rows}
        metric="loss"
        lowerIsBetter
        brushes={state}
        onBrush={setState}
        onOpen={opened}
      />
    </section>
  );
}

async function show(theme: "light" | "dark" = "light", rows: readonly Row[] = ROWS): Promise<ShadowRoot> {
  for (const [name, value] of Object.entries(THEMES[theme])) document.body.style.setProperty(name, value);
  document.body.style.background = "var(--jp-layout-color0)";
  element = document.createElement("div");
  element.style.width = "900px";
  document.body.append(element);
  const root = element.attachShadow({ mode: "open" });
  const sheet = document.createElement("style");
  sheet.textContent = base + style;
  root.append(sheet);
  const inner = document.createElement("div");
  root.append(inner);
  render(<Board rows={rows} />, inner);
  await vi.waitFor(() => expect(root.querySelector("canvas")?.width).toBeGreaterThan(800));
  return root;
}

function one<T extends HTMLElement = HTMLElement>(root: ShadowRoot, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`nothing is ${selector}`);
  return found;
}

const handle = (root: ShadowRoot, label: string, end: "lower" | "upper") => one(root, `[aria-label="${label}, ${end} end of the range"]`);
const press = (target: HTMLElement, key: string) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
const summary = (root: ShadowRoot) => one(root, "[role=status]").textContent;

function drag(target: HTMLElement, from: [number, number], to: [number, number]): void {
  target.setPointerCapture = () => undefined;
  const send = (type: string, [clientX, clientY]: [number, number]) =>
    target.dispatchEvent(new PointerEvent(type, { clientX, clientY, button: 0, pointerId: 1, bubbles: true, cancelable: true }));
  send("pointerdown", from);
  send("pointermove", to);
  send("pointerup", to);
}

beforeEach(async () => {
  await viewport.viewport(1000, 800);
  document.documentElement.lang = "en";
  document.title = "parallel coordinates";
  opened.mockClear();
});
afterEach(() => {
  render(null, element.shadowRoot?.lastElementChild as Element);
  element.remove();
  document.body.removeAttribute("style");
});

describe("parallel coordinates", () => {
  it("are explained while nothing is selected", async () => {
    const root = await show();
    expect(summary(root)).toContain("24 experiments. Drag along an axis");
    expect(root.querySelectorAll("[role=slider]")).toHaveLength(8);
    expect(one<HTMLButtonElement>(root, "[data-control=clear]").disabled).toBe(true);
  });

  it("are selected by keys, in words, and cleared again", async () => {
    const root = await show();
    press(handle(root, "lr", "lower"), "ArrowUp");
    await vi.waitFor(() => expect(brushes.lr).toEqual({ low: 1e-4, high: null }));
    press(handle(root, "lr", "upper"), "ArrowDown");
    await vi.waitFor(() => expect(brushes.lr).toEqual({ low: 1e-4, high: 1e-3 }));
    press(handle(root, "kind", "upper"), "Home");
    await vi.waitFor(() =>
      expect(summary(root)).toBe("5 of 24 experiments: lr 1e-4 to 0.001; kind up to adam. Best last loss: 2.01 (run-1)."),
    );
    expect(handle(root, "lr", "lower").getAttribute("aria-valuetext")).toBe("1e-4");
    press(handle(root, "lr", "lower"), "Escape");
    await vi.waitFor(() => expect(brushes.lr).toBeUndefined());
    one(root, "[data-control=clear]").click();
    await vi.waitFor(() => expect(brushes).toEqual({}));
  });

  it("are selected, moved and cleared by the pointer", async () => {
    const root = await show();
    const strip = one(root, '[data-axis="lr"]');
    const { left, top } = strip.getBoundingClientRect();
    const x = left + 15;
    drag(strip, [x, top + 200], [x, top + 110]);
    await vi.waitFor(() => expect(brushes.lr?.low).toBeGreaterThan(1e-5));
    const { low, high } = brushes.lr as { low: number; high: number };
    expect(low).toBeLessThan(1e-3);
    expect(high).toBeGreaterThan(1e-3);
    expect(high).toBeLessThan(1e-2);
    drag(strip, [x, top + 150], [x, top + 190]);
    await vi.waitFor(() => expect(brushes.lr?.high).toBeLessThan(high));
    const end = handle(root, "lr", "upper");
    const box = end.getBoundingClientRect();
    drag(end, [box.left + 12, box.top + 12], [box.left + 12, top]);
    await vi.waitFor(() => expect(brushes.lr?.high).toBeNull());
    drag(strip, [x, top + 200], [x, top + 200]);
    await vi.waitFor(() => expect(brushes).toEqual({}));
  });

  it("show and open the line under the pointer", async () => {
    const root = await show();
    const canvas = one<HTMLCanvasElement>(root, "canvas");
    const { left, top } = canvas.getBoundingClientRect();
    const ticks = [...root.querySelectorAll<HTMLElement>(".axis-tick")];
    const y = (ticks.find((tick) => tick.textContent === "1e-5") as HTMLElement).getBoundingClientRect();
    const at = { clientX: left + 66, clientY: y.top + y.height / 2, bubbles: true };
    canvas.dispatchEvent(new PointerEvent("pointermove", at));
    await vi.waitFor(() => expect(one(root, ".parallel-pointed").textContent).toMatch(/: lr 1e-5, rank \d+, kind .+, last loss 1/));
    canvas.dispatchEvent(new MouseEvent("click", at));
    expect(opened).toHaveBeenCalledOnce();
    expect(root.querySelector("b")).toBeNull();
    expect(top).toBeGreaterThan(0);
  });

  it.each(["light", "dark"] as const)("have no findings of axe in the theme %s", async (theme) => {
    const root = await show(theme);
    press(handle(root, "lr", "lower"), "ArrowUp");
    await vi.waitFor(() => expect(brushes.lr).toBeDefined());
    const found = await axe.run(element, { rules: { region: { enabled: false } } });
    expect(found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))).toEqual([]);
    expect(root.querySelectorAll(".axis-range")).toHaveLength(1);
  });

  it("draw 5,000 experiments in a frame or few", async () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ ...(ROWS[i % 24] as Row), id: `m${i}` }));
    const root = await show("light", many);
    const began = performance.now();
    press(handle(root, "lr", "lower"), "ArrowUp");
    await vi.waitFor(() => expect(summary(root)).toContain("3,750 of 5,000 experiments"), { interval: 5 });
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("scales", () => {
  const value = fc.oneof(fc.double(), fc.integer(), fc.constant(null));

  it("place every value, and find it again", () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 20 }), (values) => {
        const scale = scaleOf(values);
        for (const each of values) {
          const share = scale.share(each);
          expect(Number.isNaN(share)).toBe(false);
          if (typeof each === "number" && Number.isFinite(each)) expect(share).toBeGreaterThanOrEqual(0);
        }
        for (const { share } of scale.ticks) expect(Number.isFinite(share)).toBe(true);
      }),
    );
  });

  it("let keys reach every value, and select it", () => {
    const values: Value[] = [3, 1, 2, null, 5, 1];
    const scale = scaleOf(values);
    let brush: Brush | null = null;
    for (const stop of [2, 3, 5]) {
      brush = movedBrush(scale, brush ?? undefined, "low", 1);
      expect(brush).toEqual({ low: stop, high: null });
    }
    expect(movedBrush(scale, brush ?? undefined, "low", 1)).toEqual({ low: 5, high: null });
    expect(values.filter((each) => admits({ low: 2, high: 3 }, scale, each))).toEqual([3, 2]);
    expect(movedBrush(scale, { low: 2, high: null }, "low", -9)).toBeNull();
  });

  it("keep an open end for what is beyond the axis", () => {
    const scale = scaleOf([1, 2, 3, Number.POSITIVE_INFINITY]);
    expect(brushBetween(scale, 0, 1)).toBeNull();
    const brush = brushBetween(scale, 0.5, 1) as Brush;
    expect(admits(brush, scale, Number.POSITIVE_INFINITY)).toBe(true);
    expect(admits(brush, scale, Number.NaN)).toBe(false);
    expect(admits({ low: null, high: 2 }, scale, Number.POSITIVE_INFINITY)).toBe(false);
  });

  it("are logarithmic where values span decades, and put numbers among words first", () => {
    expect(scaleOf([1e-5, 1e-3]).isLog).toBe(true);
    expect(scaleOf([8, 16, 32]).isLog).toBe(false);
    expect(scaleOf(["b", 10, 9, "a", true]).stops).toEqual(["9", "10", "a", "b", "true"]);
    expect(scaleOf([null, "x"]).ticks.map(({ label }) => label)).toEqual(["x", "none"]);
  });
});
