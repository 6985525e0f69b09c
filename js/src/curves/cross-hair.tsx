/** The cross-hair: the values of all lines at one position, in the picture and in a table beside it. */

import type { Line } from "./chart-data";
import type { Axis } from "./contract";
import { type LineStyle, Swatch } from "./line-styles";
import { type Projection, readLine } from "./line-values";
import type { PlotArea, PlotLine } from "./plot";
import { exact, positionText } from "./scale";

/** Lines whose values are listed. */
const MOST_LISTED = 14;
/** A line that is further away from the pointer, in pixels, is not the one that is pointed at. */
const NEAR = 24;

interface ReadingRow {
  readonly line: Line;
  readonly style: LineStyle;
  readonly name: string;
  readonly x: number;
  readonly y: number;
  /** The value that was smoothed. */
  readonly raw: number | null;
}

export interface Readings {
  /** Position of the nearest point. */
  readonly x: number;
  readonly rows: readonly ReadingRow[];
  readonly text: string;
}

/** The values at a position, best first; null where no line has any. */
export function readingsAt(lines: readonly PlotLine[], cursor: number, isLowBest: boolean, axis: Axis): Readings | null {
  const rows = lines.flatMap(({ line, style, name }): ReadingRow[] => {
    const found = readLine(line, cursor);
    return found ? [{ line, style, name, ...found }] : [];
  });
  if (!rows.length) return null;
  rows.sort((a, b) => (isLowBest ? a.y - b.y : b.y - a.y));
  // The position is that of the nearest point: between two points there is no value.
  const { x } = rows.reduce((best, row) => (Math.abs(row.x - cursor) < Math.abs(best.x - cursor) ? row : best));
  // A line that ended before, or has no value here, is read where it has one.
  const values = rows
    .slice(0, MOST_LISTED)
    .map((row) => `${row.name} ${exact(row.y)}${row.x === x ? "" : ` (at ${positionText(axis, row.x)})`}`);
  const more = rows.length > MOST_LISTED ? `, and ${rows.length - MOST_LISTED} more` : "";
  return { x, rows, text: `at ${Math.round(x * 100) / 100}: ${values.join(", ")}${more}` };
}

/** The run whose line is next to the pointer; null where none is near. */
export function nearestRun({ rows }: Readings, plot: Projection, pixel: number): number | null {
  let [best, distance]: [number | null, number] = [null, NEAR];
  for (const { line, y } of rows) {
    const away = Math.abs(plot.y(y) - pixel);
    if (away < distance) [best, distance] = [line.run, away];
  }
  return best;
}

interface TooltipProps {
  area: PlotArea;
  axis: Axis;
  readings: Readings;
  cursor: number;
  width: number;
  highlighted: number | null;
}

export function Tooltip({ area, axis, readings: { x, rows }, cursor, width, highlighted }: TooltipProps) {
  const at = area.x(cursor);
  const place = `${at > width / 2 ? `right:${width - at + 14}` : `left:${at + 14}`}px;top:${area.top + 8}px`;
  // The line that is pointed at is listed, whatever its value is.
  const listed = rows.filter(({ line }, i) => i < MOST_LISTED || line.run === highlighted);
  return (
    <div class="tip" style={place}>
      <strong>{positionText(axis, x)}</strong>
      <table role="presentation">
        <tbody>
          {listed.map((row) => (
            <tr key={row.line.run} class={row.line.run === highlighted ? "pointed" : ""}>
              <td>
                <Swatch style={row.style} />
              </td>
              <td>{row.name}</td>
              <td class="number">
                <strong>{exact(row.y)}</strong>
              </td>
              {row.raw !== null && <td class="number soft">({exact(row.raw)})</td>}
              {row.x !== x && <td class="soft">at {positionText(axis, row.x)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > listed.length && <span class="soft">and {rows.length - listed.length} more</span>}
    </div>
  );
}
