import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { Choice } from "./panel";

export interface OpenMenu {
  readonly anchor: HTMLElement;
  readonly label: string;
  readonly choices: readonly Choice[];
}

/** A menu in the browser's top layer, where no cell of the notebook can cut it off. */
export function Menu({ anchor, label, choices, onClose }: OpenMenu & { onClose: (refocus: boolean) => void }) {
  const list = useRef<HTMLDivElement>(null);
  const items = () => [...(list.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
  const focus = (index: number) => {
    const all = items();
    all[(index + all.length) % all.length]?.focus();
  };

  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    anchor.setAttribute("aria-expanded", "true");
    element.showPopover?.();
    place(element, anchor);
    focus(0);
    return () => anchor.setAttribute("aria-expanded", "false");
  }, [anchor]);

  useEffect(() => {
    const outside = (event: Event) => {
      if (list.current && !event.composedPath().includes(list.current)) onClose(false);
    };
    const moved = (event: Event) => {
      if (event.type === "resize" || !event.composedPath().includes(list.current as EventTarget)) onClose(false);
    };
    window.addEventListener("pointerdown", outside, true);
    window.addEventListener("scroll", moved, true);
    window.addEventListener("resize", moved);
    return () => {
      window.removeEventListener("pointerdown", outside, true);
      window.removeEventListener("scroll", moved, true);
      window.removeEventListener("resize", moved);
    };
  });

  const onKeyDown = (event: KeyboardEvent) => {
    const all = items();
    const at = all.findIndex((item) => item.matches(":focus"));
    const move: Record<string, () => void> = {
      ArrowDown: () => focus(at + 1),
      ArrowUp: () => focus(at - 1),
      Home: () => focus(0),
      End: () => focus(-1),
      Escape: () => onClose(true),
      Tab: () => onClose(true),
    };
    const act = move[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  return (
    <div ref={list} class="menu" role="menu" aria-label={label} popover="manual" onKeyDown={onKeyDown}>
      {choices.map((choice) => (
        <button
          key={`${choice.label} ${choice.detail ?? ""}`}
          type="button"
          role="menuitem"
          tabIndex={-1}
          class={choice.danger ? "danger" : ""}
          aria-disabled={choice.disabled}
          onClick={() => {
            if (choice.disabled) return;
            onClose(true);
            choice.run();
          }}
        >
          <span>{choice.label}</span>
          {choice.detail && <code>{choice.detail}</code>}
        </button>
      ))}
    </div>
  );
}

/** Below the button, its right edges aligned; above it where there is no room below. */
function place(menu: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.right - width, innerWidth - width - 8));
  const below = at.bottom + 4;
  const top = below + height <= innerHeight - 8 ? below : Math.max(8, at.top - height - 4);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}
