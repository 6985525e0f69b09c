/** Parallel coordinates: an axis for each parameter and metric, a line for each experiment, ranges that select lines. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { many } from "../format";
import { Axis } from "./parallel-axis";
import { drawLines, type Geometry, type Line, lineAt } from "./parallel-canvas";
import {
  type AxisScale,
  type Brush,
  type Brushes,
  brushText,
  type Dimension,
  isSelected,
  type Row,
  scaleOf,
  shade,
  text,
} from "./parallel-scale";

const [HEIGHT, TOP, BOTTOM] = [316, 72, 280];
const [LEFT, RIGHT] = [64, 64];
/** The least distance of two axes; more of them are scrolled. */
const LEAST_ROOM = 88;
/** The bar of colours along the metric's axis. */
const BAR = 8;
const SHADES = [0, 0.25, 0.5, 0.75, 1];

interface Props {
  /** Parameters and metrics, from left to right. */
  dimensions: readonly Dimension[];
  rows: readonly Row[];
  /** Key of the dimension that gives the lines their colours. */
  metric: string;
  lowerIsBetter: boolean;
  brushes: Brushes;
  /** Called with all ranges when one of them changes. */
  onBrush: (brushes: Brushes) => void;
  /** Called with a row that was clicked. */
  onOpen?: ((id: string) => void) | undefined;
}

export function ParallelCoordinates({ dimensions, rows, metric, lowerIsBetter, brushes, onBrush, onOpen }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const [highlighted, setHighlighted] = useState<string | null>(null);
  const scales = useMemo(() => dimensions.map((_, i) => scaleOf(rows.map(({ values }) => values[i] ?? null))), [dimensions, rows]);
  const lines = useMemo(
    () => linesOf({ dimensions, rows, scales, metric, lowerIsBetter, brushes }),
    [dimensions, rows, scales, metric, lowerIsBetter, brushes],
  );
  const geometry = useMemo(() => geometryOf(width, dimensions.length), [width, dimensions.length]);
  const setBrush = (key: string, brush: Brush | null) => {
    const { [key]: _, ...others } = brushes;
    onBrush(brush ? { ...others, [key]: brush } : others);
  };
  const metricIndex = dimensions.findIndex(({ key }) => key === metric);
  const pointedAt = lines.find(({ row }) => row.id === highlighted);
  return (
    <div class="parallel" ref={box}>
      <Summary dimensions={dimensions} lines={lines} brushes={brushes} metricIndex={metricIndex} onClear={() => onBrush({})} />
      <section class="parallel-scroll" aria-label="Parallel coordinates" {...(geometry.width > width + 1 && { tabIndex: 0 })}>
        <div class="parallel-picture" style={`width:${geometry.width}px;height:${HEIGHT}px`}>
          <Lines geometry={geometry} lines={lines} highlighted={highlighted} onHighlight={setHighlighted} onOpen={onOpen} />
          {metricIndex >= 0 && <ColorBar geometry={geometry} index={metricIndex} lowerIsBetter={lowerIsBetter} />}
          {dimensions.map((dimension, i) => (
            <Axis
              key={dimension.key}
              dimension={dimension}
              scale={scales[i] as AxisScale}
              geometry={geometry}
              index={i}
              brush={brushes[dimension.key]}
              onBrush={(brush) => setBrush(dimension.key, brush)}
            />
          ))}
        </div>
      </section>
      <p class="parallel-pointed soft">{pointedAt ? rowText(pointedAt.row, dimensions) : "\u00a0"}</p>
    </div>
  );
}

interface LinesProps {
  geometry: Geometry;
  lines: readonly Line[];
  highlighted: string | null;
  onHighlight: (id: string | null) => void;
  onOpen: ((id: string) => void) | undefined;
}

function Lines({ geometry, lines, highlighted, onHighlight, onOpen }: LinesProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [scheme, setScheme] = useState(0);
  // The theme's ink is not known to a canvas: it is drawn again when the theme changes.
  useEffect(() => {
    const observer = new MutationObserver(() => setScheme((n) => n + 1));
    observer.observe(document.body, { attributes: true });
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (canvas.current) drawLines(canvas.current, geometry, lines, highlighted);
  }, [geometry, lines, highlighted, scheme]);
  const find = (event: MouseEvent) => {
    const at = canvas.current?.getBoundingClientRect();
    return at ? lineAt(geometry, lines, event.clientX - at.left, event.clientY - at.top) : null;
  };
  return (
    // Each line is a row of the table too, where the keyboard reaches it.
    <canvas
      ref={canvas}
      role="img"
      aria-label={`Lines of ${many(lines.length, "experiment")}`}
      style={`width:${geometry.width}px;height:${geometry.height}px;cursor:${highlighted && onOpen ? "pointer" : "default"}`}
      onPointerMove={(event) => onHighlight(find(event)?.row.id ?? null)}
      onPointerLeave={() => onHighlight(null)}
      onClick={(event) => {
        const line = find(event);
        if (line) onOpen?.(line.row.id);
      }}
    />
  );
}

