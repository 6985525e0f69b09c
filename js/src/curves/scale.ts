/** Bounds of axes, and what is written beside them: pure functions. */

import type { Axis } from "./contract";

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** Equal ratios are equally long. */
  readonly isLog: boolean;
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

const ROUND = [1, 2, 5, 10];

function roundStep(wanted: number): number {
  const power = 10 ** Math.floor(Math.log10(wanted));
  return (ROUND.find((factor) => factor * power >= wanted * (1 - 1e-9)) ?? 10) * power;
}

/** Bounds a little wider than the values, and never of no width. */
export function bounds(values: { low: number; high: number } | null, isLog: boolean): { low: number; high: number } {
  if (!values) return isLog ? { low: 0.1, high: 1 } : { low: 0, high: 1 };
  const { low, high } = values;
  if (isLog) {
    const more = high > low ? 10 ** ((Math.log10(high) - Math.log10(low)) * 0.04) : 2;
    return { low: Math.max(low / more, 5e-324), high: Math.min(high * more, Number.MAX_VALUE) };
  }
  const more = high > low ? (high / 2 - low / 2) * 0.1 : Math.abs(high) * 0.1 || 1;
  return { low: Math.max(low - more, -Number.MAX_VALUE), high: Math.min(high + more, Number.MAX_VALUE) };
}

export function ticks({ low, high, isLog }: Scale, most: number): Tick[] {
  if (isLog && high / low >= 10) {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first + 1) / most));
    const powers = Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => first + i * every);
    const factors = powers.length * 3 <= most ? [1, 2, 5] : [1];
    const found = [first - 1, ...powers]
      .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
      .filter((at) => at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9));
    // Of powers of ten the name is the power, unless all of them are short.
    const plain = found.map((at) => String(Number(at.toPrecision(1))));
    return written(found, longest(plain) <= 6 ? plain : found.map((at) => power(at, 0)));
  }
  const step = roundStep(high / most - low / most);
  const found = multiples(low, high, step);
  return written(found, labels(found, step, 8));
}

function written(places: readonly number[], names: readonly string[]): Tick[] {
  return places.map((at, i) => ({ at, label: names[i] as string }));
}

function longest(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => name.length));
}

const UNITS = [
  [1e3, "k"],
  [1e6, "M"],
  [1e9, "G"],
  [1e12, "T"],
] as const;

/** Written with the letter of its unit, or as a power, a number is understood at once only if that takes no more letters. */
const SHORT = 6;

/** All marks of an axis, written in one way: in full, unless that takes more than so many letters and another way is short. */
export function labels(values: readonly number[], step: number, most: number): string[] {
  const size = Math.max(...values.map(Math.abs));
  const each = (write: (value: number) => string) => values.map((value) => (Math.abs(value) < step * 1e-6 ? "0" : write(value)));
  const powers = () => each((value) => power(value, step));
  if (!(size < 1e15 && size >= 1e-4 && step >= 1e-12)) return powers();
  const plain = each((value) => grouped(value, decimals(step)));
  if (longest(plain) <= most) return plain;
  const [unit, letter] = UNITS.findLast(([unit]) => size >= unit) ?? [1, ""];
  const short = [each((value) => grouped(value / unit, decimals(step / unit)) + letter), powers()];
  return short.find((way) => longest(way) <= SHORT) ?? plain;
}

function decimals(step: number): number {
  return Math.max(0, Math.min(15, -Math.floor(Math.log10(step) + 1e-9)));
}

/** As a power of ten: `2e-5`. */
function power(value: number, step: number): string {
  return value
    .toExponential(step ? digits(Math.abs(value), step) : 0)
    .replace(/\.?0+e/, "e")
    .replace("e+", "e");
}

function multiples(low: number, high: number, step: number, offset = 0): number[] {
  const first = Math.ceil((low - offset) / step - 1e-9);
  const count = Math.floor((high - offset) / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(count, 200)) || 0 }, (_, i) => (first + i) * step + offset);
}

