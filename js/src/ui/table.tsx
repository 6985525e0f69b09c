import { useMemo, useRef, useState } from "preact/hooks";
import { COLUMNS, type PanelColumn, type TableName } from "../contract";
import { count, stateWord } from "../format";
import type { Row } from "../rows";
import { compare, type FilteredRows, filterRows, NEWEST_FIRST, RowOrder, type Sort } from "../sorting";
import type { Status } from "../status";
import type { State } from "../store";
import { Button } from "./elements";
import { EmptyTable } from "./empty-table";
import { Icon } from "./icons";
import { selectionOf, usePanel } from "./panel-context";
import { RowAction } from "./row-action";
import { tableRows } from "./table-rows";
import { FOLD_WIDTH, type Ranks, useColumns } from "./use-columns";
import { useRowFocus } from "./use-row-focus";
import { useRowState } from "./use-row-state";
import { useVirtualRows } from "./use-virtual-rows";

const NONE: readonly Row[] = [];

interface Props {
  name: TableName;
  state: State;
  status: Status;
  /** Every word must occur in a row. */
  words: readonly string[];
  hidesFinished: boolean;
  /** Whether this is the panel's first table. */
  isMain: boolean;
  ranks?: Ranks | undefined;
  onClearFilter: () => void;
}

export function TableView({ name, state, status, words, hidesFinished, isMain, ranks, onClearFilter }: Props) {
  const panel = usePanel();
  const rows = state.tables[name];
  const box = useRef<HTMLDivElement>(null);
  const order = useMemo(() => new RowOrder((by) => compare(name, by)), []);
  const [sort, setSort] = useState<Sort>(NEWEST_FIRST);
  const rowState = useRowState();
  const { pinned } = rowState;
  const sorted = rows ? order.sorted(rows, sort) : NONE;
  const shown = useMemo(() => filterRows(name, sorted, words, hidesFinished, pinned), [sorted, words, hidesFinished, pinned]);
  const firstWidth = selectionOf(panel, name) ? 2 * FOLD_WIDTH : FOLD_WIDTH;
  const { columns, lastWidth, owner } = useColumns(name, rows, box, isMain, firstWidth, ranks);
  const virtual = useVirtualRows({ box, rows: shown.rows, pinned, reset: [sort, words, hidesFinished] });
  const focus = useRowFocus(box, shown.rows, virtual);
  if (!rows || (!isMain && rows.total === 0)) return null;

  const lines = tableRows({ panel, table: name, rows: shown.rows, columns, state: rowState, virtual, focus });
  const gone = [...rowState.actions.values()].filter(({ target }) => !rows.byId.has(target));
  return (
    <div data-table={name}>
      <div class="facts">
        <h4 id={`title-${name}`}>{stateWord(isMain ? name : `standalone ${name}`)}</h4>
        <span class="soft" data-count>
          {countText(rows.total, rows.byId.size, shown, words)}
        </span>
        {owner && (
          <span class="soft" data-owner>
            Owner of all: {owner}
          </span>
        )}
      </div>
      {gone.map((action) => (
        // What became of a row that is deleted cannot stand below it.
        <RowAction
          key={`${action.action} ${action.target}`}
          {...action}
          onClose={() => {
            focus.focusNext(shown.rows[0]?.id ?? "", "menu");
            rowState.onActed(action.target);
          }}
        />
      ))}
      <div ref={box} class="box" onScroll={virtual.onScroll}>
        <table aria-labelledby={`title-${name}`} aria-rowcount={virtual.isLong ? shown.rows.length + 1 : undefined}>
          <thead>
            <tr aria-rowindex={virtual.isLong ? 1 : undefined}>
              <td style={{ width: `${firstWidth}px` }} />
              {columns.map(([index, width]) => (
                <Heading key={index} column={COLUMNS[name][index] as PanelColumn} width={width} sort={sort} onSort={setSort} />
              ))}
              <td style={{ width: `${lastWidth}px` }} />
            </tr>
          </thead>
          <tbody {...focus.handlers}>
            {lines}
            {!shown.rows.length && (
              <tr>
                <td colSpan={columns.length + 2}>
                  <EmptyTable
                    table={name}
                    state={state}
                    status={status}
                    isFiltered={rows.byId.size > 0}
                    finished={shown.finished}
                    onClearFilter={onClearFilter}
                  />
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </div>
  );
}

interface HeadingProps {
  column: PanelColumn;
  width: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
}

function Heading({ column: { name, title, drawn }, width, sort, onSort }: HeadingProps) {
  const isSorted = sort.column === name;
  const isAge = drawn === "age" && name !== "expires_at";
  // The youngest has the greatest time.
  const isDown = isAge ? !sort.down : sort.down;
  const startsDown = isAge || drawn === "count" || drawn === "bytes";
  const direction = isDown ? "descending" : "ascending";
  return (
    <th scope="col" class={drawn} style={{ width: `${width}px` }} aria-sort={isSorted ? direction : undefined}>
      <Button data-sort={name} onClick={() => onSort({ column: name, down: isSorted ? !sort.down : startsDown })}>
        <span>{title}</span>
        {isSorted && <Icon name={isDown ? "down" : "up"} />}
      </Button>
    </th>
  );
}

function countText(total: number, received: number, { rows, finished, unmatched }: FilteredRows, words: readonly string[]): string {
  const parts = [words.length ? `${count(rows.length)} of ${count(rows.length + unmatched)} match` : count(rows.length)];
  if (finished) parts.push(`${count(finished)} finished hidden`);
  if (received < total) parts.push(`${count(total - received)} more loading`);
  return parts.join(" · ");
}
