import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import { everySecond } from "../every-second";
import { count, fullMoment, many } from "../format";
import { isReachable, type Status } from "../status";
import type { LogRow } from "./contract";
import type { LogSession } from "./session";
import { asText, type Filter, filtered, LEVELS } from "./store";

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
const LEVEL_TEXT = { DEBUG: "Debug and above", INFO: "Info and above", WARNING: "Warnings and errors", ERROR: "Errors" };
/** The list counts as scrolled to its end within so many pixels. */
const NEAR_END = 12;
const COPIED_FOR = 1500;

const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

export function App({ session }: { session: LogSession }) {
  const [, redraw] = useState(0);
  useEffect(() => session.subscribe(() => redraw((n) => n + 1)), [session]);
  useEffect(() => everySecond((now) => session.onSecond(now)), [session]);
  const [filter, setFilter] = useState<Filter>({ search: "", level: "", half: "" });
  const [wraps, setWraps] = useState(true);
  const { rows, both } = session.store;
  const shown = useMemo(() => filtered(rows, filter), [rows, filter]);
  const change = (more: Partial<Filter>) => setFilter({ ...filter, ...more });
  return (
    <section class="panel" data-status={session.status()}>
      <Header session={session} shown={shown} />
      <div class="tools">
        <input
          class="find"
          type="search"
          aria-label="Search in the lines"
          placeholder="Search"
          value={filter.search}
          onInput={(event) => change({ search: event.currentTarget.value })}
        />
        <select
          data-control="level"
          aria-label="Lowest level"
          value={filter.level}
          onChange={(event) => change({ level: event.currentTarget.value })}
        >
          <option value="">All levels</option>
          {LEVELS.map((level) => (
            <option key={level} value={level}>
              {LEVEL_TEXT[level]}
            </option>
          ))}
        </select>
        {both && (
          <select
            data-control="half"
            aria-label="Half"
            value={filter.half}
            onChange={(event) => change({ half: event.currentTarget.value })}
          >
            <option value="">Trainer and sampler</option>
            <option value="trainer">Trainer</option>
            <option value="sampler">Sampler</option>
          </select>
        )}
        <label>
          <input type="checkbox" data-control="wrap" checked={wraps} onChange={(event) => setWraps(event.currentTarget.checked)} />
          Wrap lines
        </label>
        <span class="soft said">{summary(rows, shown)}</span>
      </div>
      <Lines session={session} shown={shown} search={filter.search} wraps={wraps} />
      <Spoken rows={rows} shown={shown} filter={filter} />
    </section>
  );
}

function summary(rows: readonly LogRow[], shown: readonly LogRow[]): string {
  const of = (level: string) => shown.filter((row) => row.level === level).length;
  const [errors, warnings] = [of("ERROR"), of("WARNING")];
  const lines = shown.length === rows.length ? many(rows.length, "line") : `${count(shown.length)} of ${many(rows.length, "line")}`;
  return [lines, errors && many(errors, "error"), warnings && many(warnings, "warning")].filter(Boolean).join(", ");
}

/** For screen readers: what a filter found, and that errors came; not every new line. */
function Spoken({ rows, shown, filter }: { rows: readonly LogRow[]; shown: readonly LogRow[]; filter: Filter }) {
  const [text, say] = useState("");
  const last = useRef(rows.at(-1)?.number ?? -1);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) say(`${many(shown.length, "line")} shown.`);
    isFirst.current = false;
  }, [filter]);
  useEffect(() => {
    const errors = rows.filter(({ number, level }) => number > last.current && level === "ERROR");
    last.current = rows.at(-1)?.number ?? -1;
    const newest = errors.at(-1);
    if (newest) say(`${many(errors.length, "new error")}: ${newest.message.slice(0, 200)}`);
  }, [rows]);
  return (
    <div class="unseen" role="status">
      {text}
    </div>
  );
}

/** Title, status and buttons. */
function Header({ session, shown }: { session: LogSession; shown: readonly LogRow[] }) {
  const { title, line, health } = session.store;
  const status = session.status();
  const isPaused = status === "paused";
  // What a press asks for is on its way until the kernel did it.
  const [isAsked, setAsked] = useState(false);
  useEffect(() => setAsked(false), [isPaused]);
  const tone = { live: "", over: "over", paused: "over" }[status as string] ?? "bad";
  const fallback = status === "over" ? "The panel was closed." : "The lines may be old. Run the cell again for a live panel:";
  return (
    <>
      <header>
        <h3>{title}</h3>
        <span class={`status soft ${tone}`}>
          <span class="dot" />
          {STATUS_TEXT[status]}
        </span>
        {isReachable(status) && (
          <button
            type="button"
            data-control={isPaused ? "resume" : "pause"}
            disabled={isAsked}
            onClick={() => setAsked(session.send({ type: "set_following", paused: !isPaused }))}
          >
            {isAsked ? "Asked the kernel" : isPaused ? "Resume" : "Pause"}
          </button>
        )}
        <CopyLines shown={shown} />
      </header>
      {status !== "live" && !isPaused && status !== "starting" && (
        <p class="banner" data-health={status}>
          {health?.reason || fallback} {status !== "failing" && line && <code>{line}</code>}
        </p>
      )}
    </>
  );
}

