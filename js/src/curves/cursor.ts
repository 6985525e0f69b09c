/** Where one looks along the x axis: one position for all charts of a view. */

import { useEffect, useState } from "preact/hooks";

export class Cursor {
  #at: number | null = null;
  readonly #listeners = new Set<() => void>();

  get at(): number | null {
    return this.#at;
  }

  move(to: number | null): void {
    if (to === this.#at) return;
    this.#at = to;
    for (const listener of [...this.#listeners]) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The position; what uses it is drawn again when it moves, and nothing else is. */
export function useCursor(cursor: Cursor): number | null {
  const [at, set] = useState(cursor.at);
  useEffect(() => {
    set(cursor.at);
    return cursor.subscribe(() => set(cursor.at));
  }, [cursor]);
  return at;
}
