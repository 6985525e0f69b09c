import { useState } from "preact/hooks";
import type { Half, RunHead } from "../contract";
import { LINES } from "../contract";
import { filled } from "../lines";
import { Ending } from "./ending";
import { Facts } from "./facts";
import { Icon } from "./icons";
import { usePanel } from "./panel";
import { Ago, CopyButton, State } from "./small";
import { Timeline } from "./timeline";

export const HALVES: Record<Half["what"], string> = { run: "Run", deployment: "Trainer", sampler: "Sampler" };

export function RunView({ run }: { run: RunHead }) {
  const { menu, copy, session } = usePanel();
  const [isEnding, setEnding] = useState(false);
  const standing = session.standing();
  const canEnd = !run.finished && !["gone", "saved", "over"].includes(standing);
  const open = (anchor: HTMLElement) => {
    const lines = LINES.runs.flatMap(([what, pattern]) => {
      const code = filled(pattern, (name) => (name === "id" ? run.id : null));
      return code === null || (!canEnd && code.includes(" deactivate ")) ? [] : [{ what, code }];
    });
    menu(anchor, `Run ${run.id}`, [
      { label: "Copy id", detail: run.id, run: () => copy(run.id) },
      ...lines.map(({ what, code }) => ({ label: `Copy line: ${what}`, detail: code, run: () => copy(code) })),
      ...(canEnd ? [{ label: "Deactivate…", danger: true, run: () => setEnding(true) }] : []),
    ]);
  };
  return (
    <div class="run" data-run={run.id}>
      <div class="who">
        <span class="name">{run.name ?? run.id}</span>
        <span class="code">{run.id}</span>
        <CopyButton text={run.id} what={`the id of run ${run.id}`} />
        {run.base_model && <span class="model">{run.base_model}</span>}
        <button
          type="button"
          class="quiet"
          data-control="menu"
          aria-haspopup="menu"
          aria-label={`Menu of run ${run.id}`}
          onClick={(event) => open(event.currentTarget)}
        >
          <Icon name="more" />
        </button>
      </div>
      {isEnding && <Ending table="runs" target={run.id} name={`run ${run.id}`} onClose={() => setEnding(false)} />}
      <ul class="halves">
        {run.halves.map((half) => (
          <li key={half.what} data-half={half.what}>
            <span class="what">{HALVES[half.what]}</span>
            <State state={half.status} />
            {half.since !== null && <Ago at={half.since} before="for " />}
            {half.gpus && <span>{half.gpus}</span>}
          </li>
        ))}
      </ul>
      {run.facts.length > 0 && <Facts facts={run.facts} />}
      {run.timeline.length > 0 && <Timeline spans={run.timeline} />}
    </div>
  );
}
