import type { Host } from "@anywidget/types";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Session } from "../session";

export interface Choice {
  readonly label: string;
  /** A line below the label: what is copied. */
  readonly detail?: string;
  /** None: it is shown, and cannot be chosen. */
  readonly run: (() => void) | null;
}

/** What every part of a panel may use. */
export interface Panel {
  readonly session: Session;
  /** The name by which the kernel knows this view. */
  readonly view: string;
  /** Has other widgets shown inside of this one; not every page can do that. */
  readonly host: Host | undefined;
  /** Puts a text into the clipboard, and says so. */
  copy(text: string): Promise<boolean>;
  /** Opens a menu at a button; a second press closes it. */
  menu(anchor: HTMLElement, label: string, choices: readonly Choice[]): void;
  /** Said by screen readers when they have time. */
  say(text: string): void;
}

// Only `App` shows parts that ask for it.
export const PanelContext = createContext<Panel>(null as unknown as Panel);

export function usePanel(): Panel {
  return useContext(PanelContext);
}
