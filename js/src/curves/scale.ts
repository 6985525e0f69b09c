/** Where values stand on a picture, and what is written beside an axis: pure functions. */

import type { Axis } from "./contract";

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** Equal ratios are equally long. */
  readonly isLog: boolean;
  readonly from: number;
  readonly to: number;
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export function place({ low, high, isLog, from, to }: Scale, value: number): number {
  const [a, b, v] = isLog ? [Math.log10(low), Math.log10(high), Math.log10(value)] : [low, high, value];
  return from + ((v - a) / (b - a)) * (to - from);
}

export function valueAt({ low, high, isLog, from, to }: Scale, pixel: number): number {
  const share = (pixel - from) / (to - from);
  return isLog ? low * (high / low) ** share : low + share * (high - low);
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
    const more = high > low ? (high / low) ** 0.04 : 2;
    return { low: Math.max(low / more, 5e-324), high: high * more };
  }
  const more = high > low ? (high - low) * 0.05 : Math.abs(high) * 0.1 || 1;
  return { low: low - more, high: high + more };
}

export function ticks({ low, high, isLog }: Scale, most: number): Tick[] {
  if (isLog && high / low >= 10) {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.max(1, Math.ceil((last - first + 1) / most));
    const powers = Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => first + i * every);
    const factors = powers.length * 3 <= most ? [1, 2, 5] : [1];
    return [first - 1, ...powers]
      .flatMap((power) => factors.map((factor) => factor * 10 ** power))
      .filter((at) => at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9))
      .map((at) => ({ at, label: number(at) }));
  }
  const step = roundStep((high - low) / most);
  return multiples(low, high, step).map((at) => ({ at, label: number(at, step) }));
}

function multiples(low: number, high: number, step: number, offset = 0): number[] {
  const first = Math.ceil((low - offset) / step - 1e-9);
  const count = Math.floor((high - offset) / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, Math.min(count, 200)) }, (_, i) => (first + i) * step + offset);
}

/** Short, and with as many digits as tell neighbours apart. */
export function number(value: number, step = 0): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) < step * 1e-6) return "0";
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e15 || size < 1e-4)
    return value
      .toExponential(step ? digits(size, step) : 2)
      .replace(/\.?0+e/, "e")
      .replace("e+", "e");
  if (step) return grouped(value, Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + 1e-9))));
  return Number.isInteger(value) ? grouped(value, 0) : String(Number(value.toPrecision(5)));
}

function digits(size: number, step: number): number {
  return Math.max(0, Math.min(8, Math.ceil(Math.log10(size / step))));
}

function grouped(value: number, fraction: number): string {
  return value.toLocaleString("en-GB", { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}

/** Of a table or a read-out: five digits tell more than a picture can. */
export function exact(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value.replace("Infinity", "∞").replace("-", "−");
  return number(value);
}

// Seconds between two marks of a clock; each divides the next unit.
const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

export function along(axis: Axis, scale: Scale, most: number): Tick[] {
  if (axis === "step") {
    // Half a step is none.
    const step = Math.max(1, roundStep((scale.high - scale.low) / most));
    return multiples(scale.low, scale.high, step).map((at) => ({ at, label: at >= 1e6 ? amount(at, step) : number(at, 1) }));
  }
  if (axis === "tokens") {
    const step = roundStep((scale.high - scale.low) / most);
    return multiples(scale.low, scale.high, step).map((at) => ({ at, label: amount(at, step) }));
  }
  const wanted = (scale.high - scale.low) / most;
  const step = wanted < 1 ? roundStep(wanted) : (SPANS.find((span) => span >= wanted) ?? Math.ceil(wanted / 86_400) * 86_400);
  // Midnights of the person's own clock.
  const offset = axis === "clock" ? new Date(scale.low * 1000).getTimezoneOffset() * 60 : 0;
  return multiples(scale.low, scale.high, step, offset).map((at) => ({
    at,
    label: axis === "clock" ? moment(at, step) : lasting(at, step),
  }));
}

/** Large numbers of tokens and steps: `20k`, `1.5M`. */
export function amount(value: number, step = 0): string {
  const size = Math.abs(value);
  const [unit, letter] =
    size >= 1e12 ? [1e12, "T"] : size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e3 ? [1e3, "k"] : [1, ""];
  return step ? `${number(value / unit, Math.min(1, step / unit))}${letter}` : `${number(Number((value / unit).toPrecision(4)))}${letter}`;
}

export function lasting(seconds: number, step = 1): string {
  if (step < 1 || (seconds !== 0 && Math.abs(seconds) < 1)) return `${number(seconds, step < 1 ? step : 0)} s`;
  const whole = Math.round(seconds);
  const [d, h, m, s] = [Math.floor(whole / 86_400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const parts = [d && `${d} d`, h && `${h} h`, m && `${m} min`, s && `${s} s`].filter(Boolean);
  return parts.slice(0, 2).join(" ") || "0 s";
}

export function moment(seconds: number, step = 1): string {
  const at = new Date(seconds * 1000);
  if (step >= 86_400) return at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(step < 60 && { second: "2-digit" }) });
}

/** Where something is along an axis, in words. */
export function said(axis: Axis, at: number): string {
  switch (axis) {
    case "step":
      return `step ${number(Math.round(at))}`;
    case "tokens":
      return `${amount(at)} tokens`;
    case "elapsed":
      return `after ${lasting(at)}`;
    case "clock":
      return moment(at);
  }
}
