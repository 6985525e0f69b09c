import { useMemo, useState } from "preact/hooks";

type Ids = ReadonlySet<string>;
const NONE: Ids = new Set();

export interface RowState {
  /** Rows whose details are open. */
  readonly open: Ids;
  /** Rows that are about to be deactivated. */
  readonly deactivating: Ids;
  /** Both: they stay visible although they are finished. */
  readonly pinned: Ids;
  readonly onFold: (id: string) => void;
  readonly onDeactivate: (id: string) => void;
  readonly onDeactivated: (id: string) => void;
}

/** What is unfolded below the rows of a table; the functions are the same ones in every call. */
export function useRowState(): RowState {
  const [open, setOpen] = useState(NONE);
  const [deactivating, setDeactivating] = useState(NONE);
  const pinned = useMemo(() => new Set([...open, ...deactivating]), [open, deactivating]);
  const functions = useMemo(
    () => ({
      onFold: (id: string) => setOpen((before) => toggled(before, id, !before.has(id))),
      onDeactivate: (id: string) => setDeactivating((before) => toggled(before, id, true)),
      onDeactivated: (id: string) => setDeactivating((before) => toggled(before, id, false)),
    }),
    [],
  );
  return { open, deactivating, pinned, ...functions };
}

function toggled(ids: Ids, id: string, on: boolean): Ids {
  const next = new Set(ids);
  if (on) next.add(id);
  else next.delete(id);
  return next;
}
