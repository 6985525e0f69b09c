/** The experiments as parallel coordinates, and below them the table of those that the selected ranges leave. */

import { useMemo, useState } from "preact/hooks";
import type { Cell } from "../contract";
import { ParallelCoordinates } from "./parallel-coordinates";
import { type Brushes, isSelected, type Row, scaleOf, type Value } from "./parallel-scale";
import { ExperimentTable } from "./table";
import { cellOf } from "./table-data";
import type { ViewProps } from "./views";

const MOST_AXES = 12;

export function ParallelView(props: ViewProps) {
  const { state, rows, columns, actions } = props;
  const { places, metric } = state;
  const [brushes, setBrushes] = useState<Brushes>({});
  const numbers = columns.filter(({ group }) => group === "metric");
  const main = numbers.find(({ name }) => name === `best.${metric}`) ?? numbers.find(({ name }) => name === `last.${metric}`) ?? numbers[0];
  const params = columns.filter(({ group }) => group === "parameter").slice(0, MOST_AXES);
  const shown = main ? [...params, main] : [];
  const keys = shown.map(({ name }) => name).join("\n");
  const dimensions = useMemo(() => shown.map(({ name, title }) => ({ key: name, label: title })), [keys]);
  const drawn = useMemo<Row[]>(
    () =>
      rows.map((row) => ({
        id: row.id,
        name: String(cellOf(row, places, "name") ?? row.id),
        values: shown.map(({ name }) => parallelValue(cellOf(row, places, name))),
      })),
    [rows, places, keys],
  );
  const selected = useMemo(() => {
    const scales = dimensions.map((_, i) => scaleOf(drawn.map(({ values }) => values[i] ?? null)));
    return rows.filter((_, i) => isSelected(drawn[i] as Row, dimensions, scales, brushes));
  }, [rows, drawn, dimensions, brushes]);
  if (!main || !params.length)
    return (
      <>
        <p class="soft">Parallel coordinates need a parameter that differs and a metric among the columns that are shown.</p>
        <ExperimentTable {...props} />
      </>
    );
  return (
    <>
      <ParallelCoordinates
        dimensions={dimensions}
        rows={drawn}
        metric={main.name}
        lowerIsBetter={main.mode !== "max"}
        brushes={brushes}
        onBrush={setBrushes}
        onOpen={actions.onOpen}
      />
      <ExperimentTable {...props} rows={selected} />
    </>
  );
}

const SPECIAL: Record<string, number> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};

function parallelValue(cell: Cell): Value {
  if (typeof cell === "string") return SPECIAL[cell] ?? cell;
  return typeof cell === "number" || typeof cell === "boolean" ? cell : null;
}
