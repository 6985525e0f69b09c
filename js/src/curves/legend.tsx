import type { Chart } from "./chart-data";
import type { BestRuns, CurveRun, CurvesMetadata, LineStats } from "./contract";
import { lineStyle, Swatch } from "./line-styles";
import { exact, moment, number } from "./scale";
import { directionOf, type Settings } from "./settings";

/** Longer legends scroll. */
const MOST_ROWS = 24;

interface Props {
  metadata: CurvesMetadata;
  chart: Chart;
  settings: Settings;
  onToggle: (id: string) => void;
  onHighlight: (id: string | null) => void;
  change: (more: Partial<Settings>) => void;
}

/** The legend, with statistics of each line. */
export function Legend({ metadata, chart, settings, onToggle, onHighlight, change }: Props) {
  const direction = directionOf(settings, chart);
  // As the kernel computed it, over all lines: hidden ones take part.
  const best = (direction && chart.best[direction === "min" ? 0 : 1]) || null;
  const rows = metadata.runs.flatMap((run, index) => {
    const line = chart.lines.find((each) => each.run === index);
    return line ? [{ run, index, stats: line.stats }] : [];
  });
  const hasNonFinite = rows.some(({ stats }) => stats.odd > 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region is reached by the Tab key
    <section class={`rows ${rows.length > MOST_ROWS ? "many" : ""}`} aria-label={`Experiments and their ${chart.spec.key}`} tabIndex={0}>
      <table data-table="numbers">
        <thead>
          <tr>
            <th scope="col">Experiment</th>
            {["Latest", "Lowest", "Highest", "Points", ...(hasNonFinite ? ["Not finite"] : [])].map((title) => (
              <th key={title} scope="col" class="number">
                {title}
              </th>
            ))}
            <th scope="col">
              <DirectionSelect direction={direction} isKnown={chart.mode !== null} onChange={(next) => change({ direction: next })} />
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ run, index, stats }) => (
            <LegendRow
              key={run.id}
              run={run}
              stats={stats}
              isBest={!!best?.runs?.includes(index)}
              note={bestNote(best, index)}
              isHidden={settings.hidden.has(run.id)}
              hasTwin={metadata.runs.some(({ id, label }) => id !== run.id && label === run.label)}
              hasNonFinite={hasNonFinite}
              onToggle={onToggle}
              onHighlight={onHighlight}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** The experiments of all charts: what their lines look like, and whether they are shown. */
export function RunLegend({ metadata: { runs }, settings: { hidden }, onToggle, onHighlight, change }: Omit<Props, "chart">) {
  const areHidden = runs.some(({ id }) => hidden.has(id));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region is reached by the Tab key
    <section class="legend" aria-label="Experiments" tabIndex={0} data-table="legend">
      {runs.map((run) => (
        <span key={run.id} data-run={run.id} onPointerEnter={() => onHighlight(run.id)} onPointerLeave={() => onHighlight(null)}>
          <RunButton run={run} isHidden={hidden.has(run.id)} onToggle={onToggle} onHighlight={onHighlight} />
        </span>
      ))}
      {runs.length > 2 && (
        <button type="button" onClick={() => change({ hidden: new Set(areHidden ? [] : runs.map(({ id }) => id)) })}>
          {areHidden ? "Show all" : "Hide all"}
        </button>
      )}
    </section>
  );
}

function RunButton({ run, isHidden, onToggle, onHighlight }: Pick<RowProps, "run" | "isHidden" | "onToggle" | "onHighlight">) {
  return (
    <button
      type="button"
      class="run"
      aria-pressed={!isHidden}
      title={isHidden ? "Show its curve" : "Hide its curve"}
      onClick={() => onToggle(run.id)}
      onFocus={() => onHighlight(run.id)}
      onBlur={() => onHighlight(null)}
    >
      <Swatch style={lineStyle(run)} />
      <span>{run.name}</span>
    </button>
  );
}

interface DirectionProps {
  direction: Settings["direction"];
  /** Whether the key itself tells which values are better. */
  isKnown: boolean;
  onChange: (direction: Settings["direction"]) => void;
}

function DirectionSelect({ direction, isKnown, onChange }: DirectionProps) {
  return (
    <label>
      Best is
      <select value={direction ?? ""} onChange={(event) => onChange((event.currentTarget.value || null) as Settings["direction"])}>
        {!isKnown && <option value="">not known</option>}
        <option value="min">lowest</option>
        <option value="max">highest</option>
      </select>
    </label>
  );
}

interface RowProps {
  run: CurveRun;
  stats: LineStats;
  isBest: boolean;
  note: string;
  isHidden: boolean;
  /** Whether another experiment has the same name. */
  hasTwin: boolean;
  hasNonFinite: boolean;
  onToggle: (id: string) => void;
  onHighlight: (id: string | null) => void;
}

function LegendRow({ run, stats, isBest, note, isHidden, hasTwin, hasNonFinite, onToggle, onHighlight }: RowProps) {
  const { id } = run;
  return (
    <tr data-run={id} class={isBest ? "top" : ""} onPointerEnter={() => onHighlight(id)} onPointerLeave={() => onHighlight(null)}>
      <td>
        <RunButton run={run} isHidden={isHidden} onToggle={onToggle} onHighlight={onHighlight} />
        {hasTwin && <span class="soft"> {`began ${moment(run.began / 1000, 86_400)}, ${moment(run.began / 1000)}`}</span>}
        {run.tags.length > 0 && <span class="soft"> {run.tags.join(", ")}</span>}
      </td>
      <td class="number">
        {exact(stats.last)} <Step step={stats.last_step} />
      </td>
      <td class="number">
        {exact(stats.low)} {stats.low !== null && <Step step={stats.low_step} />}
      </td>
      <td class="number">
        {exact(stats.high)} {stats.high !== null && <Step step={stats.high_step} />}
      </td>
      <td class="number">{number(stats.count)}</td>
      {hasNonFinite && <td class="number">{stats.odd ? number(stats.odd) : "–"}</td>}
      <td>{isBest ? note : <span class="soft">{note}</span>}</td>
    </tr>
  );
}

function Step({ step }: { step: number }) {
  return <span class="soft">@ {number(step)}</span>;
}

function bestNote(best: BestRuns | null, index: number): string {
  if (best?.runs?.includes(index)) return best.words ?? "";
  return best?.left_out?.includes(index) ? "not compared: latest value is not finite" : "";
}
