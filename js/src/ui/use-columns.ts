import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type ColumnWidth, fitColumns } from "../column-fit";
import { ColumnWidths, measureIn } from "../column-widths";
import { COLUMNS, type PanelColumn, type TableName } from "../contract";
import type { Rows } from "../rows";
import { columnIndex } from "../sorting";

/** Width of a column with one button: the first, which unfolds a row. */
export const FOLD_WIDTH = 28;

type Rank = PanelColumn["rank"];
/** Of columns that matter more or less than in other panels, by their names; null: not at all. */
export type Ranks = Partial<Record<string, Rank>>;

interface Columns {
  readonly columns: readonly ColumnWidth[];
  /** Width of the last column, which has a row's other buttons. */
  readonly lastWidth: number;
  /** The owner of all rows, which needs no column; empty where they differ. */
  readonly owner: string;
}

/** The columns that fit; the same array as before while nothing about them changes. */
export function useColumns(
  name: TableName,
  rows: Rows | undefined,
  box: { current: HTMLElement | null },
  isMain: boolean,
  firstWidth: number,
  ranks: Ranks = {},
): Columns {
  const lastWidth = name === "checkpoints" ? 2 * FOLD_WIDTH : FOLD_WIDTH + 4;
  const [width, setWidth] = useState(0);
  const widths = useMemo(() => new ColumnWidths(name), []);
  const before = useRef<readonly ColumnWidth[]>([]);
  const madeFor = useRef("");
  const owner = useRef("");
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    setWidth(element.clientWidth);
    return () => observer.disconnect();
  }, [!rows]);
  const now = `${rows?.version} ${width} ${ranks.run_id}`;
  if (rows && box.current && width && madeFor.current !== now) {
    madeFor.current = now;
    owner.current = ownerOfAll(name, rows);
    // Standalone samplers have no run to name.
    const isSaid = (column: string) => (column === "run_id" && !isMain) || (column === "owner" && owner.current !== "");
    const wanted = widths.wanted(rows, measureIn(box.current)).map((column, i) => {
      const title = COLUMNS[name][i]?.name as string;
      return { ...column, rank: isSaid(title) ? null : title in ranks ? (ranks[title] as Rank) : column.rank };
    });
    const next = fitColumns(wanted, width - firstWidth - lastWidth);
    if (String(next) !== String(before.current)) before.current = next;
  }
  return { columns: before.current, lastWidth, owner: owner.current };
}

function ownerOfAll(name: TableName, rows: Rows): string {
  const at = columnIndex(name, "owner");
  const owners = new Set<unknown>();
  for (const row of rows.byId.values()) owners.add(row.cells[at]);
  const [only] = owners;
  return owners.size === 1 && rows.byId.size > 1 && typeof only === "string" ? only : "";
}
