import type { Host } from "@anywidget/types";
import type { ComponentType } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import type { TableName } from "../contract";
import { count } from "../format";
import type { PanelSession } from "../panel-session";
import { columnIndex, searchWords } from "../sorting";
import type { Status } from "../status";
import { type State, tablesOf } from "../store";
import { CopyByHand } from "./copy-by-hand";
import { Facts } from "./facts";
import { HealthBanner } from "./health-banner";
import { Icon } from "./icons";
import { Menu, useMenu } from "./menu";
import { Notices } from "./notices";
import { type Panel, PanelContext } from "./panel-context";
import { PanelHeader } from "./panel-header";
import { Plots } from "./plots";
import { RunSummaryView } from "./run-summary";
import { TableView } from "./table";
import type { Ranks } from "./use-columns";
import { useAnnouncement, useSession } from "./use-session";

export interface ContentProps {
  state: State;
  status: Status;
  filter: Filter;
}

interface Props {
  session: PanelSession;
  view: string;
  host: Host | undefined;
  /** What is below the summary; by default one table after the other. */
  Content?: ComponentType<ContentProps>;
}

export function App({ session, view, host, Content = Tables }: Props) {
  const status = useSession(session);
  const { state } = session;
  const filter = useFilter(state);
  const menu = useMenu();
  const [announced, announce] = useAnnouncement();
  const [copyByHand, setCopyByHand] = useState("");
  const panel = useMemo<Panel>(
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
    <PanelContext.Provider value={panel}>
      <section class="panel" aria-label={state?.title ?? "Loops"} data-view={state?.view} data-status={status}>
        <PanelHeader state={state} status={status} />
        <Notices notices={state?.notices ?? []} notify={state?.notify ?? false} />
        {state && <HealthBanner state={state} status={status} />}
        {copyByHand && <CopyByHand text={copyByHand} onClose={() => setCopyByHand("")} />}
        {state?.run && <RunSummaryView run={state.run} />}
        {state && <Facts facts={state.facts} />}
        {filter.total > 0 && <FilterTools filter={filter} />}
        {state && <Content state={state} status={status} filter={filter} />}
        {menu.current && <Menu {...menu.current} onClose={menu.close} />}
        <div class="unseen" role="status">
          {announced}
        </div>
      </section>
    </PanelContext.Provider>
  );
}

function Tables(props: ContentProps) {
  return (
    <>
      {tablesOf(props.state).map((name, i) => (
        <FilteredTable key={name} {...props} name={name} isMain={i === 0} />
      ))}
    </>
  );
}

/** A table with the filter of the panel; that of checkpoints with the tabs of its plots. */
export function FilteredTable({ filter, isMain, ...props }: ContentProps & { name: TableName; isMain: boolean; ranks?: Ranks }) {
  const { name, state, status } = props;
  const table = (
    <TableView {...props} words={filter.words} hidesFinished={filter.hidesFinished} isMain={isMain} onClearFilter={filter.clear} />
  );
  return name === "checkpoints" ? (
    <Plots status={status} version={state.tables[name]?.version ?? 0}>
      {table}
    </Plots>
  ) : (
    table
  );
}

export interface Filter {
  readonly text: string;
  readonly setText: (text: string) => void;
  readonly words: readonly string[];
  readonly hidesFinished: boolean;
  readonly setHidesFinished: (hides: boolean) => void;
  readonly clear: () => void;
  /** Rows of all tables, and how many of them have finished. */
  readonly total: number;
  readonly finished: number;
}

function useFilter(state: State | null): Filter {
  const [text, setText] = useState("");
  const [hides, setHidesFinished] = useState<boolean | null>(null);
  const words = useMemo(() => searchWords(text), [text]);
  const { total, finished } = useMemo(() => countRows(state), [state?.tables]);
  // Decided when the first rows arrive, so that the end of the last run does not replace the table.
  const initial = useRef<boolean | null>(null);
  if (initial.current === null && state?.ready && total > 0) initial.current = finished < total;
  const clear = () => {
    setText("");
    setHidesFinished(false);
  };
  return {
    text,
    setText,
    words,
    hidesFinished: finished > 0 && (hides ?? initial.current ?? false),
    setHidesFinished,
    clear,
    total,
    finished,
  };
}

function FilterTools({ filter }: { filter: Filter }) {
  return (
    <div class="facts tools">
      <label class="filter">
        <Icon name="search" />
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter the rows; every word must occur"
          value={filter.text}
          onInput={(event) => filter.setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") filter.setText("");
          }}
        />
      </label>
      {filter.finished > 0 && (
        <label>
          <input
            type="checkbox"
            data-control="hide"
            checked={filter.hidesFinished}
            onChange={(event) => filter.setHidesFinished(event.currentTarget.checked)}
          />
          Hide finished ({count(filter.finished)})
        </label>
      )}
    </div>
  );
}

function countRows(state: State | null): { total: number; finished: number } {
  let total = 0;
  let finished = 0;
  for (const name of state ? tablesOf(state) : []) {
    const flag = columnIndex(name, "finished");
    for (const row of state?.tables[name]?.byId.values() ?? []) {
      total++;
      if (row.cells[flag]) finished++;
    }
  }
  return { total, finished };
}
