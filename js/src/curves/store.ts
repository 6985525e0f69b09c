/** State of a panel of curves: its metadata, and the charts of each view. */

import { ALL_VIEWS, type Health } from "../protocol";
import type { Applied, Store } from "../session";
import { appendPoints, type Chart, decodeChart, reindex } from "./chart-data";
import type {
  ChartAppend,
  ChartSpec,
  ChartUpdate,
  CurvesMetadata,
  CurvesSnapshot,
  CurvesToPage,
  FoundKeys,
  MetadataUpdate,
} from "./contract";

interface ChartState {
  view: string;
  spec: ChartSpec;
  /** How many charts share what may be sent to the view. */
  charts: number;
  chart: Chart | null;
  seq: number;
  /** Whether the kernel ever answered; until then the chart shows what is sent to all views. */
  isAnswered: boolean;
  /** Since when an answer is awaited; null: none is. */
  waitsSince: number | null;
  /** When it was asked for last. */
  askedAt: number;
  /** Whether nothing more is sent: it is out of sight. */
  isDropped: boolean;
}

const NO_METADATA: CurvesMetadata = {
  runs: [],
  keys: [],
  marks: [],
  params: [],
  same_params: 0,
  more_params: 0,
  more_runs: 0,
  more_marks: 0,
  more_keys: 0,
  newer_runs: 0,
  missing: [],
  waiting: "",
  how: "",
  is_named: false,
  color_by: "",
  colors: [],
};

export class CurvesStore implements Store<CurvesToPage> {
  metadata = NO_METADATA;
  title = "Curves";
  line = "";
  health: Health | null = null;
  sentAt: number | null = null;
  /** By the name of the stream. */
  readonly #charts = new Map<string, ChartState>();
  /** By key: what views that are closed showed last, for the next one until the kernel answers it. */
  readonly #former = new Map<string, Chart>();
  readonly #found = new Map<string, FoundKeys>();
  /** What a new view starts with. */
  #initial: { chart: Chart | null; seq: number } = { chart: null, seq: -1 };
  /** What a new view plots before there is a chart. */
  #spec: ChartSpec | null = null;
  /** The key of the one chart that a new view shows; empty for all metrics side by side. */
  enlarged = "";

  get charts(): ReadonlyMap<string, ChartState> {
    return this.#charts;
  }

  get initialSpec(): ChartSpec | null {
    return this.#initial.chart?.spec ?? this.#spec;
  }

  chart(stream: string): Chart | null {
    const known = this.#charts.get(stream);
    return known ? known.chart : this.#initial.chart;
  }

