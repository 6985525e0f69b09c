import { useState } from "preact/hooks";
import type { Cell, RunPart, RunSummary } from "../contract";
import { Ago, CopyButton, IconButton, State } from "./elements";
import { Facts } from "./facts";
import { usePanel } from "./panel-context";
import { type Action, RowAction } from "./row-action";
import { rowMenu } from "./row-menu";
import { Timeline } from "./timeline";

export const PART_NAMES: Record<RunPart["what"], string> = { run: "Run", deployment: "Trainer", sampler: "Sampler" };

export function RunSummaryView({ run }: { run: RunSummary }) {
  const panel = usePanel();
  const [action, setAction] = useState<Action | null>(null);
  const { id } = run;
  const name = `run ${id}`;
  const cells: Record<string, Cell> = { id, finished: run.finished, status: run.parts.find(({ what }) => what === "run")?.status ?? null };
  const about = run.name ? `It is called ${run.name}. ` : "";
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
                rowMenu(
                  panel,
                  "runs",
                  (column) => cells[column] ?? null,
                  (chosen) => setAction({ action: chosen, table: "runs", target: id, name, about }),
                ),
              )
            }
          />
        </span>
        <span class="soft">{run.base_model}</span>
      </div>
      {action && <RowAction key={action.action} {...action} onClose={() => setAction(null)} />}
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
