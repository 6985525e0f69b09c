/** State of a panel of experiments, and how messages change it. */

import { ALL_VIEWS, type Health } from "../protocol";
import { changeRows, clock, type Rows, replaceRows } from "../rows";
import type { Applied, Store } from "../session";
import type {
  Choices,
  ColumnValue,
  ExperimentColumn,
  ExperimentCurves,
  ExperimentsChange,
  ExperimentsSnapshot,
  ExperimentsToPage,
  FilteredExperiments,
} from "./contract";

export interface State {
  readonly seq: number;
  /** The kernel's clock minus the page's. */
  readonly offset: number;
  /** By the kernel's clock, when the newest message was written. */
  readonly now: number;
  readonly title: string;
  readonly line: string;
  readonly columns: readonly ExperimentColumn[];
  /** Place of each sent column in a row's cells. */
  readonly places: ReadonlyMap<string, number>;
  readonly rows: Rows;
  readonly shared: readonly ColumnValue[];
  readonly notes: readonly string[];
  readonly empty: string;
  readonly metric: string;
  readonly sparks: ReadonlyMap<string, string>;
  readonly choices: Choices;
  readonly health: Health;
  readonly lastAt: number | null;
}

export class ExperimentsStore implements Store<ExperimentsToPage> {
  #state: State | null = null;
  readonly #filtered = new Map<string, FilteredExperiments>();
  readonly #curves = new Map<string, ExperimentCurves>();

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
    return this.#state && !this.isPartial() ? this.#state.seq : null;
  }

  isPartial(): boolean {
    return this.#state !== null && this.#state.rows.byId.size < this.#state.rows.total;
  }

  /** The newest answer to the expression of a view. */
  filtered(view: string): FilteredExperiments | null {
    return this.#filtered.get(view) ?? null;
  }

  /** The curves that a view asked for last. */
  curves(view: string): ExperimentCurves | null {
    return this.#curves.get(view) ?? null;
  }

  choose(choices: Choices): void {
    if (this.#state) this.#state = { ...this.#state, choices };
  }

  close(view: string): void {
    this.#filtered.delete(view);
    this.#curves.delete(view);
  }

  apply(message: ExperimentsToPage, at: number): Applied {
    const state = this.#state;
    switch (message.type) {
      case "snapshot":
        this.#state = replaced(state, message, at);
        return { whole: [ALL_VIEWS] };
      case "change":
        if (!state || message.base !== state.seq) return { lost: [ALL_VIEWS] };
        this.#state = changed(state, message, at);
        return {};
      case "heartbeat": {
        if (!state) return { lost: [ALL_VIEWS] };
        const health = message.looked_at == null ? state.health : { ...state.health, looked_at: message.looked_at };
        this.#state = { ...state, now: message.now, offset: clock(state.offset, message.now, at), health };
        return { lost: message.seqs[ALL_VIEWS] === state.seq ? [] : [ALL_VIEWS] };
      }
      case "filtered":
        this.#filtered.set(message.view, message);
        return {};
      case "curves":
        this.#curves.set(message.view, message);
        return {};
    }
  }
}

function replaced(state: State | null, { sent, rows, total, sparks, last_at: lastAt, ...message }: ExperimentsSnapshot, at: number): State {
  // Cells of other columns are no change of the rows.
  const isSame = state !== null && String(sent) === String([...state.places.keys()]);
  // Nor are rows that were left out of the saved part.
  const old = isSame && state.rows.byId.size === state.rows.total ? state.rows : undefined;
  const next = replaceRows(old, { rows, total }, at);
  return {
    ...message,
    lastAt,
    offset: message.now - at,
    places: isSame ? state.places : new Map(sent.map((name, place) => [name, place])),
    rows: { ...next, version: (state?.rows.version ?? 0) + 1 },
    sparks: new Map(Object.entries(sparks) as [string, string][]),
  };
}

function changed(state: State, change: ExperimentsChange, at: number): State {
  const { rows = [], removed = [], total } = change;
  const sparks = Object.entries(change.sparks ?? {}) as [string, string][];
  const isTouched = rows.length > 0 || removed.length > 0 || total !== state.rows.total;
  return {
    ...state,
    seq: change.seq,
    now: change.now,
    offset: clock(state.offset, change.now, at),
    rows: isTouched ? changeRows(state.rows, { rows, removed, total }, at) : state.rows,
    sparks: sparks.length ? new Map([...state.sparks, ...sparks]) : state.sparks,
    columns: change.columns ?? state.columns,
    shared: change.shared ?? state.shared,
    notes: change.notes ?? state.notes,
    empty: change.empty ?? state.empty,
    choices: change.choices ?? state.choices,
    health: change.health ?? state.health,
    lastAt: change.last_at ?? state.lastAt,
  };
}
