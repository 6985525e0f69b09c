import { useLayoutEffect, useRef } from "preact/hooks";
import { type Cell, COLUMNS, type Column, type TableName } from "../contract";
import type { Row } from "../store";
import { fullMoment } from "../words";
import { Ending } from "./ending";
import { nameOf, Value } from "./row";
import { CopyButton } from "./small";

interface Props {
  table: TableName;
  row: Row;
  span: number;
  isOpen: boolean;
  isEnding: boolean;
  onHeight: (height: number) => void;
  onEnded: () => void;
}

/** What is unfolded below a row: all that is known of it, and the way to end it. */
export function Below({ table, row, span, isOpen, isEnding, onHeight, onEnded }: Props) {
  const element = useRef<HTMLTableRowElement>(null);
  const tell = useRef(onHeight);
  tell.current = onHeight;
  useLayoutEffect(() => {
    const look = () => element.current && tell.current(element.current.offsetHeight);
    const observer = new ResizeObserver(look);
    observer.observe(element.current as Element);
    look();
    return () => observer.disconnect();
  }, []);
  const name = nameOf(table, row);
  return (
    <tr ref={element} class="below" data-below={row.id}>
      <td colSpan={span}>
        {isEnding && <Ending table={table} target={row.id} name={name} onClose={onEnded} />}
        {isOpen && (
          <dl class="details" aria-label={`Details of ${name}`}>
            {COLUMNS[table].map((column, i) => (
              <Detail key={column.name} column={column} cell={row.cells[i] ?? null} />
            ))}
          </dl>
        )}
      </td>
    </tr>
  );
}

function Detail({ column, cell }: { column: Column; cell: Cell }) {
  const { name, title, drawn } = column;
  return (
    <div data-detail={name} class={drawn}>
      <dt class="soft">{name === "created_at" ? "Created" : title}</dt>
      <dd>
        {drawn === "age" && typeof cell === "number" && `${fullMoment(cell)} · `}
        <Value column={column} cell={cell} />
        {(drawn === "id" || drawn === "uri" || drawn === "text") && cell !== null && (
          <CopyButton text={String(cell)} what={`${title.toLowerCase()} ${cell}`} />
        )}
      </dd>
    </div>
  );
}
