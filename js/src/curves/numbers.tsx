import { Swatch } from "./chart";
import type { CurveHead } from "./contract";
import { lookOf } from "./looks";
import type { Line, Picture } from "./points";
import { exact, moment, number } from "./scale";
import type { Settings } from "./settings";

interface Props {
  head: CurveHead;
  picture: Picture;
  lines: readonly Line[];
  settings: Settings;
  onToggle: (id: string) => void;
  change: (more: Partial<Settings>) => void;
}

/** The legend, with each line in numbers. */
export function Numbers({ head, picture, lines, settings, onToggle, change }: Props) {
  const { hidden, isLowBest } = settings;
  const best = bestOf(lines, isLowBest);
  const key = picture.look.key;
  const rows = head.runs.flatMap((run, place) => {
    const line = picture.lines.find((each) => each.run === place);
    return line ? [{ run, line }] : [];
  });
  const hasOdd = rows.some(({ line }) => line.stats.odd > 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
    <section class="rows" aria-label={`Experiments and their ${key}`} tabIndex={0}>
      <table data-table="numbers">
        <thead>
          <tr>
            <th scope="col">Experiment</th>
            <th scope="col" class="number">
              Newest
            </th>
            <th scope="col" class="number">
              Lowest
            </th>
            <th scope="col" class="number">
              Highest
            </th>
            <th scope="col" class="number">
              Points
            </th>
            {hasOdd && (
              <th scope="col" class="number">
                No number
              </th>
            )}
            <th scope="col">
              <label>
                Best is
                <select
                  value={isLowBest ? "lowest" : "highest"}
                  onChange={(event) => change({ isLowBest: event.currentTarget.value === "lowest" })}
                >
                  <option value="lowest">lowest</option>
                  <option value="highest">highest</option>
                </select>
              </label>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ run, line: { stats } }) => {
            const isBest = run === head.runs[best ?? -1];
            return (
              <tr key={run.id} data-run={run.id} class={isBest ? "top" : ""}>
                <td>
                  <button
                    type="button"
                    class="run"
                    aria-pressed={!hidden.has(run.id)}
                    title={hidden.has(run.id) ? "Show its curve" : "Hide its curve"}
                    onClick={() => onToggle(run.id)}
                  >
                    <Swatch look={lookOf(run.look)} />
                    {run.name}
                  </button>
                  {head.runs.some(({ id, label }) => id !== run.id && label === run.label) && (
                    // Of two with one name one wants to know which is the newer.
                    <span class="soft"> {`began ${moment(run.began / 1000, 86_400)}, ${moment(run.began / 1000)}`}</span>
                  )}
                  {run.tags.length > 0 && <span class="soft"> {run.tags.join(", ")}</span>}
                </td>
                <td class="number">
                  {exact(stats.last)} <At step={stats.last_step} />
                </td>
                <td class="number">
                  {exact(stats.low)} {stats.low !== null && <At step={stats.low_step} />}
                </td>
                <td class="number">
                  {exact(stats.high)} {stats.high !== null && <At step={stats.high_step} />}
                </td>
                <td class="number">{number(stats.count)}</td>
                {hasOdd && <td class="number">{stats.odd ? number(stats.odd) : "–"}</td>}
                <td>{isBest && (head.more_runs ? "★ best of these" : "★ best")}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

function At({ step }: { step: number }) {
  return <span class="soft">@ {number(step)}</span>;
}

/** The place of the run with the best value; null when there is nothing to compare. */
export function bestOf(lines: readonly Line[], isLowBest: boolean): number | null {
  let best: number | null = null;
  let value = 0;
  for (const { run, stats } of lines) {
    const its = isLowBest ? stats.low : stats.high;
    if (typeof its !== "number" || (best !== null && (isLowBest ? its >= value : its <= value))) continue;
    best = run;
    value = its;
  }
  return lines.length > 1 ? best : null;
}
