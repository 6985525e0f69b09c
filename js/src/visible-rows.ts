/** Which rows of a long table are near what one sees.  All rows are equally high; what is unfolded below one has a height of its own. */

export interface Unfolded {
  readonly index: number;
  readonly height: number;
}

export interface Slice {
  readonly first: number;
  /** One past the last. */
  readonly last: number;
}

/** Where a row begins; `index` may be the number of rows, for the height of all. `unfolded` is sorted by index. */
export function topOf(index: number, rowHeight: number, unfolded: readonly Unfolded[]): number {
  let top = index * rowHeight;
  for (const each of unfolded) {
    if (each.index >= index) break;
    top += each.height;
  }
  return top;
}

export function indexAt(y: number, count: number, rowHeight: number, unfolded: readonly Unfolded[]): number {
  let above = 0;
  for (const each of unfolded) {
    const end = (each.index + 1) * rowHeight + above;
    if (y < end) break;
    if (y < end + each.height) return each.index;
    above += each.height;
  }
  return Math.min(Math.max(0, Math.floor((y - above) / rowHeight)), Math.max(0, count - 1));
}

/** In steps of several rows, so that a small movement renders nothing. */
export function slice(top: number, height: number, count: number, rowHeight: number, unfolded: readonly Unfolded[], step = 8): Slice {
  const first = indexAt(top, count, rowHeight, unfolded);
  const last = indexAt(top + height, count, rowHeight, unfolded) + 1;
  return {
    first: Math.max(0, (Math.floor(first / step) - 1) * step),
    last: Math.min(count, (Math.ceil(last / step) + 1) * step),
  };
}
