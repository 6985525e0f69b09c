/** Checkpoints and notes of a chart: where they are, and a button for each that copies its URI or text. */

import type { Line } from "./chart-data";
import type { Axis, CurveMark, CurvesMetadata } from "./contract";
import { lineStyle } from "./line-styles";
import { markPosition, type Projection, readLine } from "./line-values";
import { exact, positionText } from "./scale";

/** Distance of marks that would cover each other. */
const APART = 10;
const NOTE = "M-4.5-4.5h9v9h-9ZM-2-1.5h4M-2 1.5h4";
const DIAMOND = "M0-5.5 5.5 0 0 5.5-5.5 0Z";

export interface PlacedMark {
  readonly mark: CurveMark;
  readonly colour: string;
  readonly shape: string;
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

interface Props {
  marks: readonly PlacedMark[];
  onCopy: (text: string, what: string) => void;
}

/** They are painted on the canvas: a button is seen when it is pointed at, or has the focus. */
export function ChartMarks({ marks, onCopy }: Props) {
  return (
    <>
      {marks.map(({ mark, colour, shape, x, y, label }) => (
        <button
          key={`${mark.run} ${mark.at} ${mark.name}`}
          type="button"
          class="mark"
          data-mark={mark.uri || mark.name}
          style={`left:${x}px;top:${y}px;--tone:${colour}`}
          aria-label={label}
          title={label}
          onClick={() => onCopy(mark.uri || mark.name, mark.uri ? "the URI" : "the note")}
        >
          <svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">
            <path d={shape} />
          </svg>
        </button>
      ))}
    </>
  );
}

/** Positions of the marks of these lines on an axis, also of those out of sight, in order. */
export function markPositions({ runs, marks }: CurvesMetadata, lines: readonly Line[], axis: Axis): number[] {
  const shown = lines.flatMap((line) => runs[line.run] ?? []);
  const found = marks.map((mark) => {
    const run = shown.find(({ id }) => id === mark.run);
    return run ? markPosition(mark, run, axis) : null;
  });
  return [...new Set(found.filter((at) => at !== null))].sort((a, b) => a - b);
}

export function placeMarks(metadata: CurvesMetadata, lines: readonly Line[], area: Projection, axis: Axis): PlacedMark[] {
  const placed = metadata.marks.flatMap((mark) => placeMark(mark, metadata, lines, area, axis) ?? []);
  // A trainer's and a sampler's checkpoint are often saved at the same step.
  const together = new Map<string, PlacedMark[]>();
  for (const each of placed) {
    const key = `${each.mark.run} ${Math.round(each.x)}`;
    together.set(key, [...(together.get(key) ?? []), each]);
  }
  return [...together.values()].flatMap((all) => all.map((each, i) => ({ ...each, x: each.x + (i - (all.length - 1) / 2) * APART })));
}

function placeMark(mark: CurveMark, { runs }: CurvesMetadata, lines: readonly Line[], area: Projection, axis: Axis): PlacedMark | null {
  const run = runs.find(({ id }) => id === mark.run);
  const line = lines.find((each) => runs[each.run] === run);
  const at = run && markPosition(mark, run, axis);
  if (!run || !line || at === null || at === undefined || at < area.low || at > area.high) return null;
  const value = readLine(line, at)?.y;
  const shown = value === undefined ? area.least : Math.min(Math.max(value, area.least), area.most);
  const what = mark.kind === "note" ? "Note" : `Checkpoint${mark.target ? ` for the ${mark.target}` : ""}`;
  const position = `${positionText(axis, at)}${value === undefined ? "" : `, ${exact(value)}`}`;
  const label = `${what} of ${run.name} at ${position}: ${mark.name}. Copy its ${mark.uri ? "URI" : "text"}`;
  const shape = mark.kind === "note" ? NOTE : DIAMOND;
  return { mark, shape, colour: lineStyle(run).colour, x: area.x(at), y: area.y(shown), label };
}
