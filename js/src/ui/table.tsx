import type { ComponentChild } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { COLUMNS, type Column, type TableName } from "../contract";
import { type Fitted, fitted } from "../fit";
import { isFinished, NEWEST_FIRST, Order, type Shown, type Sort, shown } from "../order";
import { isReachable, type Standing } from "../status";
import type { Row, State } from "../store";
import { measureIn, Widths } from "../widths";
import { indexAt, slice, topOf, type Unfolded } from "../window";
import { count, stateWord } from "../words";
import { Below } from "./below";
import { Empty } from "./empty";
import { Icon } from "./icons";
import { usePanel } from "./panel";
import { RowView } from "./row";
import { Button } from "./small";

const ROW_HEIGHT = 30;
/** Longer tables are drawn only where one looks. */
const DRAWN_WHOLE = 200;
/** The columns of buttons: to unfold a row, and what else can be done with it. */
const FOLD = 28;
const NOBODY: ReadonlySet<string> = new Set();
const NONE: readonly Row[] = [];

interface Props {
  name: TableName;
  state: State;
  standing: Standing;
  words: readonly string[];
  hides: boolean;
  isMain: boolean;
  onClear: () => void;
}

export function TableView({ name, state, standing, words, hides, isMain, onClear }: Props) {
  const panel = usePanel();
  const rows = state.tables[name];
  const box = useRef<HTMLDivElement>(null);
  const order = useMemo(() => new Order(name), []);
  const [sort, setSort] = useState<Sort>(NEWEST_FIRST);
  const [open, setOpen] = useState(NOBODY);
  const [ending, setEnding] = useState(NOBODY);
  /** Where the Tab key stops, and whether the focus is there now. */
  const [active, setActive] = useState<string | null>(null);
  const hasFocus = useRef(false);
  const focusNext = useRef<{ id: string; kind: string } | null>(null);
  const [, redraw] = useState({});
  const heights = useRef(new Map<string, number>());
  /** The row at the upper edge, and how far it is cut off. */
  const anchor = useRef<{ id: string; cut: number } | null>(null);

  const pinned = useMemo(() => new Set([...open, ...ending]), [open, ending]);
  const sorted = rows ? order.sorted(rows, sort) : NONE;
  const view = useMemo(() => shown(name, sorted, words, hides, pinned), [sorted, words, hides, pinned]);
  const { columns, room } = useColumns(name, state, box, isMain);

  const unfolded = unfoldedIn(view.rows, pinned, heights.current);
  const isLong = view.rows.length > DRAWN_WHOLE;
  const height = box.current?.clientHeight || 600;
  const part = () => slice(box.current?.scrollTop ?? 0, height, view.rows.length, ROW_HEIGHT, unfolded);
  const drawn = isLong ? part() : { first: 0, last: view.rows.length };
  const activeIndex = active === null ? -1 : view.rows.findIndex((row) => row.id === active);

  // What one reads stays under one's eyes when rows come and go above it; another order or choice begins at the top.
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    anchor.current = null;
  }, [sort, words, hides]);
  useLayoutEffect(() => {
    const kept = anchor.current;
    const index = kept && view.rows.findIndex((row) => row.id === kept.id);
    if (box.current?.scrollTop && kept && index !== null && index >= 0) {
      box.current.scrollTop = topOf(index, ROW_HEIGHT, unfolded) + kept.cut;
    }
  }, [view.rows]);
  useLayoutEffect(() => {
    const next = focusNext.current;
    focusNext.current = null;
    if (next)
      box.current
        ?.querySelector<HTMLElement>(`[data-id="${CSS.escape(next.id)}"] [data-control=${next.kind}]`)
        ?.focus({ preventScroll: true });
  });

  const onFold = useMemo(() => (id: string) => setOpen((before) => toggled(before, id, !before.has(id))), []);
  const onEnd = useMemo(() => (id: string) => setEnding((before) => toggled(before, id, true)), []);
  if (!rows || (!isMain && rows.total === 0)) return null;

  const onScroll = () => {
    const top = box.current?.scrollTop ?? 0;
    const index = indexAt(top, view.rows.length, ROW_HEIGHT, unfolded);
    const row = view.rows[index];
    anchor.current = row ? { id: row.id, cut: top - topOf(index, ROW_HEIGHT, unfolded) } : null;
    const next = isLong ? part() : drawn;
    if (next.first !== drawn.first || next.last !== drawn.last) redraw({});
  };

  const moveTo = (index: number, kind: string) => {
    const to = Math.max(0, Math.min(view.rows.length - 1, index));
    const element = box.current;
    const row = view.rows[to];
    if (!element || !row) return;
    const top = topOf(to, ROW_HEIGHT, unfolded);
    // The heading covers one row.
    element.scrollTop = Math.min(top, Math.max(element.scrollTop, top + 2 * ROW_HEIGHT - height));
    focusNext.current = { id: row.id, kind };
    setActive(row.id);
    redraw({});
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const control = event.target as HTMLElement;
    const row = control.closest<HTMLElement>("[data-id]");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = view.rows.findIndex((each) => each.id === row.dataset.id);
    const page = Math.floor(height / ROW_HEIGHT) - 2;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: view.rows.length }[event.key];
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (to !== undefined) moveTo(to, control.dataset.control ?? "");
    else if (step) {
      const beside = [...row.querySelectorAll("button")];
      beside[beside.indexOf(control as HTMLButtonElement) + step]?.focus();
    } else return;
    event.preventDefault();
  };

  const span = columns.length + 2;
  const stop = (view.rows[activeIndex] ?? view.rows[0])?.id;
  const lines: ComponentChild[] = [];
  let from = 0;
  const gap = (to: number) => {
    const space = topOf(to, ROW_HEIGHT, unfolded) - topOf(from, ROW_HEIGHT, unfolded);
    if (space) lines.push(<tr key={`gap ${from}`} style={{ height: `${space}px` }} />);
    from = to + 1;
  };
  const draw = (index: number) => {
    const row = view.rows[index] as Row;
    const isOpen = open.has(row.id);
    const isEnding = ending.has(row.id);
    gap(index);
    lines.push(
      <RowView
        key={row.id}
        panel={panel}
        table={name}
        row={row}
        columns={columns}
        isOdd={index % 2 === 1}
        rowIndex={isLong ? index + 2 : undefined}
        isOpen={isOpen}
        isStop={row.id === stop}
        canEnd={isReachable(standing) && !isFinished(name, row)}
        onFold={onFold}
        onEnd={onEnd}
      />,
    );
    if (isOpen || isEnding) {
      lines.push(
        <Below
          key={`below ${row.id}`}
          table={name}
          row={row}
          span={span}
          isOpen={isOpen}
          isEnding={isEnding}
          onHeight={(tall) => {
            heights.current.set(row.id, tall);
            if (isLong) redraw({});
          }}
          onEnded={() => {
            focusNext.current = { id: row.id, kind: "menu" };
            setEnding((before) => toggled(before, row.id, false));
          }}
        />,
      );
    }
  };
  // A row that has the focus stays, wherever one scrolls to.
  const strays = hasFocus.current && (activeIndex < drawn.first || activeIndex >= drawn.last) ? activeIndex : -1;
  if (strays >= 0 && strays < drawn.first) draw(strays);
  for (let index = drawn.first; index < drawn.last; index++) draw(index);
  if (strays >= drawn.last) draw(strays);
  gap(view.rows.length);

  return (
    <div data-table={name}>
      <div class="facts">
        <h4 id={`title-${name}`}>{stateWord(isMain ? name : `standalone ${name}`)}</h4>
        <span class="soft" data-count>
          {told(rows.total, rows.byId.size, view, words)}
        </span>
      </div>
      <div ref={box} class="box" onScroll={onScroll}>
        <table aria-labelledby={`title-${name}`} aria-rowcount={isLong ? view.rows.length + 1 : undefined}>
          <thead>
            <tr aria-rowindex={isLong ? 1 : undefined}>
              <td style={{ width: `${FOLD}px` }} />
              {columns.map(([index, width]) => (
                <Heading key={index} column={COLUMNS[name][index] as Column} width={width} sort={sort} onSort={setSort} />
              ))}
              <td style={{ width: `${room}px` }} />
            </tr>
          </thead>
          <tbody
            onKeyDown={onKeyDown}
            onFocusIn={(event) => {
              hasFocus.current = true;
              setActive((event.target as HTMLElement).closest<HTMLElement>("[data-id]")?.dataset.id ?? active);
            }}
            onFocusOut={() => {
              hasFocus.current = false;
            }}
          >
            {lines}
            {!view.rows.length && (
              <tr>
                <td colSpan={span}>
                  <Empty
                    table={name}
                    state={state}
                    standing={standing}
                    isFiltered={rows.byId.size > 0}
                    finished={view.finished}
                    onClear={onClear}
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

/** The columns that there is room for; the same ones as before for as long as nothing about them changes. */
function useColumns(
  name: TableName,
  state: State,
  box: { current: HTMLElement | null },
  isMain: boolean,
): { columns: readonly Fitted[]; room: number } {
  const rows = state.tables[name];
  const last = name === "checkpoints" ? 2 * FOLD : FOLD + 4;
  const [room, setRoom] = useState(0);
  const widths = useMemo(() => new Widths(name), []);
  const before = useRef<readonly Fitted[]>([]);
  const madeFor = useRef("");
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(() => setRoom(element.clientWidth));
    observer.observe(element);
    setRoom(element.clientWidth);
    return () => observer.disconnect();
  }, [!rows]);
  const now = `${rows?.version} ${room}`;
  if (rows && box.current && room && madeFor.current !== now) {
    madeFor.current = now;
    // What stands alone has no run to name.
    const wishes = widths
      .wishes(rows, measureIn(box.current))
      .map((wish, i) => (isMain || COLUMNS[name][i]?.name !== "run_id" ? wish : { ...wish, rank: null }));
    const next = fitted(wishes, room - FOLD - last);
    if (String(next) !== String(before.current)) before.current = next;
  }
  return { columns: before.current, room: last };
}

function Heading({
  column: { name, title, drawn },
  width,
  sort,
  onSort,
}: {
  column: Column;
  width: number;
  sort: Sort;
  onSort: (sort: Sort) => void;
}) {
  const isSorted = sort.column === name;
  const isAge = drawn === "age";
  // An age is told from now backwards: the youngest has the greatest time.
  const isDown = isAge ? !sort.down : sort.down;
  return (
    <th scope="col" class={drawn} style={{ width: `${width}px` }} aria-sort={isSorted ? (isDown ? "descending" : "ascending") : undefined}>
      <Button
        data-sort={name}
        onClick={() => onSort({ column: name, down: isSorted ? !sort.down : isAge || drawn === "count" || drawn === "bytes" })}
      >
        <span>{title}</span>
        {isSorted && <Icon name={isDown ? "down" : "up"} />}
      </Button>
    </th>
  );
}

function told(total: number, held: number, { rows, finished, unmatched }: Shown, words: readonly string[]): string {
  const parts = [words.length ? `${count(rows.length)} of ${count(rows.length + unmatched)} match` : count(rows.length)];
  if (finished) parts.push(`${count(finished)} finished hidden`);
  if (held < total) parts.push(`${count(total - held)} more on their way`);
  return parts.join(" · ");
}

function unfoldedIn(rows: readonly Row[], ids: ReadonlySet<string>, heights: ReadonlyMap<string, number>): Unfolded[] {
  return ids.size ? rows.flatMap((row, index) => (ids.has(row.id) ? { index, height: heights.get(row.id) ?? 0 } : [])) : [];
}

function toggled(set: ReadonlySet<string>, id: string, on: boolean): ReadonlySet<string> {
  const next = new Set(set);
  if (on) next.add(id);
  else next.delete(id);
  return next;
}
