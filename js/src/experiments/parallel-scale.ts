/** The vertical axes of parallel coordinates, and the ranges that are selected on them: pure functions. */

import { MISSING } from "../format";

/** A value of an experiment: of a parameter or a metric; null where it has none. */
export type Value = number | string | boolean | null;

export interface Dimension {
  readonly key: string;
  /** What stands above the axis. */
  readonly label: string;
}

/** A range of one axis; null is an open end, which what lies beyond the axis passes too. */
export interface Brush {
  readonly low: number | string | null;
  readonly high: number | string | null;
}

/** By the key of the dimension. */
export type Brushes = Readonly<Record<string, Brush>>;

export interface Row {
  readonly id: string;
  readonly name: string;
  /** In the order of the dimensions. */
  readonly values: readonly Value[];
}

export interface AxisTick {
  readonly share: number;
  readonly label: string;
}

/** From 0 at the lower end of the axis to 1. */
export interface AxisScale {
  readonly isNumber: boolean;
  readonly isLog: boolean;
  /** Different values from the lower end up: where the keyboard stops. */
  readonly stops: readonly (number | string)[];
  readonly ticks: readonly AxisTick[];
  share(value: Value): number;
  /** The nearest value; of words the word. */
  valueAt(share: number): number | string;
}

/** Places beside the axis: without a value, and above it, where a value is not finite. */
export const BELOW = -0.1;
export const ABOVE = 1.1;
/** From this ratio of the largest to the smallest value on an axis is logarithmic. */
const LOGARITHMIC = 30;
const MOST_LABELS = 6;
const MOST_WORDS = 14;
/** Labels that are closer together would stand on each other. */
const CLOSEST = 0.06;

export function scaleOf(values: readonly Value[]): AxisScale {
  const known = values.filter((value) => value !== null);
  return known.every((value) => typeof value === "number") ? numberScale(values as (number | null)[]) : wordScale(values);
}

function numberScale(values: readonly (number | null)[]): AxisScale {
  const stops = [...new Set(values.filter((value) => value !== null && Number.isFinite(value)) as number[])].sort((a, b) => a - b);
  const low = stops[0] ?? 0;
  const high = stops.at(-1) ?? 0;
  const isLog = low > 0 && high >= LOGARITHMIC * low;
  const share = (value: Value): number => {
    if (typeof value !== "number" || value === Number.NEGATIVE_INFINITY) return BELOW;
    if (!Number.isFinite(value)) return ABOVE;
    if (low === high) return 0.5;
    if (isLog) return (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low));
    // Halves: between the lowest and the highest of all numbers lies more than a number can say.
    const span = high / 2 - low / 2;
    return span > 0 ? (value / 2 - low / 2) / span : 0.5;
  };
  const valueAt = (at: number) => {
    const bounded = Math.min(1, Math.max(0, at));
    const value = isLog ? Math.exp(Math.log(low) + (Math.log(high) - Math.log(low)) * bounded) : low + (high / 2 - low / 2) * bounded * 2;
    // A range ends at a number that can be read.
    return Math.min(high, Math.max(low, Number(value.toPrecision(3))));
  };
  const labelled = stops.length <= MOST_LABELS ? stops : roundNumbers(low, high, isLog);
  const ticks = apart(labelled.map((value) => ({ share: share(value), label: text(value) })));
  return { isNumber: true, isLog, stops, ticks: [...ticks, ...outside(values, share)], share, valueAt };
}

function wordScale(values: readonly Value[]): AxisScale {
  const words = [...new Set(values.filter((value) => value !== null).map(text))].sort(byNumberThenName);
  const last = Math.max(1, words.length - 1);
  const at = new Map(words.map((word, i) => [word, words.length === 1 ? 0.5 : i / last]));
  const share = (value: Value) => (value === null ? BELOW : (at.get(text(value)) ?? BELOW));
  const valueAt = (where: number) => words[Math.round(Math.min(1, Math.max(0, where)) * (words.length - 1))] ?? "";
  const every = Math.ceil(words.length / MOST_WORDS) || 1;
  const ticks = words.filter((_, i) => i % every === 0).map((label) => ({ share: at.get(label) ?? 0, label }));
  return { isNumber: false, isLog: false, stops: words, ticks: [...ticks, ...outside(values, share)], share, valueAt };
}

function outside(values: readonly Value[], share: (value: Value) => number): AxisTick[] {
  const found: AxisTick[] = [];
  if (values.some((value) => value === null)) found.push({ share: BELOW, label: "none" });
  else if (values.some((value) => share(value) === BELOW)) found.push({ share: BELOW, label: "−∞" });
  if (values.some((value) => share(value) === ABOVE)) found.push({ share: ABOVE, label: "not finite" });
  return found;
}

function byNumberThenName(left: string, right: string): number {
  const [a, b] = [Number(left), Number(right)];
  if (!Number.isNaN(a) && !Number.isNaN(b)) return a - b;
  if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return left < right ? -1 : 1;
}

const ROUND = [1, 2, 5, 10];

