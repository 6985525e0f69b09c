import type { ComponentChild } from "preact";
import type { ColumnWidth } from "../column-fit";
import type { TableName } from "../contract";
import type { Row } from "../rows";
import type { Panel } from "./panel-context";
import { RowView } from "./row";
import { RowDetails } from "./row-details";
import type { RowFocus } from "./use-row-focus";
import type { RowState } from "./use-row-state";
import type { VirtualRows } from "./use-virtual-rows";

interface Props {
  panel: Panel;
  table: TableName;
  rows: readonly Row[];
  columns: readonly ColumnWidth[];
  state: RowState;
  virtual: VirtualRows;
  focus: RowFocus;
}

/** The drawn rows of a table, what is unfolded below them, and gaps as high as the rows that are not drawn. */
export function tableRows(props: Props): ComponentChild[] {
  const { rows, virtual } = props;
  const lines: ComponentChild[] = [];
  let from = 0;
  const gapTo = (to: number) => {
    const space = virtual.topOf(to) - virtual.topOf(from);
    if (space) lines.push(<tr key={`gap ${from}`} style={{ height: `${space}px` }} />);
    from = to + 1;
  };
  for (const index of drawnIndices(props)) {
    gapTo(index);
    lines.push(...rowAt(index, props));
  }
  gapTo(rows.length);
  return lines;
}

/** A row that has the focus stays, wherever the table is scrolled to. */
function drawnIndices({ virtual, focus: { hasFocus, activeIndex } }: Props): number[] {
  const { first, last } = virtual.drawn;
  const indices = Array.from({ length: last - first }, (_, i) => first + i);
  if (!hasFocus || activeIndex < 0 || (activeIndex >= first && activeIndex < last)) return indices;
  return activeIndex < first ? [activeIndex, ...indices] : [...indices, activeIndex];
}

function rowAt(index: number, { panel, table, rows, columns, state, virtual, focus }: Props): ComponentChild[] {
  const row = rows[index] as Row;
  const isOpen = state.open.has(row.id);
  const action = state.actions.get(row.id);
  const tabStop = rows[focus.activeIndex] ?? rows[0];
  const drawn = (
    <RowView
      key={row.id}
      panel={panel}
      table={table}
      row={row}
      columns={columns}
      isOdd={index % 2 === 1}
      rowIndex={virtual.isLong ? index + 2 : undefined}
      isOpen={isOpen}
      isTabStop={row === tabStop}
      onFold={state.onFold}
      onAct={state.onAct}
    />
  );
  if (!isOpen && !action) return [drawn];
  const details = (
    <RowDetails
      key={`below ${row.id}`}
      table={table}
      row={row}
      span={columns.length + 2}
      isOpen={isOpen}
      action={action}
      onHeight={(height) => virtual.setHeight(row.id, height)}
      onActed={() => {
        focus.focusNext(row.id, "menu");
        state.onActed(row.id);
      }}
    />
  );
  return [drawn, details];
}
