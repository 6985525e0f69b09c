/** How much of what is shown can be believed, said by one word. */

import type { State } from "./store";

/**
 * `waiting`: a saved copy whose kernel was asked and may answer.  `saved`: nobody answers.  `silent`: the kernel spoke once and does no more.
 * `gone`: it was restarted or shut down.
 */
export type Standing = "starting" | "live" | "failing" | "paused" | "over" | "waiting" | "saved" | "silent" | "gone";

export interface Hearing {
  /** When the page first asked. */
  readonly since: number;
  /** When the newest message came; null: none ever did. */
  readonly heard: number | null;
  /** From when on silence counts: nothing is sent to a view that nobody sees. */
  readonly visibleSince: number;
  readonly disconnected: boolean;
}

export const SILENCE = 15_000;
/** A snapshot that is older was saved with the notebook. */
const OLD = 60_000;

export function standing(state: State | null, hearing: Hearing, now: number): Standing {
  const health = state?.health.state ?? "starting";
  if (health === "over") return "over";
  if (hearing.disconnected) return "gone";
  const quiet = now - Math.max(hearing.heard ?? hearing.since, hearing.visibleSince) > SILENCE;
  if (hearing.heard === null) {
    if (quiet) return "saved";
    return state && Math.abs(now - state.now) > OLD ? "waiting" : health;
  }
  return quiet && health !== "paused" ? "silent" : health;
}

/** Whether it makes sense to ask the kernel for something. */
export function isReachable(standing: Standing): boolean {
  return standing !== "gone" && standing !== "saved" && standing !== "over";
}
