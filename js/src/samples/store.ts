/** State of a panel of samples: the experiments, and for each view the grid that it shows. */

import { ALL_VIEWS, type Health } from "../protocol";
import type { Applied, Store } from "../session";
import type { GridUpdate, SampleCell, SampleGridData, SampleSpec, SamplesMetadata, SamplesSnapshot, SamplesToPage } from "./contract";

export interface Grid extends SampleGridData {
  /** All cells that are shown, by id. */
  readonly byId: ReadonlyMap<number, SampleCell>;
}

interface Shown {
  grid: Grid | null;
  seq: number;
}

interface ViewState extends Shown {
  spec: SampleSpec;
  /** Whether the kernel ever answered this view; until then it shows what is sent to all views. */
  isAnswered: boolean;
  /** Since when an answer is awaited; null: none is. */
  waitsSince: number | null;
  /** When the view asked last. */
  askedAt: number;
}

export interface WholeText {
  readonly prompt: string;
  readonly completion: string;
}

const MOST_TEXTS = 200;

export class SamplesStore implements Store<SamplesToPage> {
  metadata: SamplesMetadata = { runs: [], more_runs: 0, waiting: "" };
  title = "Samples";
  line = "";
  health: Health | null = null;
  sentAt: number | null = null;
  /** Whole texts that were asked for. */
  readonly texts = new Map<number, WholeText>();
  readonly #views = new Map<string, ViewState>();
  /** What a new view starts with. */
  #initial: Shown = { grid: null, seq: -1 };

  get views(): ReadonlyMap<string, ViewState> {
    return this.#views;
  }

  grid(view: string): Grid | null {
    return this.#shown(view).grid;
  }

  seq(stream: string): number {
    return this.#shown(stream).seq;
  }

  have(): number | null {
    return this.#initial.seq < 0 ? null : this.#initial.seq;
  }

  isPartial(): boolean {
    return false;
  }

  /** A view asks for a grid. */
  ask(view: string, spec: SampleSpec, at: number): void {
    const known = this.#views.get(view);
    if (known) {
      known.spec = spec;
      known.waitsSince ??= at;
      known.askedAt = at;
    } else this.#views.set(view, { grid: null, seq: -1, spec, isAnswered: false, waitsSince: at, askedAt: at });
  }

  /** Forgets a view; the next one starts with what this one showed. */
  close(view: string): void {
    const closed = this.#views.get(view);
    if (closed?.isAnswered) this.#initial = { grid: closed.grid, seq: closed.seq };
    this.#views.delete(view);
  }

  apply(message: SamplesToPage, at: number): Applied {
    this.sentAt = message.now;
    switch (message.type) {
      case "snapshot":
        return this.#onSnapshot(message);
      case "metadata":
        this.metadata = message.metadata;
        this.health = message.health;
        return {};
      case "grid":
        return this.#onGrid(message, at);
      case "sample_text": {
        this.texts.set(message.id, message);
        const oldest = this.texts.keys().next();
        if (this.texts.size > MOST_TEXTS && !oldest.done) this.texts.delete(oldest.value);
        return {};
      }
      case "heartbeat":
        return { lost: [...this.#views].filter(([name, { seq }]) => (message.seqs[name] ?? seq) !== seq).map(([name]) => name) };
    }
  }

  #shown(view: string): Shown {
    const own = this.#views.get(view);
    return own?.isAnswered ? own : this.#initial;
  }

  #onSnapshot({ title, line, metadata, health, grid, seq }: SamplesSnapshot): Applied {
    Object.assign(this, { title, line, metadata, health });
    this.#initial = { grid: grid && whole(grid, null), seq };
    return { whole: [ALL_VIEWS] };
  }

  #onGrid({ stream, seq, base, grid }: GridUpdate, at: number): Applied {
    const own = this.#views.get(stream);
    if (!own && stream !== ALL_VIEWS) return {};
    const before = own ?? this.#initial;
    if (base >= 0 && base !== before.seq) return { lost: [stream] };
    const now = { grid: grid && whole(grid, base < 0 ? null : before.grid), seq };
    if (!own) {
      this.#initial = now;
      return { whole: [stream] };
    }
    Object.assign(own, now, { isAnswered: true, waitsSince: null, askedAt: at });
    return { whole: [stream] };
  }
}

/** A grid with the texts of all its cells: new ones, and those that were shown before. */
function whole(grid: SampleGridData, before: Grid | null): Grid {
  const fresh = new Map(grid.cells.map((cell) => [cell.id, cell]));
  const byId = new Map<number, SampleCell>();
  for (const id of grid.rows.flatMap((row) => row.cells)) {
    const cell = id === null ? undefined : (fresh.get(id) ?? before?.byId.get(id));
    if (cell) byId.set(cell.id, cell);
  }
  return { ...grid, byId };
}
