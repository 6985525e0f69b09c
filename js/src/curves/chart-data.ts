/** Points as they travel: floats in base64, of 32 bits, or of 64 where those cannot tell the values. */

import type { BestRuns, ChartData, ChartSpec, ComparedName, CurveLine, CurveRun, CurvesMetadata, LineStats } from "./contract";

/** Values that are no numbers, close together: NaN is 0, infinitely high 1, infinitely low 2. */
export interface NonFinite {
  readonly x: number;
  readonly kind: number;
  readonly count: number;
}

export interface Points {
  readonly x: readonly number[];
  /** NaN is a gap. */
  readonly y: readonly number[];
}

export interface Line {
  /** Its place among the runs. */
  readonly run: number;
  readonly raw: Points;
  /** Null where nothing was smoothed. */
  readonly smooth: Points | null;
  /** The edges of the band of a group. */
  readonly band: { readonly low: Points; readonly high: Points } | null;
  readonly nonFinite: readonly NonFinite[];
  readonly stats: LineStats;
}

/** What a view has to draw. */
export interface Chart {
  readonly spec: ChartSpec;
  readonly first: number | null;
  readonly last: number | null;
  readonly unknown: number;
  readonly origin: number;
  readonly lines: readonly Line[];
  /** Which values are better, as far as the key tells. */
  readonly mode: "min" | "max" | null;
  /** The best where low values are better, and where high ones are. */
  readonly best: readonly BestRuns[];
  /** What the lines are where they are no experiments as they were recorded. */
  readonly compared: readonly ComparedName[] | null;
  readonly notes: readonly string[];
}

export function floats(text: string | undefined, origin = 0, isWide = false): number[] {
  if (!text) return [];
  // Plain loops: a grid of charts has a hundred thousand numbers, and gets them again with each zoom.
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  // Every browser runs on machines that are little endian.
  const packed = new (isWide ? Float64Array : Float32Array)(bytes.buffer);
  const found = new Array<number>(packed.length);
  for (let i = 0; i < found.length; i++) found[i] = origin + (packed[i] as number);
  return found;
}

const NOTHING: LineStats = { count: 0, odd: 0, last: null, last_step: 0, low: null, low_step: 0, high: null, high_step: 0 };

function points(x: string | undefined, y: string | undefined, origin: number, isWide = false): Points {
  return { x: floats(x, origin), y: floats(y, 0, isWide) };
}

function lineOf(line: CurveLine, origin: number, isSmooth: boolean): Line {
  const raw = points(line.x, line.y, origin, line.wide);
  const edge = (values: string | undefined) => ({ x: raw.x, y: floats(values, 0, line.wide) });
  return {
    run: line.run,
    raw,
    smooth: isSmooth ? points(line.sx, line.sy, origin, line.wide) : null,
    band: line.lo ? { low: edge(line.lo), high: edge(line.hi) } : null,
    nonFinite: nonFiniteOf(line, origin),
    stats: line.stats ?? NOTHING,
  };
}

function nonFiniteOf(line: CurveLine, origin: number): NonFinite[] {
  return (line.odd ?? []).map(([x, kind, count]) => ({ x: x + origin, kind, count }));
}

export function decodeChart(data: ChartData): Chart {
  const { spec, first, last, unknown, origin, mode, best, compared = null, notes = [] } = data;
  const isSmooth = spec.smoothing > 0 && !compared;
  const lines = data.lines.map((line) => lineOf(line, origin, isSmooth));
  return { spec, first, last, unknown, origin, mode, best, compared, notes, lines };
}

