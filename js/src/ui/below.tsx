import { useLayoutEffect, useRef } from "preact/hooks";
import { type Cell, COLUMNS, type Column, type TableName } from "../contract";
import type { Row } from "../store";
import { count, fullMoment, MISSING } from "../words";
import { Ending } from "./ending";
import { usePanel } from "./panel";
import { nameOf, Value } from "./row";
import { Ago, CopyButton } from "./small";

interface Props {
  table: TableName;
  row: Row;
  span: number;
  isOpen: boolean;
  isEnding: boolean;
  onHeight: (height: number) => void;
  onEnded: (refocus: boolean) => void;
}

/** What is unfolded below a row: all that is known of it, and the way to end it. */
export function Below({ table, row, span, isOpen, isEnding, onHeight, onEnded }: Props) {
  const element = useRef<HTMLTableRowElement>(null);
  const tell = useRef(onHeight);
  tell.current = onHeight;
  useLayoutEffect(() => {
    if (!element.current) return undefined;
    const observer = new ResizeObserver(() => element.current && tell.current(element.current.offsetHeight));
    observer.observe(element.current);
    tell.current(element.current.offsetHeight);
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
  const { session } = usePanel();
  const copies = cell !== null && (column.drawn === "id" || column.drawn === "uri" || column.drawn === "text");
  let value: preact.ComponentChild;
  if (cell === null) value = <span class="missing">{MISSING}</span>;
  else if (column.drawn === "age" && typeof cell === "number") {
    value = (
      <span>
        {fullMoment(cell)}, <Ago at={cell} after={cell > session.now() ? " from now" : " ago"} />
      </span>
    );
  } else if (column.drawn === "bytes" && typeof cell === "number") {
    value = (
      <span>
        <Value column={column} cell={cell} /> {cell >= 1000 && `(${count(cell)} bytes)`}
      </span>
    );
  } else value = <Value column={column} cell={cell} />;
  return (
    <div data-detail={column.name} class={column.drawn}>
      <dt>{column.drawn === "age" && column.name === "created_at" ? "Created" : column.title}</dt>
      <dd>
        {value}
        {copies && <CopyButton text={String(cell)} what={`${column.title.toLowerCase()} ${cell}`} />}
      </dd>
    </div>
  );
}
