import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import { everySecond } from "../every-second";
import { QUEUED_AFTER } from "../session";
import type { Status } from "../status";
import { ChartView } from "./chart";
import { type Chart, metadataOf } from "./chart-data";
import type { CurvesMetadata } from "./contract";
import { Controls, useMetrics } from "./controls";
import { Cursor } from "./cursor";
import { DataTable, LatestTable } from "./data-table";
import { Grid } from "./grid";
import { Legend, RunLegend } from "./legend";
import { keep, readKept } from "./metric-sections";
import { ParamTable } from "./param-table";
import { pictureOf, save } from "./png";
import type { CurvesSession } from "./session";
import { initialSpec, type Settings } from "./settings";

/** Keys of a keyboard arrive faster than charts. */
const ASK_AFTER = 60;
/** The axis labels beside the chart. */
const AXIS_WIDTH = 70;

const STATUS_TEXT: Record<Status, string> = {
  starting: "Starting",
  live: "Updates live",
  failing: "Not up to date",
  paused: "Paused",
  over: "Ended",
  gone: "No kernel",
  silent: "The kernel does not answer",
  waiting: "A saved copy; asking the kernel",
  saved: "A saved copy",
};

export function App({ session, view }: { session: CurvesSession; view: string }) {
  const element = useRef<HTMLElement>(null);
  const inner = useWidth(element);
  const [message, setMessage] = useState("");
  const [highlighted, setHighlighted] = useState<string | null>(null);
  const [settings, set] = useSettings(session);
  const cursor = useMemo(() => new Cursor(), []);
  useUpdates(session);

  const { store } = session;
  const { metadata } = store;
  const isEnlarged = settings.isEnlarged ?? isEnlargedAtFirst(session);
  // What is looked at stays, also when the first value of another metric comes.
  const change = (more: Partial<Settings>) => set({ isEnlarged, ...more });
  useEffect(() => cursor.subscribe(() => session.settings?.isEnlarged === null && change({})), [cursor, isEnlarged]);
  const metrics = useMetrics(settings, metadata, store.found(view), (text) => session.searchKeys(view, text));
  const chart = isEnlarged ? shownChart(session, view, settings) : null;
  const { hidden } = settings;
  const onCopy = async (text: string, what: string) => {
    setMessage((await copy(text)) ? `Copied ${what}: ${text}` : `This page may not write to the clipboard. Copy by hand: ${text}`);
  };
  const onToggle = (id: string) => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    change({ hidden: next });
  };
  const onSave = () => {
    if (!element.current?.querySelector(".plot canvas")) return;
    const known = chart ?? metrics.keys.map((key) => store.chartOf(view, key)).find((found) => found?.compared?.length) ?? null;
    const runs = metadataOf(known, metadata).runs.filter(({ id }) => !hidden.has(id));
    save(pictureOf(element.current, store.title, runs), chart?.spec.key ?? "curves");
  };
  // Neither is drawn again when the pointer goes from line to line.
  const controls = useMemo(
    () =>
      metadata.keys.length > 0 && (
        <Controls
          {...{ metadata, settings, change, metrics, onSave, isEnlarged }}
          drawn={chart?.spec ?? settings.spec}
          unknown={isEnlarged ? (chart?.unknown ?? 0) : 0}
        />
      ),
    [metadata, settings, metrics.keys, metrics.count, isEnlarged, chart],
  );
  const shared = {
    session,
    view,
    metadata,
    settings,
    change,
    cursor,
    width: inner,
    highlighted,
    onHighlight: setHighlighted,
    onCopy,
    onToggle,
  };
  return (
    <section class="panel" ref={element} data-status={session.status()} data-seen={chart?.spec.key ?? settings.spec.key}>
      <Header session={session} view={view} />
      <RunNotes metadata={metadata} failure={store.health?.reason ?? ""} onShowNewest={() => session.showNewest()} />
      {controls}
      <ShownCount metadata={metadata} />
      <ColorLegend metadata={metadata} />
      {isEnlarged ? (
        // Where all experiments were deleted, the chart of before would be axes without a line.
        <Enlarged {...shared} chart={metadata.runs.length ? chart : null} message={message} />
      ) : (
        <AllMetrics {...shared} keys={metrics.keys} message={message} />
      )}
    </section>
  );
}

/** Many metrics are shown side by side, unless one of them was asked for. */
function isEnlargedAtFirst({ store: { metadata, enlarged } }: CurvesSession): boolean {
  return enlarged !== "" || metadata.keys.length + metadata.more_keys <= 1;
}

