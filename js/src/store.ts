/** State of a panel of tables, and how messages change it. */

import {
  COLUMNS,
  type CommandStatus,
  type Fact,
  type Notice,
  type PanelChange,
  type PanelSnapshot,
  type PlotStatus,
  type RunSummary,
  type TableName,
  type ToPage,
  type ViewName,
} from "./contract";
import { ALL_VIEWS, type Health, type Heartbeat } from "./protocol";
import { changeRows, clock, type Rows, replaceRows } from "./rows";
import type { Applied, Store } from "./session";

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
  readonly run: RunSummary | null;
  readonly health: Health;
  readonly notices: readonly Notice[];
  readonly commands: readonly CommandStatus[];
  readonly notify: boolean;
  readonly ready: boolean;
  readonly selected_runs: readonly string[] | null;
  readonly curves: PlotStatus | null;
}

/** Messages that change the state. */
export type StateMessage = Exclude<ToPage, PlotStatus>;

export interface Step {
  readonly state: State | null;
  /** An earlier message is missing: what is shown stays, and everything must be requested. */
  readonly lost: boolean;
}

export const TABLE_NAMES = Object.keys(COLUMNS) as TableName[];

/** The tables of a panel, the main one first. */
export function tablesOf(state: State): readonly TableName[] {
  return TABLE_NAMES.filter((name) => state.tables[name]);
}

/** The kernel keeps no more. */
const MOST_NOTICES = 20;

export class TableStore implements Store<StateMessage> {
  #state: State | null = null;

  get state(): State | null {
    return this.#state;
  }

  get health(): Health | null {
    return this.#state?.health ?? null;
  }

  get sentAt(): number | null {
    return this.#state?.now ?? null;
  }

  seq(): number {
    return this.#state?.seq ?? -1;
  }

  have(): number | null {
    return this.#state && !isPartial(this.#state) ? this.#state.seq : null;
  }

  isPartial(): boolean {
    return this.#state !== null && isPartial(this.#state);
  }

  apply(message: StateMessage, at: number): Applied {
    const { state, lost } = apply(this.#state, message, at);
    this.#state = state;
    return { lost: lost ? [ALL_VIEWS] : [], whole: message.type === "snapshot" ? [ALL_VIEWS] : [] };
  }
}

export function apply(state: State | null, message: StateMessage, at: number): Step {
  switch (message.type) {
    case "snapshot":
      return { state: replace(state, message, at), lost: false };
    case "change":
      if (!state || message.base !== state.seq) return { state, lost: true };
      return changed(state, message, at);
    case "heartbeat":
      return onHeartbeat(state, message, at);
  }
}

/** Whether rows are still to come: the snapshot that is saved with a widget is cut short. */
export function isPartial(state: State): boolean {
  return TABLE_NAMES.some((name) => {
    const rows = state.tables[name];
    return rows !== undefined && rows.byId.size < rows.total;
  });
}

function replace(state: State | null, snapshot: PanelSnapshot, at: number): State {
  const tables: Partial<Record<TableName, Rows>> = {};
  for (const name of TABLE_NAMES) {
    const table = snapshot.tables[name];
    if (table) tables[name] = replaceRows(state?.tables[name], table, at);
  }
  return { ...snapshot, offset: snapshot.now - at, tables };
}

function changed(state: State, change: PanelChange, at: number): Step {
  const tables = { ...state.tables };
  let lost = false;
  for (const name of TABLE_NAMES) {
    const tableChange = change.tables?.[name];
    if (!tableChange) continue;
    const old = tables[name];
    const rows = changeRows(old, tableChange, at);
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
      commands: change.commands ?? state.commands,
      ready: change.ready ?? state.ready,
      selected_runs: change.selected_runs ?? state.selected_runs,
    },
    lost,
  };
}

/** Only new notices are told; each takes the place of an older one about the same thing. */
function noticed(fresh: readonly Notice[], old: readonly Notice[]): readonly Notice[] {
  return [...fresh, ...old.filter((was) => !fresh.some((one) => one.about === was.about))].slice(0, MOST_NOTICES);
}

function onHeartbeat(state: State | null, heartbeat: Heartbeat, at: number): Step {
  if (!state) return { state, lost: true };
  const health = heartbeat.looked_at == null ? state.health : { ...state.health, looked_at: heartbeat.looked_at };
  const next = { ...state, now: heartbeat.now, offset: clock(state.offset, heartbeat.now, at), health };
  return { state: next, lost: heartbeat.seqs[ALL_VIEWS] !== state.seq };
}
