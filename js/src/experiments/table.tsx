import type { ComponentChild } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count } from "../format";
import type { Row, Rows } from "../rows";
import type { Sort } from "../sorting";
import { Button } from "../ui/elements";
import { Icon } from "../ui/icons";
import { type RowFocus, useRowFocus } from "../ui/use-row-focus";
import { useVirtualRows, type VirtualRows } from "../ui/use-virtual-rows";
import { ExperimentWidths } from "./column-widths";
import type { ExperimentColumn } from "./contract";
import { ExperimentRow, type RowActions } from "./row";
import type { ExperimentsSession } from "./session";
import type { State } from "./store";
import { SPARK, startsDown } from "./table-data";
import type { ViewProps } from "./views";

const EDGE = 30;
const NONE: ReadonlySet<string> = new Set();
/** Scrolling passes many rows; the kernel is asked for the sparklines of those where it stops. */
const ASK_AFTER = 120;

/** The table of experiments: rows are opened by a press or Enter, and ticked by a box or the space bar. */
export function ExperimentTable({ session, view, state, rows, columns, sort, onSort, ticked, openId, actions, onTickAll }: ViewProps) {
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualRows({ box, rows, pinned: NONE, reset: [sort.column, sort.down] });
  const focus = useRowFocus(box, rows, virtual);
  const { widths, total } = useWidths(box, columns, state.rows, state);
  useShownRows(session, view, rows, virtual);
  const onKeyDown = (event: KeyboardEvent) => {
    const control = event.target as HTMLElement;
    const id = control.closest<HTMLElement>("[data-id]")?.dataset.id;
    const kind = control.dataset.control;
    if (!id || kind === "menu" || event.ctrlKey || event.metaKey || event.altKey) return;
    // Each key does the same, whichever control of the row has the focus.
    if (event.key === " ") actions.onTick(id);
    else if (event.key === "Enter") actions.onOpen(id);
    else return;
    event.preventDefault();
  };
  const tickedHere = rows.filter((row) => ticked.has(row.id)).length;
  return (
    <div ref={box} class="box" onScroll={virtual.onScroll}>
      <table
        aria-label="Experiments"
        aria-rowcount={virtual.isLong ? rows.length + 1 : undefined}
        style={{ width: total ? `${total}px` : "100%" }}
      >
        <thead>
          <tr aria-rowindex={virtual.isLong ? 1 : undefined}>
            <td class="edge" style={{ width: `${EDGE}px` }}>
              <input
                type="checkbox"
                data-control="tick-all"
                aria-label={`Compare all ${count(rows.length)}`}
                title={`Tick all ${count(rows.length)}`}
                checked={rows.length > 0 && tickedHere === rows.length}
                ref={(element) => {
                  if (element) element.indeterminate = tickedHere > 0 && tickedHere < rows.length;
                }}
                onChange={(event) => onTickAll(event.currentTarget.checked)}
              />
            </td>
            {columns.map((column, i) => (
              <Heading key={column.name} column={column} width={widths[i] ?? 80} sort={sort} onSort={onSort} />
            ))}
            <td style={{ width: `${EDGE}px` }} />
          </tr>
        </thead>
        <tbody {...focus.handlers} onKeyDownCapture={onKeyDown}>
          {drawnRows(rows, virtual, focus, { columns, state, ticked, openId, actions })}
        </tbody>
      </table>
    </div>
  );
}

interface Shared {
  columns: readonly ExperimentColumn[];
  state: State;
  ticked: ReadonlySet<string>;
  openId: string | null;
  actions: RowActions;
}

/** The drawn rows, and gaps as high as the rows that are not drawn; a row that has the focus stays, wherever one scrolls. */
function drawnRows(rows: readonly Row[], virtual: VirtualRows, { hasFocus, activeIndex }: RowFocus, shared: Shared): ComponentChild[] {
  const { first, last } = virtual.drawn;
  const indices = Array.from({ length: last - first }, (_, i) => first + i);
  if (hasFocus && activeIndex >= 0 && activeIndex < first) indices.unshift(activeIndex);
  else if (hasFocus && activeIndex >= last) indices.push(activeIndex);
  const { columns, state, ticked, openId, actions } = shared;
  const tabStop = rows[activeIndex] ?? rows[0];
  const lines: ComponentChild[] = [];
  let from = 0;
  const gapTo = (to: number) => {
    const space = virtual.topOf(to) - virtual.topOf(from);
    if (space) lines.push(<tr key={`gap ${from}`} style={{ height: `${space}px` }} />);
    from = to + 1;
  };
  for (const index of indices) {
    const row = rows[index];
    if (!row) continue;
    gapTo(index);
    lines.push(
      <ExperimentRow
        key={row.id}
        row={row}
        columns={columns}
        places={state.places}
        spark={state.sparks.get(row.id)}
        isOdd={index % 2 === 1}
        rowIndex={virtual.isLong ? index + 2 : undefined}
        isTicked={ticked.has(row.id)}
        isOpen={openId === row.id}
        isTabStop={row === tabStop}
        actions={actions}
      />,
    );
  }
  gapTo(rows.length);
  return lines;
}

interface HeadingProps {
  column: ExperimentColumn;
  width: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
}

function Heading({ column, width, sort, onSort }: HeadingProps) {
  const { name, title, drawn } = column;
  const isSorted = sort.column === name;
  // The youngest has the greatest time.
  const isDown = drawn === "age" ? !sort.down : sort.down;
  const direction = isDown ? "descending" : "ascending";
  return (
    <th scope="col" class={drawn} style={{ width: `${width}px` }} aria-sort={isSorted ? direction : undefined}>
      {name === SPARK ? (
        <span class="heading" title={`Course of ${title}`}>
          {title}
        </span>
      ) : (
        <Button data-sort={name} title={title} onClick={() => onSort({ column: name, down: isSorted ? !sort.down : startsDown(column) })}>
          <span>{title}</span>
          {isSorted && <Icon name={isDown ? "down" : "up"} />}
        </Button>
      )}
    </th>
  );
}

/** The widths of the columns, and of the table. */
function useWidths(box: { current: HTMLElement | null }, columns: readonly ExperimentColumn[], rows: Rows, { places }: State) {
  const [room, setRoom] = useState(0);
  const made = useMemo(() => new ExperimentWidths(), []);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setRoom(element.clientWidth));
    observer.observe(element);
    setRoom(element.clientWidth);
    return () => observer.disconnect();
  }, []);
  return useMemo(() => {
    if (!room || !box.current) return { widths: [], total: 0 };
    const widths = made.widths(columns, rows, places, box.current, room - 2 * EDGE);
    return { widths, total: widths.reduce((sum, width) => sum + width, 2 * EDGE) };
  }, [room, columns, rows.version, places]);
}

/** Has the kernel send the sparklines of the rows that are drawn. */
function useShownRows(session: ExperimentsSession, view: string, rows: readonly Row[], { drawn }: VirtualRows): void {
  const ids = rows.slice(drawn.first, drawn.last).map((row) => row.id);
  const wanted = ids.join("\n");
  const sent = useRef("");
  useEffect(() => {
    if (wanted === sent.current) return undefined;
    const timer = setTimeout(() => {
      sent.current = wanted;
      session.send({ type: "show_rows", view, ids });
    }, ASK_AFTER);
    return () => clearTimeout(timer);
  }, [wanted]);
}