interface SummaryProps {
  dimensions: readonly Dimension[];
  lines: readonly Line[];
  brushes: Brushes;
  metricIndex: number;
  onClear: () => void;
}

/** What is selected, in words. */
function Summary({ dimensions, lines, brushes, metricIndex, onClear }: SummaryProps) {
  const brushed = dimensions.filter(({ key }) => brushes[key]);
  return (
    <div class="parallel-summary">
      <p role="status">{summaryText(dimensions, lines, brushes, metricIndex)}</p>
      <button type="button" data-control="clear" disabled={!brushed.length} onClick={onClear}>
        {brushed.length > 1 ? "Clear ranges" : "Clear range"}
      </button>
    </div>
  );
}

export function summaryText(dimensions: readonly Dimension[], lines: readonly Line[], brushes: Brushes, metricIndex: number): string {
  const ranges = dimensions.flatMap(({ key, label }) => {
    const brush = brushes[key];
    return brush ? [`${label} ${brushText(brush)}`] : [];
  });
  const selected = lines.filter((line) => line.isSelected);
  const total = many(lines.length, "experiment");
  if (!ranges.length) return `${total}. Drag along an axis to select a range, or move its ends with Tab and the arrow keys.`;
  const chosen = `${selected.length.toLocaleString("en-GB")} of ${total}: ${ranges.join("; ")}.`;
  const best = selected.filter((line) => line.badness !== null).sort((a, b) => (a.badness ?? 0) - (b.badness ?? 0))[0];
  const label = dimensions[metricIndex]?.label;
  return best && label ? `${chosen} Best ${label}: ${text(best.row.values[metricIndex] ?? null)} (${best.row.name}).` : chosen;
}

function ColorBar({ geometry, index, lowerIsBetter }: { geometry: Geometry; index: number; lowerIsBetter: boolean }) {
  const colors = SHADES.map((share) => shade(lowerIsBetter ? share : 1 - share));
  const { top, bottom } = geometry;
  const style = `left:${(geometry.xs[index] ?? 0) + 1}px;top:${top}px;height:${bottom - top}px;width:${BAR}px`;
  return <div class="axis-colors" style={`${style};background:linear-gradient(to top, ${colors.join(", ")})`} />;
}

function rowText({ name, values }: Row, dimensions: readonly Dimension[]): string {
  return `${name}: ${dimensions.map(({ label }, i) => `${label} ${text(values[i] ?? null)}`).join(", ")}`;
}

interface LinesOf {
  dimensions: readonly Dimension[];
  rows: readonly Row[];
  scales: readonly AxisScale[];
  metric: string;
  lowerIsBetter: boolean;
  brushes: Brushes;
}

export function linesOf({ dimensions, rows, scales, metric, lowerIsBetter, brushes }: LinesOf): Line[] {
  const metricIndex = dimensions.findIndex(({ key }) => key === metric);
  const isNumber = scales[metricIndex]?.isNumber ?? false;
  return rows.map((row) => {
    const shares = scales.map((scale, i) => scale.share(row.values[i] ?? null));
    const share = shares[metricIndex] ?? 0;
    const hasValue = isNumber && (row.values[metricIndex] ?? null) !== null;
    const badness = hasValue ? Math.min(1, Math.max(0, lowerIsBetter ? share : 1 - share)) : null;
    return { row, shares, badness, isSelected: isSelected(row, dimensions, scales, brushes) };
  });
}

function geometryOf(width: number, axes: number): Geometry {
  const gaps = Math.max(1, axes - 1);
  const room = Math.max(LEAST_ROOM, (width - LEFT - RIGHT) / gaps);
  const xs = Array.from({ length: axes }, (_, i) => LEFT + i * room);
  return { width: LEFT + gaps * room + RIGHT, height: HEIGHT, xs, top: TOP, bottom: BOTTOM };
}

function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    setWidth(Math.round(element.getBoundingClientRect().width));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new ResizeObserver(([entry]) => {
      // Drawing at once would change the size again within the observer's callback.
      clearTimeout(timer);
      timer = setTimeout(() => setWidth(Math.round(entry?.contentRect.width ?? 0)));
    });
    observer.observe(element);
    return () => {
      clearTimeout(timer);
      observer.disconnect();
    };
  }, []);
  return width;
}
