import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy as toClipboard } from "../clipboard";
import { everySecond } from "../clock";
import type { TableName, ViewName } from "../contract";
import { isFinished, wordsOf } from "../order";
import type { Session } from "../session";
import type { Standing } from "../status";
import type { State } from "../store";
import { many } from "../words";
import { Facts } from "./facts";
import { Head } from "./head";
import { Health } from "./health";
import { Icon } from "./icons";
import { Menu, type OpenMenu } from "./menu";
import { Notices } from "./notices";
import { type Panel, PanelContext } from "./panel";
import { RunView } from "./run";
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

export function App({ session }: { session: Session }) {
  const { state, standing } = useSession(session);
  const [filter, setFilter] = useState("");
  const [hides, setHides] = useState<boolean | null>(null);
  const [menu, setMenu] = useState<OpenMenu | null>(null);
  const [toCopy, setToCopy] = useState<string | null>(null);
  const [said, say] = useSaid();
  const closedAt = useRef<[HTMLElement | null, number]>([null, 0]);

  const panel = useMemo<Panel>(
    () => ({
      session,
      say,
      copy: async (text) => {
        const done = await toClipboard(text);
        setToCopy(done ? null : text);
        if (done) say("Copied");
      },
      menu: (anchor, label, choices) => {
        // The press that closes a menu from its own button must not open it again.
        const [last, at] = closedAt.current;
        if (last === anchor && performance.now() - at < 250) return;
        setMenu({ anchor, label, choices });
      },
    }),
    [session, say],
  );
  const closeMenu = (refocus: boolean) => {
    if (menu) closedAt.current = [menu.anchor, performance.now()];
    if (refocus) menu?.anchor.focus();
    setMenu(null);
  };

  const words = useMemo(() => wordsOf(filter), [filter]);
  const finished = useMemo(() => countFinished(state), [state?.tables]);
  // Decided once there is something, so that the last run to end does not turn the table over.
  useEffect(() => {
    if (hides === null && state?.ready && finished.all > 0) setHides(HIDES.includes(state.view) && finished.ended < finished.all);
  }, [hides, state?.ready, finished, state?.view]);

  const view = state?.view;
  const names = state && view ? SHOWN[view].filter((name) => state.tables[name]) : [];
  const canHide = view !== undefined && HIDES.includes(view) && (finished.ended > 0 || hides === true);
  const anything = finished.all > 0;
  return (
    <PanelContext.Provider value={panel}>
      <section class="panel" aria-label={state?.title ?? "Loops"} data-view={view} data-standing={standing}>
        <Head state={state} standing={standing} />
        <Notices notices={state?.notices ?? []} notify={state?.notify ?? false} />
        <Health state={state} standing={standing} />
        {toCopy !== null && <ByHand text={toCopy} onClose={() => setToCopy(null)} />}
        {state?.run && <RunView run={state.run} />}
        {state && state.facts.length > 0 && <Facts facts={state.facts} />}
        {anything && (
          <div class="tools" role="search">
            <label class="filter">
              <Icon name="search" />
              <input
                type="search"
                placeholder="Filter"
                aria-label="Filter the rows: every word must occur"
                value={filter}
                onInput={(event) => setFilter(event.currentTarget.value)}
                onKeyDown={(event) => {
                  if (event.key === "Escape" && filter) setFilter("");
                }}
              />
            </label>
            {canHide && (
              <label class="hide">
                <input type="checkbox" checked={hides ?? false} onChange={(event) => setHides(event.currentTarget.checked)} />
                Hide finished <span class="number">({finished.ended})</span>
              </label>
            )}
          </div>
        )}
        {state &&
          names.map((name, i) => (
            <TableView
              key={name}
              name={name}
              state={state}
              standing={standing}
              words={words}
              hides={hides ?? false}
              isMain={i === 0}
              isAlone={names.length === 1}
              onClear={() => {
                setFilter("");
                setHides(false);
              }}
            />
          ))}
        {menu && <Menu {...menu} onClose={closeMenu} />}
        <div class="unseen" role="status" data-said>
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

function countFinished(state: State | null): { all: number; ended: number } {
  let all = 0;
  let ended = 0;
  for (const name of state ? SHOWN[state.view] : []) {
    for (const row of state?.tables[name]?.byId.values() ?? []) {
      all++;
      if (isFinished(name, row)) ended++;
    }
  }
  return { all, ended };
}

function ByHand({ text, onClose }: { text: string; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), [text]);
  return (
    <div class="strip" data-by-hand>
      <span>The browser keeps pages out of the clipboard. Press Ctrl+C or ⌘C to copy:</span>
      <input
        ref={field}
        readOnly
        value={text}
        aria-label={`Text to copy, ${many(text.length, "character")}`}
        onFocus={(event) => event.currentTarget.select()}
      />
      <button type="button" onClick={onClose}>
        Close
      </button>
    </div>
  );
}
