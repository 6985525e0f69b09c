/** One chart, drawn by uPlot on a canvas; what uPlot has no words for is painted over its lines. */

import uPlot from "uplot";
import type { Line, Points } from "./chart-data";
import { foregroundOf } from "./chart-data";
import type { Axis, CurvesMetadata } from "./contract";
import { cancelDrawing, drawInTime } from "./frames";
import type { LineStyle } from "./line-styles";
import type { Bounds, Projection } from "./line-values";
import { LETTER, MANY, type Painted, paint } from "./painting";
import { axisTicks, ticks } from "./scale";
import { AXIS_LABELS } from "./settings";

/** Width that a digit beside an axis takes, at most. */
const DIGIT = 7;
/** Beyond the chart a line goes a little further, not miles. */
const BEYOND = 2000;
const FONT = "system-ui, sans-serif";

export interface PlotLine {
  readonly line: Line;
  readonly style: LineStyle;
  readonly name: string;
}

/** What is to be drawn. */
export interface PlotContent {
  readonly width: number;
  readonly height: number;
  readonly isSmall: boolean;
  readonly metadata: CurvesMetadata;
  readonly axis: Axis;
  /** What the values are. */
  readonly label: string;
  readonly lines: readonly PlotLine[];
  readonly low: number;
  readonly high: number;
  readonly bounds: Bounds;
  readonly isLog: boolean;
  readonly isCut: boolean;
  readonly direction: "min" | "max" | null;
  /** Whether names stand at the ends of the lines. */
  readonly hasNames: boolean;
  /** The run whose line stands out. */
  readonly highlighted: number | null;
}

/** Where everything is after drawing, in pixels of the page. */
export interface PlotArea extends Projection, Painted {}

function isSame(before: PlotContent, after: PlotContent): boolean {
  const names = Object.keys(after) as (keyof PlotContent)[];
  return names.every((name) => name === "highlighted" || before[name] === after[name]);
}

type Facet = [readonly number[], (number | null)[]];

/** Colours of the theme around the chart. */
export interface Inks {
  readonly fg: string;
  readonly bg: string;
  readonly soft: string;
  readonly grid: string;
  /** Whether the browser takes colours away. */
  readonly isForced: boolean;
}

export class CurvePlot {
  readonly #root: HTMLElement;
  readonly #onDraw: (area: PlotArea) => void;
  #plot: uPlot | null = null;
  #content: PlotContent;
  #shape = "";
  #inks: Inks;

  constructor(root: HTMLElement, content: PlotContent, onDraw: (area: PlotArea) => void) {
    this.#root = root;
    this.#onDraw = onDraw;
    this.#content = content;
    this.#inks = inksOf(root);
    this.update(content);
  }

  get canvas(): HTMLCanvasElement | null {
    return this.#plot?.ctx.canvas ?? null;
  }

