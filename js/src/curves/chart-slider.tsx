/** The part of a chart that takes the pointer and the keyboard: a slider that moves the cross-hair. */

import { useRef } from "preact/hooks";
import { type Navigation, ZOOM } from "./navigation";
import type { CurvePlot, PlotArea } from "./plot";

/** A drag that is shorter is a click. */
const SHORTEST_DRAG = 5;

interface Props {
  area: PlotArea;
  plot: CurvePlot;
  navigation: Navigation;
  metricKey: string;
  cursor: number | null;
  /** Values at the cross-hair, in words. */
  text: string | undefined;
  /** The pointer is so many pixels below the top of the chart; null: it has left. */
  onPoint: (y: number | null) => void;
  onFocusChange: (hasFocus: boolean) => void;
  onEnlarge: (() => void) | undefined;
}

export function ChartSlider({ area, plot, navigation, metricKey, cursor, text, onPoint, onFocusChange, onEnlarge }: Props) {
  const element = useRef<HTMLDivElement>(null);
  /** Where a range begins that is selected by dragging, and where it ends now; null before the pointer has moved. */
  const selection = useRef<{ from: number; to: number | null } | null>(null);
  const { low, high } = area;
  const boxOf = () => element.current?.getBoundingClientRect();
  const pixelOf = (event: MouseEvent) => event.clientX - (boxOf()?.left ?? 0) + area.left;
  const insidePixelOf = (event: MouseEvent) => Math.min(Math.max(pixelOf(event), area.left), area.right);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter") onEnlarge?.();
    if (event.ctrlKey || event.metaKey || event.altKey || !navigation.onKey(event.key, event.shiftKey)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    element.current?.setPointerCapture(event.pointerId);
    selection.current = { from: insidePixelOf(event), to: null };
  };
  const onPointerMove = (event: PointerEvent) => {
    const pixel = insidePixelOf(event);
    if (selection.current) {
      const { from } = selection.current;
      const isDrag = Math.abs(pixel - from) >= SHORTEST_DRAG;
      selection.current = { from, to: isDrag ? pixel : null };
      plot.select(from, isDrag ? pixel : from);
    }
    navigation.moveCursor(area.valueAt(pixel));
    onPoint(event.clientY - (boxOf()?.top ?? 0) + area.top);
  };
  const onPointerUp = () => {
    const chosen = selection.current;
    selection.current = null;
    if (!chosen || chosen.to === null) return;
    plot.select(0, 0);
    const [left, right] = [Math.min(chosen.from, chosen.to), Math.max(chosen.from, chosen.to)];
    navigation.zoomTo(area.valueAt(left), area.valueAt(right));
  };
  const onPointerLeave = () => {
    if (selection.current) return;
    navigation.moveCursor(null);
    onPoint(null);
  };
  const onWheel = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.altKey) return;
    event.preventDefault();
    navigation.zoomBy(event.deltaY < 0 ? ZOOM : 1 / ZOOM, area.valueAt(pixelOf(event)));
  };
  const onFocus = (event: FocusEvent) => {
    onFocusChange(true);
    if (cursor === null && (event.currentTarget as Element).matches(":focus-visible")) navigation.moveCursor((low + high) / 2);
  };
  const style = `left:${area.left}px;top:${area.top}px;width:${Math.max(0, area.right - area.left)}px;height:${area.bottom - area.top}px`;
  return (
    <div
      ref={element}
      class="hand"
      role="slider"
      tabIndex={0}
      aria-label={`Cross-hair over ${metricKey}. Arrows move it, plus and minus zoom, brackets go to checkpoints, 0 resets the zoom`}
      aria-valuemin={low}
      aria-valuemax={high}
      aria-valuenow={cursor ?? low}
      aria-valuetext={text ?? "off"}
      style={style}
      onKeyDown={onKeyDown}
      onFocus={onFocus}
      onBlur={() => onFocusChange(false)}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerLeave={onPointerLeave}
      onDblClick={() => navigation.zoomTo(null, null)}
      onWheel={onWheel}
    />
  );
}
