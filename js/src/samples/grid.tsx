import { useMemo, useRef, useState } from "preact/hooks";
import { count, MISSING, many } from "../format";
import type { SampleCell, SamplePrompt } from "./contract";
import type { SamplesSession, Settings } from "./session";
import type { Grid } from "./store";
import { shortened, wordDiff } from "./word-diff";

interface Props {
  session: SamplesSession;
  view: string;
  grid: Grid;
  settings: Settings;
  change: (more: Partial<Settings>) => void;
}

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};
/** Longer completions are cut off in a cell that is not opened. */
const LONG = 420;
/** Characters of what did not change beside each change of a long completion. */
const CONTEXT = 48;

/** Prompts down, steps across. */
export function SampleGrid({ session, view, grid, settings, change }: Props) {
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState<readonly [number, number]>([0, 0]);
  const body = useRef<HTMLTableSectionElement>(null);
  const columns = grid.steps.length;

  const toggle = (row: SamplePrompt) => {
    const next = new Set(opened);
    const isOpening = !next.delete(row.key);
    if (isOpening) {
      next.add(row.key);
      // The prompt of the row and the neighbour that it is compared with are shown as a whole, too.
      for (const id of row.cells) {
        const one = id === null ? undefined : grid.byId.get(id);
        if (one && (one.more > 0 || row.more > 0) && !session.store.texts.has(one.id)) session.readSample(view, one.id);
      }
    }
    setOpened(next);
  };
  const onKey = (event: KeyboardEvent, row: SamplePrompt, place: readonly [number, number]) => {
    if (event.key === "Enter" && event.target === event.currentTarget) {
      event.preventDefault();
      toggle(row);
      return;
    }
    const way = ARROWS[event.key];
    if (!way) return;
    const [y, x] = [place[0] + way[0], place[1] + way[1]];
    const cell = body.current?.rows[y]?.querySelector<HTMLElement>(`[data-column="${x}"]`);
    if (!cell) return;
    event.preventDefault();
    setActive([y, x]);
    cell.focus();
  };
  const [activeRow, activeColumn] = [Math.min(active[0], grid.rows.length - 1), Math.min(active[1], columns - 1)];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
    <section class="rows" aria-label="Samples by prompt and step" tabIndex={0}>
      {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: its cells are reached by the arrow keys */}
      <table role="grid" aria-label="Samples" data-table="samples">
        <thead>
          <tr>
            <th scope="col">Prompt</th>
            {grid.has_rewards && (
              <th scope="col" class="number">
                Reward
              </th>
            )}
            {grid.steps.map(({ step, samples, reward }, place) => (
              <th key={place} scope="col">
                <StepSelect grid={grid} place={place} settings={settings} change={change} />
                <div class="soft">
                  {many(samples, "sample")}
                  {reward && `, mean reward ${reward}`}
                </div>
                <span class="unseen">{`Step ${step}`}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {grid.rows.map((row, y) => {
            const isOpen = opened.has(row.key);
            return (
              <tr key={row.key} data-row={row.key}>
                <PromptHead
                  row={row}
                  isOpen={isOpen}
                  whole={wholePrompt(session, row)}
                  onToggle={hasMore(grid, row) ? () => toggle(row) : null}
                />
                {grid.has_rewards && <Reward row={row} />}
                {row.cells.map((id, x) => (
                  <td
                    key={x}
                    data-column={x}
                    data-sample={id ?? ""}
                    tabIndex={y === activeRow && x === activeColumn ? 0 : -1}
                    onFocus={() => setActive([y, x])}
                    onKeyDown={(event) => onKey(event, row, [y, x])}
                  >
                    <Sample
                      session={session}
                      cell={id === null ? undefined : grid.byId.get(id)}
                      former={formerCell(grid, row, x)}
                      isOpen={isOpen}
                      showsRemoved={settings.showsRemoved}
                    />
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

/** Whether a row has more than it shows while it is not opened. */
function hasMore(grid: Grid, row: SamplePrompt): boolean {
  const cells = row.cells.map((id) => (id === null ? undefined : grid.byId.get(id)));
  return (
    row.prompt.length + row.more > LONG || cells.some((cell) => cell && (cell.fields.length || cell.completion.length + cell.more > LONG))
  );
}

/** The sample of the nearest step on the left. */
function formerCell(grid: Grid, row: SamplePrompt, place: number): SampleCell | undefined {
  const id = row.cells.slice(0, place).findLast((each) => each !== null);
  return id == null ? undefined : grid.byId.get(id);
}

function wholePrompt(session: SamplesSession, row: SamplePrompt): string | null {
  const id = row.cells.find((each) => each !== null && session.store.texts.has(each));
  return (id != null && session.store.texts.get(id)?.prompt) || null;
}

function StepSelect({ grid, place, settings, change }: Pick<Props, "grid" | "settings" | "change"> & { place: number }) {
  const shown = grid.steps[place]?.step ?? 0;
  const known = [...new Set([...grid.known_steps, shown])].sort((a, b) => a - b);
  const choose = (step: number) => {
    const steps = grid.steps.map((each, at) => (at === place ? step : each.step));
    change({ spec: { ...settings.spec, experiment: grid.spec.experiment, mode: "chosen", steps } });
  };
  return (
    <label>
      Step
      <select
        data-control="step"
        aria-label={`Step of column ${place + 1}`}
        value={shown}
        onChange={(event) => choose(Number(event.currentTarget.value))}
      >
        {known.map((step) => (
          <option key={step} value={step}>
            {count(step)}
          </option>
        ))}
      </select>
    </label>
  );
}

interface PromptProps {
  row: SamplePrompt;
  isOpen: boolean;
  whole: string | null;
  onToggle: (() => void) | null;
}

function PromptHead({ row, isOpen, whole, onToggle }: PromptProps) {
  return (
    <th scope="row">
      <div class={`text ${isOpen ? "" : "cut"}`}>
        {(isOpen && whole) || row.prompt}
        {row.more > 0 && !(isOpen && whole) && "…"}
      </div>
      {row.total > 1 && <span class="soft">{`sample ${row.number} of ${row.total}`}</span>}
      {onToggle && (
        <button type="button" class="quiet" data-control="open" aria-expanded={isOpen} onClick={onToggle}>
          {isOpen ? "Show less" : "Show all"}
        </button>
      )}
    </th>
  );
}

function Reward({ row }: { row: SamplePrompt }) {
  const tone = row.is_better === null ? "soft" : row.is_better ? "better" : "worse";
  return (
    <td class="number" data-reward>
      {row.reward || <span class="soft">{MISSING}</span>}
      {row.change && row.is_better !== null && <div class={tone}>{row.change}</div>}
    </td>
  );
}

interface SampleProps {
  session: SamplesSession;
  cell: SampleCell | undefined;
  former: SampleCell | undefined;
  isOpen: boolean;
  showsRemoved: boolean;
}

function Sample({ session, cell, former, isOpen, showsRemoved }: SampleProps) {
  const text = (one: SampleCell | undefined) => one && ((isOpen && session.store.texts.get(one.id)?.completion) || one.completion);
  const [older, newer] = [text(former), text(cell)];
  const parts = useMemo(() => {
    if (older === undefined || newer === undefined) return null;
    const all = wordDiff(older, newer);
    return isOpen || newer.length <= LONG ? all : shortened(all, CONTEXT);
  }, [older, newer, isOpen]);
  if (!cell || newer === undefined) return <span class="soft">{MISSING}</span>;
  const left = cell.completion.length + cell.more - newer.length;
  return (
    <>
      {cell.reward && <span class="reward">{cell.reward}</span>}
      <div class={`text ${isOpen ? "" : "cut"}`}>
        {parts
          ? parts.map(({ kind, text: part }, place) => {
              if (kind === "same") return part;
              if (kind === "added") return <ins key={place}>{part}</ins>;
              return showsRemoved && <del key={place}>{part}</del>;
            })
          : newer}
        {left > 0 && "…"}
        {newer === "" && <span class="soft">(empty)</span>}
      </div>
      {isOpen && cell.fields.length > 0 && (
        <dl class="soft">
          {cell.fields.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt> <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {cell.cut > 0 && <p class="soft">{`${many(cell.cut, "character")} not kept`}</p>}
    </>
  );
}
