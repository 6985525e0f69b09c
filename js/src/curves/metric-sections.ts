/** Metrics side by side: in sections by the beginning of their names, those that are pinned first. */

export type Order = "importance" | "name";

export interface Section {
  /** Empty for metrics whose names have no beginning in common with others. */
  readonly title: string;
  readonly keys: readonly string[];
}

export const PINNED = "Pinned";

/** What stands before the first slash; of one of many layers, what stands before its number. */
export function prefixOf(key: string): string {
  const first = key.slice(0, Math.max(0, key.indexOf("/")));
  return first.replace(/[._-]\d+([._-].*)?$/, "") || first;
}

/** Sections in the order of their first keys; `keys` come with what matters most first. */
export function sectionsOf(keys: readonly string[], pinned: readonly string[], order: Order): Section[] {
  const byName = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });
  const first = pinned.filter((key) => keys.includes(key));
  const others = keys.filter((key) => !pinned.includes(key));
  if (order === "name") others.sort(byName);
  const sections = new Map<string, string[]>();
  for (const key of others) {
    const title = prefixOf(key);
    sections.set(title, [...(sections.get(title) ?? []), key]);
  }
  const found = [...sections].map(([title, keys]) => ({ title, keys }));
  return first.length ? [{ title: PINNED, keys: first }, ...found] : found;
}

/** As in the kernel: every word of the search, whatever its case. */
export function matches(key: string, text: string): boolean {
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => key.toLowerCase().includes(word));
}

const KEPT = "loops-nb.curves";

/** What was chosen once holds for all panels of this browser. */
export interface Kept {
  readonly pinned: readonly string[];
  readonly order: Order;
}

export function readKept(): Kept {
  try {
    const { pinned, order } = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    const names = Array.isArray(pinned) ? pinned.filter((key) => typeof key === "string") : [];
    return { pinned: names, order: order === "name" ? "name" : "importance" };
  } catch {
    // A page may have no storage, or other things in it.
    return { pinned: [], order: "importance" };
  }
}

export function keep(kept: Kept): void {
  try {
    localStorage.setItem(KEPT, JSON.stringify({ pinned: kept.pinned, order: kept.order }));
  } catch {
    // It holds for as long as the panel is open.
  }
}
