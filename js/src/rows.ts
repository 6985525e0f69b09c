/** Rows of a table, put together from the messages of the kernel. */

import type { Cell, TableChange, TableRows } from "./contract";

export interface Row {
  readonly id: string;
  readonly cells: readonly Cell[];
  /** When it last changed, by the page's clock; 0 when it arrived with everything else. */
  readonly changedAt: number;
  /** Which cells did; null: all of them, it is new. */
  readonly changed: ReadonlySet<number> | null;
}

export interface Rows {
  readonly byId: ReadonlyMap<string, Row>;
  readonly total: number;
  /** Raised by every change. */
  readonly version: number;
  /** Ids that the newest change touched; null when it may be any. */
  readonly touched: ReadonlySet<string> | null;
}

/** Two clocks that differ by less are taken to differ by the way of the message. */
const SAME_CLOCK = 2000;

export function replaceRows(old: Rows | undefined, table: TableRows, at: number): Rows {
  const byId = new Map<string, Row>();
  for (const cells of table.rows) {
    const id = String(cells[0]);
    byId.set(id, merged(old?.byId.get(id), id, cells, old ? at : 0));
  }
  return { byId, total: table.total, version: (old?.version ?? 0) + 1, touched: null };
}

export function changeRows(old: Rows | undefined, change: TableChange, at: number): Rows {
  const byId = new Map(old?.byId);
  const touched = new Set<string>();
  for (const id of change.removed) {
    byId.delete(id);
    touched.add(id);
  }
  for (const cells of change.rows) {
    const id = String(cells[0]);
    byId.set(id, merged(byId.get(id), id, cells, at));
    touched.add(id);
  }
  return { byId, total: change.total, version: (old?.version ?? 0) + 1, touched };
}

/** The old row when nothing in it changed, so that it is not drawn again. */
function merged(old: Row | undefined, id: string, cells: readonly Cell[], at: number): Row {
  if (!old) return { id, cells, changedAt: at, changed: null };
  const changed = new Set<number>();
  const length = Math.max(cells.length, old.cells.length);
  for (let i = 0; i < length; i++) if (cells[i] !== old.cells[i]) changed.add(i);
  return changed.size ? { id, cells, changedAt: at, changed } : old;
}

/** A message that was held up on its way makes the kernel's clock look slow: the fastest message is right. */
export function clock(offset: number, now: number, at: number): number {
  const seen = now - at;
  return seen > offset || offset - seen > SAME_CLOCK ? seen : offset;
}
