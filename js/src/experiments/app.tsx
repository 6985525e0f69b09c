import type { Host } from "@anywidget/types";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import type { Row } from "../rows";
import type { Sort } from "../sorting";
import type { Status } from "../status";
import { CopyByHand } from "../ui/copy-by-hand";
import { Button } from "../ui/elements";
import { HealthBanner } from "../ui/health-banner";
import { Menu, useMenu } from "../ui/menu";
import { type Choice, PanelContext, type PanelTools } from "../ui/panel-context";
import { useAnnouncement, useSession } from "../ui/use-session";
import { Header } from "./header";
import { Opened } from "./opened";
import type { RowActions } from "./row";
import type { ExperimentsSession } from "./session";
import type { State } from "./store";
import { cellOf, isShown, NEWEST_FIRST } from "./table-data";
import { Tools } from "./tools";
import { useFilter } from "./use-filter";
import { VIEWS, type ViewProps } from "./views";

/** What every part of the panel may use. */
export interface ExperimentTools extends PanelTools {
  readonly session: ExperimentsSession;
  readonly view: string;
  readonly host: Host | undefined;
}

/** What is shown below the table: the curves of one row, or of the ticked ones. */
type Open = { readonly id: string } | "ticked" | null;

const NONE: ReadonlySet<string> = new Set();

export function App({ session, view, host }: { session: ExperimentsSession; view: string; host: Host | undefined }) {
  const status = useSession(session);
  const { state } = session;
  const menu = useMenu();
  const [announced, announce] = useAnnouncement();
  const [copyByHand, setCopyByHand] = useState("");
  const tools = useMemo<ExperimentTools>(
    () => ({
      session,
      view,
      host,
      announce,
      copy: async (text) => {
        const done = await copy(text);
        setCopyByHand(done ? "" : text);
        if (done) announce("Copied");
        return done;
      },
      openMenu: menu.open,
    }),
    [session],
  );
  return (
    <PanelContext.Provider value={tools}>
      <section class="panel" aria-label={state?.title ?? "Experiments"} data-view="experiments" data-status={status}>
        <Header state={state} status={status} />
        {state && <HealthBanner state={state} status={status} />}
        {copyByHand && <CopyByHand text={copyByHand} onClose={() => setCopyByHand("")} />}
        {state &&
          (state.rows.total > 0 ? <Leaderboard tools={tools} state={state} status={status} /> : <Empty state={state} status={status} />)}
        {menu.current && <Menu {...menu.current} onClose={menu.close} />}
        <div class="unseen" role="status">
          {announced}
        </div>
      </section>
    </PanelContext.Provider>
  );
}

/** No experiments yet is something else than a file that cannot be read, which the banner says. */
function Empty({ state, status }: { state: State; status: Status }) {
  return status === "failing" ? (
    <p data-empty="unread">The experiments appear as soon as they can be read.</p>
  ) : (
    <p data-empty="nothing">
      {state.empty || "No experiments yet."} What is recorded appears here: <code>training_client = loops_nb.track(training_client)</code>
    </p>
  );
}

function Leaderboard({ tools, state, status }: { tools: ExperimentTools; state: State; status: Status }) {
  const { session, view } = tools;
  const { choices } = state;
  const sort: Sort = choices.sort ?? NEWEST_FIRST;
  const [rows, filter] = useFilter(session, view, state, sort);
  const columns = useMemo(() => state.columns.filter((column) => isShown(column, choices)), [state.columns, choices]);
  const [shownView, setShownView] = useState(VIEWS[0]);
  const { ticked, setTicked, open, setOpen, actions } = useRows(tools, state);
  const ids = useMemo(() => (open === "ticked" ? [...ticked] : open ? [open.id] : []), [open, ticked]);
  const openId = open !== null && open !== "ticked" ? open.id : null;
  const props: ViewProps = {
    session,
    view,
    state,
    rows,
    columns,
    sort,
    ticked,
    openId,
    actions,
    onSort: (by) => session.choose({ ...choices, sort: { ...by } }),
    onTickAll: (on) => setTicked(on ? new Set([...ticked, ...rows.map((row: Row) => row.id)]) : NONE),
  };
  return (
    <>
      <Tools
        filter={filter}
        status={status}
        columns={state.columns}
        choices={choices}
        onChoose={(chosen) => session.choose(chosen)}
        ticked={ticked.size}
        isComparing={open === "ticked"}
        onCompare={() => setOpen(open === "ticked" ? null : "ticked")}
        onUntick={() => {
          setTicked(NONE);
          if (open === "ticked") setOpen(null);
        }}
      />
      {VIEWS.length > 1 && <ViewSwitch shown={shownView.name} onShow={setShownView} />}
      {rows.length ? (
        <div id="shown-view" {...panelOf(shownView.name)}>
          <shownView.Shown {...props} />
        </div>
      ) : (
        <p data-empty="no-match">
          Nothing matches. <Button onClick={() => filter.setText("")}>Show all</Button>
        </p>
      )}
      <Notes state={state} />
      {ids.length > 0 && (
        <Opened
          ids={ids}
          status={status}
          onClose={() => {
            setOpen(null);
            tools.announce("Closed");
          }}
        />
      )}
    </>
  );
}

