/** What is read off lines: bounds, extremes, values at a position; pure functions. */

import { type Chart, foregroundOf, type Line, type NonFinite, nearest, type Points } from "./chart-data";
import type { ChartSpec, CurveMark, CurveRun } from "./contract";
import { bounds } from "./scale";

/** What of a picture is seen from left to right. */
export function visibleRange(spec: ChartSpec, chart: Chart): { low: number; high: number } {
  const low = spec.low ?? chart.first ?? 0;
  const high = spec.high ?? chart.last ?? 1;
  return high > low ? { low, high } : { low: low - 0.5, high: low + 0.5 };
}

export interface Bounds {
  readonly low: number;
  readonly high: number;
  /** Whether there is no number to put between them. */
  readonly isEmpty: boolean;
}

/** The values between two bounds; with `isCut` without the few that stand out so far that nothing else would be seen. */
export function valueBounds(lines: readonly Line[], low: number, high: number, isLog: boolean, isCut: boolean): Bounds {
  const found: number[] = [];
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { x, y } of lines.flatMap(({ raw, band }) => (band ? [raw, band.low, band.high] : [raw]))) {
    for (let i = 0; i < x.length; i++) {
      const [at, value] = [x[i] as number, y[i] as number];
      if (!(at >= low && at <= high) || Number.isNaN(value) || (isLog && value <= 0)) continue;
      if (value < least) least = value;
      if (value > most) most = value;
      if (isCut) found.push(value);
    }
  }
  if (least > most) return { ...bounds(null, isLog), isEmpty: true };
  if (isCut && found.length > 20) {
    found.sort((a, b) => a - b);
    const at = (share: number) => found[Math.floor(share * (found.length - 1))] as number;
    const [quarter, rest] = [at(0.1), at(0.9)];
    const room = isLog ? 0 : (rest - quarter) * 1.5;
    least = Math.max(least, isLog ? quarter * (quarter / rest) ** 1.5 : quarter - room);
    most = Math.min(most, isLog ? rest * (rest / quarter) ** 1.5 : rest + room);
  }
  return { ...bounds({ low: least, high: most }, isLog), isEmpty: false };
}

/** Where something stands on a chart, in pixels. */
export interface Projection {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** What is seen along the axis. */
  readonly low: number;
  readonly high: number;
  /** Bounds of the values that are seen. */
  readonly least: number;
  readonly most: number;
  readonly isLog: boolean;
  x(at: number): number;
  y(value: number): number;
  /** What is at a pixel from left to right. */
  valueAt(pixel: number): number;
}

/** Points that the bounds leave out: where, and whether above; those close together as one. */
export function outOfRange({ x, y }: Points, plot: Projection): { at: number; isAbove: boolean }[] {
  const found: { at: number; isAbove: boolean }[] = [];
  const taken = new Set<string>();
  for (let i = 0; i < x.length; i++) {
    const value = y[i] as number;
    const isBelow = value < plot.least || (plot.isLog && value <= 0);
    if (Number.isNaN(value) || (!isBelow && value <= plot.most)) continue;
    const at = plot.x(x[i] as number);
    if (at < plot.left - 1 || at > plot.right + 1) continue;
    const near = `${Math.round(at / 8)}${isBelow}`;
    if (!taken.has(near)) found.push({ at, isAbove: !isBelow });
    taken.add(near);
  }
  return found;
}

export function nonFiniteText({ kind, count }: NonFinite): string {
  return `${["NaN", "infinite", "minus infinite"][kind]}${count > 1 ? `, ${count} times` : ""}`;
}

/**
 * Where marks of a line's own shape stand: so many pixels apart, those of different lines beside each other, and
 * wherever a point has no neighbour that a line could be drawn to; only there without a distance.
 */
export function markersAlong(points: Points, plot: Projection, order: number, every: number | null = 96): { x: number; y: number }[] {
  const found: { x: number; y: number }[] = [];
  let next = every === null ? Number.POSITIVE_INFINITY : plot.left + 14 + ((order * 37) % every);
  for (let i = 0; i < points.x.length; i++) {
    const value = points.y[i] as number;
    const x = plot.x(points.x[i] as number);
    if (x > plot.right || Number.isNaN(value) || (plot.isLog && value <= 0)) continue;
    const isAlone = !Number.isFinite(points.y[i - 1]) && !Number.isFinite(points.y[i + 1]);
    if (isAlone ? x < plot.left : x < next) continue;
    const y = plot.y(value);
    if (y >= plot.top && y <= plot.bottom) found.push({ x, y });
    if (!isAlone && every !== null) next = x + every;
  }
  return found;
}

/** Where a mark is along an axis; null where that is not known. */
export function markPosition(mark: CurveMark, run: CurveRun, axis: ChartSpec["axis"]): number | null {
  switch (axis) {
    case "step":
      return mark.step;
    case "tokens":
      return mark.tokens;
    case "elapsed":
      return (mark.at - run.began) / 1000;
    case "clock":
      return mark.at / 1000;
  }
}

/** The value of a line next to where one looks. */
export function readLine(line: Line, at: number): { x: number; y: number; raw: number | null } | null {
  const points = foregroundOf(line);
  const i = nearest(points, at);
  if (i < 0) return null;
  const x = points.x[i] as number;
  const other = line.smooth ? nearest(line.raw, x) : -1;
  return { x, y: points.y[i] as number, raw: other < 0 ? null : (line.raw.y[other] as number) };
}

/** A line's lowest or highest point where it is in the chart. */
export function extremePoint(line: Line, isLow: boolean): { x: number; y: number } | null {
  const wanted = isLow ? line.stats.low : line.stats.high;
  if (typeof wanted !== "number") return null;
  // Points come as floats of 32 bits where those are enough.
  const i = line.raw.y.findIndex((value) => value === wanted || value === Math.fround(wanted));
  return i < 0 ? null : { x: line.raw.x[i] as number, y: line.raw.y[i] as number };
}

/** Labels one below the other that would stand on each other. */
export function spreadLabels(wanted: readonly number[], height: number, top: number, bottom: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
  const found = [...wanted];
  let least = top;
  for (const i of order) {
    found[i] = Math.max(found[i] as number, least);
    least = (found[i] as number) + height;
  }
  let most = bottom;
  for (const i of order.reverse()) {
    found[i] = Math.min(found[i] as number, most);
    most = (found[i] as number) - height;
  }
  return found;
}