  /** The newest chart of a key in any stream of a view, in other views also of before, or what a new view starts with. */
  chartOf(view: string, key: string): Chart | null {
    const shown = [...this.#charts.values()].filter(({ chart }) => chart?.spec.key === key);
    const initial = this.#initial.chart;
    const found = shown.findLast((state) => state.view === view) ?? shown.at(-1);
    return found?.chart ?? this.#former.get(key) ?? (initial?.spec.key === key ? initial : null);
  }

  /** What the kernel found last for a view. */
  found(view: string): FoundKeys | null {
    return this.#found.get(view) ?? null;
  }

  seq(stream: string): number {
    return this.#charts.get(stream)?.seq ?? this.#initial.seq;
  }

  have(): number | null {
    return this.#initial.seq < 0 ? null : this.#initial.seq;
  }

  isPartial(): boolean {
    return false;
  }

  /** A view asks for a chart; until it comes there is the one of the same key, or of a view of one chart what it had. */
  ask(view: string, stream: string, spec: ChartSpec, charts: number, at: number): void {
    const known = this.#charts.get(stream);
    if (known) {
      Object.assign(known, { spec, charts, isDropped: false });
      known.waitsSince ??= at;
      known.askedAt = at;
      return;
    }
    const chart = this.chartOf(view, spec.key) ?? (stream === view ? this.#initial.chart : null);
    const seq = chart === this.#initial.chart ? this.#initial.seq : -1;
    this.#charts.set(stream, { view, spec, charts, chart, seq, isAnswered: false, waitsSince: at, askedAt: at, isDropped: false });
  }

  drop(stream: string): void {
    const known = this.#charts.get(stream);
    if (known) Object.assign(known, { isDropped: true, waitsSince: null });
  }

  /** Forgets a view; the next one starts with what this one showed. */
  close(view: string): void {
    for (const [stream, closed] of [...this.#charts]) {
      if (closed.view !== view) continue;
      this.#charts.delete(stream);
      if (!closed.isAnswered || !closed.chart) continue;
      this.#former.set(closed.chart.spec.key, closed.chart);
      if (stream === view) this.#initial = { chart: closed.chart, seq: closed.seq };
    }
    this.#found.delete(view);
  }

  apply(message: CurvesToPage, at: number): Applied {
    this.sentAt = message.now;
    switch (message.type) {
      case "snapshot":
        return this.#onSnapshot(message);
      case "metadata":
        return this.#onMetadata(message);
      case "chart":
        return this.#onChart(message);
      case "append":
        return this.#onAppend(message, at);
      case "found_keys":
        this.#found.set(message.view, message);
        return {};
      case "heartbeat":
        return { lost: this.#lost(([name, { seq }]) => (message.seqs[name] ?? seq) !== seq, at) };
    }
  }

  #onSnapshot({ title, line, metadata, health, chart, seq, spec, enlarged }: CurvesSnapshot): Applied {
    this.#spec = spec ?? null;
    Object.assign(this, { title, line, metadata, health, enlarged: enlarged ?? "" });
    this.#initial = { chart: chart && decodeChart(chart), seq };
    return { whole: [ALL_VIEWS] };
  }

  #onMetadata({ metadata, health }: MetadataUpdate): Applied {
    const { runs } = this.metadata;
    const moved = (chart: Chart | null) => chart && reindex(chart, runs, metadata.runs);
    for (const state of this.#charts.values()) state.chart = moved(state.chart);
    for (const [key, chart] of this.#former) this.#former.set(key, reindex(chart, runs, metadata.runs));
    this.#initial = { ...this.#initial, chart: moved(this.#initial.chart) };
    Object.assign(this, { metadata, health });
    return {};
  }

  #onChart({ stream, seq, chart: data }: ChartUpdate): Applied {
    const chart = data && decodeChart(data);
    for (const [, state] of this.#listeners(stream, chart)) {
      state.chart = chart;
      state.seq = seq;
      if (stream !== ALL_VIEWS) {
        state.isAnswered = true;
        state.waitsSince = null;
      }
    }
    if (stream === ALL_VIEWS) this.#initial = { chart, seq };
    return { whole: [stream] };
  }

  #onAppend({ stream, lines, base, seq, last = null, best = [] }: ChartAppend, at: number): Applied {
    const behind = new Set<string>();
    const { chart, seq: had } = this.#initial;
    for (const [name, state] of this.#listeners(stream, chart)) {
      if (state.seq === base && state.chart) {
        state.chart = appendPoints(state.chart, lines, last, best);
        state.seq = seq;
      } else behind.add(name);
    }
    if (stream === ALL_VIEWS && chart && had === base) this.#initial = { chart: appendPoints(chart, lines, last, best), seq };
    return { lost: stream === ALL_VIEWS ? [] : this.#lost(([name]) => behind.has(name), at) };
  }

  /** The charts that a stream is for: that which is sent to all views is for those of its key that had no answer. */
  #listeners(stream: string, chart: Chart | null): [string, ChartState][] {
    const isMeant = (name: string, { isAnswered, view, spec }: ChartState) =>
      stream === ALL_VIEWS ? !isAnswered && (name === view || spec.key === chart?.spec.key) : name === stream;
    return [...this.#charts].filter(([name, state]) => isMeant(name, state));
  }

  #lost(isLost: (entry: [string, ChartState]) => boolean, at: number): string[] {
    const lost = [...this.#charts].filter((entry) => !entry[1].isDropped && isLost(entry));
    for (const [, state] of lost) {
      state.waitsSince ??= at;
      state.askedAt = at;
    }
    return lost.map(([name]) => name);
  }
}
