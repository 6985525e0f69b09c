import { useEffect, useMemo, useState } from "preact/hooks";
import type { Row } from "../rows";
import { QUEUED_AFTER } from "../session";
import { isReachable, type Status } from "../status";
import type { State } from "../store";
import { type RowSelection, usePanel } from "../ui/panel-context";

export interface SelectedRuns {
  readonly ids: ReadonlySet<string>;
  /** Whether the kernel lets one wait. */
  readonly isQueued: boolean;
  readonly select: (ids: Iterable<string>) => void;
  readonly selection: RowSelection;
}

/** The runs that are selected in the kernel, which narrows what it sends; what was chosen here shows at once. */
export function useSelectedRuns(state: State, status: Status): SelectedRuns {
  const { session } = usePanel();
  const confirmed = state.selected_runs ?? NONE;
  const [asked, setAsked] = useState<{ ids: readonly string[]; before: readonly string[] } | null>(null);
  const [isQueued, setQueued] = useState(false);
  const isWaiting = asked !== null && asked.before === confirmed;
  const shown = isWaiting ? asked.ids : confirmed;
  useEffect(() => {
    setQueued(false);
    if (!isWaiting) return undefined;
    const timer = setTimeout(() => setQueued(true), QUEUED_AFTER);
    return () => clearTimeout(timer);
  }, [isWaiting, asked]);
  const canSelect = isReachable(status);
  return useMemo(() => {
    const ids = new Set(shown);
    const select = (wanted: Iterable<string>) => {
      const next = [...wanted];
      if (canSelect && session.send({ type: "select_runs", ids: next }))
        setAsked({ ids: next, before: session.state?.selected_runs ?? NONE });
    };
    const control = ({ id }: Row, tabIndex: number) => (
      <input
        type="checkbox"
        data-control="select"
        aria-label={`Curves and checkpoints of run ${id}`}
        tabIndex={tabIndex}
        checked={ids.has(id)}
        disabled={!canSelect}
        onChange={() => select(ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id])}
      />
    );
    // A click on a row selects that one alone, and once more, all.
    const onRow = (id: string) => select(ids.size === 1 && ids.has(id) ? [] : [id]);
    return { ids, isQueued, select, selection: { table: "runs" as const, control, onRow } };
  }, [shown, canSelect, isQueued, session]);
}

const NONE: readonly string[] = [];
