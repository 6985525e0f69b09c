import type { Host } from "@anywidget/types";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "../clipboard";
import { everySecond } from "../clock";
import type { TableName, ViewName } from "../contract";
import { columnIndex, wordsOf } from "../order";
import type { Session } from "../session";
import type { Standing } from "../status";
import type { State } from "../store";
import { count } from "../words";
import { Facts } from "./facts";
import { Head } from "./head";
import { Health } from "./health";
import { Icon } from "./icons";
import { Menu, type OpenMenu } from "./menu";
import { Notices } from "./notices";
import { type Panel, PanelContext } from "./panel";
import { Plots } from "./plots";
import { RunView } from "./run";
import { Button } from "./small";
import { TableView } from "./table";

/** In the order in which they stand; the first is what the panel is about. */
const SHOWN: Record<ViewName, readonly TableName[]> = {
  fleet: ["runs", "samplers"],
  run: ["checkpoints"],
  samplers: ["samplers"],
  deployments: ["deployments"],
  checkpoints: ["checkpoints"],
};
/** Views in which things end and then stand in the way. */
const HIDES: readonly ViewName[] = ["fleet", "samplers", "deployments"];

export function App({ session, view, host }: { session: Session; view: string; host: Host | undefined }) {
  const { state, standing } = useSession(session);
  const [filter, setFilter] = useState("");
  const [hides, setHides] = useState<boolean | null>(null);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const [byHand, setByHand] = useState("");
  const [said, say] = useSaid();
  const closed = useRef<{ anchor: HTMLElement; at: number } | null>(null);

  const panel = useMemo<Panel>(
    () => ({
      session,
      view,
      host,
      say,
      copy: async (text) => {
        const done = await copy(text);
        setByHand(done ? "" : text);
        if (done) say("Copied");
        return done;
      },
      menu: (anchor, label, choices) => {
        // The press that closes a menu from its own button must not open it again.
        if (closed.current?.anchor !== anchor || performance.now() - closed.current.at > 300) setMenu({ anchor, label, choices });
      },
    }),
    [session],
  );

  const words = useMemo(() => wordsOf(filter), [filter]);
  const { all, finished } = useMemo(() => counted(state), [state?.tables]);
  const canHide = state !== null && HIDES.includes(state.view);
  // Decided once there is something, so that the last run to end does not turn the table over.
  const decided = useRef<boolean | null>(null);
  if (decided.current === null && state?.ready && all > 0) decided.current = canHide && finished < all;
  const hidesNow = hides ?? decided.current ?? false;

  return (
    <PanelContext.Provider value={panel}>
      <section class="panel" aria-label={state?.title ?? "Loops"} data-view={state?.view} data-standing={standing}>
        <Head state={state} standing={standing} />
        <Notices notices={state?.notices ?? []} notify={state?.notify ?? false} />
        {state && <Health state={state} standing={standing} />}
        {byHand && <ByHand text={byHand} onClose={() => setByHand("")} />}
        {state?.run && <RunView run={state.run} standing={standing} />}
        {state && <Facts facts={state.facts} />}
        {all > 0 && (
          <div class="facts tools">
            <label class="filter">
              <Icon name="search" />
              <input
                type="search"
                placeholder="Filter"
                aria-label="Filter the rows; every word must occur"
                value={filter}
                onInput={(event) => setFilter(event.currentTarget.value)}
                onKeyDown={(event) => {
                  if (event.key === "Escape") setFilter("");
                }}
              />
            </label>
            {canHide && finished > 0 && (
              <label>
                <input type="checkbox" data-control="hide" checked={hidesNow} onChange={(event) => setHides(event.currentTarget.checked)} />
                Hide finished ({count(finished)})
              </label>
            )}
          </div>
        )}
        {state &&
          SHOWN[state.view].map((name, i) => {
            const table = (
              <TableView
                key={name}
                name={name}
                state={state}
                standing={standing}
                words={words}
                hides={hidesNow}
                isMain={i === 0}
                onClear={() => {
                  setFilter("");
                  setHides(false);
                }}
              />
            );
            const rows = state.tables[name];
            return name === "checkpoints" && rows ? (
              <Plots standing={standing} version={rows.version}>
                {table}
              </Plots>
            ) : (
              table
            );
          })}
        {menu && (
          <Menu
            {...menu}
            onClose={(byPress) => {
              closed.current = byPress ? { anchor: menu.anchor, at: performance.now() } : null;
              setMenu(null);
            }}
          />
        )}
        <div class="unseen" role="status">
          {said}
        </div>
      </section>
    </PanelContext.Provider>
  );
}

function useSession(session: Session): { state: State | null; standing: Standing } {
  const [, draw] = useState(0);
  const standing = session.standing();
  const last = useRef(standing);
  last.current = standing;
  useEffect(() => {
    const redraw = () => draw((n) => n + 1);
    const unsubscribe = session.subscribe(redraw);
    const stop = everySecond((now) => {
      session.second(now);
      if (session.standing(now) !== last.current) redraw();
    });
    redraw();
    return () => {
      unsubscribe();
      stop();
    };
  }, [session]);
  return { state: session.state, standing };
}

/** The same sentence twice in a row is said twice only when the place was empty in between. */
function useSaid(): [string, (text: string) => void] {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), 3000);
    return () => clearTimeout(timer);
  }, [said]);
  return [said, setSaid];
}

function counted(state: State | null): { all: number; finished: number } {
  let all = 0;
  let finished = 0;
  for (const name of state ? SHOWN[state.view] : []) {
    const flag = columnIndex(name, "finished");
    for (const row of state?.tables[name]?.byId.values() ?? []) {
      all++;
      if (row.cells[flag]) finished++;
    }
  }
  return { all, finished };
}

/** Where pages may not write into the clipboard, the person does. */
function ByHand({ text, onClose }: { text: string; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), [text]);
  return (
    <div class="banner busy">
      <p>Press Ctrl+C to copy:</p>
      <input ref={field} readOnly value={text} aria-label="To copy" data-control="by-hand" />
      <Button onClick={onClose}>Close</Button>
    </div>
  );
}
