import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Session } from "../session";

export interface Choice {
  readonly label: string;
  /** A line below the label: what is copied. */
  readonly detail?: string;
  readonly danger?: boolean;
  readonly disabled?: boolean;
  run(): void;
}

/** What every part of a panel may use. */
export interface Panel {
  readonly session: Session;
  /** Puts a text into the clipboard, and says so. */
  copy(text: string): void;
  /** Opens a menu at a button; a second press closes it. */
  menu(anchor: HTMLElement, label: string, choices: readonly Choice[]): void;
  /** Said by screen readers when they have time. */
  say(text: string): void;
}

export const PanelContext = createContext<Panel | null>(null);

export function usePanel(): Panel {
  const panel = useContext(PanelContext);
  if (!panel) throw new Error("outside of a panel");
  return panel;
}
