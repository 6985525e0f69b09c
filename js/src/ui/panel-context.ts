import type { Host } from "@anywidget/types";
import { type ComponentChild, createContext } from "preact";
import { useContext } from "preact/hooks";
import type { TableName } from "../contract";
import type { PanelSession } from "../panel-session";
import type { Row } from "../rows";

export interface Choice {
  readonly label: string;
  /** A line below the label: what is copied. */
  readonly detail?: string;
  /** Null: it is shown, and cannot be chosen. */
  readonly run: (() => void) | null;
}

/** What the parts that several kinds of panels share may use. */
export interface PanelTools {
  /** The kernel's clock, and until when what is shown is known. */
  readonly session: { now(at?: number): number; knownUntil(at?: number): number };
  /** Copies a text and announces it. */
  copy(text: string): Promise<boolean>;
  /** Opens a menu at a button; a second press closes it. */
  openMenu(anchor: HTMLElement, label: string, choices: readonly Choice[]): void;
  /** Read by screen readers when they have time. */
  announce(text: string): void;
}

/** What every part of a panel of tables may use. */
export interface Panel extends PanelTools {
  readonly session: PanelSession;
  /** Id of this view. */
  readonly view: string;
  /** Embeds other widgets in this one; not every page can do that. */
  readonly host: Host | undefined;
  /** Where rows of a table can be selected. */
  readonly selection?: RowSelection;
}

export interface RowSelection {
  readonly table: TableName;
  /** The control that selects a row. */
  control(row: Row, tabIndex: number): ComponentChild;
  /** What a click on a row does, besides its controls. */
  onRow(id: string): void;
}

// Only an `App` shows parts that ask for it.
export const PanelContext = createContext<PanelTools>(null as unknown as PanelTools);

export function usePanel<P extends PanelTools = Panel>(): P {
  return useContext(PanelContext) as P;
}

/** How rows of a table are selected, if they can be. */
export function selectionOf({ selection }: Panel, table: TableName): RowSelection | undefined {
  return selection?.table === table ? selection : undefined;
}
