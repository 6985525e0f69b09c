/** What a person chose in one view. */

import type { Axis, Look } from "./contract";

export interface Settings {
  readonly look: Look;
  readonly isLog: boolean;
  /** Whether the few values that stand out are left beyond the edges. */
  readonly isCut: boolean;
  /** Whether the best is the lowest. */
  readonly isLowBest: boolean;
  readonly hidden: ReadonlySet<string>;
  /** Where one looks along the axis. */
  readonly cursor: number | null;
}

export const AXES: Readonly<Record<Axis, string>> = { step: "Steps", tokens: "Tokens", elapsed: "Time", clock: "Clock" };

const HIGHER = /acc|reward|score|f1|bleu|rouge|win|pass|recall|precision|throughput|per_sec/i;

export function isLowBest(key: string): boolean {
  return !HIGHER.test(key);
}

export function firstLook(given: Look | null, columns: number): Look {
  return { key: "", axis: "step", smoothing: 0, ...given, low: null, high: null, columns };
}
