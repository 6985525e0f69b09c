/** Freshness of what is shown, as one word. */

import type { Health } from "./protocol";

/**
 * A state of the kernel's `Health`, or `waiting`: a saved copy whose kernel was asked and may answer; `saved`: no kernel answers; `silent`:
 * the kernel sends nothing any more; `gone`: it was restarted or shut down.
 */
export type Status = Health["state"] | "waiting" | "saved" | "silent" | "gone";

export interface Connection {
  /** When the page first asked. */
  readonly startedAt: number;
  /** When the newest message arrived; null: none did. */
  readonly heardAt: number | null;
  /** Since when silence counts: nothing is sent to views that are not visible. */
  readonly visibleSince: number;
  readonly disconnected: boolean;
}

export const SILENCE = 15_000;
/** A snapshot that is older was saved with the notebook. */
const OLD = 60_000;

/** `sentAt` is when the newest message was written, by the kernel's clock. */
export function statusOf(state: Health["state"], sentAt: number | null, connection: Connection, now: number): Status {
  if (state === "over") return "over";
  if (connection.disconnected) return "gone";
  const { heardAt, startedAt, visibleSince } = connection;
  const isSilent = now - Math.max(heardAt ?? startedAt, visibleSince) > SILENCE;
  if (heardAt === null) {
    if (isSilent) return "saved";
    return sentAt !== null && Math.abs(now - sentAt) > OLD ? "waiting" : state;
  }
  return isSilent && state !== "paused" ? "silent" : state;
}

/** Whether requests to the kernel make sense. */
export function isReachable(status: Status): boolean {
  return status !== "gone" && status !== "saved" && status !== "over";
}
