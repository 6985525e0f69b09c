import { useState } from "preact/hooks";
import type { Chart, Line } from "./chart-data";
import type { CurvesMetadata } from "./contract";
import { readLine, visibleRange } from "./line-values";
import { exact, positionText } from "./scale";
import { AXES, type Settings } from "./settings";

const ROWS = 20;

/** Show as table: what the lines say at evenly spaced positions. */
export function DataTable({
  metadata,
  chart,
  lines,
  settings,
}: {
  metadata: CurvesMetadata;
  chart: Chart;
  lines: readonly Line[];
  settings: Settings;
}) {
  const [isOpen, setOpen] = useState(false);
  const { axis } = chart.spec;
  const { low, high } = visibleRange(axis === settings.spec.axis ? settings.spec : chart.spec, chart);
  const places = Array.from({ length: ROWS + 1 }, (_, i) => low + ((high - low) * i) / ROWS);
  return (
    <details data-table="twin" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Show as table</summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
        <section class="rows" aria-label="The curves as a table" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{AXES[axis]}</th>
                {lines.map((line) => (
                  <th key={line.run} scope="col" class="number">
                    {metadata.runs[line.run]?.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {places.map((at) => (
                <tr key={at}>
                  <th scope="row">{positionText(axis, at)}</th>
                  {lines.map((line) => (
                    <td key={line.run} class="number">
                      {exact(near(line, at, (high - low) / ROWS))}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}

/** The value next to a place; none where the line has ended, or not begun. */
function near(line: Line, at: number, apart: number): number | null {
  const found = readLine(line, at);
  return found && Math.abs(found.x - at) <= apart ? found.y : null;
}

/** Show as table: the latest value of each metric whose chart was drawn, of each experiment that is not hidden. */
export function LatestTable({
  metadata,
  keys,
  chartOf,
  settings,
}: {
  metadata: CurvesMetadata;
  keys: readonly string[];
  chartOf: (key: string) => Chart | null;
  settings: Settings;
}) {
  const [isOpen, setOpen] = useState(false);
  const runs = metadata.runs.map((run, place) => ({ run, place })).filter(({ run }) => !settings.hidden.has(run.id));
  const rows = isOpen ? keys.flatMap((key) => ({ key, chart: chartOf(key) })) : [];
  const known = rows.filter(({ chart }) => chart);
  const others = rows.length - known.length;
  return (
    <details data-table="twin" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Show as table</summary>
      {isOpen && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what can be scrolled is reached by the Tab key
        <section class="rows" aria-label="The latest values as a table" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">Latest value</th>
                {runs.map(({ run }) => (
                  <th key={run.id} scope="col" class="number">
                    {run.name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {known.map(({ key, chart }) => (
                <tr key={key}>
                  <th scope="row">{key}</th>
                  {runs.map(({ run, place }) => (
                    <td key={run.id} class="number">
                      {exact(chart?.lines.find((line) => line.run === place)?.stats.last)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          {others > 0 && <p class="soft">{`${others.toLocaleString("en-GB")} more are listed when their charts have been in sight.`}</p>}
        </section>
      )}
    </details>
  );
}
