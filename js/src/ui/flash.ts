import type { Row } from "../rows";

/** A change that is older was not seen to happen. */
const FRESH = 1500;

/**
 * What changed lights up for a while, without fading: that would paint every frame, of a hundred rows as of one.  `cells` are the places
 * of the row's cells in the order of the element's, the first of which is a column of buttons.
 */
export function flash(element: HTMLElement | null, row: Row, cells: readonly number[]): void {
  if (Date.now() - row.changedAt > FRESH || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  cells.forEach((index, i) => {
    const cell = element?.children[i + 1];
    if (!cell || (row.changed && !row.changed.has(index))) return;
    cell.classList.add("flash");
    setTimeout(() => cell.classList.remove("flash"), FRESH);
  });
}
