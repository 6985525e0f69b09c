import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Row } from "../rows";
import { ROW_HEIGHT, type VirtualRows } from "./use-virtual-rows";

export interface RowFocus {
  /** Index of the row that had the focus last; -1 for none. */
  readonly activeIndex: number;
  readonly hasFocus: boolean;
  /** Focuses a control of a row after the next drawing. */
  readonly focusNext: (id: string, kind: string) => void;
  readonly handlers: {
    onKeyDown: (event: KeyboardEvent) => void;
    onFocusIn: (event: FocusEvent) => void;
    onFocusOut: () => void;
  };
}

/** Keyboard navigation in a table: the Tab key stops at one row, the arrow keys move between rows and between a row's buttons. */
export function useRowFocus(box: { current: HTMLElement | null }, rows: readonly Row[], virtual: VirtualRows): RowFocus {
  const [active, setActive] = useState<string | null>(null);
  const hasFocus = useRef(false);
  const next = useRef<{ id: string; kind: string } | null>(null);
  const activeIndex = active === null ? -1 : rows.findIndex((row) => row.id === active);
  const focusNext = (id: string, kind: string) => {
    next.current = { id, kind };
  };
  useLayoutEffect(() => {
    const wanted = next.current;
    next.current = null;
    if (!wanted) return;
    const selector = `[data-id="${CSS.escape(wanted.id)}"] [data-control=${wanted.kind}]`;
    box.current?.querySelector<HTMLElement>(selector)?.focus({ preventScroll: true });
  });

  const moveTo = (index: number, kind: string) => {
    const to = Math.max(0, Math.min(rows.length - 1, index));
    const row = rows[to];
    if (!box.current || !row) return;
    focusNext(row.id, kind);
    setActive(row.id);
    virtual.scrollTo(to);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const control = event.target as HTMLElement;
    const row = control.closest<HTMLElement>("[data-id]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = rows.findIndex((each) => each.id === row.dataset.id);
    const page = Math.floor(virtual.height / ROW_HEIGHT) - 2;
    const targets: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length,
    };
    const to = targets[event.key];
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (to !== undefined) moveTo(to, control.dataset.control ?? "");
    else if (step) {
      const buttons = [...row.querySelectorAll<HTMLElement>("button, input")];
      buttons[buttons.indexOf(control) + step]?.focus();
    } else return;
    event.preventDefault();
  };
  const onFocusIn = (event: FocusEvent) => {
    hasFocus.current = true;
    setActive((event.target as HTMLElement).closest<HTMLElement>("[data-id]")?.dataset.id ?? active);
  };
  const onFocusOut = () => {
    hasFocus.current = false;
  };
  return { activeIndex, hasFocus: hasFocus.current, focusNext, handlers: { onKeyDown, onFocusIn, onFocusOut } };
}