  update(content: PlotContent): void {
    cancelDrawing(this);
    if (!this.#plot) this.#show(content);
    else if (isSame(this.#content, content)) this.highlight(content.highlighted);
    else this.#inTime(() => this.#show(content));
  }

  /** At once, if the chart is alone or worked with; else when there is time for it. */
  #inTime(draw: () => void): void {
    drawInTime(this, draw, !this.#content.isSmall || !!this.#root.parentElement?.matches(":hover,:focus-within"));
  }

  #show(content: PlotContent): void {
    const before = this.#content;
    this.#content = content;
    const { lines, width, height, low, high, bounds, isLog } = content;
    const shape = `${lines.map(({ line }) => Number(line.band !== null)).join("")} ${lines.some(({ line }) => line.smooth)} ${isLog} ${content.isSmall}`;
    if (!this.#plot || shape !== this.#shape) {
      this.#plot?.destroy();
      this.#shape = shape;
      this.#plot = new uPlot(this.#options(), this.#data(), this.#root);
      this.#emphasize();
      return;
    }
    const plot = this.#plot;
    plot.batch(() => {
      if (width !== before.width || height !== before.height) plot.setSize({ width, height });
      if (lines !== before.lines) plot.setData(this.#data(), false);
      plot.setScale("x", { min: low, max: high });
      plot.setScale("y", { min: bounds.low, max: bounds.high });
      this.#emphasize();
    });
    this.#veil();
  }

  /** Lets a line stand out, or none; nothing else is drawn differently. */
  highlight(run: number | null): void {
    if (run === this.#content.highlighted) return;
    this.#inTime(() => {
      this.#content = { ...this.#content, highlighted: run };
      this.#emphasize();
      // Of many lines only that one is drawn, over a veil: to draw them all for each move of the pointer takes too long.
      if (this.#content.lines.length > MANY) this.#veil();
      else this.#plot?.redraw(false);
    });
  }

  /** Draws again in the colours that the page has now. */
  recolour(): void {
    this.#inks = inksOf(this.#root);
    this.#plot?.redraw(false);
    this.#veil();
  }

  setCursor(at: number | null): void {
    const plot = this.#plot;
    if (!plot) return;
    const left = at === null ? -10 : plot.valToPos(at, "x");
    plot.setCursor({ left, top: left < 0 || left > plot.over.clientWidth + 1 ? -10 : 0 }, false);
  }

  /** Shades a part of the chart, in pixels of the page. */
  select(from: number, to: number): void {
    const left = this.#plot ? this.#plot.bbox.left / uPlot.pxRatio : 0;
    const height = this.#plot ? this.#plot.bbox.height / uPlot.pxRatio : 0;
    this.#plot?.setSelect({ left: Math.min(from, to) - left, width: Math.abs(to - from), top: 0, height }, false);
  }

  destroy(): void {
    cancelDrawing(this);
    this.#plot?.destroy();
    this.#plot = null;
  }

  #data(): uPlot.AlignedData {
    const { lines, isLog } = this.#content;
    const behind = lines.flatMap(({ line }) => (line.smooth ? [facet(line.raw, isLog)] : []));
    const edges = lines.flatMap(({ line: { band } }) => (band ? [facet(band.high, isLog), facet(band.low, isLog)] : []));
    const front = lines.map(({ line }) => facet(foregroundOf(line), isLog));
    // Without a line uPlot would not know its scales.
    const all = behind.length + front.length ? [...edges, ...behind, ...front] : [[[], []] as Facet];
    return [null, ...all] as unknown as uPlot.AlignedData;
  }

  #options(): uPlot.Options {
    const { lines, width, height, low, high, bounds, isLog } = this.#content;
    const hasSmooth = lines.some(({ line }) => line.smooth);
    const behind = hasSmooth ? lines.map((_, i) => this.#series(i, true)) : [];
    const front = lines.map((_, i) => this.#series(i, false));
    const banded = lines.flatMap(({ line }, i) => (line.band ? [i] : []));
    const edges = banded.flatMap(() => [EDGE, EDGE].map((edge) => ({ ...edge })));
    const bands = banded.map((line, i) => ({ series: [2 * i + 1, 2 * i + 2] as [number, number], fill: () => this.#bandInk(line) }));
    const all = front.length ? [...edges, ...behind, ...front] : [this.#series(0, false)];
    return {
      mode: 2,
      width,
      height,
      pxAlign: 0,
      legend: { show: false },
      cursor: { show: true, y: false, drag: { x: false, y: false, setScale: false }, points: { show: false }, bind: NO_EVENTS },
      padding: [10, (plot) => this.#right(plot), 0, 0],
      scales: {
        x: { time: false, auto: false, min: low, max: high, range: () => [this.#content.low, this.#content.high] },
        y: {
          auto: false,
          min: bounds.low,
          max: bounds.high,
          range: () => [this.#content.bounds.low, this.#content.bounds.high],
          // In quarters: between the lowest and the highest of all numbers lies more than a number can say.
          ...(isLog ? { distr: 3 } : { distr: 100, fwd: (value: number) => value / 4, bwd: (value: number) => value * 4 }),
        },
      },
      axes: [this.#across(), this.#upwards()],
      series: [null as unknown as uPlot.Series, ...all],
      bands,
      hooks: { draw: [(plot) => this.#finish(plot)] },
    } as uPlot.Options;
  }

  #series(index: number, isBehind: boolean): uPlot.Series {
    const style = () => this.#content.lines[index]?.style;
    return {
      facets: [
        { scale: "x", auto: false },
        { scale: "y", auto: false },
      ],
      paths: penLifted,
      stroke: () => (this.#inks.isForced ? this.#inks.fg : (style()?.colour ?? "transparent")),
      width: isBehind ? 1 : 1.7,
      cap: "round",
      alpha: isBehind ? 0.5 : 1,
      points: { show: false },
      auto: false,
    } as uPlot.Series;
  }

  /** Weak enough for lines and other bands to be seen through it. */
  #bandInk(line: number): string {
    const { lines, highlighted } = this.#content;
    const {
      style,
      line: { run },
    } = lines[line] as PlotLine;
    const share = highlighted !== null && highlighted !== run ? 4 : 18;
    return `color-mix(in srgb, ${this.#inks.isForced ? this.#inks.fg : style.colour} ${share}%, transparent)`;
  }

  #across(): uPlot.Axis {
    return {
      ...this.#axis(),
      scale: "x",
      side: 2,
      size: this.#content.isSmall ? 20 : 24,
      label: () => AXIS_LABELS[this.#content.axis],
      incrs: ONE_STEP,
      splits: (plot) => this.#ticksAcross(plot).map(({ at }) => at),
      values: (plot) => this.#ticksAcross(plot).map(({ label }) => label),
    } as uPlot.Axis;
  }

  #upwards(): uPlot.Axis {
    return {
      ...this.#axis(),
      scale: "y",
      side: 3,
      label: () => this.#content.label,
      incrs: ONE_STEP,
      splits: () => this.#ticksUp().map(({ at }) => at),
      values: () => this.#ticksUp().map(({ label }) => label),
      size: (_, values) =>
        Math.max(this.#content.isSmall ? 30 : 42, 12 + Math.max(0, ...(values ?? []).map(({ length }) => length)) * DIGIT),
    } as uPlot.Axis;
  }

  #axis(): Partial<uPlot.Axis> {
    const size = this.#content.isSmall ? 10 : 11;
    return {
      stroke: () => this.#inks.soft,
      font: `${size}px ${FONT}`,
      labelFont: `${size}px ${FONT}`,
      labelSize: size + 5,
      labelGap: 0,
      gap: 5,
      space: 1,
      ticks: { show: false },
      grid: { stroke: () => this.#inks.grid, width: 1 },
    };
  }

  #ticksAcross(plot: uPlot) {
    const { axis, low, high, isSmall } = this.#content;
    const width = plot.bbox.width / uPlot.pxRatio || this.#content.width - 80;
    return axisTicks(axis, { low, high }, Math.max(2, Math.floor(width / ((axis === "clock" ? 120 : 90) - (isSmall ? 20 : 0)))));
  }

  #ticksUp() {
    const { bounds, isLog, isSmall } = this.#content;
    // Without numbers an axis would be made up.
    return bounds.isEmpty ? [] : ticks({ low: bounds.low, high: bounds.high, isLog }, isSmall ? 4 : 6);
  }

  #right(plot: uPlot): number {
    const { hasNames, lines, low, high, width } = this.#content;
    if (hasNames) return Math.min(170, 24 + Math.max(...lines.map(({ name }) => name.length)) * LETTER);
    const last = this.#ticksAcross(plot).at(-1);
    // The last label stands around its mark, which may be at the very edge.
    const room = last ? (last.label.length * DIGIT) / 2 - ((high - last.at) / (high - low)) * (width - 80) : 0;
    return Math.max(14, Math.ceil(room));
  }

  #emphasize(): void {
    const plot = this.#plot;
    const { lines, highlighted } = this.#content;
    if (!plot) return;
    const isMany = lines.length > MANY;
    const thin = isMany ? 1 : 1.7;
    const edges = 2 * lines.filter(({ line }) => line.band).length;
    const behind = lines.some(({ line }) => line.smooth) ? lines.length : 0;
    lines.forEach(({ line }, i) => {
      const isFaint = !isMany && highlighted !== null && line.run !== highlighted;
      const front = plot.series[1 + edges + behind + i];
      const raw = behind ? plot.series[1 + edges + i] : undefined;
      if (front) Object.assign(front, { alpha: isFaint ? 0.16 : 1, width: line.run === highlighted && !isMany ? 3 : thin });
      if (raw) raw.alpha = isFaint ? 0.08 : 0.5;
    });
  }

  /** Draws the line that stands out among many, over all others. */
  #veil(): void {
    const { lines, highlighted } = this.#content;
    const plot = this.#plot;
    if (!plot) return;
    const place = highlighted === null || lines.length <= MANY ? -1 : lines.findIndex(({ line }) => line.run === highlighted);
    plot.over.querySelector("canvas")?.remove();
    if (place < 0) return;
    const canvas = document.createElement("canvas");
    const { left, top, width, height } = plot.bbox;
    Object.assign(canvas, { className: "veil", width, height });
    plot.over.prepend(canvas);
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.fillStyle = this.#inks.bg;
    context.globalAlpha = 0.8;
    context.fillRect(0, 0, width, height);
    context.globalAlpha = 1;
    context.translate(-left, -top);
    context.strokeStyle = this.#inks.isForced ? this.#inks.fg : (lines[place] as PlotLine).style.colour;
    context.lineWidth = 3 * uPlot.pxRatio;
    const path = penLifted(plot, plot.series.length - lines.length + place, 0, 0)?.stroke;
    if (path) context.stroke(path as Path2D);
  }

  #finish(plot: uPlot): void {
    const { low, high, bounds, isLog } = this.#content;
    const ratio = uPlot.pxRatio;
    const left = plot.bbox.left / ratio;
    const top = plot.bbox.top / ratio;
    const projection: Projection = {
      left,
      top,
      right: left + plot.bbox.width / ratio,
      bottom: top + plot.bbox.height / ratio,
      low,
      high,
      least: bounds.low,
      most: bounds.high,
      isLog,
      x: (at) => left + ((at - low) / (high - low)) * (plot.bbox.width / ratio),
      y: (value) => top + plot.valToPos(value, "y"),
      valueAt: (pixel) => plot.posToVal(pixel - left, "x"),
    };
    plot.ctx.save();
    plot.ctx.scale(ratio, ratio);
    const painted = paint(plot.ctx, projection, this.#content, this.#inks);
    plot.ctx.restore();
    this.#onDraw({ ...projection, ...painted });
  }
}

/** Where the marks of an axis are is decided here: uPlot only has to find that there is room for them. */
const ONE_STEP: uPlot.Axis.Incrs = (_plot, _axis, min, max) => [Math.max(max - min, 5)];

/** uPlot listens to no events of its own: the cross-hair is also moved by keys. */
const NO_EVENTS = Object.fromEntries(
  ["mousedown", "mouseup", "click", "dblclick", "mousemove", "mouseleave", "mouseenter"].map((event) => [event, () => null]),
) as uPlot.Cursor.Bind;

/** The path of a line: the pen is lifted where there is no number, and a point without neighbours is a dot. */
const penLifted: uPlot.Series.PathBuilder = (plot, index) => {
  const [x, y] = (plot.data as unknown as Facet[])[index] as Facet;
  const stroke = new Path2D();
  const { left, top, width, height } = plot.bbox;
  const { min = 0, max = 1 } = plot.scales.x ?? {};
  // What `valToPos` does, without a call for each point; in quarters as on the scale.
  const { min: least = 0, max: most = 1, distr } = plot.scales.y ?? {};
  const onScale = distr === 3 ? Math.log10 : (value: number) => value / 4;
  const end = onScale(most as number);
  const factor = height / (end - onScale(least as number));
  let isDown = false;
  for (let i = 0; i < x.length; i++) {
    const value = y[i] as number | null;
    if (value === null) {
      isDown = false;
      continue;
    }
    const across = left + (((x[i] as number) - min) / (max - min)) * width;
    const up = Math.min(Math.max(top + (end - onScale(value)) * factor, top - BEYOND), top + height + BEYOND);
    if (!isDown) stroke.moveTo(across, up);
    if (isDown || (y[i + 1] ?? null) === null) stroke.lineTo(across, up);
    isDown = true;
  }
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 } as unknown as uPlot.Series.Paths;
};

/** The edge of a band: only what is between two of them is drawn. */
const EDGE = {
  facets: [
    { scale: "x", auto: false },
    { scale: "y", auto: false },
  ],
  paths: uPlot.paths.linear?.(),
  stroke: "transparent",
  width: 0,
  points: { show: false },
  auto: false,
} as unknown as uPlot.Series;

const FACETS = [new WeakMap<Points, Facet>(), new WeakMap<Points, Facet>()] as const;

/** Points as uPlot takes them; on a logarithmic axis there is no place for what is not above 0. */
function facet(points: Points, isLog: boolean): Facet {
  const known = FACETS[isLog ? 1 : 0];
  let found = known.get(points);
  if (!found) {
    found = [points.x, points.y.map((value) => (Number.isNaN(value) || (isLog && value <= 0) ? null : value))];
    known.set(points, found);
  }
  return found;
}

function inksOf(root: Element): Inks {
  const style = getComputedStyle(root);
  return {
    fg: style.color,
    bg: style.backgroundColor,
    soft: style.outlineColor,
    grid: style.columnRuleColor,
    isForced: matchMedia("(forced-colors: active)").matches,
  };
}
