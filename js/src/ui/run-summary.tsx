import { useState } from "preact/hooks";
import type { RunPart, RunSummary } from "../contract";
import { isReachable, type Status } from "../status";
import { Deactivation } from "./deactivation";
import { Ago, CopyButton, IconButton, State } from "./elements";
import { Facts } from "./facts";
import { usePanel } from "./panel-context";
import { rowMenu } from "./row-menu";
import { Timeline } from "./timeline";

export const PART_NAMES: Record<RunPart["what"], string> = { run: "Run", deployment: "Trainer", sampler: "Sampler" };

export function RunSummaryView({ run, status }: { run: RunSummary; status: Status }) {
  const panel = usePanel();
  const [isDeactivating, setDeactivating] = useState(false);
  const { id } = run;
  const name = `run ${id}`;
  const end = run.finished || !isReachable(status) ? null : () => setDeactivating(true);
  return (
    <div data-run={id}>
      <div class="facts who">
        {run.name && <strong>{run.name}</strong>}
        <span>
          <span class="code">{id}</span>
          <CopyButton text={id} what={`the id of ${name}`} />
          <IconButton
            icon="more"
            label={`Menu of ${name}`}
            kind="menu"
            menu
            onPress={(button) =>
              panel.openMenu(
                button,
                name,
                rowMenu(panel, "runs", (column) => (column === "id" ? id : null), end),
              )
            }
          />
        </span>
        <span class="soft">{run.base_model}</span>
      </div>
      {isDeactivating && <Deactivation table="runs" target={id} name={name} onClose={() => setDeactivating(false)} />}
      <dl class="facts">
        {run.parts.map(({ what, status, since, gpus }) => (
          <div key={what} data-part={what}>
            <dt class="soft">{PART_NAMES[what]}</dt>
            <dd>
              <State state={status} />
              {since !== null && <Ago lasts at={since} before={isExact(run, what) ? "for " : "for more than "} />}
              {gpus && <span>· {gpus}</span>}
            </dd>
          </div>
        ))}
      </dl>
      <Facts facts={run.facts} />
      {run.timeline.length > 0 && <Timeline spans={run.timeline} />}
    </div>
  );
}

/** Whether it is known when the state began, or only that it was there at the first look. */
function isExact({ timeline }: RunSummary, what: RunPart["what"]): boolean {
  return timeline.some((span) => span.what === what && span.until === null && span.exact);
}
