import type { Row } from "../rows";

/** A change that is older was not seen to happen. */
const FRESH = 1500;

/** Cells that were lit in this task: one timer takes the colour from all of them. */
let lit: Element[] = [];

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
    if (lit.push(cell) > 1) return;
    setTimeout(fade, FRESH, lit);
    queueMicrotask(() => {
      lit = [];
    });
  });
}

function fade(cells: readonly Element[]): void {
  for (const cell of cells) cell.classList.remove("flash");
}
