/** The session of a panel of curves: asks for the charts of its views. */

import type { Link } from "../link";
import { Session } from "../session";
import type { ChartSpec, CurvesFromPage, CurvesToPage } from "./contract";
import type { Settings } from "./settings";
import { CurvesStore } from "./store";

/** An answer that takes longer may have been lost. */
const LOST_AFTER = 6000;

export class CurvesSession extends Session<CurvesToPage, CurvesFromPage, CurvesStore> {
  /** The newest settings of any view: a view that is opened again starts with them. */
  settings: Settings | null = null;

  constructor(link: Link<CurvesToPage, CurvesFromPage>) {
    super(link, new CurvesStore());
  }

  /** How many milliseconds a view has been waiting for a chart; 0 when it is not. */
  waiting(view: string, at = Date.now()): number {
    const since = [...this.store.charts.values()].flatMap((state) => (state.view === view && state.waitsSince ? state.waitsSince : []));
    return since.length ? at - Math.min(...since) : 0;
  }

  /** Asks for a chart of a view; `charts` is how many share what may be sent to the view. */
  setChart(view: string, spec: ChartSpec, stream = view, charts = 1): void {
    this.store.ask(view, stream, spec, charts, Date.now());
    this.send({ type: "set_chart", view, spec, stream, charts });
    this.changed();
  }

  /** Nothing more of these charts is wanted; what is there of them stays until the view is closed. */
  dropCharts(view: string, streams: string[]): void {
    if (!streams.length) return;
    for (const stream of streams) this.store.drop(stream);
    this.send({ type: "drop_charts", view, streams });
  }

  searchKeys(view: string, text: string): void {
    this.send({ type: "search_keys", view, text });
  }

  showNewest(): void {
    this.send({ type: "show_newest" });
  }

  override closeView(view: string): void {
    this.store.close(view);
    super.closeView(view);
  }

  override onSecond(at: number): void {
    super.onSecond(at);
    for (const [stream, chart] of this.store.charts) {
      const { waitsSince, isAnswered, askedAt, view, spec, charts } = chart;
      if (waitsSince !== null && isAnswered && at - askedAt > LOST_AFTER) this.setChart(view, spec, stream, charts);
    }
    this.changed();
  }
}
