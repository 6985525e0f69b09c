/** What a person chose in one view. */

import type { Axis, Look } from "./contract";
import type { Picture } from "./points";

export interface Settings {
  readonly look: Look;
  readonly isLog: boolean;
  /** Whether the few values that stand out are left beyond the edges. */
  readonly isCut: boolean;
  /** Which values are better, where that was chosen. */
  readonly direction: "min" | "max" | null;
  readonly hidden: ReadonlySet<string>;
  /** Where one looks along the axis. */
  readonly cursor: number | null;
}

export const AXES: Readonly<Record<Axis, string>> = { step: "Steps", tokens: "Tokens", elapsed: "Time", clock: "Clock" };

/** Which values are better: as chosen, else as the key tells; null where neither says. */
export function directionOf({ direction }: Settings, picture: Picture): "min" | "max" | null {
  return direction ?? picture.mode;
}

export function firstLook(given: Look | null, columns: number): Look {
  return { key: "", axis: "step", smoothing: 0, ...given, low: null, high: null, columns };
}