/** The chart of the view; that of the chosen metric, small as it was, until the large one comes. */
function shownChart({ store }: CurvesSession, view: string, { spec }: Settings): Chart | null {
  const chart = store.chart(view);
  return (spec.key && chart?.spec.key !== spec.key ? store.chartOf(view, spec.key) : null) ?? chart;
}

interface ViewProps {
  session: CurvesSession;
  view: string;
  metadata: CurvesMetadata;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  cursor: Cursor;
  width: number;
  highlighted: string | null;
  onHighlight: (id: string | null) => void;
  onCopy: (text: string, what: string) => void;
  onToggle: (id: string) => void;
  /** What was just done, in words. */
  message: string;
}

/** One metric, as large as the panel is wide. */
function Enlarged({ chart, message, ...props }: ViewProps & { chart: Chart | null }) {
  const { session, view, metadata, settings, width } = props;
  useChartRequests(session, view, settings, width);
  const shown = useMemo(() => metadataOf(chart, metadata), [chart?.compared, metadata]);
  const { runs } = shown;
  const lines = useMemo(
    () => (chart?.lines ?? []).filter(({ run }) => runs[run] && !settings.hidden.has(runs[run]?.id ?? "")),
    [chart, runs, settings.hidden],
  );
  const legend = useMemo(() => chart && <Legend {...props} metadata={shown} chart={chart} />, [shown, chart, settings]);
  return (
    <>
      {chart && width > 0 ? (
        // Without a position on this axis there is no axis to draw.
        chart.first !== null && <ChartView {...props} metadata={shown} chart={chart} lines={lines} />
      ) : (
        <NoNumbers session={session} metricKey={chart?.spec.key ?? settings.spec.key} />
      )}
      <Message text={message} />
      {chart && <Notes chart={chart} />}
      {legend}
      <BelowCharts metadata={metadata} />
      {chart && <DataTable metadata={shown} chart={chart} lines={lines} settings={settings} />}
    </>
  );
}

/** All metrics at once, under one legend. */
function AllMetrics({ keys, message, ...props }: ViewProps & { keys: readonly string[] }) {
  const { session, view, metadata, settings, width } = props;
  if (!metadata.keys.length) return <NoNumbers session={session} metricKey="" />;
  const chartOf = (key: string) => session.store.chartOf(view, key);
  // Its lines have the same names in all charts.
  const isCompared = settings.spec.group_by !== "" || settings.spec.baseline !== "";
  const first = isCompared ? (keys.map(chartOf).find((chart) => chart?.compared?.length) ?? null) : null;
  return (
    <>
      {first && <Notes chart={first} />}
      <RunLegend {...props} metadata={metadataOf(first, metadata)} />
      {width > 0 && <Grid {...props} keys={keys} />}
      <Message text={message} />
      <BelowCharts metadata={metadata} />
      <LatestTable metadata={metadataOf(first, metadata)} keys={keys} settings={settings} chartOf={chartOf} />
    </>
  );
}

/** What is to be said of groups, or of a baseline. */
function Notes({ chart: { notes } }: { chart: Chart }) {
  return notes.length > 0 ? <p class="soft">{notes.join(" ")}</p> : null;
}

function Message({ text }: { text: string }) {
  return (
    <p class="said soft" role="status">
      {text}
    </p>
  );
}

function BelowCharts({ metadata }: { metadata: CurvesMetadata }) {
  return useMemo(() => <BelowChartsNow metadata={metadata} />, [metadata]);
}

function BelowChartsNow({ metadata }: { metadata: CurvesMetadata }) {
  return (
    <>
      {metadata.more_marks > 0 && <p class="soft">{`${metadata.more_marks} older marks are not drawn.`}</p>}
      {metadata.runs.length > 1 && <ParamTable metadata={metadata} />}
    </>
  );
}

/** Title and status; a panel that is embedded in another one leaves its status to that. */
function Header({ session, view }: { session: CurvesSession; view: string }) {
  const { title, line, health } = session.store;
  const status = session.status();
  const showsStatus = status === "failing" || line !== "";
  const isQueued = session.waiting(view) > QUEUED_AFTER && status === "live";
  const tone = { live: "", over: "over" }[status as string] ?? "bad";
  const fallback = status === "over" ? "The panel was closed." : "The data may be old. Run the cell again for a live panel:";
  return (
    <>
      <header>
        <h3>{title}</h3>
        {showsStatus && (
          <span class={`status soft ${tone}`}>
            <span class="dot" />
            {STATUS_TEXT[status]}
          </span>
        )}
        {isQueued && <span class="soft">Queued: the kernel is busy</span>}
      </header>
      {status !== "live" && showsStatus && (
        <p class="banner" data-health={status}>
          {health?.reason || fallback} {status !== "failing" && line && <code>{line}</code>}
        </p>
      )}
    </>
  );
}

