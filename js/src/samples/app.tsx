import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../every-second";
import { count, many } from "../format";
import { QUEUED_AFTER } from "../session";
import type { Status } from "../status";
import type { SampleSpec } from "./contract";
import { Controls, Pager } from "./controls";
import { SampleGrid } from "./grid";
import type { SamplesSession, Settings } from "./session";
import type { Grid } from "./store";

/** Keys of a keyboard arrive faster than answers. */
const ASK_AFTER = 80;
/** Width of one step's column, and of the prompt and the reward beside it. */
const COLUMN_WIDTH = 260;

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

const FIRST: SampleSpec = { experiment: "", mode: "spread", steps: [], columns: 3, order: "recorded", search: "", first: 0 };

export function App({ session, view }: { session: SamplesSession; view: string }) {
  const element = useRef<HTMLElement>(null);
  const [settings, change] = useSettings(session, element);
  useUpdates(session);
  useRequests(session, view, settings.spec);
  const { store } = session;
  const grid = store.grid(view);
  return (
    <section class="panel" ref={element} data-status={session.status()}>
      <Header session={session} view={view} />
      {store.metadata.runs.length > 0 && store.metadata.waiting && <p class="soft">{store.metadata.waiting}</p>}
      {grid && <Controls metadata={store.metadata} grid={grid} settings={settings} change={change} />}
      <p class="soft said" role="status">
        {grid && summary(grid)}
      </p>
      {grid?.rows.length ? (
        <SampleGrid session={session} view={view} grid={grid} settings={settings} change={change} />
      ) : (
        <Nothing session={session} grid={grid} />
      )}
      {grid && <Pager grid={grid} change={change} />}
      {grid && grid.dropped > 0 && (
        <p class="soft">{`${many(grid.dropped, "sample")} of steps between the others are not kept: an experiment keeps 5,000.`}</p>
      )}
    </section>
  );
}

function summary({ spec, rows, total, steps, step_count: all }: Grid): string {
  if (!rows.length) return "";
  const shown = `Rows ${count(spec.first + 1)} to ${count(spec.first + rows.length)} of ${count(total)}`;
  return `${shown}, ${steps.length === all ? many(all, "step") : `${count(steps.length)} of ${many(all, "step")}`}`;
}

/** Title and status. */
function Header({ session, view }: { session: SamplesSession; view: string }) {
  const { title, line, health } = session.store;
  const status = session.status();
  const isQueued = session.waiting(view) > QUEUED_AFTER && status === "live";
  const tone = { live: "", over: "over" }[status as string] ?? "bad";
  const fallback = status === "over" ? "The panel was closed." : "The data may be old. Run the cell again for a live panel:";
  return (
    <>
      <header>
        <h3>{title}</h3>
        <span class={`status soft ${tone}`}>
          <span class="dot" />
          {STATUS_TEXT[status]}
        </span>
        {isQueued && <span class="soft">Queued: the kernel is busy</span>}
      </header>
      {status !== "live" && (
        <p class="banner" data-health={status}>
          {health?.reason || fallback} {status !== "failing" && line && <code>{line}</code>}
        </p>
      )}
    </>
  );
}

function Nothing({ session, grid }: { session: SamplesSession; grid: Grid | null }) {
  const { metadata } = session.store;
  if (session.status() === "failing" && !grid) return null;
  if (grid?.spec.search) return <p class="empty">{`No prompt and no completion at these steps has “${grid.spec.search}”.`}</p>;
  return (
    <p class="empty" data-empty="nothing">
      {metadata.waiting || "No samples are recorded yet."} Samples appear here as they are recorded:{" "}
      <code>exp.sample(step=10, prompt="2 + 2 =", completion=" 4", reward=1.0)</code>
      <code>client = loops_nb.track(client, keep_samples=4)</code>
    </p>
  );
}

function useUpdates(session: SamplesSession): void {
  const [, redraw] = useState(0);
  useEffect(() => session.subscribe(() => redraw((n) => n + 1)), [session]);
  useEffect(() => everySecond((now) => session.onSecond(now)), [session]);
}

/** The settings of a view, and a function that changes some of them; as many steps as its width has room for. */
function useSettings(session: SamplesSession, element: { current: HTMLElement | null }): [Settings, (more: Partial<Settings>) => void] {
  const [settings, set] = useState<Settings>(() => session.settings ?? { spec: session.store.grid("")?.spec ?? FIRST, showsRemoved: true });
  useLayoutEffect(() => {
    const width = element.current?.clientWidth ?? 0;
    if (session.settings || !width || settings.spec.mode === "chosen") return;
    const columns = Math.max(1, Math.min(4, Math.floor(width / COLUMN_WIDTH) - 1));
    set((before) => ({ ...before, spec: { ...before.spec, columns } }));
  }, []);
  useLayoutEffect(() => {
    session.settings = settings;
  }, [settings]);
  return [settings, (more) => set((before) => ({ ...before, ...more }))];
}

function useRequests(session: SamplesSession, view: string, spec: SampleSpec): void {
  const isFirst = useRef(true);
  useEffect(() => {
    const timer = setTimeout(() => session.setSpec(view, spec), isFirst.current ? 0 : ASK_AFTER);
    isFirst.current = false;
    return () => clearTimeout(timer);
  }, [spec]);
}
