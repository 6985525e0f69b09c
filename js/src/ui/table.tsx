import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { COLUMNS, type TableName } from "../contract";
import { fit } from "../fit";
import { columnIndex, isFinished, NEWEST_FIRST, Order, type Shown, type Sort, shown } from "../order";
import type { Standing } from "../status";
import type { Row, State } from "../store";
import { measureIn, Widths } from "../widths";
import { indexAt, slice, topOf, type Unfolded } from "../window";
import { count, many } from "../words";
import { Below } from "./below";
import { Empty } from "./empty";
import { Icon } from "./icons";
import { RowView } from "./row";

const ROW_HEIGHT = 30;
/** Longer tables are drawn only where one looks. */
const DRAWN_WHOLE = 200;
const EDGE = 28;

export const TABLE_TITLES: Record<TableName, string> = {
  runs: "Runs",
  samplers: "Samplers",
  deployments: "Deployments",
  checkpoints: "Checkpoints",
};

interface Props {
  name: TableName;
  state: State;
  standing: Standing;
  words: readonly string[];
  hides: boolean;
  isMain: boolean;
  isAlone: boolean;
  onClear: () => void;
}

export function TableView({ name, state, standing, words, hides, isMain, isAlone, onClear }: Props) {
  const rows = state.tables[name];
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLTableSectionElement>(null);
  const order = useMemo(() => new Order(name), [name]);
  const widths = useMemo(() => new Widths(name), [name]);
  const [sort, setSort] = useState<Sort>(NEWEST_FIRST);
  const [open, setOpen] = useState<ReadonlySet<string>>(NOBODY);
  const [ending, setEnding] = useState<ReadonlySet<string>>(NOBODY);
  const [active, setActive] = useState<string | null>(null);
  const [room, setRoom] = useState(0);
  const [, redraw] = useState(0);
  const scroll = useRef({ top: 0, height: 0, first: 0, last: 0 });
  const anchor = useRef<{ id: string; below: number } | null>(null);
  const heights = useRef(new Map<string, number>());
  const focusNext = useRef<{ id: string; control: string } | null>(null);
  const hasFocus = useRef(false);

  const pinned = useMemo(() => new Set([...open, ...ending]), [open, ending]);
  const sorted = rows ? order.sorted(rows, sort) : NONE;
  const view = useMemo(() => shown(name, sorted, words, hides, pinned), [name, sorted, words, hides, pinned]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const look = () => {
      scroll.current.height = element.clientHeight;
      setRoom(element.clientWidth);
    };
    const observer = new ResizeObserver(look);
    observer.observe(element);
    look();
    return () => observer.disconnect();
  }, [rows === undefined]);

  const columns = useMemo(() => {
    if (!rows || !box.current || room === 0) return COLUMNS[name].flatMap((column, i) => (column.rank === 0 ? [[i, 0] as const] : []));
    const actions = name === "checkpoints" ? 2 * EDGE : EDGE + 4;
    return fit(widths.wishes(rows, measureIn(box.current)), room - EDGE - actions).columns;
  }, [rows, room, name]);

  // Where things stand, so that what one reads stays under one's eyes when rows come and go above it.
  const unfolded = unfoldedIn(view.rows, pinned, heights.current);
  const isLong = view.rows.length > DRAWN_WHOLE;
  const part = isLong
    ? slice(scroll.current.top, scroll.current.height || 600, view.rows.length, ROW_HEIGHT, unfolded)
    : { first: 0, last: view.rows.length };
  scroll.current.first = part.first;
  scroll.current.last = part.last;

  const chosen = useRef({ sort, words, hides });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const before = chosen.current;
    chosen.current = { sort, words, hides };
    if (before.sort !== sort || before.words !== words || before.hides !== hides) {
      element.scrollTop = 0;
      anchor.current = null;
      return;
    }
    const kept = anchor.current;
    if (!kept || element.scrollTop === 0) return;
    const index = view.rows.findIndex((row) => row.id === kept.id);
    if (index < 0) return;
    const top = topOf(index, ROW_HEIGHT, unfolded) - kept.below;
    if (Math.abs(top - element.scrollTop) >= 1) element.scrollTop = top;
  }, [view.rows]);

  useLayoutEffect(() => {
    const next = focusNext.current;
    if (!next) return;
    focusNext.current = null;
    const row = body.current?.querySelector(`tr[data-id="${CSS.escape(next.id)}"]`);
    const control = row?.querySelector<HTMLElement>(`[data-control=${next.control}]`) ?? row?.querySelector<HTMLElement>("[data-control]");
    control?.focus({ preventScroll: true });
  });

  if (!rows) return null;
  if (!isMain && rows.total === 0) return null;

  const onScroll = () => {
    const element = box.current;
    if (!element) return;
    scroll.current.top = element.scrollTop;
    const index = indexAt(element.scrollTop, view.rows.length, ROW_HEIGHT, unfolded);
    const row = view.rows[index];
    anchor.current = row ? { id: row.id, below: topOf(index, ROW_HEIGHT, unfolded) - element.scrollTop } : null;
    if (!isLong) return;
    const next = slice(element.scrollTop, scroll.current.height, view.rows.length, ROW_HEIGHT, unfolded);
    if (next.first !== scroll.current.first || next.last !== scroll.current.last) redraw((n) => n + 1);
  };

  const moveTo = (index: number, control: string) => {
    const to = Math.max(0, Math.min(view.rows.length - 1, index));
    const row = view.rows[to];
    const element = box.current;
    if (!row || !element) return;
    const head = element.querySelector("thead")?.getBoundingClientRect().height ?? 0;
    const top = topOf(to, ROW_HEIGHT, unfolded);
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW_HEIGHT + head > element.scrollTop + element.clientHeight)
      element.scrollTop = top + ROW_HEIGHT + head - element.clientHeight;
    scroll.current.top = element.scrollTop;
    focusNext.current = { id: row.id, control };
    setActive(row.id);
    redraw((n) => n + 1);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const control = (event.target as HTMLElement).closest<HTMLElement>("[data-control]");
    const row = control?.closest<HTMLElement>("tr[data-id]");
    if (!control || !row) return;
    const at = view.rows.findIndex((each) => each.id === row.dataset["id"]);
    const kind = control.dataset["control"] ?? "";
    const page = Math.max(1, Math.floor(scroll.current.height / ROW_HEIGHT) - 2);
    const beside = (step: number) => {
      const all = [...row.querySelectorAll<HTMLElement>("[data-control]")];
      all[all.indexOf(control) + step]?.focus();
    };
    const moves: Record<string, () => void> = {
      ArrowDown: () => moveTo(at + 1, kind),
      ArrowUp: () => moveTo(at - 1, kind),
      PageDown: () => moveTo(at + page, kind),
      PageUp: () => moveTo(at - page, kind),
      Home: () => moveTo(0, kind),
      End: () => moveTo(view.rows.length - 1, kind),
      ArrowLeft: () => beside(-1),
      ArrowRight: () => beside(1),
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  };

  const toggled = (set: ReadonlySet<string>, id: string, on: boolean) => {
    const next = new Set(set);
    if (on) next.add(id);
    else next.delete(id);
    return next;
  };
  const actions = {
    toggle: (id: string) => setOpen((before) => toggled(before, id, !before.has(id))),
    end: (id: string) => setEnding((before) => toggled(before, id, true)),
  };
  const stay = useStable(actions);

  const activeIndex = active === null ? -1 : view.rows.findIndex((row) => row.id === active);
  const stop = view.rows[activeIndex]?.id ?? view.rows[0]?.id;
  const drawn = indices(part.first, part.last, hasFocus.current ? activeIndex : -1);
  const span = columns.length + 2;
  const title = TABLE_TITLES[name];
  const titleId = `title-${name}`;
  const reachable = standing !== "gone" && standing !== "saved" && standing !== "over";

  const lines: preact.ComponentChild[] = [];
  let from = 0;
  const gap = (to: number) => {
    const height = topOf(to, ROW_HEIGHT, unfolded) - topOf(from, ROW_HEIGHT, unfolded);
    if (height > 0) {
      lines.push(
        <tr key={`gap ${from}`} class="gap" aria-hidden="true">
          <td colSpan={span} style={{ height: `${height}px` }} />
        </tr>,
      );
    }
  };
  for (const index of drawn) {
    const row = view.rows[index];
    if (!row) continue;
    gap(index);
    from = index + 1;
    const isOpen = open.has(row.id);
    const isEnding = ending.has(row.id);
    lines.push(
      <RowView
        key={row.id}
        table={name}
        row={row}
        columns={columns}
        isOdd={index % 2 === 1}
        rowIndex={isLong ? index + 2 : undefined}
        isOpen={isOpen}
        isStop={row.id === stop}
        canEnd={reachable && !isFinished(name, row)}
        actions={stay}
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
          onHeight={(height) => {
            if (heights.current.get(row.id) === height) return;
            heights.current.set(row.id, height);
            if (isLong) redraw((n) => n + 1);
          }}
          onEnded={(refocus) => {
            setEnding((before) => toggled(before, row.id, false));
            if (refocus) {
              focusNext.current = { id: row.id, control: "menu" };
              setActive(row.id);
            }
          }}
        />,
      );
    }
  }
  gap(view.rows.length);

  return (
    <div class="table" data-table={name}>
      <div class="heading">
        <h4 id={titleId}>{title}</h4>
        <Count total={rows.total} held={rows.byId.size} view={view} hides={hides} words={words} />
      </div>
      <div ref={box} class="box" onScroll={onScroll}>
        <table aria-labelledby={titleId} aria-rowcount={isLong ? view.rows.length + 1 : undefined}>
          <colgroup>
            <col style={{ width: `${EDGE}px` }} />
            {columns.map(([i, width]) => (
              <col key={i} style={width ? { width: `${width}px` } : {}} />
            ))}
            <col style={{ width: `${name === "checkpoints" ? 2 * EDGE : EDGE + 4}px` }} />
          </colgroup>
          <thead>
            <tr aria-rowindex={isLong ? 1 : undefined}>
              <td />
              {columns.map(([i]) => (
                <Heading key={i} table={name} index={i} sort={sort} onSort={setSort} />
              ))}
              <td />
            </tr>
          </thead>
          <tbody
            ref={body}
            onKeyDown={onKeyDown}
            onFocusIn={(event) => {
              hasFocus.current = true;
              const id = (event.target as HTMLElement).closest<HTMLElement>("tr[data-id]")?.dataset["id"];
              if (id !== undefined && id !== active) setActive(id);
            }}
            onFocusOut={() => {
              hasFocus.current = false;
            }}
          >
            {lines}
            {view.rows.length === 0 && (
              <tr class="none">
                <td colSpan={span}>
                  <Empty
                    table={name}
                    state={state}
                    standing={standing}
                    isFiltered={rows.byId.size > 0}
                    hidden={view.finished}
                    isAlone={isAlone}
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

const NOBODY: ReadonlySet<string> = new Set();
const NONE: readonly Row[] = [];

function Heading({ table, index, sort, onSort }: { table: TableName; index: number; sort: Sort; onSort: (sort: Sort) => void }) {
  const column = COLUMNS[table][index];
  if (!column) return null;
  const isSorted = sort.column === column.name;
  // An age is told from now backwards: the youngest has the greatest time.
  const isAge = column.drawn === "age";
  const downFirst = isAge || column.drawn === "count" || column.drawn === "bytes";
  const shownDown = isAge ? !sort.down : sort.down;
  return (
    <th scope="col" class={`${column.drawn} c-${column.name}`} aria-sort={isSorted ? (shownDown ? "descending" : "ascending") : undefined}>
      <button
        type="button"
        data-sort={column.name}
        onClick={() => onSort({ column: column.name, down: isSorted ? !sort.down : downFirst })}
      >
        <span>{column.title}</span>
        {isSorted && <Icon name={shownDown ? "down" : "up"} />}
      </button>
    </th>
  );
}

function Count({
  total,
  held,
  view,
  hides,
  words,
}: {
  total: number;
  held: number;
  view: Shown;
  hides: boolean;
  words: readonly string[];
}) {
  const parts = [
    words.length ? `${count(view.rows.length)} of ${count(total - (hides ? view.finished : 0))} match` : count(view.rows.length),
  ];
  if (hides && view.finished) parts.push(`${many(view.finished, "finished one")} hidden`);
  if (held < total) parts.push(`${count(total - held)} more are on their way`);
  return (
    <span class="count" data-count>
      {parts.join(" · ")}
    </span>
  );
}

function unfoldedIn(rows: readonly Row[], ids: ReadonlySet<string>, heights: ReadonlyMap<string, number>): Unfolded[] {
  if (!ids.size) return [];
  const found: Unfolded[] = [];
  rows.forEach((row, index) => {
    if (ids.has(row.id)) found.push({ index, height: heights.get(row.id) ?? 0 });
  });
  return found;
}

/** A stretch of rows, and one more that has the focus. */
function indices(first: number, last: number, extra: number): number[] {
  const all: number[] = [];
  if (extra >= 0 && extra < first) all.push(extra);
  for (let i = first; i < last; i++) all.push(i);
  if (extra >= last) all.push(extra);
  return all;
}

/** One object for ever, whose functions are always the newest: rows that get it are not drawn anew. */
function useStable<T extends Record<string, (id: string) => void>>(functions: T): T {
  const newest = useRef(functions);
  useEffect(() => {
    newest.current = functions;
  });
  return useMemo(() => {
    const stable = {} as Record<string, (id: string) => void>;
    for (const key of Object.keys(functions)) stable[key] = (id) => newest.current[key]?.(id);
    return stable as T;
  }, []);
}

export { columnIndex };
