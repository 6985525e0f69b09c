/** The ways in which a panel shows its experiments; with more than one, the panel has a switch between them. */

import type { ComponentType } from "preact";
import type { Row } from "../rows";
import type { Sort } from "../sorting";
import type { ExperimentColumn } from "./contract";
import { ParallelView } from "./parallel-view";
import type { RowActions } from "./row";
import type { ExperimentsSession } from "./session";
import type { State } from "./store";
import { ExperimentTable } from "./table";

/** What a view is drawn from: the rows that the filters leave, in the chosen order, and what it tells the panel. */
export interface ViewProps {
  readonly session: ExperimentsSession;
  /** The name by which the kernel knows this drawing of the panel. */
  readonly view: string;
  readonly state: State;
  readonly rows: readonly Row[];
  /** The columns that are shown. */
  readonly columns: readonly ExperimentColumn[];
  readonly sort: Sort;
  readonly onSort: (sort: Sort) => void;
  readonly ticked: ReadonlySet<string>;
  /** The experiment whose curves are open. */
  readonly openId: string | null;
  readonly actions: RowActions;
  /** Ticks all rows, or takes away all ticks. */
  readonly onTickAll: (on: boolean) => void;
}

export interface ExperimentView {
  readonly name: string;
  readonly title: string;
  readonly Shown: ComponentType<ViewProps>;
}

export const VIEWS: readonly [ExperimentView, ...ExperimentView[]] = [
  { name: "table", title: "Table", Shown: ExperimentTable },
  { name: "parallel", title: "Parallel coordinates", Shown: ParallelView },
];
