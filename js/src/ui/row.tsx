import { Component, createRef } from "preact";
import { type Cell, COLUMNS, type Column, type TableName } from "../contract";
import { cellOf } from "../order";
import type { Row } from "../store";
import { bytes, count } from "../words";
import { choicesFor } from "./choices";
import type { Panel } from "./panel";
import { Ago, CopyButton, IconButton, Missing, State } from "./small";

interface Props {
  panel: Panel;
  table: TableName;
  row: Row;
  columns: readonly (readonly [index: number, width: number])[];
  isOdd: boolean;
  rowIndex: number | undefined;
  isOpen: boolean;
  /** Whether the Tab key stops here; the arrow keys go on from there. */
  isStop: boolean;
  canEnd: boolean;
  onFold: (id: string) => void;
  onEnd: (id: string) => void;
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
    if (!this.props.row.changed) this.#flash();
  }

  override componentDidUpdate(before: Props): void {
    if (before.row !== this.props.row) this.#flash();
  }

  /** What changed lights up for a while, without fading: that would paint every frame, of a hundred rows as of one. */
  #flash(): void {
    const { row, columns } = this.props;
    if (Date.now() - row.changedAt > FRESH || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    columns.forEach(([index], i) => {
      const cell = this.#element.current?.children[i + 1];
      if (!cell || (row.changed && !row.changed.has(index))) return;
      cell.classList.add("flash");
      setTimeout(() => cell.classList.remove("flash"), FRESH);
    });
  }

  render() {
    const { panel, table, row, columns, isOdd, rowIndex, isOpen, isStop, canEnd, onFold, onEnd } = this.props;
    const tabIndex = isStop ? 0 : -1;
    const name = nameOf(table, row);
    const uri = table === "checkpoints" && cellOf(table, row, "uri");
    return (
      <tr
        ref={this.#element}
        class={isOdd ? "row odd" : "row"}
        data-id={row.id}
        aria-rowindex={rowIndex}
        // The same as the button in it, for the mouse; not for who selects a text.
        onClick={(event) => {
          if (!(event.target as Element).closest("button") && getSelection()?.isCollapsed) onFold(row.id);
        }}
      >
        <td class="edge">
          <IconButton
            icon="open"
            label={`Details of ${name}`}
            kind="fold"
            tabIndex={tabIndex}
            expanded={isOpen}
            onPress={() => onFold(row.id)}
          />
        </td>
        {columns.map(([index]) => {
          const column = COLUMNS[table][index] as Column;
          return (
            <td key={index} class={column.drawn} data-column={column.name}>
              <Value column={column} cell={row.cells[index] ?? null} />
            </td>
          );
        })}
        <td class="edge">
          {uri && <CopyButton text={String(uri)} what={`the URI of ${name}`} tabIndex={tabIndex} />}
          <IconButton
            icon="more"
            label={`Menu of ${name}`}
            kind="menu"
            tabIndex={tabIndex}
            menu
            onPress={(button) =>
              panel.menu(
                button,
                name,
                choicesFor(panel, table, (column) => cellOf(table, row, column), canEnd ? () => onEnd(row.id) : null),
              )
            }
          />
        </td>
      </tr>
    );
  }
}

export function nameOf(table: TableName, row: Row): string {
  return `${table.slice(0, -1)} ${(table === "checkpoints" && cellOf(table, row, "checkpoint_id")) || row.id}`;
}

export function Value({ column: { drawn }, cell }: { column: Column; cell: Cell }) {
  if (cell === null) return <Missing />;
  if (drawn === "state") return <State state={String(cell)} />;
  if (typeof cell === "number" && drawn === "age") return <Ago at={cell} />;
  const text =
    cell === true ? "yes" : cell === false ? "no" : typeof cell === "string" ? cell : drawn === "bytes" ? bytes(cell) : count(cell);
  return <span title={drawn === "bytes" ? `${cell} bytes` : text}>{text}</span>;
}