/** Short, and with as many digits as tell neighbours apart. */
export function number(value: number, step = 0): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) < step * 1e-6) return "0";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e15 || size < 1e-4)
    return value
      .toExponential(2)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e");
  if (step) return grouped(value, decimals(step));
  // Of a large number five digits would not be that number.
  if (size >= 1e4) return value.toLocaleString("en-GB", { maximumFractionDigits: 2 });
  return Number.isInteger(value) ? grouped(value, 0) : String(Number(value.toPrecision(5)));
}

function digits(size: number, step: number): number {
  return Math.max(0, Math.min(12, Math.ceil(Math.log10(size / step) - 1e-9)));
}

/** By the number of decimals: to make one takes longer than to draw a line. */
const FORMATS: Intl.NumberFormat[] = [];

function grouped(value: number, fraction: number): string {
  FORMATS[fraction] ??= new Intl.NumberFormat("en-GB", { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
  return FORMATS[fraction].format(value);
}

/** Of a table or a read-out: five digits tell more than a picture can. */
export function exact(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value.replace("Infinity", "∞").replace("-", "−");
  return number(value);
}

// Seconds between two marks of a clock; each divides the next unit.
const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

export function axisTicks(axis: Axis, scale: Pick<Scale, "low" | "high">, most: number): Tick[] {
  if (axis === "step" || axis === "tokens") {
    const wanted = roundStep((scale.high - scale.low) / most);
    // Half a step is none.
    const step = axis === "step" ? Math.max(1, wanted) : wanted;
    const found = multiples(scale.low, scale.high, step);
    return written(found, labels(found, step, axis === "step" ? 7 : 3));
  }
  const wanted = (scale.high - scale.low) / most;
  // Points are told apart by thousandths of a second.
  const step =
    wanted < 1 ? Math.max(0.001, roundStep(wanted)) : (SPANS.find((span) => span >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400);
  // Midnights of the person's own clock.
  const offset = axis === "clock" ? new Date(scale.low * 1000).getTimezoneOffset() * 60 : 0;
  return multiples(scale.low, scale.high, step, offset).map((at) => ({
    at,
    label: axis === "clock" ? moment(at, step) : lasting(at, step),
  }));
}

/** Large numbers of tokens and steps: `20k`, `1.5M`. */
export function amount(value: number): string {
  const size = Math.abs(value);
  const [unit, letter] = (size < 1e15 && UNITS.findLast(([unit]) => size >= unit)) || [1, ""];
  return `${number(Number((value / unit).toPrecision(4)))}${letter}`;
}

export function lasting(seconds: number, step = 1): string {
  if (step < 1 || (seconds !== 0 && Math.abs(seconds) < 1)) return `${number(seconds, step < 1 ? step : 0)} s`;
  const whole = Math.round(seconds);
  const [d, h, m, s] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const parts = [d && `${d} d`, h && `${h} h`, m && `${m} min`, s && `${s} s`].filter(Boolean);
  return parts.slice(0, 2).join(" ") || "0 s";
}

export function moment(seconds: number, step = 1): string {
  const at = new Date(Math.round(seconds * 1000));
  if (step >= 86_400) return at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  const fraction = step < 1 ? (decimals(step) as 1 | 2 | 3) : undefined;
  return at.toLocaleTimeString("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    ...(step < 60 && { second: "2-digit", fractionalSecondDigits: fraction }),
  });
}

/** Where something is along an axis, in words. */
export function positionText(axis: Axis, at: number): string {
  switch (axis) {
    case "step":
      return `step ${number(Math.round(at))}`;
    case "tokens":
      return `${amount(at)} tokens`;
    case "elapsed":
      return `after ${lasting(at)}`;
    case "clock":
      return new Date(at * 1000).toDateString() === new Date().toDateString() ? moment(at) : `${moment(at, 86_400)}, ${moment(at)}`;
  }
}
