import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Chart, Line } from "./chart-data";
import { ChartMarks } from "./chart-marks";
import { ChartSlider } from "./chart-slider";
import type { CurvesMetadata } from "./contract";
import { nearestRun, readingsAt, Tooltip } from "./cross-hair";
import { type Cursor, useCursor } from "./cursor";
import { lineStyle } from "./line-styles";
import { valueBounds, visibleRange } from "./line-values";
import { navigationOf } from "./navigation";
import { CurvePlot, type PlotArea, type PlotContent } from "./plot";
import { positionText } from "./scale";
import { AXIS_LABELS, directionOf, type Settings } from "./settings";

const HEIGHT = 320;
export const SMALL_HEIGHT = 176;
const MOST_LABELLED = 12;

interface Props {
  metadata: CurvesMetadata;
  chart: Chart;
  /** Those that are not hidden. */
  lines: readonly Line[];
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  cursor: Cursor;
  width: number;
  /** The experiment that stands out. */
  highlighted: string | null;
  onHighlight: (id: string | null) => void;
  onCopy: (text: string, what: string) => void;
  /** Whether it is one of many. */
  isSmall?: boolean;
  onEnlarge?: () => void;
}

export function ChartView(props: Props) {
  const { metadata, chart, settings } = props;
  const root = useRef<HTMLDivElement>(null);
  const content = useContent(props);
  const { plot, area } = usePlot(root, content);
  const { key, axis, smoothing } = chart.spec;
  const { spec } = settings;
  const isStale = axis !== spec.axis || (key !== spec.key && spec.key !== "");
  const drawn = area && {
    "data-lines": content.lines.map(({ line }) => line.run).join(" "),
    "data-range": `${area.low} ${area.high}`,
    "data-values": `${area.least} ${area.most}`,
    "data-best": area.best.join(" "),
    "data-odd": area.odd.join(" "),
    "data-cut": area.cut,
    "data-names": area.names.join("\n"),
  };
  return (
    <div class={`chart ${isStale ? "stale" : ""}`} data-drawn={`${key} ${axis} ${smoothing}`} {...drawn}>
      <div class="plot" ref={root} role="img" aria-label={description(metadata, content)} style={`height:${content.height}px`} />
      {area && plot && <Overlay {...props} content={content} area={area} plot={plot} />}
    </div>
  );
}

/** What moves with the cross-hair. */
function Overlay({ content, area, plot, ...props }: Props & { content: PlotContent; area: PlotArea; plot: CurvePlot }) {
  const { metadata, chart, settings, change, cursor, onCopy, onHighlight, isSmall, onEnlarge } = props;
  const at = useCursor(cursor);
  const [isPointed, setPointed] = useState(false);
  const isVisible = at !== null && at >= area.low && at <= area.high;
  const { key, axis } = chart.spec;
  const direction = directionOf(settings, chart);
  const isRead = isVisible && (isPointed || !isSmall);
  const readings = isRead ? readingsAt(content.lines, at, direction === "min", axis) : null;
  const lines = content.lines.map(({ line }) => line);
  const navigation = navigationOf({ metadata, chart, lines, area, settings, change, cursor });
  useLayoutEffect(() => plot.setCursor(isVisible ? at : null), [plot, area, at, isVisible]);
  const point = (y: number | null) => {
    setPointed(y !== null);
    const run = y === null || !readings ? null : nearestRun(readings, area, y);
    onHighlight(run === null ? null : (metadata.runs[run]?.id ?? null));
  };
  return (
    <>
      <ChartSlider
        area={area}
        plot={plot}
        navigation={navigation}
        metricKey={key}
        cursor={at}
        text={readings?.text}
        onPoint={point}
        onFocusChange={setPointed}
        onEnlarge={onEnlarge}
      />
      {!isSmall && <ChartMarks marks={area.marks} onCopy={onCopy} />}
      {readings && at !== null && (
        <Tooltip area={area} axis={axis} readings={readings} cursor={at} width={content.width} highlighted={content.highlighted} />
      )}
    </>
  );
}

function useContent({ metadata, chart, lines, settings, width, highlighted, isSmall = false }: Props): PlotContent {
  const { spec, isLog, isCut } = settings;
  const { axis } = chart.spec;
  const { low, high } = visibleRange(axis === spec.axis ? spec : chart.spec, chart);
  const bounds = useMemo(() => valueBounds(lines, low, high, isLog, isCut), [lines, low, high, isLog, isCut]);
  const { runs } = metadata;
  const drawn = useMemo(
    () => lines.map((line) => ({ line, style: lineStyle(runs[line.run] ?? { style: 0 }), name: runs[line.run]?.name ?? "" })),
    [lines, runs],
  );
  return {
    width,
    height: isSmall ? SMALL_HEIGHT : HEIGHT,
    isSmall,
    metadata,
    axis,
    label: chart.spec.key,
    lines: drawn,
    low,
    high,
    bounds,
    isLog,
    isCut,
    direction: directionOf(settings, chart),
    hasNames: !isSmall && width > 560 && lines.length > 1 && lines.length <= MOST_LABELLED,
    highlighted: highlighted === null ? null : runs.findIndex(({ id }) => id === highlighted),
  };
}

/** Has uPlot draw what changed, and returns where everything is. */
function usePlot(root: { current: HTMLDivElement | null }, content: PlotContent) {
  const plot = useRef<CurvePlot | null>(null);
  const [area, setArea] = useState<PlotArea | null>(null);
  useLayoutEffect(() => {
    if (!root.current) return;
    if (plot.current) plot.current.update(content);
    else plot.current = new CurvePlot(root.current, content, setArea);
  }, Object.values(content));
  useEffect(() => {
    const element = root.current;
    // The theme around it has other colours now: a transition of no length ends, or is cancelled where
    // something around it is laid out again.
    const recolour = (event: Event) => event.target === element && plot.current?.recolour();
    for (const kind of ["transitionend", "transitioncancel"]) element?.addEventListener(kind, recolour);
    return () => {
      for (const kind of ["transitionend", "transitioncancel"]) element?.removeEventListener(kind, recolour);
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  return { plot: plot.current, area };
}

/** The picture in words, for those who do not see it. */
function description({ runs }: CurvesMetadata, { lines, label, axis, low, high }: PlotContent): string {
  const names = lines.slice(0, MOST_LABELLED).map(({ line }) => runs[line.run]?.name);
  const more = lines.length > names.length ? ` and ${lines.length - names.length} more` : "";
  const range = `from ${positionText(axis, low)} to ${positionText(axis, high)}`;
  return `${label} by ${AXIS_LABELS[axis]}, ${range}: ${names.join(", ")}${more}. The table below has the numbers.`;
}
