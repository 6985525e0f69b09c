/** All metrics at once: a small chart each, drawn when it comes into sight. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ChartView, SMALL_HEIGHT } from "./chart";
import { metadataOf } from "./chart-data";
import type { ChartSpec, CurvesMetadata } from "./contract";
import type { Cursor } from "./cursor";
import { PINNED, type Section, sectionsOf } from "./metric-sections";
import type { CurvesSession } from "./session";
import type { Settings } from "./settings";

/** No narrower. */
const NARROWEST = 270;
const GAP = 12;
/** The axis labels beside a small chart. */
const AXIS_WIDTH = 50;
const ASK_AFTER = 60;
/** Charts so near to what is seen are drawn. */
const NEAR = "200px";
/** Sections of more metrics begin closed. */
const LONG = 60;

interface Props {
  session: CurvesSession;
  view: string;
  metadata: CurvesMetadata;
  /** The metrics that a search leaves. */
  keys: readonly string[];
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  cursor: Cursor;
  width: number;
  highlighted: string | null;
  onHighlight: (id: string | null) => void;
  onCopy: (text: string, what: string) => void;
}

export function Grid(props: Props) {
  const { session, view, keys, settings, width } = props;
  const root = useRef<HTMLDivElement>(null);
  const sections = useMemo(() => sectionsOf(keys, settings.pinned, settings.order), [keys, settings.pinned, settings.order]);
  const near = useNear(root, sections);
  const columns = Math.max(1, Math.floor((width + GAP) / (NARROWEST + GAP)));
  const cell = Math.floor((width - GAP * (columns - 1)) / columns);
  useSmallCharts(session, view, near, settings.spec, cell);
  const { pinned } = settings;
  return (
    <div ref={root}>
      {sections.map((section) => (
        <SectionView key={section.title} section={section} isAlone={sections.length === 1}>
          {section.keys.map((key) => (
            <Cell
              key={key}
              {...props}
              metricKey={key}
              width={cell}
              isNear={near.has(key)}
              isPinned={pinned.includes(key)}
              onPin={() => props.change({ pinned: pinned.includes(key) ? pinned.filter((one) => one !== key) : [...pinned, key] })}
            />
          ))}
        </SectionView>
      ))}
    </div>
  );
}

function SectionView({ section, isAlone, children }: { section: Section; isAlone: boolean; children: preact.ComponentChildren }) {
  const { title, keys } = section;
  if (isAlone && title === "") return <div class="cells">{children}</div>;
  const name = title === PINNED || title === "" ? title || "Other metrics" : `${title}/`;
  return (
    <details class="section" open={keys.length <= LONG} data-section={title}>
      <summary>
        {name} <span class="soft">({keys.length.toLocaleString("en-GB")})</span>
      </summary>
      <div class="cells">{children}</div>
    </details>
  );
}

interface CellProps extends Props {
  metricKey: string;
  isNear: boolean;
  isPinned: boolean;
  onPin: () => void;
}

/** One metric: its name, what can be done with it, and its chart. */
function Cell({ metricKey: key, isNear, isPinned, onPin, ...props }: CellProps) {
  const { session, view, settings, change, width } = props;
  const stream = streamOf(view, key);
  const state = session.store.charts.get(stream);
  const chart = state ? state.chart : session.store.chartOf(view, key);
  const metadata = useMemo(() => metadataOf(chart, props.metadata), [chart?.compared, props.metadata]);
  const lines = useMemo(
    () => (chart?.lines ?? []).filter(({ run }) => metadata.runs[run] && !settings.hidden.has(metadata.runs[run]?.id ?? "")),
    [chart, metadata.runs, settings.hidden],
  );
  const enlarge = () => change({ isEnlarged: true, spec: { ...settings.spec, key }, direction: null });
  const words = state?.isAnswered ? "No values on this axis" : session.waiting(view) > 1000 ? "Waiting for the kernel" : "";
  return (
    <article class="cell" data-key={key} style={`width:${width}px`}>
      <header>
        <button type="button" class="enlarge" title={`${key}: enlarge`} onClick={enlarge}>
          {key}
        </button>
        <button
          type="button"
          class="pin"
          aria-pressed={isPinned}
          aria-label={`Pin ${key}`}
          title={isPinned ? "Unpin" : "Pin to the top"}
          onClick={onPin}
        >
          {isPinned ? "★" : "☆"}
        </button>
      </header>
      {isNear && chart && chart.first !== null ? (
        <ChartView
          {...props}
          metadata={metadata}
          chart={chart}
          lines={lines}
          settings={{ ...settings, spec: { ...settings.spec, key } }}
          isSmall
          onEnlarge={enlarge}
        />
      ) : (
        <p class="soft nothing" style={`height:${SMALL_HEIGHT}px`}>
          {isNear && words}
        </p>
      )}
    </article>
  );
}

function streamOf(view: string, key: string): string {
  return `${view}/${key}`;
}

/** The keys whose charts are in sight, or nearly. */
function useNear(root: { current: HTMLElement | null }, sections: readonly Section[]): ReadonlySet<string> {
  const [near, setNear] = useState<ReadonlySet<string>>(new Set());
  useLayoutEffect(() => {
    const element = root.current;
    if (!element) return undefined;
    const cells = [...element.querySelectorAll<HTMLElement>("[data-key]")];
    const there = new Set(cells.map(({ dataset }) => dataset.key));
    setNear((before) => new Set([...before].filter((key) => there.has(key))));
    const observer = new IntersectionObserver(
      (entries) =>
        setNear((before) => {
          const after = new Set(before);
          for (const { target, isIntersecting } of entries) {
            const key = (target as HTMLElement).dataset.key ?? "";
            if (isIntersecting) after.add(key);
            else after.delete(key);
          }
          return after;
        }),
      { rootMargin: NEAR },
    );
    for (const cell of cells) observer.observe(cell);
    return () => observer.disconnect();
  }, [sections]);
  return near;
}

/** Asks for the charts that are in sight, and drops the others. */
function useSmallCharts(
  session: CurvesSession,
  view: string,
  near: ReadonlySet<string>,
  { key: _, ...spec }: ChartSpec,
  width: number,
): void {
  const asked = useRef(new Map<string, string>());
  const columns = Math.max(50, width - AXIS_WIDTH);
  const wanted = JSON.stringify({ ...spec, columns });
  useEffect(() => {
    if (!width) return undefined;
    const timer = setTimeout(
      () => {
        const gone = [...asked.current.keys()].filter((key) => !near.has(key));
        for (const key of gone) asked.current.delete(key);
        session.dropCharts(
          view,
          gone.map((key) => streamOf(view, key)),
        );
        for (const key of near) {
          if (asked.current.get(key) === wanted) continue;
          asked.current.set(key, wanted);
          session.setChart(view, { ...spec, key, columns }, streamOf(view, key), near.size);
        }
      },
      asked.current.size ? ASK_AFTER : 0,
    );
    return () => clearTimeout(timer);
  }, [near, wanted, width > 0]);
  useEffect(
    () => () =>
      session.dropCharts(
        view,
        [...asked.current.keys()].map((key) => streamOf(view, key)),
      ),
    [],
  );
}
