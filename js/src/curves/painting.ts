/** What is painted over the lines of a chart: markers of their own shape, best values, what is beyond the edges, and names. */

import { foregroundOf } from "./chart-data";
import { type PlacedMark, placeMarks } from "./chart-marks";
import { extremePoint, markersAlong, outOfRange, type Projection, readLine, spreadLabels } from "./line-values";
import type { Inks, PlotContent, PlotLine } from "./plot";

/** A bold letter of a name takes that much on average in wide fonts: names must keep the end that distinguishes two runs. */
export const LETTER = 7.8;
/** Distance between two names. */
const NAME_HEIGHT = 13;
/** With more lines than these their markers stand further apart, or are left away. */
export const MANY = 24;
const CROWD = 80;

/** What was painted, for those who do not see it. */
export interface Painted {
  /** Runs whose best value is in sight. */
  readonly best: readonly number[];
  /** Kinds of values that are not finite, as in `NonFinite`. */
  readonly odd: readonly number[];
  /** How many arrows stand for values beyond the edges. */
  readonly cut: number;
  /** Names at the ends of lines. */
  readonly names: readonly string[];
  /** Checkpoints and notes. */
  readonly marks: readonly PlacedMark[];
}

export function paint(context: CanvasRenderingContext2D, plot: Projection, content: PlotContent, inks: Inks): Painted {
  const { lines, highlighted } = content;
  const painted = { best: [] as number[], odd: [] as number[], cut: 0, names: [] as string[] };
  context.setLineDash([]);
  context.strokeStyle = inks.soft;
  context.lineWidth = 1;
  stroke(context, `M${plot.left} ${plot.bottom}H${plot.right}`);
  lines.forEach((line, order) => {
    context.globalAlpha = lines.length <= MANY && highlighted !== null && line.line.run !== highlighted ? 0.16 : 1;
    const brush = new Brush(context, inks.isForced ? inks.fg : line.style.colour, inks);
    const isTold = lines.length > 1 && lines.length <= CROWD;
    paintMarkers(brush, plot, line, order, isTold ? (content.isSmall || lines.length > MANY ? 380 : 96) : null);
    if (!content.isSmall && paintBest(brush, plot, line, content.direction)) painted.best.push(line.line.run);
    painted.odd.push(...paintNonFinite(brush, plot, line, content));
    if (content.isCut || content.isLog) painted.cut += paintBeyond(brush, plot, line);
  });
  context.globalAlpha = 1;
  const all = lines.map(({ line }) => line);
  const marks = placeMarks(content.metadata, all, plot, content.axis);
  for (const { shape, colour, x, y } of marks) paintShape(context, shape, x, y, inks.bg, inks.isForced ? inks.fg : colour, 2);
  if (content.hasNames) painted.names.push(...paintNames(context, plot, lines, content.width, inks));
  return { ...painted, marks };
}

/** Shapes in the colour of one line. */
class Brush {
  readonly context: CanvasRenderingContext2D;
  readonly inks: Inks;
  readonly #tone: string;

  constructor(context: CanvasRenderingContext2D, tone: string, inks: Inks) {
    this.context = context;
    this.#tone = tone;
    this.inks = inks;
  }

  shape(path: string, x: number, y: number, isUpsideDown = false): void {
    paintShape(this.context, path, x, y, this.#tone, this.inks.bg, 1, isUpsideDown ? -1 : 1);
  }
}

function stroke(context: CanvasRenderingContext2D, path: string): void {
  context.stroke(new Path2D(path));
}

/** Shapes that were painted: they are few, and each stands many times in a chart. */
const PATHS = new Map<string, Path2D>();

function paintShape(
  context: CanvasRenderingContext2D,
  shape: string,
  x: number,
  y: number,
  fill: string,
  edge: string,
  width: number,
  up = 1,
): void {
  const path = PATHS.get(shape) ?? new Path2D(shape);
  PATHS.set(shape, path);
  context.save();
  context.translate(x, y);
  context.scale(1, up);
  context.fillStyle = fill;
  context.strokeStyle = edge;
  context.lineWidth = width;
  context.fill(path);
  context.stroke(path);
  context.restore();
}

function paintMarkers(brush: Brush, plot: Projection, { line, style }: PlotLine, order: number, every: number | null): void {
  for (const { x, y } of markersAlong(foregroundOf(line), plot, order, every)) brush.shape(style.shape, x, y);
}

/** A ring around the best value, whole or not at all: that of a falling loss is at the very end. */
function paintBest({ context, inks }: Brush, plot: Projection, { line }: PlotLine, direction: "min" | "max" | null): boolean {
  const best = direction && extremePoint(line, direction === "min");
  if (!best || !isInside(plot, best.x, best.y)) return false;
  context.strokeStyle = inks.fg;
  context.lineWidth = 1.6;
  context.beginPath();
  context.arc(plot.x(best.x), plot.y(best.y), 5.5, 0, 2 * Math.PI);
  context.stroke();
  return true;
}

/** Triangles at the edges for values that are not finite. */
function paintNonFinite(brush: Brush, plot: Projection, { line }: PlotLine, { low, high }: PlotContent): number[] {
  const seen = line.nonFinite.filter(({ x }) => x >= low && x <= high);
  for (const { x, kind } of seen) {
    const isLow = kind === 2;
    brush.shape(kind === 1 ? "M-4 0h8L0 -9Z" : "M-4 -9h8L0 0Z", plot.x(x), isLow ? plot.bottom : plot.top);
  }
  return seen.map(({ kind }) => kind);
}

/** Arrows at the edges where values lie beyond them. */
function paintBeyond(brush: Brush, plot: Projection, { line }: PlotLine): number {
  const beyond = outOfRange(line.raw, plot);
  for (const { at, isAbove } of beyond) brush.shape("M-3.5 5h7L0 -1Z", at, isAbove ? plot.top : plot.bottom, !isAbove);
  return beyond.length;
}

/** Names at the right ends of the lines, moved apart where they would overlap. */
function paintNames(context: CanvasRenderingContext2D, plot: Projection, lines: readonly PlotLine[], width: number, inks: Inks): string[] {
  const wanted = lines.map((line) => endOf(plot, line) + 4);
  const labels = spreadLabels(wanted, NAME_HEIGHT, plot.top + 4, plot.bottom + 2);
  const most = (width - plot.right - 22) / LETTER;
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  return lines.map(({ style, name }, i) => {
    const at = labels[i] as number;
    new Brush(context, inks.isForced ? inks.fg : style.colour, inks).shape(style.shape, plot.right + 11, at - 4);
    context.fillStyle = inks.fg;
    if (!inks.isForced) context.fillStyle = `color-mix(in srgb, ${style.colour} 62%, ${inks.fg})`;
    const text = shortened(name, most);
    context.fillText(text, plot.right + 19, at);
    return text;
  });
}

function endOf(plot: Projection, { line }: PlotLine): number {
  const last = readLine(line, plot.valueAt(plot.right));
  if (last === null || (plot.isLog && last.y <= 0)) return plot.bottom;
  return Math.min(Math.max(plot.y(last.y), plot.top), plot.bottom);
}

/** Whether a point is inside the chart. */
export function isInside(plot: Projection, at: number, value: number): boolean {
  const [x, y] = [plot.x(at), plot.y(value)];
  // Points arrive as 32-bit floats: the last one may lie a hair beyond the edge.
  return x > plot.left - 1 && x < plot.right + 1 && y > plot.top - 1 && y < plot.bottom + 1;
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}
