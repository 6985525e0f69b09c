/** Word-level differences of two texts, by the algorithm of Myers; `loops_nb/panels/samples/word_diff.py` does the same for the report. */

export interface DiffPart {
  readonly kind: "same" | "added" | "removed";
  readonly text: string;
}

const WORDS = /\s+|[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]/gu;
/** Texts that differ in more words are shown as wholly changed. */
const MOST_CHANGES = 800;

/** The parts of two texts, in the order of the newer one; removed parts stand where they were. */
export function wordDiff(older: string, newer: string): DiffPart[] {
  const before: string[] = older.match(WORDS) ?? [];
  const after: string[] = newer.match(WORDS) ?? [];
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && before[start] === after[start]) start++;
  let end = 0;
  while (end < shorter - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const parts: DiffPart[] = [
    { kind: "same", text: after.slice(0, start).join("") },
    ...changes(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    { kind: "same", text: after.slice(after.length - end).join("") },
  ];
  return joined(parts);
}

/** The parts with what did not change shortened to its ends, so that changes far into a long text are seen at once. */
export function shortened(parts: readonly DiffPart[], context: number): DiffPart[] {
  if (!parts.some(({ kind }) => kind !== "same")) return [...parts];
  return parts.map((part, place) => {
    const { kind, text } = part;
    const [isFirst, isLast] = [place === 0, place === parts.length - 1];
    if (kind !== "same" || text.length <= (isFirst || isLast ? 1.5 : 3) * context) return part;
    const head = isFirst ? "" : text.slice(0, context);
    const tail = isLast ? "" : text.slice(-context);
    return { kind, text: `${head} … ${tail}` };
  });
}

function changes(before: readonly string[], after: readonly string[]): DiffPart[] {
  const trace = before.length && after.length ? search(before, after) : null;
  if (!trace) {
    return [
      { kind: "removed", text: before.join("") },
      { kind: "added", text: after.join("") },
    ];
  }
  const parts: DiffPart[] = [];
  let [x, y] = [before.length, after.length];
  for (let d = trace.length - 1; d > 0; d--) {
    const best = trace[d - 1] as Map<number, number>;
    const k = x - y;
    const isDown = k === -d || (k !== d && at(best, k - 1) < at(best, k + 1));
    const fromK = isDown ? k + 1 : k - 1;
    const fromX = at(best, fromK);
    const fromY = fromX - fromK;
    while (x > fromX && y > fromY && x > 0 && y > 0 && before[x - 1] === after[y - 1]) {
      parts.push({ kind: "same", text: after[y - 1] as string });
      x--;
      y--;
    }
    if (isDown) parts.push({ kind: "added", text: after[fromY] as string });
    else parts.push({ kind: "removed", text: before[fromX] as string });
    [x, y] = [fromX, fromY];
  }
  while (y > 0) {
    parts.push({ kind: "same", text: after[y - 1] as string });
    y--;
  }
  return parts.reverse();
}

/** The furthest places that each number of changes reaches; null when there are too many. */
function search(before: readonly string[], after: readonly string[]): Map<number, number>[] | null {
  const trace: Map<number, number>[] = [];
  let best = new Map<number, number>([[1, 0]]);
  for (let d = 0; d <= Math.min(MOST_CHANGES, before.length + after.length); d++) {
    const next = new Map<number, number>();
    for (let k = -d; k <= d; k += 2) {
      const isDown = k === -d || (k !== d && at(best, k - 1) < at(best, k + 1));
      let x = isDown ? at(best, k + 1) : at(best, k - 1) + 1;
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) x++;
      next.set(k, x);
      if (x >= before.length && x - k >= after.length) {
        trace.push(next);
        return trace;
      }
    }
    trace.push(next);
    best = next;
  }
  return null;
}

function at(best: ReadonlyMap<number, number>, k: number): number {
  return best.get(k) ?? -1;
}

/** Neighbouring changes as one removed and one added part; white space alone between two changes changes with them. */
function joined(parts: readonly DiffPart[]): DiffPart[] {
  const found: DiffPart[] = [];
  let [same, space, removed, added] = ["", "", "", ""];
  const flush = () => {
    if (removed) found.push({ kind: "removed", text: removed });
    if (added) found.push({ kind: "added", text: added });
    [removed, added] = ["", ""];
  };
  for (const { kind, text } of parts) {
    if (!text) continue;
    if (kind === "same") {
      const isBetween = (removed || added) && !space && /^\s+$/.test(text);
      if (isBetween) {
        space = text;
        continue;
      }
      flush();
      same += space + text;
      space = "";
      continue;
    }
    if (same) {
      found.push({ kind: "same", text: same });
      same = "";
    }
    if (space) {
      removed += space;
      added += space;
      space = "";
    }
    if (kind === "removed") removed += text;
    else added += text;
  }
  flush();
  if (same || space) found.push({ kind: "same", text: same + space });
  return found;
}