/** A chart with what came to the end of its lines; lines that got nothing are the same objects. */
export function appendPoints(chart: Chart, added: readonly CurveLine[], last: number | null, best: readonly BestRuns[] = []): Chart {
  const { origin } = chart;
  const lines = chart.lines.map((line) => {
    const more = added.find(({ run }) => run === line.run);
    if (!more) return line;
    const { raw, smooth, band, nonFinite, stats } = lineOf(more, origin, line.smooth !== null);
    const edge = (side: "low" | "high") => concat(line.band?.[side] ?? raw, band?.[side] ?? raw, more.keep);
    return {
      ...line,
      raw: concat(line.raw, raw, more.keep),
      smooth: line.smooth && smooth && concat(line.smooth, smooth),
      band: line.band && { low: edge("low"), high: edge("high") },
      nonFinite: [...line.nonFinite, ...nonFinite],
      stats: more.stats ? stats : counted(line.stats, raw, more.step),
    };
  });
  return { ...chart, lines, best, last: Math.max(chart.last ?? Number.NEGATIVE_INFINITY, last ?? Number.NEGATIVE_INFINITY) };
}

/** Statistics with the points that came to the end; the kernel sends them itself where points are not all that is new. */
function counted(stats: LineStats, { x, y }: Points, at?: number | null): LineStats {
  let { count, last, last_step, low, low_step, high, high_step } = stats;
  for (let i = 0; i < x.length; i++) {
    const [value, step] = [y[i] as number, at ?? Math.round(x[i] as number)];
    if (Number.isNaN(value)) continue;
    count++;
    [last, last_step] = [value, step];
    if (typeof low !== "number" || value < low) [low, low_step] = [value, step];
    if (typeof high !== "number" || value > high) [high, high_step] = [value, step];
  }
  return { ...stats, count, last, last_step, low, low_step, high, high_step };
}

/** A chart whose lines are those of the same experiments in another list of them. */
export function reindex(chart: Chart, before: readonly CurveRun[], after: readonly CurveRun[]): Chart {
  if (chart.compared || (before.length === after.length && before.every(({ id }, i) => id === after[i]?.id))) return chart;
  const places = before.map(({ id }) => after.findIndex((run) => run.id === id));
  const lines = chart.lines.flatMap((line) => {
    const run = places[line.run] ?? -1;
    return run < 0 ? [] : [{ ...line, run }];
  });
  // Who is the best of other experiments comes with the next chart.
  return { ...chart, lines, best: [] };
}

/** Points with others after them, or in place of all but the first ones. */
function concat(before: Points, more: Points, keep?: number | null): Points {
  const kept = keep ?? before.x.length;
  if (!more.x.length && kept === before.x.length) return before;
  return { x: before.x.slice(0, kept).concat(more.x), y: before.y.slice(0, kept).concat(more.y) };
}

/** The place of the point next to where one looks; of two as near the later one.  -1 where there is none. */
export function nearest({ x, y }: Points, at: number): number {
  let best = -1;
  let distance = Number.POSITIVE_INFINITY;
  for (let i = 0; i < x.length; i++) {
    const away = Math.abs((x[i] as number) - at);
    if (away <= distance && !Number.isNaN(y[i])) {
      distance = away;
      best = i;
    }
  }
  return best;
}

/** What is drawn in the foreground: the smoothed line where there is one. */
export function foregroundOf(line: Line): Points {
  return line.smooth ?? line.raw;
}

/** What a chart shows in place of the experiments, where its lines are those of groups, or against a baseline. */
export function metadataOf(chart: Chart | null, metadata: CurvesMetadata): CurvesMetadata {
  if (!chart?.compared) return metadata;
  const { compared, spec } = chart;
  // Marks of the members stand on the line of their group, each with the name of its experiment.
  const marks = metadata.marks.flatMap((mark) => {
    const line = compared.find(({ members }) => members.includes(mark.run));
    const run = metadata.runs.find(({ id }) => id === mark.run);
    if (!line || !run) return [];
    const since = spec.axis === "elapsed" ? run.began : 0;
    return { ...mark, run: line.id, at: mark.at - since, name: line.members.length > 1 ? `${run.name}, ${mark.name}` : mark.name };
  });
  const runs = compared.map(({ members: _, label, ...more }) => ({
    ...more,
    name: label,
    label,
    run_id: null,
    tags: [],
    began: 0,
    last_at: null,
  }));
  return { ...metadata, runs, marks };
}
