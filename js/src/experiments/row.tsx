import { Component, createRef } from "preact";
import type { Tone } from "../contract";
import type { Row } from "../rows";
import { Ago, Button, IconButton, Missing, State } from "../ui/elements";
import { flash } from "../ui/flash";
import { Spark } from "../ui/spark";
import type { ExperimentColumn } from "./contract";
import { cellOf, cellText, isSent, type Places, SPARK } from "./table-data";

const TONES: Partial<Record<string, Tone>> = { running: "busy", finished: "good", crashed: "bad", stale: "idle" };

/** What a row calls; the same functions in every drawing. */
export interface RowActions {
  readonly onOpen: (id: string) => void;
  readonly onTick: (id: string) => void;
  readonly onMenu: (button: HTMLElement, id: string) => void;
}

interface Props {
  row: Row;
  columns: readonly ExperimentColumn[];
  places: Places;
  spark: string | undefined;
  isOdd: boolean;
  rowIndex: number | undefined;
  isTicked: boolean;
  isOpen: boolean;
  /** Whether the Tab key stops here; the arrow keys go on from there. */
  isTabStop: boolean;
  actions: RowActions;
}

/** Drawn again only when something of its own changed: there may be thousands. */
export class ExperimentRow extends Component<Props> {
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
    const { row, columns, places } = this.props;
    flash(
      this.#element.current,
      row,
      columns.map(({ name }) => places.get(name) ?? -1),
    );
  }

  render() {
    const { row, columns, isOdd, rowIndex, isTicked, isOpen, isTabStop, actions } = this.props;
    const tabIndex = isTabStop ? 0 : -1;
    const name = String(cellOf(row, this.props.places, "name") ?? row.id);
    return (
      <tr
        ref={this.#element}
        class={`row${isOdd ? " odd" : ""}${isOpen ? " chosen" : ""}`}
        data-id={row.id}
        aria-rowindex={rowIndex}
        // The same as the button in it, for the mouse; not for who selects a text.
        onClick={(event) => {
          if (!(event.target as Element).closest("button, input") && getSelection()?.isCollapsed) actions.onOpen(row.id);
        }}
      >
        <td class="edge">
          <input
            type="checkbox"
            data-control="tick"
            aria-label={`Compare ${name}`}
            tabIndex={tabIndex}
            checked={isTicked}
            onChange={() => actions.onTick(row.id)}
          />
        </td>
        {columns.map((column) => (
          <td key={column.name} class={column.drawn} data-column={column.name}>
            {this.#cell(column, name, tabIndex)}
          </td>
        ))}
        <td class="edge">
          <IconButton
            icon="more"
            label={`Menu of ${name}`}
            kind="menu"
            tabIndex={tabIndex}
            menu
            onPress={(button) => actions.onMenu(button, row.id)}
          />
        </td>
      </tr>
    );
  }

  #cell(column: ExperimentColumn, name: string, tabIndex: number) {
    const { row, places, spark, isOpen, actions } = this.props;
    const { drawn } = column;
    if (column.name === SPARK) return spark ? <Spark text={spark} /> : null;
    if (!isSent(places, column.name)) return <span class="soft">…</span>;
    if (drawn === "name") {
      return (
        <Button
          class="plain"
          data-control="open"
          title={name}
          tabIndex={tabIndex}
          aria-expanded={isOpen}
          onClick={() => actions.onOpen(row.id)}
        >
          {name}
        </Button>
      );
    }
    const cell = cellOf(row, places, column.name);
    if (cell === null || cell === "") return <Missing />;
    if (drawn === "state") return <State state={String(cell)} tone={TONES[String(cell)] ?? "unknown"} />;
    if (drawn === "age" && typeof cell === "number") return <Ago at={cell} />;
    const text = cellText(drawn, cell);
    return <span title={drawn === "number" ? String(cell) : text}>{text}</span>;
  }
}
