/** What was chosen in one view. */

import type { Chart } from "./chart-data";
import type { Axis, ChartSpec } from "./contract";
import type { Kept } from "./metric-sections";

export interface Settings extends Kept {
  /** Whether one chart is shown, that of the key of `spec`, and not all metrics; null while that was not chosen. */
  readonly isEnlarged: boolean | null;
  /** Which metrics are searched for. */
  readonly search: string;
  readonly spec: ChartSpec;
  readonly isLog: boolean;
  /** Whether the few values that stand out are left beyond the edges. */
  readonly isCut: boolean;
  /** Which values are better, where that was chosen. */
  readonly direction: "min" | "max" | null;
  readonly hidden: ReadonlySet<string>;
}

export const AXES: Readonly<Record<Axis, string>> = { step: "Steps", tokens: "Tokens", elapsed: "Time since start", clock: "Clock time" };

/** What stands below an axis. */
export const AXIS_LABELS: Readonly<Record<Axis, string>> = {
  step: "step",
  tokens: "tokens",
  elapsed: "time since the start",
  clock: "clock time",
};

/** Which values are better: as chosen, else as the key tells; null where neither says. */
export function directionOf({ direction }: Settings, chart: Chart): "min" | "max" | null {
  return direction ?? chart.mode;
}

export function initialSpec(given: ChartSpec | null, columns: number): ChartSpec {
  const plain = { group_by: "", band: "std", baseline: "", against: "difference" } as const;
  return { key: "", axis: "step", smoothing: 0, ...plain, ...given, low: null, high: null, columns };
}