function roundNumbers(low: number, high: number, isLog: boolean): number[] {
  if (isLog) {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const count = Math.floor(Math.log10(high) + 1e-9) - first + 1;
    const every = Math.ceil(count / MOST_LABELS) || 1;
    const powers = Array.from({ length: Math.ceil(count / every) }, (_, i) => Number(`1e${first + i * every}`));
    return powers.length ? powers : [low, high];
  }
  const wanted = high / MOST_LABELS - low / MOST_LABELS;
  const power = 10 ** Math.floor(Math.log10(wanted));
  if (!(power > 0)) return [low, high];
  const step = (ROUND.find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function apart(ticks: readonly AxisTick[]): AxisTick[] {
  const kept: AxisTick[] = [];
  for (const tick of ticks) {
    const before = kept.at(-1);
    if (!before || tick.share - before.share >= CLOSEST) kept.push(tick);
    else if (tick === ticks.at(-1) && kept.length > 1) kept[kept.length - 1] = tick;
  }
  return kept;
}

/** A value as it is read: numbers with four digits. */
export function text(value: Value): string {
  if (value === null) return MISSING;
  if (typeof value !== "number") return String(value);
  if (value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) return value > 0 ? "∞" : "−∞";
  if (Number.isNaN(value)) return "NaN";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  if (size >= 1e6 || size < 1e-3)
    return value
      .toExponential(3)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

/** Whether a value lies in a range. */
export function admits(brush: Brush, scale: AxisScale, value: Value): boolean {
  const at = scale.share(value);
  if (value === null || (typeof value === "number" && Number.isNaN(value))) return false;
  // What was rounded for reading must not lose the value itself.
  const near = 1e-9;
  return (brush.low === null || at >= scale.share(brush.low) - near) && (brush.high === null || at <= scale.share(brush.high) + near);
}

/** Whether a row lies in all ranges. */
export function isSelected(row: Row, dimensions: readonly Dimension[], scales: readonly AxisScale[], brushes: Brushes): boolean {
  return dimensions.every(({ key }, i) => {
    const brush = brushes[key];
    return !brush || admits(brush, scales[i] as AxisScale, row.values[i] ?? null);
  });
}

/** The range between two places of an axis; null if it is the whole axis. */
export function brushBetween(scale: AxisScale, from: number, to: number): Brush | null {
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  // The ends are open: what is beyond the axis passes too.
  const edge = scale.isNumber ? 0.005 : 0.5 / Math.max(1, scale.stops.length - 1);
  const brush = { low: low <= edge ? null : scale.valueAt(low), high: high >= 1 - edge ? null : scale.valueAt(high) };
  return brush.low === null && brush.high === null ? null : brush;
}

/** A range with one end moved by so many different values; null if it is the whole axis then. */
export function movedBrush(scale: AxisScale, brush: Brush | undefined, end: "low" | "high", steps: number): Brush | null {
  const { stops } = scale;
  const last = stops.length - 1;
  const indexOf = (value: number | string | null, otherwise: number) =>
    value === null ? otherwise : nearest(scale, scale.share(value), end === "low" ? "up" : "down");
  const [low, high] = [indexOf(brush?.low ?? null, 0), indexOf(brush?.high ?? null, last)];
  const bounded = (index: number, from: number, to: number) => Math.min(to, Math.max(from, index));
  const [newLow, newHigh] = end === "low" ? [bounded(low + steps, 0, high), high] : [low, bounded(high + steps, low, last)];
  const moved = {
    low: end === "low" ? (newLow === 0 ? null : (stops[newLow] ?? null)) : (brush?.low ?? null),
    high: end === "high" ? (newHigh === last ? null : (stops[newHigh] ?? null)) : (brush?.high ?? null),
  };
  return moved.low === null && moved.high === null ? null : moved;
}

function nearest(scale: AxisScale, share: number, way: "up" | "down"): number {
  const { stops } = scale;
  const found =
    way === "up"
      ? stops.findIndex((stop) => scale.share(stop) >= share - 1e-9)
      : stops.findLastIndex((stop) => scale.share(stop) <= share + 1e-9);
  return found < 0 ? (way === "up" ? stops.length - 1 : 0) : found;
}

/** A range in words: `1e-4 to 3e-4`. */
export function brushText({ low, high }: Brush): string {
  if (low !== null && high !== null) return low === high ? text(low) : `${text(low)} to ${text(high)}`;
  return low !== null ? `from ${text(low)}` : `up to ${text(high)}`;
}

const GOOD = [0x2b, 0x7f, 0xd9] as const;
const MIDDLE = [0x7c, 0x7c, 0x80] as const;
const BAD = [0xcf, 0x5f, 0x10] as const;

/** From blue (0, good) over grey to orange (1, bad): each has 3:1 against white and against #111. */
export function shade(badness: number): string {
  const at = Math.min(1, Math.max(0, badness));
  const [from, to, part] = at < 0.5 ? [GOOD, MIDDLE, at * 2] : [MIDDLE, BAD, at * 2 - 1];
  return `rgb(${from.map((value, i) => Math.round(value + ((to[i] as number) - value) * part)).join(" ")})`;
}
