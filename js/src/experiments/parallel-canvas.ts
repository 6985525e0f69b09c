/** The lines of parallel coordinates: drawn on a canvas, for there can be thousands, and found under the pointer. */

import type { Row } from "./parallel-scale";
import { shade } from "./parallel-scale";

export interface Geometry {
  readonly width: number;
  readonly height: number;
  /** Of the axes, from left to right. */
  readonly xs: readonly number[];
  /** Of the upper and the lower end of each axis. */
  readonly top: number;
  readonly bottom: number;
}

/** A row with its places on the axes. */
export interface Line {
  readonly row: Row;
  readonly shares: readonly number[];
  /** From 0 (good) to 1 (bad); null without a value of the metric. */
  readonly badness: number | null;
  readonly isSelected: boolean;
}

/** A pointer that is farther away points at no line. */
const REACH = 7;
/** From so many lines on they are thin and let each other shine through. */
const MANY = 60;

export function yOf({ top, bottom }: Geometry, share: number): number {
  return bottom - share * (bottom - top);
}

export function shareAt({ top, bottom }: Geometry, y: number): number {
  return (bottom - y) / (bottom - top);
}

/** Draws those that are not selected first and faint, and the best last. */
export function drawLines(canvas: HTMLCanvasElement, geometry: Geometry, lines: readonly Line[], highlighted: string | null): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = geometry;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineCap = "round";
  const ink = getComputedStyle(canvas).color;
  const drawn = [...lines].sort((a, b) => Number(a.isSelected) - Number(b.isSelected) || (b.badness ?? 2) - (a.badness ?? 2));
  const selected = drawn.filter((line) => line.isSelected).length;
  const isCrowded = selected > MANY;
  for (const line of drawn) {
    context.strokeStyle = line.isSelected && line.badness !== null ? shade(line.badness) : ink;
    context.globalAlpha = line.isSelected ? (isCrowded ? 0.65 : 0.95) : 0.1;
    context.lineWidth = line.isSelected && !isCrowded ? 1.6 : 1;
    context.setLineDash(line.badness === null ? [3, 3] : []);
    trace(context, geometry, line);
  }
  const marked = highlighted === null ? undefined : lines.find((line) => line.row.id === highlighted);
  if (!marked) return;
  context.globalAlpha = 1;
  context.setLineDash([]);
  context.strokeStyle = ink;
  context.lineWidth = 4;
  trace(context, geometry, marked);
  context.strokeStyle = marked.badness === null ? ink : shade(marked.badness);
  context.lineWidth = 2;
  trace(context, geometry, marked);
}

/** A line leaves each axis level, so that labels stand above it and lines through one value part gently. */
function trace(context: CanvasRenderingContext2D, geometry: Geometry, { shares }: Line): void {
  const { xs } = geometry;
  context.beginPath();
  for (const [i, x] of xs.entries()) {
    const y = yOf(geometry, shares[i] ?? 0);
    if (i === 0) {
      context.moveTo(x, y);
      continue;
    }
    const before = xs[i - 1] ?? 0;
    const middle = (before + x) / 2;
    context.bezierCurveTo(middle, yOf(geometry, shares[i - 1] ?? 0), middle, y, x, y);
  }
  context.stroke();
}

/** The line nearest to a point, of the selected ones; null if none is near. */
export function lineAt(geometry: Geometry, lines: readonly Line[], x: number, y: number): Line | null {
  const { xs } = geometry;
  const right = xs.findIndex((at) => at >= x);
  if (right < 0 || (right === 0 && (xs[0] ?? 0) - x > REACH)) return null;
  const left = Math.max(0, right - 1);
  const part = parameterAt(xs[left] ?? 0, xs[right] ?? 0, x);
  const rise = part * part * (3 - 2 * part);
  let found: Line | null = null;
  let distance = REACH;
  for (const line of lines) {
    if (!line.isSelected) continue;
    const [from, to] = [yOf(geometry, line.shares[left] ?? 0), yOf(geometry, line.shares[right] ?? 0)];
    const away = Math.abs(from + (to - from) * rise - y);
    if (away < distance) [found, distance] = [line, away];
  }
  return found;
}

/** Where on the curve between two axes an x lies: the control points are half way, so x is a cubic of it. */
function parameterAt(left: number, right: number, x: number): number {
  if (right <= left) return 0;
  const wanted = Math.min(1, Math.max(0, (x - left) / (right - left)));
  let [low, high] = [0, 1];
  for (let i = 0; i < 20; i++) {
    const t = (low + high) / 2;
    const at = 1.5 * t * (1 - t) ** 2 + 1.5 * t * t * (1 - t) + t ** 3;
    if (at < wanted) low = t;
    else high = t;
  }
  return (low + high) / 2;
}
