/** Points as they travel: floats in base64, of 32 bits, or of 64 where those cannot tell the values. */

import type { Best, Curve, CurveLine, CurveRun, LineStats, Look } from "./contract";

/** Values that are no numbers, close together: NaN is 0, infinitely high 1, infinitely low 2. */
export interface Odd {
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
  readonly odd: readonly Odd[];
  readonly stats: LineStats;
}

/** What a view has to draw. */
export interface Picture {
  readonly look: Look;
  readonly first: number | null;
  readonly last: number | null;
  readonly unknown: number;
  readonly origin: number;
  readonly lines: readonly Line[];
  /** Which values are better, as far as the key tells. */
  readonly mode: "min" | "max" | null;
  /** The best where low values are better, and where high ones are. */
  readonly best: readonly Best[];
}

export function floats(text: string | undefined, origin = 0, isWide = false): number[] {
  if (!text) return [];
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return isWide
    ? Array.from({ length: bytes.length >> 3 }, (_, i) => origin + view.getFloat64(i * 8, true))
    : Array.from({ length: bytes.length >> 2 }, (_, i) => origin + view.getFloat32(i * 4, true));
}

const NOTHING: LineStats = { count: 0, odd: 0, last: null, last_step: 0, low: null, low_step: 0, high: null, high_step: 0 };

function points(x: string | undefined, y: string | undefined, origin: number, isWide = false): Points {
  return { x: floats(x, origin), y: floats(y, 0, isWide) };
}

function lineOf(line: CurveLine, origin: number, isSmooth: boolean): Line {
  return {
    run: line.run,
    raw: points(line.x, line.y, origin, line.wide),
    smooth: isSmooth ? points(line.sx, line.sy, origin, line.wide) : null,
    odd: oddOf(line, origin),
    stats: line.stats ?? NOTHING,
  };
}

function oddOf(line: CurveLine, origin: number): Odd[] {
  return (line.odd ?? []).map(([x, kind, count]) => ({ x: x + origin, kind, count }));
}

export function pictureOf(curve: Curve): Picture {
  const { look, first, last, unknown, origin, mode, best } = curve;
  return { look, first, last, unknown, origin, mode, best, lines: curve.lines.map((line) => lineOf(line, origin, look.smoothing > 0)) };
}

/** A picture with what came to the end of its lines; lines that got nothing are the same objects. */
export function extended(picture: Picture, added: readonly CurveLine[], last: number | null, best: readonly Best[] = []): Picture {
  const { origin } = picture;
  const lines = picture.lines.map((line) => {
    const more = added.find(({ run }) => run === line.run);
    if (!more) return line;
    return {
      ...line,
      raw: joined(line.raw, points(more.x, more.y, origin, more.wide)),
      smooth: line.smooth && joined(line.smooth, points(more.sx, more.sy, origin, more.wide)),
      odd: [...line.odd, ...oddOf(more, origin)],
      stats: more.stats ?? line.stats,
    };
  });
  return { ...picture, lines, best, last: Math.max(picture.last ?? Number.NEGATIVE_INFINITY, last ?? Number.NEGATIVE_INFINITY) };
}

/** A picture whose lines are those of the same experiments in another list of them. */
export function relisted(picture: Picture, before: readonly CurveRun[], after: readonly CurveRun[]): Picture {
  if (before.length === after.length && before.every(({ id }, i) => id === after[i]?.id)) return picture;
  const places = before.map(({ id }) => after.findIndex((run) => run.id === id));
  const lines = picture.lines.flatMap((line) => {
    const run = places[line.run] ?? -1;
    return run < 0 ? [] : [{ ...line, run }];
  });
  // Who is the best of other experiments comes with the next picture.
  return { ...picture, lines, best: [] };
}

function joined(before: Points, more: Points): Points {
  return more.x.length ? { x: [...before.x, ...more.x], y: [...before.y, ...more.y] } : before;
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
export function front(line: Line): Points {
  return line.smooth ?? line.raw;
}
