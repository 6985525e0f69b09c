import { Component, createRef } from "preact";
import { type Cell, COLUMNS, type Column, type TableName } from "../contract";
import { linesFor } from "../lines";
import { cellOf } from "../order";
import type { Row } from "../store";
import { bytes, count, MISSING } from "../words";
import { Icon } from "./icons";
import { type Choice, type Panel, PanelContext } from "./panel";
import { Ago, CopyButton, State } from "./small";

interface Props {
  table: TableName;
  row: Row;
  columns: readonly (readonly [index: number, width: number])[];
  isOdd: boolean;
  rowIndex: number | undefined;
  isOpen: boolean;
  /** Whether the Tab key stops here; the arrow keys go on from there. */
  isStop: boolean;
  canEnd: boolean;
  actions: { toggle(id: string): void; end(id: string): void };
}

/** A change that is older was not seen to happen. */
const FRESH = 1500;

/** Drawn again only when something of its own changed: there may be ten thousand. */
export class RowView extends Component<Props> {
  #element = createRef<HTMLTableRowElement>();

  override shouldComponentUpdate(next: Props): boolean {
    return (Object.keys(next) as (keyof Props)[]).some((key) => next[key] !== this.props[key]);
  }

  override componentDidMount(): void {
    if (this.props.row.changed === null) this.#flash();
  }

  override componentDidUpdate(before: Props): void {
    if (before.row !== this.props.row) this.#flash();
  }

  /** What changed lights up and fades; not for people who asked for less motion. */
  #flash(): void {
    const { row, columns } = this.props;
    if (Date.now() - row.changedAt > FRESH || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const cells = this.#element.current?.querySelectorAll("td[data-column]");
    columns.forEach(([index], i) => {
      if (row.changed && !row.changed.has(index)) return;
      cells?.[i]?.animate?.([{ backgroundColor: "var(--flash)" }, { backgroundColor: "transparent" }], {
        duration: 1600,
        easing: "ease-out",
      });
    });
  }

  render() {
    const { table, row, columns, isOdd, rowIndex, isOpen, isStop, canEnd, actions } = this.props;
    const tabIndex = isStop ? 0 : -1;
    const name = nameOf(table, row);
    const uri = table === "checkpoints" ? cellOf(table, row, "uri") : null;
    return (
      // The same as the button in it, for the mouse.
      <tr
        ref={this.#element}
        class={`row${isOdd ? " odd" : ""}${isOpen ? " open" : ""}`}
        data-id={row.id}
        aria-rowindex={rowIndex}
        onClick={(event) => {
          if ((event.target as Element).closest("button,a,input") || !getSelection()?.isCollapsed) return;
          actions.toggle(row.id);
        }}
      >
        <td class="edge">
          <button
            type="button"
            class="quiet fold"
            data-control="fold"
            tabIndex={tabIndex}
            aria-expanded={isOpen}
            aria-label={`Details of ${name}`}
            onClick={() => actions.toggle(row.id)}
          >
            <Icon name="open" />
          </button>
        </td>
        {columns.map(([index]) => {
          const column = COLUMNS[table][index];
          return column && <CellView key={column.name} column={column} cell={row.cells[index] ?? null} />;
        })}
        <td class="edge last">
          {typeof uri === "string" && <CopyButton text={uri} what={`the URI of ${name}`} tabIndex={tabIndex} />}
          <PanelContext.Consumer>
            {(panel) => (
              <button
                type="button"
                class="quiet"
                data-control="menu"
                tabIndex={tabIndex}
                aria-haspopup="menu"
                aria-label={`Menu of ${name}`}
                onClick={(event) => panel?.menu(event.currentTarget, name, choices(panel, table, row, canEnd, actions))}
              >
                <Icon name="more" />
              </button>
            )}
          </PanelContext.Consumer>
        </td>
      </tr>
    );
  }
}

const SINGLE: Record<TableName, string> = { runs: "run", samplers: "sampler", deployments: "deployment", checkpoints: "checkpoint" };

export function nameOf(table: TableName, row: Row): string {
  const called = table === "checkpoints" ? cellOf(table, row, "checkpoint_id") : null;
  return `${SINGLE[table]} ${called ?? row.id}`;
}

function choices(panel: Panel, table: TableName, row: Row, canEnd: boolean, actions: Props["actions"]): Choice[] {
  const uri = table === "checkpoints" ? cellOf(table, row, "uri") : null;
  const run = table === "samplers" ? cellOf(table, row, "run_id") : null;
  const ends = canEnd && table !== "checkpoints" && run === null;
  const all: Choice[] = [{ label: "Copy id", detail: row.id, run: () => panel.copy(row.id) }];
  if (typeof uri === "string") all.push({ label: "Copy URI", detail: uri, run: () => panel.copy(uri) });
  for (const line of linesFor(table, row)) {
    if (!ends && line.code.includes(" deactivate ")) continue;
    all.push({ label: `Copy line: ${line.what}`, detail: line.code, run: () => panel.copy(line.code) });
  }
  if (ends) all.push({ label: "Deactivate…", danger: true, run: () => actions.end(row.id) });
  else if (canEnd && run !== null) all.push({ label: "Deactivate", detail: `It ends with its run, ${run}`, disabled: true, run: () => {} });
  return all;
}

function CellView({ column, cell }: { column: Column; cell: Cell }) {
  return (
    <td class={`${column.drawn} c-${column.name}`} data-column={column.name}>
      {cell === null ? <span class="missing">{MISSING}</span> : <Value column={column} cell={cell} />}
    </td>
  );
}

export function Value({ column, cell }: { column: Column; cell: string | number | boolean }) {
  switch (column.drawn) {
    case "state":
      return <State state={String(cell)} />;
    case "age":
      return typeof cell === "number" ? <Ago at={cell} /> : <span>{String(cell)}</span>;
    case "bytes":
      return (
        <span title={typeof cell === "number" ? `${count(cell)} bytes` : ""}>{typeof cell === "number" ? bytes(cell) : String(cell)}</span>
      );
    case "count":
      return <span>{typeof cell === "number" ? count(cell) : String(cell)}</span>;
    case "flag":
      return <span>{cell ? "yes" : "no"}</span>;
    default:
      return <span title={String(cell)}>{String(cell)}</span>;
  }
}
