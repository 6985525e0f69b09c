import { useMemo, useState } from "preact/hooks";
import type { Action } from "./row-action";

type Ids = ReadonlySet<string>;
type Actions = ReadonlyMap<string, Action>;
const NONE: Ids = new Set();
const NO_ACTIONS: Actions = new Map();

export interface RowState {
  /** Rows whose details are open. */
  readonly open: Ids;
  /** What is about to be done to rows, by their ids. */
  readonly actions: Actions;
  /** Both: they stay visible although they are finished. */
  readonly pinned: Ids;
  readonly onFold: (id: string) => void;
  readonly onAct: (action: Action) => void;
  readonly onActed: (id: string) => void;
}

/** What is unfolded below the rows of a table; the functions are the same ones in every call. */
export function useRowState(): RowState {
  const [open, setOpen] = useState(NONE);
  const [actions, setActions] = useState(NO_ACTIONS);
  const pinned = useMemo(() => new Set([...open, ...actions.keys()]), [open, actions]);
  const functions = useMemo(
    () => ({
      onFold: (id: string) => setOpen((before) => toggled(before, id, !before.has(id))),
      onAct: (action: Action) => setActions((before) => new Map(before).set(action.target, action)),
      onActed: (id: string) => setActions((before) => new Map([...before].filter(([key]) => key !== id))),
    }),
    [],
  );
  return { open, actions, pinned, ...functions };
}

function toggled(ids: Ids, id: string, on: boolean): Ids {
  const next = new Set(ids);
  if (on) next.add(id);
  else next.delete(id);
  return next;
}
