import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { count, many } from "../format";
import { QUEUED_AFTER } from "../session";
import { isReachable, type Status } from "../status";
import { Button } from "../ui/elements";
import { Icon } from "../ui/icons";
import { place } from "../ui/menu";
import type { Choices, ColumnGroup, ExperimentColumn } from "./contract";
import { isShown } from "./table-data";
import type { Filter } from "./use-filter";

interface Props {
  filter: Filter;
  status: Status;
  columns: readonly ExperimentColumn[];
  choices: Choices;
  onChoose: (choices: Choices) => void;
  ticked: number;
  isComparing: boolean;
  onCompare: () => void;
  onUntick: () => void;
}

/** The filter, the list of columns, and what is done with ticked rows. */
export function Tools({ filter, status, columns, choices, onChoose, ticked, isComparing, onCompare, onUntick }: Props) {
  return (
    <>
      <div class="facts tools">
        <label class="filter wide">
          <Icon name="search" />
          <input
            type="search"
            placeholder="Filter: words, or lr < 1e-3 and rank == 16"
            aria-label="Filter: words that must occur, or an expression such as lr < 1e-3 and rank == 16"
            value={filter.text}
            onInput={(event) => filter.setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") filter.setText("");
            }}
          />
        </label>
        <span class="soft" data-count>
          {filter.text ? `${count(filter.shown)} of ${many(filter.total, "experiment")}` : many(filter.total, "experiment")}
        </span>
        <span class="buttons">
          <Button data-control="compare" disabled={!ticked} aria-pressed={isComparing} onClick={onCompare}>
            {ticked ? `Compare ${count(ticked)}` : "Compare ticked"}
          </Button>
          {ticked > 0 && (
            <Button data-control="untick" onClick={onUntick}>
              Clear ticks
            </Button>
          )}
          <ColumnChooser columns={columns} choices={choices} onChoose={onChoose} />
        </span>
      </div>
      <FilterNote filter={filter} status={status} />
    </>
  );
}

/** Why the rows may not be those that the filter asks for. */
function FilterNote({ filter: { error, waitsSince }, status }: { filter: Filter; status: Status }) {
  const [, redraw] = useState(0);
  const isLate = waitsSince !== null && Date.now() - waitsSince > QUEUED_AFTER;
  useEffect(() => {
    if (waitsSince === null || isLate) return undefined;
    const timer = setTimeout(() => redraw((n) => n + 1), QUEUED_AFTER + 50);
    return () => clearTimeout(timer);
  }, [waitsSince]);
  let text = error;
  if (waitsSince !== null && !isReachable(status))
    text = "An expression is read by the kernel, which is not there. Words are filtered here.";
  else if (isLate) text = "Waiting for the kernel: it is busy.";
  return (
    <p class={error ? "problem" : "soft"} role="status" data-filter-note>
      {text}
    </p>
  );
}

const GROUPS: readonly (readonly [ColumnGroup, string])[] = [
  ["experiment", "Experiment"],
  ["metric", "Metrics"],
  ["parameter", "Parameters"],
];

/** A list of all columns, in the browser's top layer; the browser closes it on a press elsewhere. */
function ColumnChooser({ columns, choices, onChoose }: Pick<Props, "columns" | "choices" | "onChoose">) {
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLSpanElement>(null);
  const list = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const anchor = button.current;
    if (!isOpen || !list.current || !anchor) return;
    list.current.showPopover?.();
    place(list.current, anchor);
    list.current.querySelector("input")?.focus();
  }, [isOpen]);
  const close = () => {
    setOpen(false);
    button.current?.querySelector("button")?.focus({ preventScroll: true });
  };
  const toggle = (column: ExperimentColumn, on: boolean) => {
    const chosen = { ...choices.columns, [column.name]: on };
    // What is the default needs no choice, and follows it when it changes.
    if (on === (column.shown ?? true)) delete chosen[column.name];
    onChoose({ ...choices, columns: chosen });
  };
  const choosable = columns.filter(({ name }) => name !== "name");
  return (
    <span ref={button}>
      <Button data-control="columns" aria-expanded={isOpen} aria-haspopup="dialog" onClick={() => (isOpen ? close() : setOpen(true))}>
        Columns
      </Button>
      {isOpen && (
        <div
          ref={list}
          class="popup chooser"
          role="dialog"
          aria-label="Columns"
          popover="auto"
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.preventDefault();
            close();
          }}
          onToggle={(event) => {
            if ((event as unknown as ToggleEvent).newState === "closed") setOpen(false);
          }}
        >
          {GROUPS.map(([group, title]) => {
            const own = choosable.filter((column) => (column.group ?? "experiment") === group);
            return own.length ? (
              <fieldset key={group}>
                <legend>{title}</legend>
                {own.map((column) => (
                  <label key={column.name}>
                    <input
                      type="checkbox"
                      data-choose={column.name}
                      checked={isShown(column, choices)}
                      onChange={(event) => toggle(column, event.currentTarget.checked)}
                    />
                    <span>{column.drawn === "spark" ? `${column.title}, course` : column.title}</span>
                  </label>
                ))}
              </fieldset>
            ) : null;
          })}
          <Button
            data-control="default-columns"
            disabled={!Object.keys(choices.columns).length}
            onClick={() => onChoose({ ...choices, columns: {} })}
          >
            Default columns
          </Button>
        </div>
      )}
    </span>
  );
}
