/** From points to what is drawn: pure functions. */

import type { CurveMark, CurveRun, Look } from "./contract";
import { front, type Line, nearest, type Odd, type Picture, type Points } from "./points";
import { bounds, place, type Scale } from "./scale";

/** As an SVG path; beyond the picture a line goes a little further, not miles. */
export function pathOf({ x, y }: Points, across: Scale, up: Scale): string {
  let path = "";
  let isDown = false;
  for (let i = 0; i < x.length; i++) {
    const value = y[i] as number;
    if (Number.isNaN(value) || (up.isLog && value <= 0)) {
      isDown = false;
      continue;
    }
    const point = `${place(across, x[i] as number).toFixed(1)} ${clamp(place(up, value), up).toFixed(1)}`;
    const next = y[i + 1];
    const isAlone = !isDown && (next === undefined || Number.isNaN(next) || (up.isLog && next <= 0));
    // A point without neighbours is a dot.
    path += isAlone ? `M${point}h0` : `${isDown ? "L" : "M"}${point}`;
    isDown = true;
  }
  return path;
}

function clamp(pixel: number, { from, to }: Scale): number {
  const [top, bottom] = [Math.min(from, to), Math.max(from, to)];
  return Math.min(Math.max(pixel, top - 2000), bottom + 2000);
}

/** What of a picture is seen from left to right. */
export function seen(look: Look, picture: Picture): { low: number; high: number } {
  const low = look.low ?? picture.first ?? 0;
  const high = look.high ?? picture.last ?? 1;
  return high > low ? { low, high } : { low: low - 0.5, high: low + 0.5 };
}

interface Bounds {
  readonly low: number;
  readonly high: number;
  /** Whether there is no number to put between them. */
  readonly isEmpty: boolean;
}

/** The values between two bounds; with `isCut` without the few that stand out so far that nothing else would be seen. */
export function valuesOf(lines: readonly Line[], low: number, high: number, isLog: boolean, isCut: boolean): Bounds {
  const found: number[] = [];
  for (const line of lines) {
    for (const { x, y } of [line.raw]) {
      for (let i = 0; i < x.length; i++) {
        const [at, value] = [x[i] as number, y[i] as number];
        if (at >= low && at <= high && !Number.isNaN(value) && (!isLog || value > 0)) found.push(value);
      }
    }
  }
  if (!found.length) return { ...bounds(null, isLog), isEmpty: true };
  found.sort((a, b) => a - b);
  let [least, most] = [found[0] as number, found.at(-1) as number];
  if (isCut && found.length > 20) {
    const at = (share: number) => found[Math.floor(share * (found.length - 1))] as number;
    const [quarter, rest] = [at(0.1), at(0.9)];
    const room = isLog ? 0 : (rest - quarter) * 1.5;
    least = Math.max(least, isLog ? quarter * (quarter / rest) ** 1.5 : quarter - room);
    most = Math.min(most, isLog ? rest * (rest / quarter) ** 1.5 : rest + room);
  }
  return { ...bounds({ low: least, high: most }, isLog), isEmpty: false };
}

/** Points that the picture's bounds leave out: where, and whether above; those close together as one. */
export function cutOff({ x, y }: Points, across: Scale, up: Scale): { at: number; isAbove: boolean }[] {
  const found: { at: number; isAbove: boolean }[] = [];
  const taken = new Set<string>();
  for (let i = 0; i < x.length; i++) {
    const value = y[i] as number;
    const at = place(across, x[i] as number);
    if (Number.isNaN(value) || at < across.from - 1 || at > across.to + 1) continue;
    const isBelow = value < up.low || (up.isLog && value <= 0);
    if (!isBelow && value <= up.high) continue;
    const near = `${Math.round(at / 8)}${isBelow}`;
    if (!taken.has(near)) found.push({ at, isAbove: !isBelow });
    taken.add(near);
  }
  return found;
}

export function oddWords({ kind, count }: Odd): string {
  return `${["NaN", "infinite", "minus infinite"][kind]}${count > 1 ? `, ${count} times` : ""}`;
}

/** Where marks of a line's own shape stand: so many pixels apart, those of different lines beside each other. */
export function beads(points: Points, across: Scale, up: Scale, order: number, every = 96): { x: number; y: number }[] {
  const found: { x: number; y: number }[] = [];
  let next = across.from + 14 + ((order * 37) % every);
  for (let i = 0; i < points.x.length; i++) {
    const value = points.y[i] as number;
    const x = place(across, points.x[i] as number);
    if (x < next || x > across.to || Number.isNaN(value) || (up.isLog && value <= 0)) continue;
    const y = place(up, value);
    if (y >= up.to && y <= up.from) found.push({ x, y });
    next = x + every;
  }
  return found;
}

/** Where a mark is along an axis; null where that is not known. */
export function markAt(mark: CurveMark, run: CurveRun, axis: Look["axis"]): number | null {
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
export function reading(line: Line, at: number): { x: number; y: number; raw: number | null } | null {
  const points = front(line);
  const i = nearest(points, at);
  if (i < 0) return null;
  const x = points.x[i] as number;
  const other = line.smooth ? nearest(line.raw, x) : -1;
  return { x, y: points.y[i] as number, raw: other < 0 ? null : (line.raw.y[other] as number) };
}

/** A line's lowest or highest point where it is in the picture. */
export function extreme(line: Line, isLow: boolean): { x: number; y: number } | null {
  const wanted = isLow ? line.stats.low : line.stats.high;
  if (typeof wanted !== "number") return null;
  // Points come as floats of 32 bits where those are enough.
  const i = line.raw.y.findIndex((value) => value === wanted || value === Math.fround(wanted));
  return i < 0 ? null : { x: line.raw.x[i] as number, y: line.raw.y[i] as number };
}

/** Labels one below the other that would stand on each other. */
export function spread(wanted: readonly number[], height: number, top: number, bottom: number): number[] {
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
