import type { PromptOrder, SampleSpec, SamplesMetadata, StepMode } from "./contract";
import type { Settings } from "./session";
import type { Grid } from "./store";

const MODES: Record<StepMode, string> = { spread: "Spread over the training", newest: "Newest", chosen: "Chosen below" };
const ORDERS: Record<PromptOrder, string> = {
  recorded: "As recorded",
  lowest: "Lowest reward first",
  highest: "Highest reward first",
  change: "Largest change first",
};
const COLUMNS = [1, 2, 3, 4, 5, 6];
/** As many rows as the kernel sends at once. */
export const PAGE_ROWS = 20;

interface Props {
  metadata: SamplesMetadata;
  grid: Grid;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
}

export function Controls({ metadata, grid, settings, change }: Props) {
  const { spec } = settings;
  const set = (more: Partial<SampleSpec>) => change({ spec: { ...spec, experiment: grid.spec.experiment, first: 0, ...more } });
  return (
    <div class="tools">
      {metadata.runs.length > 1 && (
        <label>
          Experiment
          <select
            data-control="experiment"
            value={grid.spec.experiment}
            onChange={(event) =>
              set({ experiment: event.currentTarget.value, ...(spec.mode === "chosen" && { mode: "spread", steps: [] }) })
            }
          >
            {metadata.runs.map(({ id, name }) => (
              <option key={id} value={id}>
                {metadata.runs.some((other) => other.id !== id && other.name === name) ? `${name} [${id}]` : name}
              </option>
            ))}
          </select>
        </label>
      )}
      {metadata.more_runs > 0 && <span class="soft">{`and ${metadata.more_runs} older experiments: name them to see them`}</span>}
      <label>
        Steps
        <select
          data-control="mode"
          value={spec.mode}
          onChange={(event) => set({ mode: event.currentTarget.value as StepMode, steps: grid.steps.map(({ step }) => step) })}
        >
          {Object.entries(MODES).map(([mode, text]) => (
            <option key={mode} value={mode}>
              {text}
            </option>
          ))}
        </select>
      </label>
      {spec.mode !== "chosen" && (
        <label>
          Side by side
          <select data-control="columns" value={spec.columns} onChange={(event) => set({ columns: Number(event.currentTarget.value) })}>
            {COLUMNS.map((columns) => (
              <option key={columns} value={columns}>
                {columns}
              </option>
            ))}
          </select>
        </label>
      )}
      {grid.has_rewards && (
        <label>
          Order
          <select data-control="order" value={spec.order} onChange={(event) => set({ order: event.currentTarget.value as PromptOrder })}>
            {Object.entries(ORDERS).map(([order, text]) => (
              <option key={order} value={order}>
                {text}
              </option>
            ))}
          </select>
        </label>
      )}
      <input
        class="find"
        type="search"
        aria-label="Search in prompts and completions"
        placeholder="Search"
        value={spec.search}
        onInput={(event) => set({ search: event.currentTarget.value })}
      />
      <label>
        <input
          type="checkbox"
          data-control="removed"
          checked={settings.showsRemoved}
          onChange={(event) => change({ showsRemoved: event.currentTarget.checked })}
        />
        Removed words
      </label>
      <span class="soft legend">
        Against the step on the left: <ins>added</ins> {settings.showsRemoved && <del>removed</del>}
      </span>
    </div>
  );
}

export function Pager({ grid, change }: Pick<Props, "grid" | "change">) {
  const { spec, rows, total } = grid;
  if (total <= rows.length) return null;
  const turn = (by: number) => change({ spec: { ...spec, first: spec.first + by } });
  return (
    <div class="tools">
      <button type="button" data-control="previous" disabled={spec.first === 0} onClick={() => turn(-PAGE_ROWS)}>
        Previous rows
      </button>
      <button type="button" data-control="next" disabled={spec.first + rows.length >= total} onClick={() => turn(PAGE_ROWS)}>
        Next rows
      </button>
    </div>
  );
}
