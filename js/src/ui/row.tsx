import { Component, createRef } from "preact";
import { type Cell, COLUMNS, type PanelColumn, type TableName } from "../contract";
import { bytes, count } from "../format";
import { numberText } from "../number";
import type { Row } from "../rows";
import { cellOf } from "../sorting";
import { Ago, CopyButton, IconButton, Missing, State } from "./elements";
import { flash } from "./flash";
import { type Panel, selectionOf } from "./panel-context";
import type { Action } from "./row-action";
import { rowMenu } from "./row-menu";
import { Spark } from "./spark";

interface Props {
  panel: Panel;
  table: TableName;
  row: Row;
  columns: readonly (readonly [index: number, width: number])[];
  isOdd: boolean;
  rowIndex: number | undefined;
  isOpen: boolean;
  /** Whether the Tab key stops here; the arrow keys go on from there. */
  isTabStop: boolean;
  onFold: (id: string) => void;
  onAct: (action: Action) => void;
}

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

  #flash(): void {
    flash(
      this.#element.current,
      this.props.row,
      this.props.columns.map(([index]) => index),
    );
  }

  render() {
    const { panel, table, row, columns, isOdd, rowIndex, isOpen, isTabStop, onFold, onAct } = this.props;
    const tabIndex = isTabStop ? 0 : -1;
    const name = nameOf(table, row);
    const uri = table === "checkpoints" && cellOf(table, row, "uri");
    const selection = selectionOf(panel, table);
    return (
      <tr
        ref={this.#element}
        class={isOdd ? "row odd" : "row"}
        data-id={row.id}
        aria-rowindex={rowIndex}
        // The same as a control in it, for the mouse; not for who selects a text.
        onClick={(event) => {
          if ((event.target as Element).closest("button, input") || !getSelection()?.isCollapsed) return;
          (selection?.onRow ?? onFold)(row.id);
        }}
      >
        <td class="edge">
          {selection?.control(row, tabIndex)}
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
          const column = COLUMNS[table][index] as PanelColumn;
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
              panel.openMenu(
                button,
                name,
                rowMenu(
                  panel,
                  table,
                  (column) => cellOf(table, row, column),
                  (action) => onAct({ action, table, target: row.id, name, about: aboutOf(table, row) }),
                ),
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

/** What the listing knows of a thing before the kernel is asked. */
function aboutOf(table: TableName, row: Row): string {
  const size = table === "checkpoints" ? cellOf(table, row, "size_bytes") : null;
  if (typeof size === "number") return `${bytes(size)}. `;
  const name = table === "runs" && cellOf(table, row, "name");
  return name ? `It is called ${name}. ` : "";
}

export function Value({ column: { drawn, name }, cell }: { column: PanelColumn; cell: Cell }) {
  if (cell === null) return <Missing />;
  if (drawn === "state") return <State state={String(cell)} />;
  if (typeof cell === "number" && drawn === "age") return <Ago at={cell} ahead={name === "expires_at"} />;
  if (drawn === "spark") return <Spark text={String(cell)} />;
  const text =
    cell === true
      ? "yes"
      : cell === false
        ? "no"
        : typeof cell === "string"
          ? cell
          : drawn === "bytes"
            ? bytes(cell)
            : drawn === "number"
              ? numberText(cell)
              : count(cell);
  return <span title={drawn === "bytes" ? `${cell} bytes` : drawn === "number" ? String(cell) : text}>{text}</span>;
}