function CopyLines({ shown }: { shown: readonly LogRow[] }) {
  const [state, setState] = useState("");
  const [byHand, setByHand] = useState("");
  useEffect(() => {
    if (!state) return undefined;
    const timer = setTimeout(() => setState(""), COPIED_FOR);
    return () => clearTimeout(timer);
  }, [state]);
  const press = async () => {
    const text = shown.map(asText).join("\n");
    const done = await copy(text);
    setState(done ? "Copied" : "");
    setByHand(done ? "" : text);
  };
  return (
    <>
      <button type="button" data-control="copy" disabled={!shown.length} aria-label={`Copy ${many(shown.length, "line")}`} onClick={press}>
        {state || "Copy"}
      </button>
      {byHand && (
        <label>
          Press Ctrl+C to copy:
          <textarea readOnly data-control="by-hand" value={byHand} ref={(field) => field?.select()} onBlur={() => setByHand("")} />
        </label>
      )}
    </>
  );
}

interface LinesProps {
  session: LogSession;
  shown: readonly LogRow[];
  search: string;
  wraps: boolean;
}

/** The lines, the newest last; it stays at its end until it is scrolled up. */
function Lines({ session, shown, search, wraps }: LinesProps) {
  const list = useRef<HTMLDivElement>(null);
  const [isAtEnd, setAtEnd] = useState(true);
  const [isAsked, setAsked] = useState(false);
  const before = useRef({ first: -1, height: 0, top: 0 });
  const stays = useRef(true);
  stays.current = isAtEnd;
  const drawn = useMemo(() => new WeakMap<LogRow, VNode>(), [search, session.store.both]);
  const { rows, hasEarlier, both } = session.store;
  const first = shown[0]?.number ?? -1;
  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return;
    if (!isAtEnd && first < before.current.first) element.scrollTop += element.scrollHeight - before.current.height;
    before.current = { first, height: element.scrollHeight, top: element.scrollTop };
  }, [shown, wraps]);
  useEffect(() => {
    const element = list.current as HTMLDivElement;
    // Also of lines that come; a cell outside of the page has no height, and a line gets its own when it is drawn first.
    const observer = new ResizeObserver(() => {
      if (stays.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    observer.observe(element.firstElementChild as Element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => setAsked(false), [rows[0]?.number, hasEarlier]);
  const lines = useMemo(
    () =>
      shown.flatMap((row, place) => {
        // An unchanged line is the same element as before, which is not drawn again.
        const line = drawn.get(row) ?? <Line key={row.number} row={row} search={search} both={both} />;
        drawn.set(row, line);
        const [date, last] = [day.format(row.at), shown[place - 1]];
        if (last && day.format(last.at) === date) return line;
        return [
          <p key={`day ${row.number}`} class="day soft">
            {date}
          </p>,
          line,
        ];
      }),
    [shown, drawn],
  );
  const goToEnd = () => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  };
  return (
    <>
      {hasEarlier && isReachable(session.status()) && (
        <button
          type="button"
          data-control="earlier"
          disabled={isAsked}
          onClick={() => {
            setAtEnd(false);
            setAsked(session.send({ type: "read_earlier" }));
          }}
        >
          {isAsked ? "Reading earlier lines" : "Show earlier lines"}
        </button>
      )}
      <div
        class={`lines ${wraps ? "wraps" : ""}`}
        ref={list}
        role="log"
        aria-live="off"
        aria-label="Log lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
        tabIndex={0}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
          const isNear = scrollHeight - scrollTop - clientHeight < NEAR_END;
          // Lines that turn out taller move the end away; only the user moves up.
          if (isNear || scrollTop < before.current.top) setAtEnd(isNear);
          before.current.top = scrollTop;
        }}
      >
        <div>
          {lines}
          {!shown.length && (
            <p class="empty soft">{rows.length ? "No line matches." : "No log lines yet. They appear here as they come."}</p>
          )}
        </div>
      </div>
      {!isAtEnd && (
        <button type="button" data-control="end" onClick={goToEnd}>
          Go to the newest line
        </button>
      )}
    </>
  );
}

function Line({ row, search, both }: { row: LogRow; search: string; both: boolean }) {
  return (
    <div class={`line ${row.level}`} data-number={row.number} data-level={row.level}>
      <time class="soft" dateTime={new Date(row.at).toISOString()} title={fullMoment(row.at)}>
        {clock.format(row.at)}
      </time>{" "}
      <span class="level">{row.level || "–"}</span> {both && <span class="half soft">{row.half} </span>}
      <span class="message">{marked(row.message, search)}</span>
    </div>
  );
}

/** A text whose parts that are searched for are marked. */
function marked(text: string, search: string) {
  if (!search) return text;
  const [lower, wanted] = [text.toLowerCase(), search.toLowerCase()];
  // Of a few characters the lower case has another length.
  if (lower.length !== text.length) return text;
  const parts: (string | VNode)[] = [];
  let from = 0;
  for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, from)) {
    parts.push(text.slice(from, at), <mark key={at}>{text.slice(at, at + wanted.length)}</mark>);
    from = at + wanted.length;
  }
  return [...parts, text.slice(from)];
}
