import { useLayoutEffect, useRef } from "preact/hooks";
import { type Cell, COLUMNS, type PanelColumn, type TableName } from "../contract";
import { fullMoment } from "../format";
import type { Row } from "../rows";
import { CopyButton } from "./elements";
import { nameOf, Value } from "./row";
import { type Action, RowAction } from "./row-action";

interface Props {
  table: TableName;
  row: Row;
  span: number;
  isOpen: boolean;
  action: Action | undefined;
  onHeight: (height: number) => void;
  onActed: () => void;
}

/** What is unfolded below a row: all that is known of it, and the way to end or delete it. */
export function RowDetails({ table, row, span, isOpen, action, onHeight, onActed }: Props) {
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
        {action && <RowAction key={action.action} {...action} onClose={onActed} />}
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

function Detail({ column, cell }: { column: PanelColumn; cell: Cell }) {
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
