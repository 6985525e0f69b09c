/** What a panel knows, and how a message changes it: pure functions. */

import {
  type Act,
  type Cell,
  type Change,
  COLUMNS,
  type Fact,
  type Health,
  type Notice,
  type Picture,
  type RunHead,
  type Snapshot,
  type Table,
  type TableChange,
  type TableName,
  type Tick,
  type ToPage,
  type ViewName,
} from "./contract";

export interface Row {
  readonly id: string;
  readonly cells: readonly Cell[];
  /** When it last changed, by the page's clock; 0 when it came with everything else. */
  readonly changedAt: number;
  /** Which cells did; null: all of them, it is new. */
  readonly changed: ReadonlySet<number> | null;
}

export interface Rows {
  readonly byId: ReadonlyMap<string, Row>;
  readonly total: number;
  /** Raised by every change; what was touched since the one before, null when it may be anything. */
  readonly version: number;
  readonly touched: ReadonlySet<string> | null;
}

export interface State {
  readonly seq: number;
  /** The kernel's clock minus the page's. */
  readonly offset: number;
  /** By the kernel's clock, when the newest message was written. */
  readonly now: number;
  readonly view: ViewName;
  readonly title: string;
  readonly line: string;
  readonly tables: Readonly<Partial<Record<TableName, Rows>>>;
  readonly facts: readonly Fact[];
  readonly run: RunHead | null;
  readonly health: Health;
  readonly notices: readonly Notice[];
  readonly acts: readonly Act[];
  readonly notify: boolean;
  readonly ready: boolean;
}

/** What changes what a panel knows. */
export type News = Exclude<ToPage, Picture>;

export interface Step {
  readonly state: State | null;
  /** A message is missing: what is shown stays, and the kernel must be asked for everything. */
  readonly lost: boolean;
}

export const TABLE_NAMES = Object.keys(COLUMNS) as TableName[];

/** Two clocks that differ by less are taken to differ by the way of the message. */
const SAME_CLOCK = 2000;
/** The kernel keeps no more. */
const MOST_NOTICES = 20;

export function apply(state: State | null, message: News, at: number): Step {
  switch (message.type) {
    case "snapshot":
      return { state: replace(state, message, at), lost: false };
    case "change":
      if (!state || message.base !== state.seq) return { state, lost: true };
      return changed(state, message, at);
    case "tick":
      return ticked(state, message, at);
  }
}

/** Whether rows are still to come: the snapshot that is saved with a widget is cut short. */
export function isPartial(state: State): boolean {
  return TABLE_NAMES.some((name) => {
    const rows = state.tables[name];
    return rows !== undefined && rows.byId.size < rows.total;
  });
}

function replace(state: State | null, snapshot: Snapshot, at: number): State {
  const tables: Partial<Record<TableName, Rows>> = {};
  for (const name of TABLE_NAMES) {
    const table = snapshot.tables[name];
    if (table) tables[name] = replaceRows(state?.tables[name], table, at);
  }
  return { ...snapshot, offset: snapshot.now - at, tables };
}

function replaceRows(old: Rows | undefined, table: Table, at: number): Rows {
  const byId = new Map<string, Row>();
  for (const cells of table.rows) {
    const id = String(cells[0]);
    byId.set(id, merged(old?.byId.get(id), id, cells, old ? at : 0));
  }
  return { byId, total: table.total, version: (old?.version ?? 0) + 1, touched: null };
}

function changed(state: State, change: Change, at: number): Step {
  const tables = { ...state.tables };
  let lost = false;
  for (const name of TABLE_NAMES) {
    const told = change.tables?.[name];
    if (!told) continue;
    const old = tables[name];
    const rows = changeRows(old, told, at);
    tables[name] = rows;
    const wasWhole = !old || old.byId.size === old.total;
    if (wasWhole && rows.byId.size !== rows.total) lost = true;
  }
  return {
    state: {
      ...state,
      seq: change.seq,
      now: change.now,
      offset: clock(state.offset, change.now, at),
      tables,
      facts: change.facts ?? state.facts,
      run: change.run ?? state.run,
      health: change.health ?? state.health,
      notices: change.notices ? noticed(change.notices, state.notices) : state.notices,
      acts: change.acts ?? state.acts,
      ready: change.ready ?? state.ready,
    },
    lost,
  };
}

/** Only new notices are told; each takes the place of an older one about the same thing. */
function noticed(fresh: readonly Notice[], old: readonly Notice[]): readonly Notice[] {
  return [...fresh, ...old.filter((was) => !fresh.some((one) => one.about === was.about))].slice(0, MOST_NOTICES);
}

function changeRows(old: Rows | undefined, told: TableChange, at: number): Rows {
  const byId = new Map(old?.byId);
  const touched = new Set<string>();
  for (const id of told.gone) {
    byId.delete(id);
    touched.add(id);
  }
  for (const cells of told.rows) {
    const id = String(cells[0]);
    byId.set(id, merged(byId.get(id), id, cells, at));
    touched.add(id);
  }
  return { byId, total: told.total, version: (old?.version ?? 0) + 1, touched };
}

/** The old row when nothing in it changed, so that it is not drawn again. */
function merged(old: Row | undefined, id: string, cells: readonly Cell[], at: number): Row {
  if (!old) return { id, cells, changedAt: at, changed: null };
  const changed = new Set<number>();
  const length = Math.max(cells.length, old.cells.length);
  for (let i = 0; i < length; i++) if (cells[i] !== old.cells[i]) changed.add(i);
  return changed.size ? { id, cells, changedAt: at, changed } : old;
}

function ticked(state: State | null, tick: Tick, at: number): Step {
  if (!state) return { state, lost: true };
  const health = tick.looked_at === null ? state.health : { ...state.health, looked_at: tick.looked_at };
  const next = { ...state, now: tick.now, offset: clock(state.offset, tick.now, at), health };
  return { state: next, lost: tick.seq !== state.seq };
}

/** A message that was held up on its way makes the kernel's clock look slow: the fastest message is right. */
function clock(offset: number, now: number, at: number): number {
  const seen = now - at;
  return seen > offset || offset - seen > SAME_CLOCK ? seen : offset;
}