/** What is missing, and experiments that are newer than the shown ones. */
function RunNotes({ metadata, failure, onShowNewest }: { metadata: CurvesMetadata; failure: string; onShowNewest: () => void }) {
  const { runs, waiting, newer_runs: newer } = metadata;
  return (
    <>
      {runs.length > 0 && waiting && waiting !== failure && <p class="soft">{waiting}</p>}
      <p class="soft newer" role="status">
        {newer > 0 && (
          <>
            {newer === 1 ? "1 newer experiment: " : `${newer.toLocaleString("en-GB")} newer experiments: `}
            <button type="button" data-control="newer" onClick={onShowNewest}>
              Show the newest
            </button>
          </>
        )}
      </p>
    </>
  );
}

function ShownCount({ metadata }: { metadata: CurvesMetadata }) {
  const { runs, more_runs: more, newer_runs: newer, is_named: isNamed } = metadata;
  const others = more + newer;
  if (others === 0) return null;
  const count = (n: number) => n.toLocaleString("en-GB");
  return (
    <p class="soft" data-more={others}>
      {`${count(runs.length)} ${newer || isNamed ? "" : "newest "}of ${count(runs.length + others)} experiments shown. `}
      {isNamed ? (
        "None is marked as the best where not all that are named are drawn."
      ) : (
        <>
          To see others, name them: <code>%loops curves "name"</code>
        </>
      )}
    </p>
  );
}

/** What the colours of the lines say, where a parameter gives them. */
function ColorLegend({ metadata: { color_by: name, colors = [] } }: { metadata: CurvesMetadata }) {
  if (!name) return null;
  return (
    <p class="soft colours" data-colours={name}>
      Color is {name}:
      {colors.map(([color, label]) => (
        <span key={label}>
          {" "}
          <i style={`background:${color}`} /> {label}
        </span>
      ))}
    </p>
  );
}

function NoNumbers({ session, metricKey }: { session: CurvesSession; metricKey: string }) {
  const { runs, waiting, missing, how } = session.store.metadata;
  if (session.status() === "failing" && !runs.length) return null;
  const nothing = waiting || `Nothing was recorded yet${missing.length ? ` of ${missing.join(", ")}` : ""}.`;
  if (how) return <p class="empty">{how}</p>;
  return (
    <p class="empty" data-empty="nothing">
      {runs.length ? `No values of ${metricKey || "these runs"} yet.` : nothing} Values appear here as they are recorded:{" "}
      <code>training_client = loops_nb.track(training_client)</code>
    </p>
  );
}

function useUpdates(session: CurvesSession): void {
  const [, redraw] = useState(0);
  useEffect(() => {
    // The charts of a view come one by one, and all of them are drawn in one frame.
    let frame = 0;
    const stop = session.subscribe(() => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        redraw((n) => n + 1);
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [session]);
  useEffect(() => everySecond((now) => session.onSecond(now)), [session]);
}

/** The settings of a view, and a function that changes some of them; a view that is opened again starts with the last ones. */
function useSettings(session: CurvesSession): [Settings, (more: Partial<Settings>) => void] {
  const [settings, set] = useState<Settings>(() => {
    if (session.settings) return session.settings;
    const spec = initialSpec(session.store.initialSpec, 600);
    return { spec, isLog: false, isCut: false, direction: null, hidden: new Set(), isEnlarged: null, search: "", ...readKept() };
  });
  useLayoutEffect(() => {
    session.settings = settings;
  }, [settings]);
  useEffect(() => keep(settings), [settings.pinned, settings.order]);
  return [settings, (more) => set((before) => ({ ...before, ...more }))];
}

/** The view itself zooms at once; the kernel is asked for the points a moment later. */
function useChartRequests(session: CurvesSession, view: string, { spec }: Settings, width: number): void {
  const columns = width ? Math.max(50, width - AXIS_WIDTH) : 600;
  const wanted = useMemo(() => ({ ...spec, columns }), [spec, columns]);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!width) return undefined;
    const timer = setTimeout(() => session.setChart(view, wanted), isFirst.current ? 0 : ASK_AFTER);
    isFirst.current = false;
    return () => clearTimeout(timer);
  }, [wanted, width > 0]);
  useEffect(() => () => session.dropCharts(view, [view]), []);
}

function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new ResizeObserver(([entry]) => {
      // Drawing at once would change the size again within the observer's callback.
      clearTimeout(timer);
      timer = setTimeout(() => setWidth(Math.round(entry?.contentRect.width ?? 0)));
    });
    observer.observe(element);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, []);
  return width;
}
