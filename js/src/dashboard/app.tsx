import type { Host } from "@anywidget/types";
import type { ComponentChildren } from "preact";
import { useErrorBoundary, useMemo, useState } from "preact/hooks";
import type { PlotStatus } from "../contract";
import { many, stateWord } from "../format";
import type { PanelSession } from "../panel-session";
import { isReachable, type Status } from "../status";
import type { State } from "../store";
import { type ContentProps, FilteredTable, App as PanelApp } from "../ui/app";
import { Banner, Button } from "../ui/elements";
import { Inside } from "../ui/inside";
import { PanelContext, usePanel } from "../ui/panel-context";
import { TabList } from "../ui/tab-list";
import { type SelectedRuns, useSelectedRuns } from "./selected-runs";

const TABS = ["overview", "runs", "curves", "checkpoints"] as const;
type Tab = (typeof TABS)[number];

/** Which run a checkpoint is of tells it from others, and is said above where it is one. */
const SEVERAL_RUNS = { run_id: 0 };
const ONE_RUN = { run_id: null };

/** The fleet, curves and checkpoints: all together, or one of them on the whole width. */
export function App(props: { session: PanelSession; view: string; host: Host | undefined }) {
  return <PanelApp {...props} Content={Dashboard} />;
}

function Dashboard(props: ContentProps) {
  const { state, status } = props;
  const panel = usePanel();
  const selected = useSelectedRuns(state, status);
  const withSelection = useMemo(() => ({ ...panel, selection: selected.selection }), [panel, selected.selection]);
  const [tab, setTab] = useState<Tab>("overview");
  const isHidden = (of: Tab) => tab !== "overview" && tab !== of;
  return (
    <div class="dashboard" data-tab={tab}>
      <TabList label="Parts of the dashboard" tabs={TABS} selected={tab} onSelect={setTab} panelOf={() => "panel-parts"} />
      <SelectionLine state={state} status={status} selected={selected} />
      <div id="panel-parts" role="tabpanel" aria-labelledby={`tab-${tab}`} class="parts">
        <PartView name="runs" isHidden={isHidden("runs")}>
          <PanelContext.Provider value={withSelection}>
            <FilteredTable {...props} name="runs" isMain />
          </PanelContext.Provider>
        </PartView>
        <PartView name="curves" isHidden={isHidden("curves")}>
          {state.curves && <Curves curves={state.curves} />}
        </PartView>
        <PartView name="checkpoints" isHidden={isHidden("checkpoints")}>
          {state.tables.checkpoints && (
            <FilteredTable {...props} name="checkpoints" isMain ranks={selected.ids.size === 1 ? ONE_RUN : SEVERAL_RUNS} />
          )}
        </PartView>
        <PartView name="samplers and deployments without a run" isHidden={isHidden("runs")}>
          <FilteredTable {...props} name="samplers" isMain={false} />
          <FilteredTable {...props} name="deployments" isMain={false} />
        </PartView>
      </div>
    </div>
  );
}

interface PartProps {
  name: string;
  isHidden: boolean;
  children: ComponentChildren;
}

/** One part; it stays where it is hidden, and an error in it leaves the others as they are. */
function PartView({ name, isHidden, children }: PartProps) {
  const [error, reset] = useErrorBoundary();
  return (
    <section aria-label={stateWord(name)} data-part={name} hidden={isHidden}>
      {error ? (
        <Banner tone="bad" lead={`The ${name} cannot be drawn.`}>
          {String(error)} The other parts go on. <Button onClick={reset}>Draw again</Button>
        </Banner>
      ) : (
        children
      )}
    </section>
  );
}

/** The panel of curves, a widget of its own. */
function Curves({ curves }: { curves: PlotStatus }) {
  const { host } = usePanel();
  const [isForeign, setForeign] = useState(false);
  const { widget, text } = curves;
  return (
    <>
      {(isForeign || !widget) && <p class="soft">{text}</p>}
      {widget && <Inside host={host} widget={widget} onFail={() => setForeign(true)} />}
    </>
  );
}

/** Which runs curves and checkpoints are of, and the way back to all. */
function SelectionLine({ state, status, selected }: { state: State; status: Status; selected: SelectedRuns }) {
  const { ids, isQueued, select } = selected;
  const [first] = ids;
  const names = ids.size === 1 ? `run ${first}` : many(ids.size, "run");
  return (
    <p class="selected-runs soft">
      <span role="status">
        {ids.size ? `Curves and checkpoints of ${names}.` : "Curves and checkpoints of all runs."}
        {isQueued && " Queued: the kernel is busy."}
      </span>{" "}
      {ids.size > 0 && isReachable(status) && (
        <Button data-control="all-runs" onClick={() => select([])}>
          Show all runs
        </Button>
      )}
      {!ids.size && (state.tables.runs?.total ?? 0) > 1 && isReachable(status) && "Select a run to see only its own."}
    </p>
  );
}
