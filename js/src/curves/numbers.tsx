import { Swatch } from "./chart";
import type { CurveHead } from "./contract";
import { lookOf } from "./looks";
import type { Picture } from "./points";
import { exact, moment, number } from "./scale";
import { directionOf, type Settings } from "./settings";

interface Props {
  head: CurveHead;
  picture: Picture;
  settings: Settings;
  onToggle: (id: string) => void;
  onPoint: (id: string | null) => void;
  change: (more: Partial<Settings>) => void;
}

/** The legend, with each line in numbers. */
export function Numbers({ head, picture, settings, onToggle, onPoint, change }: Props) {
  const { hidden } = settings;
  const direction = directionOf(settings, picture);
  // As the kernel found it, over all of them: what is hidden here takes part.
  const best = direction && picture.best[direction === "min" ? 0 : 1];
  const key = picture.look.key;
  const rows = head.runs.flatMap((run, place) => {
    const line = picture.lines.find((each) => each.run === place);
    return line ? [{ run, line }] : [];
  });
  const hasOdd = rows.some(({ line }) => line.stats.odd > 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
    <section class={`rows ${rows.length > 24 ? "many" : ""}`} aria-label={`Experiments and their ${key}`} tabIndex={0}>
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
                  value={direction ?? ""}
                  onChange={(event) => change({ direction: (event.currentTarget.value || null) as Settings["direction"] })}
                >
                  {picture.mode === null && <option value="">not known</option>}
                  <option value="min">lowest</option>
                  <option value="max">highest</option>
                </select>
              </label>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ run, line: { stats } }) => {
            const place = head.runs.indexOf(run);
            const isBest = !!best?.runs?.includes(place);
            return (
              <tr
                key={run.id}
                data-run={run.id}
                class={isBest ? "top" : ""}
                onPointerEnter={() => onPoint(run.id)}
                onPointerLeave={() => onPoint(null)}
                onFocusIn={() => onPoint(run.id)}
                onFocusOut={() => onPoint(null)}
              >
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
                <td>
                  {isBest && best?.words}
                  {best?.left_out?.includes(place) && <span class="soft">not compared: newest value is not a number</span>}
                </td>
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
