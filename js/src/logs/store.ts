/** State of a panel of log lines. */

import { ALL_VIEWS, type Health } from "../protocol";
import type { Applied, Store } from "../session";
import type { LogRow, LogRowsAdded, LogSnapshot, LogToPage } from "./contract";

export const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;

export class LogStore implements Store<LogToPage> {
  title = "Log";
  line = "";
  both = false;
  hasEarlier = false;
  rows: readonly LogRow[] = [];
  health: Health | null = null;
  sentAt: number | null = null;
  #seq = -1;
  #leftOut = 0;

  seq(): number {
    return this.#seq;
  }

  have(): number | null {
    return this.#seq < 0 ? null : this.#seq;
  }

  isPartial(): boolean {
    return this.#leftOut > 0;
  }

  apply(message: LogToPage): Applied {
    this.sentAt = message.now;
    switch (message.type) {
      case "snapshot":
        return this.#onSnapshot(message);
      case "log_rows":
        return this.#onRows(message);
      case "log_health":
        this.health = message.health;
        return {};
      case "heartbeat":
        return (message.seqs[ALL_VIEWS] ?? this.#seq) === this.#seq ? {} : { lost: [ALL_VIEWS] };
    }
  }

  #onSnapshot({ title, line, both, health, rows, seq, has_earlier, left_out }: LogSnapshot): Applied {
    Object.assign(this, { title, line, both, health, rows, hasEarlier: has_earlier });
    this.#seq = seq;
    this.#leftOut = left_out;
    return { whole: [ALL_VIEWS] };
  }

  #onRows({ base, seq, first, rows }: LogRowsAdded): Applied {
    if (base !== this.#seq) return { lost: [ALL_VIEWS] };
    this.rows = [...this.rows.filter(({ number }) => number >= first), ...rows];
    this.#seq = seq;
    return {};
  }
}

export interface Filter {
  readonly search: string;
  /** The lowest level; empty shows lines without one, too. */
  readonly level: string;
  readonly half: string;
}

/** The lines that a filter lets through. */
export function filtered(rows: readonly LogRow[], { search, level, half }: Filter): readonly LogRow[] {
  const wanted = search.toLowerCase();
  const least = LEVELS.indexOf(level as (typeof LEVELS)[number]);
  return rows.filter(
    (row) =>
      (least < 0 || LEVELS.indexOf(row.level as (typeof LEVELS)[number]) >= least) &&
      (!half || row.half === half) &&
      (!wanted || row.message.toLowerCase().includes(wanted)),
  );
}

/** A line as text, as it is copied: with its time in UTC, which reads the same everywhere. */
export function asText({ at, level, half, message }: LogRow): string {
  return `${new Date(at).toISOString()} ${(level || "-").padEnd(7)} ${half.padEnd(7)} ${message}`;
}
