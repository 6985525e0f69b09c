/** Zooming, panning and moving the cross-hair of a chart. */

import type { Chart, Line } from "./chart-data";
import { markPositions } from "./chart-marks";
import type { CurvesMetadata } from "./contract";
import type { Cursor } from "./cursor";
import type { PlotArea } from "./plot";
import type { Settings } from "./settings";

/** One step of zooming. */
export const ZOOM = 1.6;

export interface Navigation {
  /** Shows a range of the axis; null for all of it. */
  zoomTo(low: number | null, high: number | null): void;
  /** Zooms by a factor; what is at `around` stays where it is. */
  zoomBy(factor: number, around?: number): void;
  moveCursor(to: number | null): void;
  /** Handles a key; returns whether it is one of the chart's. */
  onKey(key: string, isShift: boolean): boolean;
}

interface Props {
  metadata: CurvesMetadata;
  chart: Chart;
  lines: readonly Line[];
  area: PlotArea;
  cursor: Cursor;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
}

export function navigationOf({ metadata, chart, lines, area, cursor, settings, change }: Props): Navigation {
  const { low, high } = area;
  const { spec } = settings;
  const [first, last] = [chart.first ?? low, chart.last ?? high];
  const zoomTo = (a: number | null, b: number | null) => change({ spec: { ...spec, low: a, high: b } });
  const moveCursor = (to: number | null) => cursor.move(to);

  const zoomBy = (factor: number, around = cursor.at ?? (low + high) / 2) => {
    const range = (high - low) / factor;
    if (range >= last - first) {
      zoomTo(null, null);
      return;
    }
    const start = around - (range * (around - low)) / (high - low);
    const from = Math.min(Math.max(start, first), last - range);
    zoomTo(from, from + range);
  };
  const pan = (share: number) => {
    const moved = Math.max(first - low, Math.min(last - high, (high - low) * share));
    if (high - low < last - first) zoomTo(low + moved, high + moved);
  };
  const step = (hundredths: number) => {
    const from = cursor.at ?? (hundredths > 0 ? low : high);
    moveCursor(Math.min(high, Math.max(low, from + ((high - low) / 100) * hundredths)));
  };
  const toMark = (direction: 1 | -1) => {
    const positions = markPositions(metadata, lines, chart.spec.axis);
    const from = cursor.at ?? -direction * Number.POSITIVE_INFINITY;
    const least = (high - low) * 1e-6;
    const next = direction > 0 ? positions.find((at) => at > from + least) : positions.findLast((at) => at < from - least);
    if (next === undefined) return;
    if (next < low || next > high) pan((next - (low + high) / 2) / (high - low));
    moveCursor(next);
  };

  const keys: Record<string, (far: number) => void> = {
    ArrowLeft: (far) => step(-far),
    ArrowRight: (far) => step(far),
    ArrowDown: (far) => step(-far),
    ArrowUp: (far) => step(far),
    Home: () => moveCursor(low),
    End: () => moveCursor(high),
    PageUp: () => pan(0.5),
    PageDown: () => pan(-0.5),
    "+": () => zoomBy(ZOOM),
    "=": () => zoomBy(ZOOM),
    "-": () => zoomBy(1 / ZOOM),
    "0": () => zoomTo(null, null),
    "]": () => toMark(1),
    "[": () => toMark(-1),
    Escape: () => (cursor.at === null ? zoomTo(null, null) : moveCursor(null)),
  };
  const onKey = (key: string, isShift: boolean) => {
    const action = keys[key];
    action?.(isShift ? 10 : 1);
    return action !== undefined;
  };
  return { zoomTo, zoomBy, moveCursor, onKey };
}
