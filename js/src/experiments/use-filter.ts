import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Row } from "../rows";
import { RowOrder, type Sort, searchWords } from "../sorting";
import type { ExperimentsSession } from "./session";
import type { State } from "./store";
import { comparator, isExpression, searchText } from "./table-data";

export interface Filter {
  readonly text: string;
  readonly setText: (text: string) => void;
  /** How many rows there are, and how many of them are shown. */
  readonly total: number;
  readonly shown: number;
  /** Why an expression cannot be read. */
  readonly error: string;
  /** Since when the kernel has been asked in vain which rows match; null: it answered. */
  readonly waitsSince: number | null;
}

const NONE: readonly Row[] = [];
/** Keys of a keyboard arrive faster than answers. */
const ASK_AFTER = 150;
/** What did not come by then may have been lost on its way. */
const LOST_AFTER = 5000;

/** The rows that a filter leaves, in order: words are found here, an expression is read by the kernel. */
export function useFilter(session: ExperimentsSession, view: string, state: State | null, sort: Sort): [readonly Row[], Filter] {
  const [text, setText] = useState("");
  const places = useRef(state?.places);
  places.current = state?.places;
  const order = useMemo(() => new RowOrder((by) => comparator(places.current ?? new Map(), by)), []);
  const sorted = state ? order.sorted(state.rows, sort) : NONE;
  const expression = isExpression(text) ? text : "";
  const answer = session.store.filtered(view);
  const isAnswered = answer?.text === expression;
  const waitsSince = useWaiting(session, view, expression, isAnswered);
  const error = expression && isAnswered ? (answer?.error ?? "") : "";
  const rows = useMemo(() => {
    if (expression) {
      // Until the answer is there, what was matched last stays; without one, everything does.
      if (!answer || answer.error) return sorted;
      const ids = new Set(answer.ids);
      return sorted.filter((row) => ids.has(row.id));
    }
    const words = searchWords(text);
    if (!words.length || !state) return sorted;
    const { columns, places: at } = state;
    return sorted.filter((row) => {
      const found = searchText(row, columns, at);
      return words.every((word) => found.includes(word));
    });
  }, [sorted, text, expression, answer]);
  const total = state?.rows.byId.size ?? 0;
  return [rows, { text, setText, total, shown: rows.length, error, waitsSince }];
}

/** Asks the kernel, again where no answer comes; returns since when one is awaited. */
function useWaiting(session: ExperimentsSession, view: string, expression: string, isAnswered: boolean): number | null {
  const since = useRef<number | null>(null);
  const asked = useRef("");
  if (!expression || isAnswered) since.current = null;
  else since.current ??= Date.now();
  useEffect(() => {
    if (expression === asked.current) return undefined;
    const ask = () => {
      asked.current = expression;
      session.send({ type: "filter", view, text: expression });
    };
    const timer = setTimeout(ask, expression ? ASK_AFTER : 0);
    const again = setInterval(() => since.current !== null && Date.now() - since.current > LOST_AFTER && ask(), LOST_AFTER);
    return () => {
      clearTimeout(timer);
      clearInterval(again);
    };
  }, [expression]);
  return since.current;
}
