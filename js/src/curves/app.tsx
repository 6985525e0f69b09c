import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import { everySecond } from "../clock";
import { Chart } from "./chart";
import { Controls } from "./controls";
import { Numbers } from "./numbers";
import { Params } from "./params";
import type { Session, Standing } from "./session";
import { firstLook, type Settings } from "./settings";
import { Twin } from "./twin";

/** Keys of a keyboard come faster than pictures. */
const ASK_AFTER = 60;
const QUEUED_AFTER = 1000;

const SAID: Record<Standing, string> = {
  live: "Live",
  failing: "Not up to date",
  over: "Over",
  gone: "No kernel: as it was",
  silent: "No word from the kernel",
  saved: "A saved copy",
};

function nothingOf(missing: string[]): string {
  return `Nothing was recorded yet${missing.length ? ` of ${missing.join(", ")}` : ""}.`;
}

export function App({ session, view }: { session: Session; view: string }) {
  const [, redraw] = useState(0);
  const [said, setSaid] = useState("");
  const [width, setWidth] = useState(0);
  const [pointed, setPointed] = useState<string | null>(null);
  const place = useRef<HTMLElement>(null);
  const [settings, set] = useState<Settings>(() => {
    if (session.kept) return { ...session.kept, cursor: null };
    const look = firstLook(session.first, 600);
    return { look, isLog: false, isCut: false, direction: null, hidden: new Set(), cursor: null };
  });
  const change = (more: Partial<Settings>) => set((before) => ({ ...before, ...more }));

  // Who comes back to this panel, as by the tabs of a run's, finds it as it was left.
  useLayoutEffect(() => session.keep(settings), [settings]);
  useEffect(() => session.subscribe(() => redraw((n) => n + 1)), [session]);
  useEffect(() => everySecond((now) => session.second(now)), [session]);
  useLayoutEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new ResizeObserver(([entry]) => {
      // Later: what is drawn anew at once would be seen to change again in the same breath.
      clearTimeout(timer);
      timer = setTimeout(() => setWidth(Math.round(entry?.contentRect.width ?? 0)));
    });
    observer.observe(element);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, []);

  // What is seen changes at once on the page; the kernel is asked for it a moment later.
  const look = settings.look;
  const columns = width ? Math.max(50, width - 70) : 600;
  const asked = useMemo(() => ({ ...look, columns }), [look, columns]);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!width) return undefined;
    const timer = setTimeout(() => session.look(view, asked), isFirst.current ? 0 : ASK_AFTER);
    isFirst.current = false;
    return () => clearTimeout(timer);
  }, [asked, width > 0]);

  const { head } = session;
  const picture = session.picture(view);
  const drawn = picture?.look ?? look;
  const standing = session.standing();
  const waits = session.waiting(view);
  const runs = head.runs;
  const lines = useMemo(
    () => (picture?.lines ?? []).filter((line) => runs[line.run] && !settings.hidden.has(runs[line.run]?.id ?? "")),
    [picture, runs, settings.hidden],
  );
  const take = async (text: string, what: string) => {
    setSaid((await copy(text)) ? `Copied ${what}: ${text}` : `This page may not write to the clipboard. Copy by hand: ${text}`);
  };
  const toggle = (id: string) => {
    const hidden = new Set(settings.hidden);
    if (!hidden.delete(id)) hidden.add(id);
    change({ hidden });
  };
  const others = head.more_runs + head.newer_runs;
  const shown = `${runs.length.toLocaleString("en-GB")} ${head.newer_runs || head.is_named ? "" : "newest "}of ${(runs.length + others).toLocaleString("en-GB")}`;
  // The panel around this one says how it stands, for both.
  const isInside = !session.line;
  const isTold = standing === "failing" || !isInside;
  const isQueued = waits > QUEUED_AFTER && standing === "live";

  return (
    <section class="panel" ref={place} data-standing={standing} data-seen={drawn.key}>
      <header>
        <h3>{session.title}</h3>
        {isTold && (
          <span class={`standing soft ${standing === "live" ? "" : standing === "over" ? "over" : "bad"}`}>
            <span class="dot" />
            {SAID[standing]}
          </span>
        )}
        {isQueued && <span class="soft">Queued: the kernel is busy</span>}
      </header>
      {standing !== "live" && isTold && (
        <p class="banner" data-health={standing}>
          {session.reason ||
            (standing === "over" ? "The panel was closed." : "What you see may be old. Run the cell again for a live panel:")}{" "}
          {standing !== "failing" && session.line && <code>{session.line}</code>}
        </p>
      )}
      {runs.length > 0 && head.waiting && <p class="soft">{head.waiting}</p>}
      <p class="soft newer" role="status">
        {head.newer_runs > 0 && (
          <>
            {head.newer_runs === 1 ? "1 newer experiment: " : `${head.newer_runs.toLocaleString("en-GB")} newer experiments: `}
            <button type="button" data-control="newer" onClick={() => session.showNewer(view)}>
              Show the newest
            </button>
          </>
        )}
      </p>
      {head.keys.length > 0 && (
        <Controls
          head={head}
          found={session.found(view)}
          find={(text) => session.find(view, text)}
          drawn={drawn}
          settings={settings}
          change={change}
          unknown={picture?.unknown ?? 0}
        />
      )}
      {others > 0 && (
        <p class="soft" data-more={others}>
          {`${shown} experiments shown. ${head.is_named ? "None is called the best where not all that are named are drawn." : "To see others, name them: "}`}
          {!head.is_named && <code>%loops curves "name"</code>}
        </p>
      )}
      {picture && width > 0 ? (
        // Where nothing lies on this axis there is no axis.
        picture.first !== null && (
          <Chart
            head={head}
            picture={picture}
            lines={lines}
            settings={settings}
            change={change}
            width={width}
            pointed={pointed}
            take={take}
          />
        )
      ) : standing === "failing" && !runs.length ? null : (
        <p class="empty" data-empty="nothing">
          {runs.length ? `No numbers of ${drawn.key || "these runs"} yet.` : head.waiting || nothingOf(head.missing)} Numbers appear here as
          they are recorded: <code>training_client = loops_nb.track(training_client)</code>
        </p>
      )}
      <p class="said soft" role="status">
        {said}
      </p>
      {picture && <Numbers head={head} picture={picture} settings={settings} onToggle={toggle} onPoint={setPointed} change={change} />}
      {head.more_marks > 0 && <p class="soft">{`${head.more_marks} older marks are not drawn.`}</p>}
      {runs.length > 1 && <Params head={head} />}
      {picture && <Twin head={head} picture={picture} lines={lines} settings={settings} />}
    </section>
  );
}
