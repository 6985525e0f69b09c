import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./elements";
import type { Choice } from "./panel-context";

export interface OpenMenu {
  readonly anchor: HTMLElement;
  readonly label: string;
  readonly choices: readonly Choice[];
}

interface MenuControl {
  readonly current: OpenMenu | null;
  readonly open: (anchor: HTMLElement, label: string, choices: readonly Choice[]) => void;
  readonly close: (byPress?: boolean) => void;
}

/** The one menu that a panel can have open. */
export function useMenu(): MenuControl {
  const [current, setCurrent] = useState<OpenMenu | null>(null);
  const closed = useRef<{ anchor: HTMLElement; at: number } | null>(null);
  const open: MenuControl["open"] = (anchor, label, choices) => {
    // The press that closes a menu from its own button must not open it again.
    if (closed.current?.anchor !== anchor || performance.now() - closed.current.at > 300) setCurrent({ anchor, label, choices });
  };
  const close = (byPress?: boolean) => {
    closed.current = byPress && current ? { anchor: current.anchor, at: performance.now() } : null;
    setCurrent(null);
  };
  return { current, open, close };
}

/** A menu in the browser's top layer, where no cell of the notebook can cut it off; the browser closes it on a press elsewhere. */
export function Menu({ anchor, label, choices, onClose }: OpenMenu & { onClose: (byPress?: boolean) => void }) {
  const list = useRef<HTMLDivElement>(null);
  const items = () => [...(list.current?.children ?? [])] as HTMLElement[];
  const focus = (index: number) =>
    items()
      .at(index % choices.length)
      ?.focus();
  const close = () => {
    onClose();
    anchor.focus({ preventScroll: true });
  };

  useLayoutEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    anchor.setAttribute("aria-expanded", "true");
    element.showPopover?.();
    place(element, anchor);
    focus(0);
    return () => anchor.removeAttribute("aria-expanded");
  }, [anchor]);
  useEffect(() => {
    // It would stay where it is while its button moves away.
    const onScroll = (event: Event) => event.composedPath().includes(list.current as EventTarget) || onClose();
    addEventListener("scroll", onScroll, true);
    return () => removeEventListener("scroll", onScroll, true);
  });

  const onKeyDown = (event: KeyboardEvent) => {
    const at = items().findIndex((item) => item.matches(":focus"));
    const moves: Record<string, () => void> = {
      ArrowDown: () => focus(at + 1),
      ArrowUp: () => focus(at - 1),
      Home: () => focus(0),
      End: () => focus(-1),
      Escape: close,
      Tab: close,
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  };

  return (
    <div
      ref={list}
      class="popup"
      role="menu"
      aria-label={label}
      popover="auto"
      onKeyDown={onKeyDown}
      onToggle={(event) => {
        if ((event as unknown as ToggleEvent).newState === "closed") onClose(true);
      }}
    >
      {choices.map(({ label: text, detail, run }) => (
        <Button
          key={`${text} ${detail}`}
          role="menuitem"
          class={detail ? "" : "bad danger"}
          tabIndex={-1}
          aria-disabled={!run}
          onClick={() => {
            if (!run) return;
            close();
            run();
          }}
        >
          <span>{text}</span>
          {detail && <code>{detail}</code>}
        </Button>
      ))}
    </div>
  );
}

/** Below the button, its right edges aligned; above it where there is no room below. */
export function place(menu: HTMLElement, anchor: HTMLElement): void {
  const at = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const top = at.bottom + height > innerHeight - 8 ? at.top - height : at.bottom;
  menu.style.left = `${Math.max(8, at.right - width)}px`;
  menu.style.top = `${Math.max(8, top)}px`;
}
