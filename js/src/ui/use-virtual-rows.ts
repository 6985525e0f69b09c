import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Row } from "../rows";
import { indexAt, type Slice, slice, topOf, type Unfolded } from "../visible-rows";

export const ROW_HEIGHT = 30;
/** Longer tables are only drawn near the visible part. */
const DRAWN_WHOLE = 200;

export interface VirtualRows {
  readonly isLong: boolean;
  /** The rows to draw. */
  readonly drawn: Slice;
  /** Visible height in pixels. */
  readonly height: number;
  /** Top of a row. */
  readonly topOf: (index: number) => number;
  /** Takes in the height of what is unfolded below a row. */
  readonly setHeight: (id: string, height: number) => void;
  readonly onScroll: () => void;
  /** Scrolls until a row is visible. */
  readonly scrollTo: (index: number) => void;
}

interface Props {
  box: { current: HTMLElement | null };
  rows: readonly Row[];
  pinned: ReadonlySet<string>;
  /** Another order or filter, which begins at the top. */
  reset: readonly unknown[];
}

export function useVirtualRows({ box, rows, pinned, reset }: Props): VirtualRows {
  const [, redraw] = useState({});
  const heights = useRef(new Map<string, number>());
  /** The row at the upper edge, and how far it is cut off. */
  const anchor = useRef<{ id: string; cut: number } | null>(null);
  const unfolded = unfoldedIn(rows, pinned, heights.current);
  const isLong = rows.length > DRAWN_WHOLE;
  const height = box.current?.clientHeight || 600;
  const top = (index: number) => topOf(index, ROW_HEIGHT, unfolded);
  const visible = () => slice(box.current?.scrollTop ?? 0, height, rows.length, ROW_HEIGHT, unfolded);
  const drawn = isLong ? visible() : { first: 0, last: rows.length };

  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    anchor.current = null;
  }, reset);
  // The text that is read stays in place when rows are added and removed above it.
  useLayoutEffect(() => {
    const kept = anchor.current;
    const index = kept ? rows.findIndex((row) => row.id === kept.id) : -1;
    if (box.current?.scrollTop && kept && index >= 0) box.current.scrollTop = top(index) + kept.cut;
  }, [rows]);

  const onScroll = () => {
    const scrolled = box.current?.scrollTop ?? 0;
    const index = indexAt(scrolled, rows.length, ROW_HEIGHT, unfolded);
    const row = rows[index];
    anchor.current = row ? { id: row.id, cut: scrolled - top(index) } : null;
    const next = isLong ? visible() : drawn;
    if (next.first !== drawn.first || next.last !== drawn.last) redraw({});
  };
  const scrollTo = (index: number) => {
    const element = box.current;
    if (!element) return;
    // The heading covers one row.
    element.scrollTop = Math.min(top(index), Math.max(element.scrollTop, top(index) + 2 * ROW_HEIGHT - height));
    redraw({});
  };
  const setHeight = (id: string, tall: number) => {
    heights.current.set(id, tall);
    if (isLong) redraw({});
  };
  return { isLong, drawn, height, topOf: top, setHeight, onScroll, scrollTo };
}

function unfoldedIn(rows: readonly Row[], ids: ReadonlySet<string>, heights: ReadonlyMap<string, number>): Unfolded[] {
  return ids.size ? rows.flatMap((row, index) => (ids.has(row.id) ? { index, height: heights.get(row.id) ?? 0 } : [])) : [];
}
