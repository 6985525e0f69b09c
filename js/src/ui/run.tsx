import { useState } from "preact/hooks";
import type { Half, RunHead } from "../contract";
import { isReachable, type Standing } from "../status";
import { choicesFor } from "./choices";
import { Ending } from "./ending";
import { Facts } from "./facts";
import { usePanel } from "./panel";
import { Ago, CopyButton, IconButton, State } from "./small";
import { Timeline } from "./timeline";

export const HALVES: Record<Half["what"], string> = { run: "Run", deployment: "Trainer", sampler: "Sampler" };

export function RunView({ run, standing }: { run: RunHead; standing: Standing }) {
  const panel = usePanel();
  const [isEnding, setEnding] = useState(false);
  const { id } = run;
  const name = `run ${id}`;
  const end = run.finished || !isReachable(standing) ? null : () => setEnding(true);
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
              panel.menu(
                button,
                name,
                choicesFor(panel, "runs", (column) => (column === "id" ? id : null), end),
              )
            }
          />
        </span>
        <span class="soft">{run.base_model}</span>
      </div>
      {isEnding && <Ending table="runs" target={id} name={name} onClose={() => setEnding(false)} />}
      <dl class="facts">
        {run.halves.map(({ what, status, since, gpus }) => (
          <div key={what} data-half={what}>
            <dt class="soft">{HALVES[what]}</dt>
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
function isExact({ timeline }: RunHead, what: Half["what"]): boolean {
  return timeline.some((span) => span.what === what && span.until === null && span.exact);
}
