/** One axis of parallel coordinates: its name and labels, and the range that is selected on it. */

import { useRef } from "preact/hooks";
import { type Geometry, shareAt, yOf } from "./parallel-canvas";
import { type AxisScale, type Brush, brushBetween, brushText, type Dimension, movedBrush, text } from "./parallel-scale";

/** A drag that is shorter is a click. */
const SHORTEST_DRAG = 4;
/** Of the part of an axis that takes the pointer. */
const STRIP = 30;
/** Steps of the keys for pages, as a part of all values. */
const PAGE = 0.1;

type End = "low" | "high";

interface Props {
  dimension: Dimension;
  scale: AxisScale;
  geometry: Geometry;
  index: number;
  brush: Brush | undefined;
  onBrush: (brush: Brush | null) => void;
}

export function Axis(props: Props) {
  const { dimension, scale, geometry, index, brush } = props;
  const { xs, top, bottom } = geometry;
  const x = xs[index] ?? 0;
  const room = (xs[1] ?? geometry.width) - (xs[0] ?? 0);
  // The name is centred, and ends where the picture does.
  const nameWidth = Math.min(room - 8, 2 * x, 2 * (geometry.width - x));
  return (
    <>
      <div class="axis-name" style={`left:${x}px;width:${nameWidth}px`} title={dimension.label} data-brushed={brush !== undefined}>
        <span>{dimension.label}</span>
      </div>
      <div class="axis-line" style={`left:${x}px;top:${top}px;height:${bottom - top}px`} />
      {scale.ticks.map(({ share, label }) => (
        <div
          key={`${share} ${label}`}
          class="axis-tick"
          title={label}
          style={`right:${geometry.width - x + 3}px;top:${yOf(geometry, share)}px;max-width:${room * 0.8}px`}
        >
          {label}
        </div>
      ))}
      {scale.stops.length > 1 && <BrushStrip {...props} />}
    </>
  );
}

interface Drag {
  /** Where it began. */
  readonly from: number;
  readonly y: number;
  /** A range that is moved as it is. */
  readonly moved: readonly [number, number] | null;
}

function BrushStrip(props: Props) {
  const { scale, geometry, index, brush, onBrush } = props;
  const element = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag | null>(null);
  const x = geometry.xs[index] ?? 0;
  const [low, high] = endsOf(scale, brush);
  const originOf = () => element.current?.getBoundingClientRect().top ?? 0;
  const shareOf = (event: PointerEvent) => Math.min(1, Math.max(0, shareAt(geometry, event.clientY - originOf())));
  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    event.preventDefault();
    element.current?.setPointerCapture(event.pointerId);
    const from = shareOf(event);
    drag.current = { from, y: event.clientY, moved: brush && from >= low && from <= high ? [low, high] : null };
  };
  const onPointerMove = (event: PointerEvent) => {
    const began = drag.current;
    if (!began || Math.abs(event.clientY - began.y) < SHORTEST_DRAG) return;
    const at = shareOf(event);
    if (!began.moved) {
      onBrush(brushBetween(scale, began.from, at));
      return;
    }
    const [from, to] = began.moved;
    const by = Math.min(1 - to, Math.max(-from, at - began.from));
    onBrush(brushBetween(scale, from + by, to + by));
  };
  const onPointerUp = (event: PointerEvent) => {
    // A click removes the range.
    if (drag.current && Math.abs(event.clientY - drag.current.y) < SHORTEST_DRAG && brush) onBrush(null);
    drag.current = null;
  };
  return (
    <>
      <div
        ref={element}
        class="axis-strip"
        style={`left:${x - STRIP / 2}px;width:${STRIP}px;height:${geometry.height}px`}
        data-axis={props.dimension.key}
        onPointerDown={onPointerDown}
        onPointerMove={onPointerMove}
        onPointerUp={onPointerUp}
        onPointerCancel={() => {
          drag.current = null;
        }}
      />
      {brush && (
        <div class="axis-range" style={`left:${x}px;top:${yOf(geometry, high)}px;height:${yOf(geometry, low) - yOf(geometry, high)}px`} />
      )}
      <Handle {...props} end="low" share={low} other={high} />
      <Handle {...props} end="high" share={high} other={low} />
    </>
  );
}

function endsOf(scale: AxisScale, brush: Brush | undefined): [number, number] {
  return [
    brush && brush.low !== null ? Math.max(0, scale.share(brush.low)) : 0,
    brush && brush.high !== null ? Math.min(1, scale.share(brush.high)) : 1,
  ];
}

interface HandleProps extends Props {
  end: End;
  share: number;
  /** Of the other end. */
  other: number;
}

function Handle({ dimension, scale, geometry, index, brush, onBrush, end, share, other }: HandleProps) {
  const isHeld = useRef(false);
  const element = useRef<HTMLDivElement>(null);
  const { stops } = scale;
  const value = brush?.[end] ?? null;
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const next = nextBrush(event.key, scale, brush, end);
    if (next === undefined || (event.key === "Escape" && !brush)) return;
    event.preventDefault();
    event.stopPropagation();
    onBrush(next);
  };
  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    element.current?.setPointerCapture(event.pointerId);
    isHeld.current = true;
  };
  const onPointerMove = (event: PointerEvent) => {
    if (!isHeld.current) return;
    const box = element.current?.offsetParent?.getBoundingClientRect();
    const at = shareAt(geometry, event.clientY - (box?.top ?? 0));
    onBrush(end === "low" ? brushBetween(scale, Math.min(at, other), other) : brushBetween(scale, other, Math.max(at, other)));
  };
  const release = () => {
    isHeld.current = false;
  };
  const at = value === null ? (end === "low" ? 0 : stops.length - 1) : stops.indexOf(value);
  return (
    <div
      ref={element}
      class={`axis-handle ${end}`}
      role="slider"
      tabIndex={0}
      aria-label={`${dimension.label}, ${end === "low" ? "lower" : "upper"} end of the range`}
      aria-orientation="vertical"
      aria-valuemin={0}
      aria-valuemax={stops.length - 1}
      aria-valuenow={at < 0 ? Math.round(share * (stops.length - 1)) : at}
      aria-valuetext={value === null ? `open, ${text((end === "low" ? stops[0] : stops.at(-1)) ?? null)}` : text(value)}
      data-open={value === null}
      style={`left:${geometry.xs[index] ?? 0}px;top:${yOf(geometry, share)}px`}
      title={brush ? brushText(brush) : "Drag to select a range"}
      onKeyDown={onKeyDown}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={release}
      onPointerCancel={release}
    />
  );
}

/** The range after a key; undefined for a key that does nothing here. */
function nextBrush(key: string, scale: AxisScale, brush: Brush | undefined, end: End): Brush | null | undefined {
  const page = Math.max(1, Math.round(scale.stops.length * PAGE));
  const steps: Record<string, number> = {
    ArrowUp: 1,
    ArrowRight: 1,
    ArrowDown: -1,
    ArrowLeft: -1,
    PageUp: page,
    PageDown: -page,
    Home: -scale.stops.length,
    End: scale.stops.length,
  };
  if (key === "Escape" || key === "Delete" || key === "Backspace") return null;
  const by = steps[key];
  return by === undefined ? undefined : movedBrush(scale, brush, end, by);
}
