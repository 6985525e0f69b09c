import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { PlotName } from "../contract";
import { everySecond } from "../every-second";
import { QUEUED_AFTER } from "../session";
import { isReachable, type Status } from "../status";
import { pictureOf } from "../svg";
import { Banner, Button } from "./elements";
import { Inside } from "./inside";
import { usePanel } from "./panel-context";
import { TabList } from "./tab-list";

type TabName = "table" | PlotName;
const TABS: readonly TabName[] = ["table", "curves", "samples", "system", "timeline", "sizes", "drift"];
/** They are drawn of the rows, and come unasked when those change. */
const OF_ROWS: readonly TabName[] = ["timeline", "sizes"];
/** What did not come by then may have been lost on its way; each time twice as long, for what waits in a busy kernel is not lost. */
const LOST_AFTER = 5000;

interface Props {
  status: Status;
  /** Another one when other rows are shown. */
  version: number;
  children: ComponentChildren;
}

/** The table of checkpoints, and pictures of them; in the panel of a run its curves, samples and system metrics, too. */
export function Plots({ status, version, children }: Props) {
  const { session } = usePanel();
  const [tab, setTab] = useState<TabName>("table");
  const tabs = session.state?.view === "run" ? TABS : [TABS[0] as TabName, ...TABS.slice(4)];
  const panelOf = (name: TabName) => ({ id: `panel-${name}`, role: "tabpanel" as const, "aria-labelledby": `tab-${name}` });
  return (
    <>
      <TabList label="Shown as" tabs={tabs} selected={tab} onSelect={setTab} panelOf={(name) => `panel-${name}`} />
      <div {...panelOf("table")} hidden={tab !== "table"}>
        {children}
      </div>
      {tab !== "table" && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a panel without a control in it is reached by the Tab key all the same
        <div key={tab} {...panelOf(tab)} tabIndex={0}>
          <Shown plot={tab} status={status} version={version} />
        </div>
      )}
    </>
  );
}

function Shown({ plot, status, version }: { plot: PlotName; status: Status; version: number }) {
  const { session, view, host } = usePanel();
  const picture = session.plot(plot);
  /** Since when something is awaited; null: nothing is. */
  const since = useRef<number | null>(null);
  const [, redraw] = useState(0);
  const ask = (measure = false) => {
    since.current = Date.now();
    session.send({ type: "select_plot", view, plot, measure });
    redraw(since.current);
  };
  const patience = useRef(LOST_AFTER);
  useEffect(() => {
    ask();
    const stop = everySecond((now) => {
      if (since.current === null) return;
      if (now - since.current > patience.current) {
        patience.current *= 2;
        ask();
      } else redraw(now);
    });
    return () => {
      stop();
      session.send({ type: "select_plot", view, plot: null, measure: false });
    };
  }, []);
  // Other rows make another picture, which comes unasked.
  const first = useRef(version);
  useEffect(() => {
    if (version !== first.current && OF_ROWS.includes(plot)) since.current = Date.now();
  }, [version]);
  const newest = useRef(picture);
  if (picture !== newest.current) {
    newest.current = picture;
    since.current = null;
    patience.current = LOST_AFTER;
  }

  const { state, svg, widget, text, can_measure: canMeasure } = picture ?? {};
  const [isForeign, setForeign] = useState(false);
  const waits = since.current !== null;
  const isLate = waits && Date.now() - (since.current ?? 0) > QUEUED_AFTER;
  return (
    <>
      {!isReachable(status) ? (
        // One that came stays; that it is old is said above.
        !svg && !(widget && !isForeign) && <p class="soft">A picture is drawn by the kernel, which is not there. Run the cell again.</p>
      ) : isLate ? (
        <p class="soft" role="status">
          Waiting for the kernel: it is busy.
        </p>
      ) : (
        !picture && <p class="soft">Drawing.</p>
      )}
      {state === "failed" ? (
        <Banner tone="bad" lead="Not drawn." data-picture={state}>
          {text}
        </Banner>
      ) : (
        <p class="soft" data-picture={state}>
          {state === "running" && "Measuring. "}
          {(!widget || isForeign) && text}
        </p>
      )}
      {canMeasure && isReachable(status) && (
        <Button disabled={waits} onClick={() => ask(true)}>
          {state === "unmeasured" ? "Measure drift" : "Measure again"}
        </Button>
      )}
      {svg && <Drawing svg={svg} />}
      {widget && <Inside host={host} widget={widget} onFail={() => setForeign(true)} />}
    </>
  );
}

function Drawing({ svg }: { svg: string }) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const made = pictureOf(svg);
    place.current?.replaceChildren(...(made ? [made] : []));
  }, [svg]);
  return <div ref={place} class="picture" />;
}