/** A panel of tabs, where there are tabs. */
function panelOf(name: string) {
  return VIEWS.length > 1 ? { role: "tabpanel" as const, "aria-labelledby": `tab-${name}` } : {};
}

function ViewSwitch({ shown, onShow }: { shown: string; onShow: (view: (typeof VIEWS)[0]) => void }) {
  return (
    <div role="tablist" aria-label="Shown as">
      {VIEWS.map((each) => (
        <Button
          key={each.name}
          id={`tab-${each.name}`}
          role="tab"
          aria-selected={each.name === shown}
          aria-controls={each.name === shown ? "shown-view" : undefined}
          tabIndex={each.name === shown ? 0 : -1}
          onClick={() => onShow(each)}
          onKeyDown={(event) => {
            const at = VIEWS.indexOf(each) + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0);
            const next = VIEWS.at(at % VIEWS.length);
            if (!next || next === each) return;
            onShow(next);
            (event.currentTarget.parentElement?.children[VIEWS.indexOf(next)] as HTMLElement | undefined)?.focus();
          }}
        >
          {each.title}
        </Button>
      ))}
    </div>
  );
}

function Notes({ state: { shared, notes } }: { state: State }) {
  return (
    <>
      {shared.length > 0 && (
        <p class="soft note" data-shared>
          The same in all:{" "}
          {shared.map(({ column, title, value }, i) => (
            <span key={column}>
              {i > 0 && " · "}
              {title} <b>{value}</b>
            </span>
          ))}
        </p>
      )}
      {notes.map((note) => (
        <p key={note} class="soft note">
          {note}
        </p>
      ))}
    </>
  );
}

/** Which rows are ticked, which is open, and what a row calls: the same functions in every drawing. */
function useRows(tools: ExperimentTools, state: State) {
  const [ticked, setTicked] = useState(NONE);
  const [open, setOpen] = useState<Open>(null);
  const newest = useRef({ state, open });
  newest.current = { state, open };
  // A row that is gone cannot be compared any more.
  const { byId, total } = state.rows;
  useEffect(() => {
    if (byId.size < total) return;
    if ([...ticked].some((id) => !byId.has(id))) setTicked(new Set([...ticked].filter((id) => byId.has(id))));
    if (open && open !== "ticked" && !byId.has(open.id)) setOpen(null);
  }, [byId]);
  useEffect(() => {
    if (open === "ticked" && !ticked.size) setOpen(null);
  }, [ticked]);
  const onTick = useCallback((id: string) => {
    setTicked((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  }, []);
  const actions = useMemo<RowActions>(
    () => ({
      onTick,
      onOpen: (id) => {
        const before = newest.current.open;
        const isOpen = before !== null && before !== "ticked" && before.id === id;
        setOpen(isOpen ? null : { id });
        tools.announce(isOpen ? "Closed" : "Opened below the table");
      },
      onMenu: (button, id) => tools.openMenu(button, rowName(newest.current.state, id), rowMenu(tools, newest.current.state, id)),
    }),
    [],
  );
  return { ticked, setTicked, open, setOpen, actions };
}

function rowName({ rows, places }: State, id: string): string {
  const row = rows.byId.get(id);
  return String((row && cellOf(row, places, "name")) ?? id);
}

function rowMenu({ copy: copyText }: ExperimentTools, state: State, id: string): Choice[] {
  const copies = (label: string, detail: string): Choice => ({ label, detail, run: () => copyText(detail) });
  const row = state.rows.byId.get(id);
  const run = row && cellOf(row, state.places, "run_id");
  return [
    copies("Copy id", id),
    copies("Copy line: Show its curves", `%loops curves ${id}`),
    copies("Copy line: List its parameters", `%loops params ${id}`),
    copies("Copy line: Rank its checkpoints", `%loops best ${state.metric || "loss"} ${id}`),
    copies("Copy line: Get its values", `df = %loops metrics ${id}`),
    ...(run ? [copies("Copy line: Watch its run", `%loops watch ${run}`)] : []),
  ];
}
